package coop

// ring is a circular buffer that grows with its content and, above a small size, shrinks with it.
type ring[T any] struct {
	buf  []T
	head int
	n    int
}

// keptRing is the capacity, in elements, below which a ring does not shrink.
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
		r.resize(max(4, 2*len(r.buf)))
	}
	r.n++
	*r.at(r.n - 1) = v
}

func (r *ring[T]) pushFront(v T) {
	if r.n == len(r.buf) {
		r.resize(max(4, 2*len(r.buf)))
	}
	if r.head--; r.head < 0 {
		r.head = len(r.buf) - 1
	}
	r.n++
	*r.at(0) = v
}

// resize moves the content to a buffer of another size, which must be enough.
func (r *ring[T]) resize(size int) {
	buf := make([]T, size)
	n := copy(buf, r.buf[r.head:min(r.head+r.n, len(r.buf))])
	copy(buf[n:], r.buf[:r.n-n])
	r.buf, r.head = buf, 0
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
	r.n--
	if len(r.buf) > keptRing && r.n < len(r.buf)/4 {
		r.resize(len(r.buf) / 2)
	}
	return v
}
