package coop

// A Future is a value that is not there yet: somebody sets it once, or says why it will not come,
// and everybody who waits gets it. The zero value is ready to use. gevent's AsyncResult, but of two
// outcomes the first counts. Loop only: it belongs to the loop on which it is used; [Future.Port] is for
// everyone else. For what a goroutine computes there is [Await].
type Future[T any] struct {
	done  Event
	v     T
	err   error
	links linkList
	loop  *Loop // where the links run
}

// NewFuture returns a future without an outcome.
func NewFuture[T any]() *Future[T] { return new(Future[T]) }

// Set gives the value and makes everyone who waits ready, in the order in which they began to
// wait. It does not switch. It reports false, and changes nothing, when there is an outcome already.
func (f *Future[T]) Set(v T) bool { return f.settle(v, nil) }

// Fail gives an error instead of a value. A nil error is taken as Set of the zero value.
func (f *Future[T]) Fail(err error) bool {
	var zero T
	return f.settle(zero, err)
}

func (f *Future[T]) settle(v T, err error) bool {
	if f.done.IsSet() {
		return false
	}
	f.v, f.err = v, err
	f.done.Set()
	for k := f.links.take(); k != nil; k = f.links.take() {
		f.loop.PostJob((*linkJob)(k))
	}
	return true
}

// Get parks g until there is an outcome, and returns it; at once if there is one. The error is the one
// given to Fail, or says that g was killed or timed out.
func (f *Future[T]) Get(g *Greenlet) (T, error) {
	if err := f.done.wait(g, ParkedResult); err != nil {
		var zero T
		return zero, err
	}
	return f.v, f.err
}

// TryGet returns the outcome, or [ErrNotReady]. It never switches.
func (f *Future[T]) TryGet() (T, error) {
	if !f.done.IsSet() {
		var zero T
		return zero, ErrNotReady
	}
	return f.v, f.err
}

// Ready reports whether there is an outcome.
func (f *Future[T]) Ready() bool { return f.done.IsSet() }

// Link has fn called once when there is an outcome, as a job of l, the future's loop; see [Greenlet.Link]
// for what holds of links.
func (f *Future[T]) Link(l *Loop, fn func(*Future[T])) *Link {
	k := &Link{do: func(*Greenlet) { fn(f) }}
	f.loop = l
	if f.done.IsSet() {
		l.PostJob((*linkJob)(k))
	} else {
		f.links.add(k)
	}
	return k
}
