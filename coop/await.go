package coop

// Await runs fn, which may block, on a goroutine of its own, parks g until it has returned, and returns
// what it returned: the bridge to every ordinary Go library. If g is killed or times out, Await
// returns that error at once; fn goes on and its result is dropped, so hand it g (or
// [Greenlet.Context]) if it can be cancelled. A panic in fn is returned as a *[PanicError].
// The number of goroutines is limited by [LoopOptions].MaxAwait; further calls wait in order.
func Await[T any](g *Greenlet, fn func() (T, error)) (T, error) {
	a := &await[T]{g: g, fn: fn}
	if err := g.enter(); err != nil {
		return a.v, err
	}
	l := g.loop
	if l.world != nil {
		a.call()
		return a.v, a.err
	}
	if l.awaiting < l.o.MaxAwait {
		l.awaiting++
		a.start(l)
	} else {
		a.queued = true
		l.backlog.push(a)
	}
	g.giveUp, g.why = a, ParkedAwait
	if err := g.park(); err != nil {
		var zero T // fn may be writing to a.v
		return zero, err
	}
	return a.v, a.err
}

// await is one call. Its goroutine owns v and err until it has posted the await back.
type await[T any] struct {
	g   *Greenlet // who waits; nil when nobody does any more; loop only
	fn  func() (T, error)
	v   T
	err error

	queued bool // in the backlog; loop only
}

// awaitJob is an await of any type that waits for a goroutine.
type awaitJob interface {
	start(l *Loop)
	wanted() bool
}

func (a *await[T]) wanted() bool { return a.g != nil }

func (a *await[T]) giveUp(g *Greenlet) {
	a.g = nil
	if a.queued {
		g.loop.dropUnwanted()
	}
}

// dropUnwanted counts one more in the backlog that nobody waits for. They leave when they are the greater
// part: if every goroutine is stuck, those who time out behind them must not pile up.
func (l *Loop) dropUnwanted() {
	if l.unwanted++; l.unwanted <= max(l.backlog.n/2, keptRing) {
		return
	}
	for range l.backlog.n {
		if next := l.backlog.removeAt(0); next.wanted() {
			l.backlog.push(next)
		}
	}
	l.unwanted = 0
}

func (a *await[T]) start(l *Loop) {
	a.queued = false
	l.outside.Add(1)
	go func() {
		defer l.outside.Done()
		defer l.PostJob(a)
		a.call()
	}()
}

func (a *await[T]) call() {
	a.err = ErrGoexit // stays if fn leaves that way
	defer func() {
		if v := recover(); v != nil {
			a.err = recovered(v)
		}
	}()
	a.v, a.err = a.fn()
}

// RunOn brings the result home, and gives the goroutine's place to the next one.
func (a *await[T]) RunOn(l *Loop) {
	l.awaiting--
	for l.backlog.n > 0 && l.awaiting < l.o.MaxAwait {
		next := l.backlog.removeAt(0)
		if !next.wanted() {
			l.unwanted--
			continue
		}
		l.awaiting++
		next.start(l)
	}
	switch {
	case a.g == nil:
	case a.g.killed(): // fn, handed the greenlet as a context, may have heard of it before the loop does
		a.g.interrupt(a.g.killError())
	default:
		a.g.wake(nil)
	}
}
