package coop

// ring is a growing circular buffer. Its memory goes back when it runs empty after having been large.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

// keptRing is the capacity, in elements, that an empty ring may keep.
const keptRing = 64

func (r *ring[T]) at(i int) *T {
	i += r.head
	if i >= len(r.buf) {
		i -= len(r.buf)
	}
	return &r.buf[i]
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.n++
	*r.at(r.n - 1) = v
}

func (r *ring[T]) grow() {
	bigger := make([]T, max(4, 2*len(r.buf)))
	n := copy(bigger, r.buf[r.head:])
	copy(bigger[n:], r.buf[:r.head])
	r.buf, r.head = bigger, 0
}

// removeAt takes out element i. It moves the elements on the shorter side; at either end there are none.
func (r *ring[T]) removeAt(i int) T {
	var zero T
	v := *r.at(i)
	if i < r.n/2 {
		for ; i > 0; i-- {
			*r.at(i) = *r.at(i - 1)
		}
		*r.at(0) = zero
		if r.head++; r.head == len(r.buf) {
			r.head = 0
		}
	} else {
		for ; i < r.n-1; i++ {
			*r.at(i) = *r.at(i + 1)
		}
		*r.at(i) = zero
	}
	if r.n--; r.n == 0 {
		r.head = 0
		if len(r.buf) > keptRing {
			r.buf = nil
		}
	}
	return v
}
