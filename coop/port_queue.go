package coop

import "context"

// A QueuePort is a queue for those who do not live on its loop. Any goroutine may use it, and greenlets of
// any loop. It may be copied.
//
// A value got through a port is handed to exactly one, and a value put is in the queue exactly if Put
// returned nil; also when the waiting is given up in the moment in which its end comes, and when loops
// close. Who waits through a port stands in the same line as the greenlets of the home loop. If a loop
// has to be closed by force, what is on its way to its greenlets goes back into the queue, as the first.
//
// A call costs a post to the home loop and one back; a greenlet of the home loop is served directly.
type QueuePort[T any] struct {
	q    *Queue[T]
	home *Loop
}

// Port returns q's port. home is the loop that q belongs to.
func (q *Queue[T]) Port(home *Loop) QueuePort[T] { return QueuePort[T]{q, home} }

// Get takes the next value, as [Queue.Get] does, for a greenlet of any loop. [ErrClosed] also when the
// home loop closes.
func (p QueuePort[T]) Get(g *Greenlet) (T, error) {
	if g.loop == p.home {
		return p.q.Get(g)
	}
	c := &getCall[T]{call: call{why: ParkedGet}, q: p.q}
	err := c.ask(p.home, c, g)
	return c.v, err
}

// GetContext is Get for a goroutine, which blocks until ctx is done. Not for greenlets: it would block
// their loop.
func (p QueuePort[T]) GetContext(ctx context.Context) (T, error) {
	c := &getCall[T]{q: p.q}
	err := c.askContext(ctx, p.home, c)
	return c.v, err
}

// Put adds v, as [Queue.Put] does, for a greenlet of any loop. [ErrClosed] also when the home loop closes.
func (p QueuePort[T]) Put(g *Greenlet, v T) error {
	if g.loop == p.home {
		return p.q.Put(g, v)
	}
	c := &putCall[T]{call: call{why: ParkedPut}, q: p.q, v: v}
	return c.ask(p.home, c, g)
}

// PutContext is Put for a goroutine, which blocks until ctx is done. Not for greenlets.
func (p QueuePort[T]) PutContext(ctx context.Context, v T) error {
	c := &putCall[T]{q: p.q, v: v}
	return c.askContext(ctx, p.home, c)
}

// Close closes the queue, soon. It does not wait.
func (p QueuePort[T]) Close() { p.home.Post(p.q.Close) }

type getCall[T any] struct {
	call
	q *Queue[T]
	v T
}

func (c *getCall[T]) attempt() {
	// The value first: a putter that stands in line may have given up just now. If it is the getter
	// that has, the value goes back.
	v, ok := c.q.TryGet()
	switch {
	case ok && c.claim():
		c.v = v
		c.settle(nil)
	case ok:
		c.q.putBack(v)
	case c.q.closed:
		c.settle(ErrClosed)
	default:
		c.q.getters.push(c.newPlace())
	}
}

func (c *getCall[T]) giveUp(*Greenlet) {}
func (c *getCall[T]) undo()            { c.q.putBack(c.v) }

type putCall[T any] struct {
	call
	q *Queue[T]
	v T
}

func (c *putCall[T]) attempt() {
	q := c.q
	switch {
	case q.closed:
		c.settle(ErrClosed)
	case q.getters.waiting() || q.max < 0 || q.Len() < q.max:
		if c.claim() {
			c.settle(nil) // first, as in admit
			q.accept(c.v)
		}
	default:
		q.await(c.v, c.newPlace())
	}
}

func (c *putCall[T]) giveUp(place *Greenlet) { c.q.giveUp(place) }
func (c *putCall[T]) undo()                  {} // who put it need not be there for it

// accept adds v for sure. A getter that was seen in line may have given up meanwhile; then v stays,
// even in a queue that has no room of its own.
func (q *Queue[T]) accept(v T) {
	if !q.TryPut(v) {
		q.store(v)
	}
}
