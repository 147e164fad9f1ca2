package coop

import "slices"

// Kill ends the greenlet at its next park, or in the one it is in: that and every later park returns
// [ErrKilled], so that it can clean up but not live on. One that has not begun never will.
// Killing twice, or killing the dead, does nothing. Any goroutine; the loop hears of it in its next tick.
//
// A greenlet whose clean-up has to park can [Greenlet.Revive] itself.
func (g *Greenlet) Kill() { g.kill(&ErrKilled) }

// KillWith is [Greenlet.Kill] with an error of the caller's: parks return err instead of ErrKilled. A greenlet
// that ends with it, or had not begun, has failed, unless err is ErrKilled to [errors.Is]. As a
// context the greenlet says ErrKilled all the same. Of several kills the first counts. Any goroutine.
func (g *Greenlet) KillWith(err error) {
	if err == nil {
		err = ErrKilled
	}
	g.kill(&err)
}

func (g *Greenlet) kill(cause *error) {
	if g.ended.Load() {
		return
	}
	if life := g.condemn(cause); life != nil {
		g.loop.PostJob(g.killJob()) // first, so that no answer to the announcement can overtake it
		g.announce(life)
	}
}

type killJob Greenlet

func (k *killJob) RunOn(*Loop) {
	if g := (*Greenlet)(k); g.killed() { // and not revived since
		g.interrupt(g.killError())
	}
}

// condemn marks g as killed and returns the life that this ends, nil if it was killed before. Any goroutine.
func (g *Greenlet) condemn(cause *error) *scope {
	life := g.lifeScope()
	if life == pastLife {
		return nil
	}
	life.cause.CompareAndSwap(nil, cause)
	if !life.state.CompareAndSwap(scopeOpen, scopeKilled) {
		return nil
	}
	return life
}

// announce tells those who watch g as a context that a life of it has been ended. Any goroutine.
func (g *Greenlet) announce(life *scope) {
	life.cancel()
	for s := g.top.Load(); s != nil && s != life; s = s.outer {
		if s.Err() != nil { // a scope opened after a Revive that has come in between is none of ours
			s.cancel()
		}
	}
}

func (g *Greenlet) killed() bool {
	life := g.life.Load()
	return life != nil && life.state.Load() == scopeKilled
}

// killError is what parks return.
func (g *Greenlet) killError() error {
	if life := g.life.Load(); life != nil {
		if cause := life.cause.Load(); cause != nil {
			return *cause
		}
	}
	return ErrKilled
}

// Revive takes back the kill of the running greenlet: its parks work again, until it is killed once more. It
// is for clean-up that has to park, within a WithTimeout of its own, and for the rare greenlet that
// may decline to end; gevent's greenlets do so by catching GreenletExit. It reports whether there
// was a kill to take back. A loop that is closing waits a second for the revived, then ends them by force.
//
// Contexts taken of the greenlet, and timeouts opened, before Revive stay cancelled; new ones
// are not. For the running greenlet only.
func (g *Greenlet) Revive() bool {
	if g.loop.current != g || g.doomed || !g.killed() {
		return false
	}
	g.life.Store(new(scope))
	return true
}

// Stop kills target and parks g until it has ended; then it returns what Join would. To stop
// waiting, use a timeout; target stays killed. gevent's kill(block=True).
func (target *Greenlet) Stop(g *Greenlet) error {
	if target == g {
		return ErrSelfJoin
	}
	target.Kill()
	return target.Join(g)
}

// Kill kills all of gs, in their order, and does not wait. Any goroutine.
func Kill(gs ...*Greenlet) {
	for _, t := range gs {
		t.Kill()
	}
}

// KillAll kills all of gs, in their order, and then parks g until they have ended, as JoinAll does. All
// are told before any of them runs.
func KillAll(g *Greenlet, gs ...*Greenlet) error {
	if slices.Contains(gs, g) {
		return ErrSelfJoin
	}
	Kill(gs...)
	return JoinAll(g, gs...)
}
