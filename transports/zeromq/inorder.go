package zeromq

// maxUnderWay is how much of what one peer asks for may wait for other nodes at once.
const maxUnderWay = 64

// inOrder does what a peer asks for in its order, on a goroutine of its own, so that what has to be asked of other nodes
// first is under way for several at once. The zero value is none yet: begin starts it.
type inOrder struct {
	steps chan func()
	ended chan struct{}
}

// running reports whether it was begun. What comes then has to go through it.
func (q *inOrder) running() bool { return q.steps != nil }

func (q *inOrder) begin() {
	q.steps, q.ended = make(chan func(), maxUnderWay), make(chan struct{})
	go func() {
		defer close(q.ended)
		for step := range q.steps {
			step()
		}
	}()
}

// do has step run behind those before. It waits while there are too many.
func (q *inOrder) do(step func()) { q.steps <- step }

// close waits until all is done. It may be begun again.
func (q *inOrder) close() {
	if q.running() {
		close(q.steps)
		<-q.ended
		q.steps = nil
	}
}
