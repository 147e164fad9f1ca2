package coop

import "iter"

// A Queue passes values between the greenlets of one loop, in order. With a limit above zero Put
// waits while that many values are in it; a limit of zero makes it a channel, where Put waits until
// its value is taken; below zero there is no limit. The zero value is a queue with limit zero.
// Waiters are served first come, first served, and one that is killed or times out
// loses nothing: a value handed to a greenlet is returned to it even if a kill came right after.
// An empty queue keeps room for 64 values at most. Loop only.
type Queue[T any] struct {
	// All values stand in one ring, in this order:
	//   handed:  promised to getters that are ready but did not run yet, in their order;
	//   stored:  at most max;
	//   pending: of the putters that wait, in their order.
	values  ring[T]
	handed  int
	max     int
	closed  bool
	getters waitList
	putters waitList
}

// NewQueue returns an empty queue with the given limit.
func NewQueue[T any](max int) *Queue[T] { return &Queue[T]{max: max} }

// Len is the number of values that TryGet would return, those of waiting putters included.
func (q *Queue[T]) Len() int { return q.values.n - q.handed }

// Put appends v, waiting for room. After an error v is not in the queue: [ErrClosed], or g was killed or
// timed out.
func (q *Queue[T]) Put(g *Greenlet, v T) error {
	if q.TryPut(v) {
		return nil
	}
	if q.closed {
		return ErrClosed
	}
	if err := g.enter(); err != nil {
		return err
	}
	q.values.push(v)
	q.putters.push(g)
	g.why = ParkedPut
	g.giveUp = q
	return g.park()
}

// giveUp takes the value of a putter back.
func (q *Queue[T]) giveUp(g *Greenlet) {
	q.values.removeAt(q.values.n - q.putters.n + q.putters.index(g))
}

// TryPut appends v if there is room or a greenlet waits for it. It never switches.
func (q *Queue[T]) TryPut(v T) bool {
	switch {
	case q.closed:
		return false
	case q.getters.n > 0: // so nothing is stored or pending
		q.values.push(v)
		q.handed++
		q.getters.head.wake(nil)
		return true
	case q.max < 0 || q.Len() < q.max:
		q.values.push(v)
		return true
	default:
		return false
	}
}

// Get takes the first value, waiting for one. The error is [ErrClosed] when the queue is closed and
// empty, or says that g was killed or timed out.
func (q *Queue[T]) Get(g *Greenlet) (T, error) {
	v, ok := q.TryGet()
	if ok {
		return v, nil
	}
	if q.closed {
		return v, ErrClosed
	}
	if err := g.waitOn(&q.getters, ParkedGet); err != nil {
		return v, err
	}
	q.handed--
	return q.values.removeAt(0), nil
}

// TryGet takes the first value that is promised to nobody, if there is one. It never switches.
func (q *Queue[T]) TryGet() (v T, ok bool) {
	if q.Len() == 0 {
		return v, false
	}
	v = q.values.removeAt(q.handed)
	if q.putters.n > 0 {
		q.putters.head.wake(nil)
	}
	return v, true
}

// Close ends the queue: those who wait to put fail with [ErrClosed] and keep their values; what is
// stored can still be taken, then getters fail with ErrClosed too. Closing again does nothing.
func (q *Queue[T]) Close() {
	q.closed = true
	for ; q.putters.n > 0; q.putters.head.wake(ErrClosed) {
		q.values.removeAt(q.values.n - q.putters.n)
	}
	q.getters.wakeAll(ErrClosed)
}

// All yields the values until the queue is closed and empty, or g is killed or times out.
func (q *Queue[T]) All(g *Greenlet) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			v, err := q.Get(g)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}
