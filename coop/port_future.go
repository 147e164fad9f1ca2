package coop

import "context"

// A FuturePort is a future for those who do not live on its loop. Any goroutine may use it, and greenlets
// of any loop. It may be copied.
type FuturePort[T any] struct {
	f    *Future[T]
	home *Loop
}

// Port returns f's port. home is the loop that f belongs to.
func (f *Future[T]) Port(home *Loop) FuturePort[T] { return FuturePort[T]{f, home} }

// Set gives the value, soon, and in the order of posts to the home loop. It does not wait, so it cannot
// tell whether the value counts: of several outcomes the one that arrives first does. It reports false when the
// home loop has been closed.
func (p FuturePort[T]) Set(v T) bool { return p.home.PostJob(&settleJob[T]{f: p.f, v: v}) }

// Fail gives an error instead of a value, in the same way.
func (p FuturePort[T]) Fail(err error) bool { return p.home.PostJob(&settleJob[T]{f: p.f, err: err}) }

// Get parks g, a greenlet of any loop, until there is an outcome, and returns it. [ErrClosed] when the
// home loop closes; other errors are the one given to Fail, or say that g was killed or timed out.
func (p FuturePort[T]) Get(g *Greenlet) (T, error) {
	if g.loop == p.home {
		return p.f.Get(g)
	}
	c := &waitCall{call: call{why: ParkedResult}, e: &p.f.done}
	return p.outcome(c.ask(p.home, c, g))
}

// GetContext is Get for a goroutine, which blocks until ctx is done. Not for greenlets: it would block
// their loop.
func (p FuturePort[T]) GetContext(ctx context.Context) (T, error) {
	c := &waitCall{e: &p.f.done}
	return p.outcome(c.askContext(ctx, p.home, c))
}

// outcome is read where the asker is: it does not change once the home loop has said that it is there.
func (p FuturePort[T]) outcome(err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	return p.f.v, p.f.err
}

type settleJob[T any] struct {
	f   *Future[T]
	v   T
	err error
}

func (j *settleJob[T]) RunOn(*Loop) { j.f.settle(j.v, j.err) }
