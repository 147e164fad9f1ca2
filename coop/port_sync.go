package coop

import "context"

// An EventPort is an event for those who do not live on its loop. Any goroutine may use it, and greenlets
// of any loop. It may be copied.
type EventPort struct {
	e    *Event
	home *Loop
}

// Port returns e's port. home is the loop that e belongs to.
func (e *Event) Port(home *Loop) EventPort { return EventPort{e, home} }

// Set raises the flag, soon, and in the order of posts to the home loop. It does not wait. It reports
// false when the home loop has been closed.
func (p EventPort) Set() bool { return p.home.PostJob((*setJob)(p.e)) }

// Clear lowers the flag, in the same way.
func (p EventPort) Clear() bool { return p.home.PostJob((*clearJob)(p.e)) }

// Wait parks g, a greenlet of any loop, until the flag is up. [ErrClosed] when the home loop closes;
// other errors mean that g was killed or timed out.
func (p EventPort) Wait(g *Greenlet) error {
	if g.loop == p.home {
		return p.e.Wait(g)
	}
	c := &waitCall{call: call{why: ParkedEvent}, e: p.e}
	return c.ask(p.home, c, g)
}

// WaitContext is Wait for a goroutine, which blocks until ctx is done. Not for greenlets: it would block
// their loop.
func (p EventPort) WaitContext(ctx context.Context) error {
	c := &waitCall{e: p.e}
	return c.askContext(ctx, p.home, c)
}

type (
	setJob   Event
	clearJob Event
)

func (j *setJob) RunOn(*Loop)   { (*Event)(j).Set() }
func (j *clearJob) RunOn(*Loop) { (*Event)(j).Clear() }

type waitCall struct {
	call
	e *Event
}

func (c *waitCall) attempt() {
	if c.e.set {
		c.settle(nil)
		return
	}
	c.e.waiters.push(c.newPlace())
}

func (c *waitCall) giveUp(*Greenlet) {}
func (c *waitCall) undo()            {}

// A SemaphorePort is a semaphore for those who do not live on its loop. Any goroutine may use it, and
// greenlets of any loop, which wait in one line with those of the home loop. It may be copied.
type SemaphorePort struct {
	s    *Semaphore
	home *Loop
}

// Port returns s's port. home is the loop that s belongs to.
func (s *Semaphore) Port(home *Loop) SemaphorePort { return SemaphorePort{s, home} }

// Acquire takes a permit for g, a greenlet of any loop, waiting for one. [ErrClosed] when the home loop
// closes; other errors mean that g was killed or timed out. After an error no permit is taken.
func (p SemaphorePort) Acquire(g *Greenlet) error {
	if g.loop == p.home {
		return p.s.Acquire(g)
	}
	c := &acquireCall{call: call{why: ParkedLock}, s: p.s}
	return c.ask(p.home, c, g)
}

// AcquireContext is Acquire for a goroutine, which blocks until ctx is done. Not for greenlets: it would
// block their loop.
func (p SemaphorePort) AcquireContext(ctx context.Context) error {
	c := &acquireCall{s: p.s}
	return c.askContext(ctx, p.home, c)
}

// Release gives a permit back, soon. It does not wait. It reports false when the home loop has been
// closed.
func (p SemaphorePort) Release() bool { return p.home.PostJob((*releaseJob)(p.s)) }

type releaseJob Semaphore

func (j *releaseJob) RunOn(*Loop) { (*Semaphore)(j).Release() }

type acquireCall struct {
	call
	s *Semaphore
}

func (c *acquireCall) attempt() {
	switch {
	case c.s.free <= 0:
		c.s.waiters.push(c.newPlace())
	case c.claim():
		c.s.free--
		c.settle(nil)
	}
}

func (c *acquireCall) giveUp(*Greenlet) {}
func (c *acquireCall) undo()            { c.s.Release() }
