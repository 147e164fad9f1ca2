package coop

import (
	"errors"
	"slices"
)

// Join parks g until target has ended and returns target's result, where being killed counts as nil:
// it is a normal end. It returns at once if target has ended. Otherwise an error means that g was
// killed or timed out ([ErrKilled] can mean nothing else), or joined itself. The two may live on
// different loops.
func (target *Greenlet) Join(g *Greenlet) error {
	if err := target.await(g); err != nil {
		return err
	}
	return target.outcome()
}

// outcome is the result as joiners see it; the greenlet has ended.
func (target *Greenlet) outcome() error {
	if errors.Is(target.result, ErrKilled) {
		return nil
	}
	return target.result
}

// await parks g until target has ended. Its error is g's own.
func (target *Greenlet) await(g *Greenlet) error {
	target.joined.Store(true)
	switch {
	case target == g:
		return ErrSelfJoin
	case target.ended.Load():
		return nil
	case target.loop == g.loop:
		return g.waitOn(&target.joiners)
	default:
		return target.awaitRemote(g)
	}
}

// A remoteJoin is a joiner's place in a greenlet of another loop. The joiner waits for an event on
// its own loop; the two loops send each other jobs.
type remoteJoin struct {
	target *Greenlet
	home   *Loop
	over   Event // home's
}

func (target *Greenlet) awaitRemote(g *Greenlet) error {
	r := &remoteJoin{target: target, home: g.loop}
	if !target.loop.PostJob(r) {
		return nil // a loop ends its greenlets before it refuses jobs
	}
	err := r.over.Wait(g)
	if err != nil {
		target.loop.PostJob((*remoteLeave)(r))
	}
	return err
}

// RunOn registers the joiner, on the target's loop.
func (r *remoteJoin) RunOn(*Loop) {
	if r.target.ended.Load() {
		r.notify()
		return
	}
	r.target.remotes = append(r.target.remotes, r)
}

func (g *Greenlet) notifyRemotes() {
	for _, r := range g.remotes {
		r.notify()
	}
	g.remotes = nil
}

func (r *remoteJoin) notify() { r.home.PostJob((*remoteOver)(r)) }

type remoteOver remoteJoin

func (r *remoteOver) RunOn(*Loop) { r.over.Set() }

type remoteLeave remoteJoin

func (r *remoteLeave) RunOn(*Loop) {
	t := r.target
	if i := slices.Index(t.remotes, (*remoteJoin)(r)); i >= 0 {
		t.remotes = slices.Delete(t.remotes, i, i+1)
	}
}

// JoinAll parks g until all of gs have ended. It returns the error of the one that failed first, in the
// order in which they ended, or an error of g's own as Join does.
func JoinAll(g *Greenlet, gs ...*Greenlet) error {
	for _, t := range gs {
		if t == g {
			return ErrSelfJoin
		}
		t.joined.Store(true)
	}
	for _, t := range gs {
		if err := t.await(g); err != nil {
			return err
		}
	}
	var first *Greenlet
	for _, t := range gs {
		if t.failed != 0 && (first == nil || t.failed < first.failed) {
			first = t
		}
	}
	if first == nil {
		return nil
	}
	return first.result
}

// KillAll kills all of gs, and then waits for their ends as JoinAll does.
func KillAll(g *Greenlet, gs ...*Greenlet) error {
	for _, t := range gs {
		t.Kill()
	}
	return JoinAll(g, gs...)
}
