package coop

// readyQueue is the FIFO of greenlets that can go on: a ring, since it is touched at every switch and
// nothing ever leaves it from the middle. A greenlet is in it at most once.
type readyQueue struct {
	buf  []*Greenlet // its length is a power of two
	head int
	n    int
}

// keptReady is the capacity that an empty ready queue keeps.
const keptReady = 1 << 14

func (r *readyQueue) push(g *Greenlet) {
	if r.n == len(r.buf) {
		r.grow()
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = g
	r.n++
}

// pop takes the first greenlet; nil if there is none, or the queue is broken.
func (r *readyQueue) pop() *Greenlet {
	if len(r.buf) == 0 {
		return nil
	}
	at := &r.buf[r.head&(len(r.buf)-1)]
	g := *at
	*at = nil
	r.head++
	r.n--
	return g
}

// at is the place of the i-th greenlet to run.
func (r *readyQueue) at(i int) **Greenlet { return &r.buf[(r.head+i)&(len(r.buf)-1)] }

func (r *readyQueue) grow() {
	bigger := make([]*Greenlet, max(16, 2*len(r.buf)))
	r.head &= max(len(r.buf), 1) - 1
	n := copy(bigger, r.buf[r.head:])
	copy(bigger[n:], r.buf[:r.head])
	r.buf, r.head = bigger, 0
}

// trim gives the memory of a burst back.
func (r *readyQueue) trim() {
	if r.n == 0 && len(r.buf) > keptReady {
		r.buf, r.head = nil, 0
	}
}
