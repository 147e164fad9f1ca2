package coop

import "iter"

// A Queue passes values between the greenlets of one loop. With a limit above zero Put waits while that
// many values are in it; a limit of zero makes it a channel, where Put waits until its value is taken;
// below zero there is no limit. Values come out in the order in which they went in, unless the queue was
// made by [NewPriorityQueue] or [NewLIFOQueue]. The zero value is a queue with limit zero.
//
// Waiters are served first come, first served, and one that is killed or times out loses nothing: a
// value promised to a greenlet is returned to it even if a kill came right after. An empty queue
// keeps room for 64 values at most. Loop only; [Queue.Port] is for everyone else. gevent: Queue, LifoQueue, PriorityQueue, Channel.
type Queue[T any] struct {
	values   ring[T]  // what is stored, in the order of arrival; by priority it is in more.heap
	promised int      // so many of them belong to getters that are ready but did not run yet
	getters  waitList // while there are any, all that is stored is promised
	more     *queueMore[T]
	max      int
	order    order
	closed   bool
}

// queueMore is what a queue needs only when somebody waits for room, peeks, or wants another order.
type queueMore[T any] struct {
	pending ring[T] // the values of the putters that wait, in their order
	putters waitList
	peekers waitList
	heap    *valueHeap[T]
	tasks   *tasks
}

type order uint8

const (
	firstFirst order = iota
	lastFirst
	byPriority
)

// NewQueue returns an empty queue with the given limit.
func NewQueue[T any](max int) *Queue[T] { return &Queue[T]{max: max} }

// Len is the number of values that TryGet would return, those of waiting putters included.
func (q *Queue[T]) Len() int {
	n := q.stored() - q.promised
	if q.more != nil {
		n += q.more.pending.n
	}
	return n
}

// Max is the limit.
func (q *Queue[T]) Max() int { return q.max }

// SetMax changes the limit. Putters for whom there is room now are woken. Values beyond a lower limit
// stay.
func (q *Queue[T]) SetMax(max int) {
	q.max = max
	q.admit()
}

// Closed reports whether the queue has been closed. There may be values in it still.
func (q *Queue[T]) Closed() bool { return q.closed }

// Put adds v, waiting for room. After an error v is not in the queue: [ErrClosed], or g was killed or
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
	q.await(v, g)
	g.why = ParkedPut
	g.giveUp = q
	return g.park()
}

// await lets g stand in line with v.
func (q *Queue[T]) await(v T, g *Greenlet) {
	m := q.extra()
	m.putters.push(g)
	m.pending.push(v)
	m.peekers.wakeAll(nil)
}

// giveUp takes the value of a putter back.
func (q *Queue[T]) giveUp(g *Greenlet) { q.more.pending.removeAt(q.more.putters.index(g)) }

// TryPut adds v if there is room or a greenlet waits for it. It never switches.
func (q *Queue[T]) TryPut(v T) bool {
	if q.closed {
		return false
	}
	if g := q.getters.first(); g != nil {
		q.count(1)
		q.hand(g, v)
		return true
	}
	if q.max >= 0 && q.Len() >= q.max {
		return false
	}
	q.store(v)
	return true
}

// hand gives v to a getter, the first in line.
func (q *Queue[T]) hand(g *Greenlet, v T) {
	if g.state == standing {
		g.giveUp.(*getCall[T]).v = v
	} else {
		q.push(v)
		q.promised++
	}
	g.wake(nil)
}

// store adds v for whoever comes.
func (q *Queue[T]) store(v T) {
	q.push(v)
	if q.more != nil {
		q.count(1)
		q.more.peekers.wakeAll(nil)
	}
}

// putBack returns a value whose getter has gone. It is the first again, whatever the limit.
func (q *Queue[T]) putBack(v T) {
	g := q.getters.first()
	switch {
	case g != nil && g.state == standing:
		g.giveUp.(*getCall[T]).v = v
		g.wake(nil)
	case g != nil:
		q.pushFront(v)
		q.promised++
		g.wake(nil)
	default:
		q.pushFront(v)
		if q.more != nil {
			q.more.peekers.wakeAll(nil)
		}
	}
}

// Get takes the next value, waiting for one. The error is [ErrClosed] when the queue is closed and
// empty, or says that g was killed or timed out.
func (q *Queue[T]) Get(g *Greenlet) (T, error) { return q.get(g, ParkedGet) }

// get is Get for those for whom the queue stands for something else.
func (q *Queue[T]) get(g *Greenlet, why ParkReason) (T, error) {
	v, ok := q.TryGet()
	if ok {
		return v, nil
	}
	if q.closed {
		return v, ErrClosed
	}
	if err := g.waitOn(&q.getters, why); err != nil {
		return v, err
	}
	q.promised--
	return q.pop(), nil
}

// TryGet takes the next value that is promised to nobody, if there is one. It never switches.
func (q *Queue[T]) TryGet() (v T, ok bool) {
	if q.stored() > q.promised {
		v = q.take()
		if q.more != nil {
			q.admit()
		}
		return v, true
	}
	if q.more == nil {
		return v, false
	}
	// With limit zero, or one that was lowered to it, values come straight from those who wait to put.
	p := q.more.putters.first()
	if p == nil {
		return v, false
	}
	v = q.more.pending.removeAt(0)
	q.count(1)
	p.wake(nil)
	return v, true
}

// admit lets putters in while there is room.
func (q *Queue[T]) admit() {
	m := q.more
	for m != nil && m.putters.n > 0 && (q.max < 0 || q.stored()-q.promised < q.max) {
		p := m.putters.first()
		if p == nil {
			return
		}
		v := m.pending.removeAt(0)
		p.wake(nil) // first: a comparison of priorities that panics must not leave it without an answer
		q.store(v)
	}
}

// Peek returns the next value, waiting for one, and leaves it in the queue: until g parks the next time,
// it is what TryGet returns. Any number of greenlets may peek at the same value; getters that wait go
// first. The errors are those of Get.
func (q *Queue[T]) Peek(g *Greenlet) (T, error) {
	for {
		v, ok := q.TryPeek()
		if ok {
			return v, nil
		}
		if q.closed {
			return v, ErrClosed
		}
		if err := g.waitOn(&q.extra().peekers, ParkedGet); err != nil {
			return v, err
		}
	}
}

// TryPeek returns what TryGet would, and leaves it in the queue.
func (q *Queue[T]) TryPeek() (v T, ok bool) {
	if n := q.stored(); n > q.promised {
		switch q.order {
		case firstFirst:
			return *q.values.at(q.promised), true
		case lastFirst:
			return *q.values.at(n - 1), true
		default:
			return q.more.heap.items[0].v, true
		}
	}
	if q.more != nil && q.more.putters.waiting() {
		return *q.more.pending.at(0), true
	}
	return v, false
}

// Close ends the queue: those who wait to put fail with [ErrClosed] and keep their values; what is
// stored can still be taken, then getters fail with ErrClosed too. Closing again does nothing.
// gevent: shutdown.
func (q *Queue[T]) Close() {
	q.closed = true
	if m := q.more; m != nil {
		m.pending = ring[T]{}
		m.putters.wakeAll(ErrClosed)
		m.peekers.wakeAll(ErrClosed)
	}
	q.getters.wakeAll(ErrClosed)
}

// CloseNow is [Queue.Close], and drops what is stored. It returns how many values that were. A value
// promised to a greenlet that was woken for it is not dropped. gevent: shutdown(immediate=True).
func (q *Queue[T]) CloseNow() (dropped int) {
	q.Close()
	kept := make([]T, q.promised)
	for i := range kept {
		kept[i] = q.pop()
	}
	dropped = q.stored()
	q.values = ring[T]{}
	if q.order == byPriority {
		q.more.heap.items = nil
	}
	for i := range kept {
		if q.order == lastFirst {
			i = len(kept) - 1 - i
		}
		q.push(kept[i])
	}
	q.count(-dropped)
	return dropped
}

// All yields the values until the queue is closed and empty, or g is killed or times out.
func (q *Queue[T]) All(g *Greenlet) iter.Seq[T] { return q.all(g, ParkedGet) }

func (q *Queue[T]) all(g *Greenlet, why ParkReason) iter.Seq[T] {
	return func(yield func(T) bool) {
		for {
			v, err := q.get(g, why)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

func (q *Queue[T]) extra() *queueMore[T] {
	if q.more == nil {
		q.more = new(queueMore[T])
	}
	return q.more
}

// count tells a joinable queue what came in, or was dropped.
func (q *Queue[T]) count(n int) {
	if q.more != nil && q.more.tasks != nil {
		q.more.tasks.add(n)
	}
}
