package coop

// NewPriorityQueue returns a queue whose values come out by priority: a before b if before(a, b), and in
// the order of arrival if neither is before the other. Which value a waiting greenlet gets is decided when it
// runs, so that the most urgent of those that came meanwhile is first. Putters that wait for room are let in
// first come, first served. Adding and taking grow with the logarithm. gevent: PriorityQueue.
func NewPriorityQueue[T any](max int, before func(a, b T) bool) *Queue[T] {
	q := &Queue[T]{max: max, order: byPriority}
	q.extra().heap = &valueHeap[T]{before: before}
	return q
}

// NewLIFOQueue returns a queue in which the value that came last is the first to come out.
// gevent: LifoQueue.
func NewLIFOQueue[T any](max int) *Queue[T] { return &Queue[T]{max: max, order: lastFirst} }

// The order of a queue is in the functions that follow, and nowhere else but in TryPeek and CloseNow.

func (q *Queue[T]) stored() int {
	if q.order == byPriority {
		return len(q.more.heap.items)
	}
	return q.values.n
}

func (q *Queue[T]) push(v T) {
	if q.order == byPriority {
		q.more.heap.push(v, false)
		return
	}
	q.values.push(v)
}

// pushFront adds v before all that are not more urgent.
func (q *Queue[T]) pushFront(v T) {
	switch q.order {
	case firstFirst:
		q.values.pushFront(v)
	case lastFirst:
		q.values.push(v)
	default:
		q.more.heap.push(v, true)
	}
}

// pop takes the first value for one to whom a value was promised.
func (q *Queue[T]) pop() T {
	if q.order == firstFirst {
		return q.values.removeAt(0)
	}
	return q.take()
}

// take takes the first value for a newcomer. In order of arrival those that are promised stand before it.
func (q *Queue[T]) take() T {
	switch q.order {
	case firstFirst:
		return q.values.removeAt(q.promised)
	case lastFirst:
		return q.values.removeAt(q.values.n - 1)
	default:
		return q.more.heap.pop()
	}
}

// valueHeap is a binary heap that keeps equal values in the order in which they came.
type valueHeap[T any] struct {
	before      func(a, b T) bool
	items       []heapValue[T]
	first, last int64 // numbers given out, from the middle in both directions
}

type heapValue[T any] struct {
	v   T
	seq int64
}

func (h *valueHeap[T]) less(a, b *heapValue[T]) bool {
	if h.before(a.v, b.v) {
		return true
	}
	return a.seq < b.seq && !h.before(b.v, a.v)
}

// push adds v behind its equals, or in front of them.
func (h *valueHeap[T]) push(v T, front bool) {
	e := heapValue[T]{v: v}
	if front {
		h.first--
		e.seq = h.first
	} else {
		h.last++
		e.seq = h.last
	}
	h.items = append(h.items, e)
	i := len(h.items) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(&h.items[i], &h.items[parent]) {
			break
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

func (h *valueHeap[T]) pop() T {
	v, last := h.items[0].v, len(h.items)-1
	h.items[0] = h.items[last]
	h.items[last] = heapValue[T]{}
	h.items = h.items[:last]
	for i := 0; ; {
		least := 2*i + 1
		if least >= last {
			break
		}
		if right := least + 1; right < last && h.less(&h.items[right], &h.items[least]) {
			least = right
		}
		if !h.less(&h.items[least], &h.items[i]) {
			break
		}
		h.items[i], h.items[least] = h.items[least], h.items[i]
		i = least
	}
	if c := cap(h.items); c > keptRing && last < c/4 { // as a ring does
		h.items = append(make([]heapValue[T], 0, c/2), h.items...)
	}
	return v
}
