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
	if errors.Is(target.result(), ErrKilled) {
		return nil
	}
	return target.result()
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
		return g.waitOn(target.joinList(), ParkedJoin)
	default:
		return target.awaitRemote(g)
	}
}

// joinList is where joiners on the same loop wait.
func (target *Greenlet) joinList() *waitList {
	if target.joiners == nil {
		target.joiners = new(waitList)
	}
	return target.joiners
}

// A remoteJoin is a joiner's place in a greenlet of another loop. The joiner waits for an event on
// its own loop; the two loops send each other jobs.
type remoteJoin struct {
	target *Greenlet
	home   *Loop
	over   Event  // home's
	ended  func() // instead of the two: see atEnd
}

func (target *Greenlet) awaitRemote(g *Greenlet) error {
	r := &remoteJoin{target: target, home: g.loop}
	if !target.loop.PostJob(r) {
		return nil // a loop ends its greenlets before it refuses jobs
	}
	err := r.over.wait(g, ParkedJoin)
	if err != nil {
		r.leave()
	}
	return err
}

// leave takes the joiner out again.
func (r *remoteJoin) leave() { r.target.loop.PostJob((*remoteLeave)(r)) }

// RunOn registers the joiner, on the target's loop.
func (r *remoteJoin) RunOn(*Loop) {
	if r.target.ended.Load() {
		r.notify()
		return
	}
	m := r.target.extras()
	m.remotes = append(m.remotes, r)
}

func (r *remoteJoin) notify() {
	if r.ended != nil {
		r.ended()
		return
	}
	r.home.PostJob((*remoteOver)(r))
}

type remoteOver remoteJoin

func (r *remoteOver) RunOn(*Loop) { r.over.Set() }

type remoteLeave remoteJoin

func (r *remoteLeave) RunOn(*Loop) {
	m := r.target.more
	if m == nil {
		return // it is over
	}
	if i := slices.Index(m.remotes, (*remoteJoin)(r)); i >= 0 {
		m.remotes = slices.Delete(m.remotes, i, i+1)
	}
}

// JoinAll parks g until all of gs have ended. It returns the error of the one that failed first, in the
// order in which they ended, or an error of g's own as Join does.
func JoinAll(g *Greenlet, gs ...*Greenlet) error {
	if err := g.careFor(gs); err != nil {
		return err
	}
	gs = slices.Clone(gs) // the caller's may change meanwhile
	for _, t := range gs {
		if err := t.await(g); err != nil {
			return err
		}
	}
	return firstFailure(gs)
}

// JoinN parks g until n of gs have ended, all of them if n is less than one, and returns those: the ones
// that had ended before in the order of gs, then the others in the order of their ends. The error is that of the one
// among them that failed first, or an error of g's own, as with JoinAll; in every case the slice
// holds those that have ended by then. The failures of all gs are taken care of.
func JoinN(g *Greenlet, n int, gs ...*Greenlet) ([]*Greenlet, error) {
	if err := g.careFor(gs); err != nil {
		return nil, err
	}
	ended, err := Wait(g, n, gs...)
	if err != nil {
		return ended, err
	}
	return ended, firstFailure(ended)
}

// careFor notes that the failures of gs are taken care of.
func (g *Greenlet) careFor(gs []*Greenlet) error {
	if slices.Contains(gs, g) {
		return ErrSelfJoin
	}
	for _, t := range gs {
		t.joined.Store(true)
	}
	return nil
}

// firstFailure is the result of the one that failed before the others did.
func firstFailure(ended []*Greenlet) error {
	var first *Greenlet
	for _, t := range ended {
		if t.failure() != nil && (first == nil || t.failure().place < first.failure().place) {
			first = t
		}
	}
	if first == nil {
		return nil
	}
	return first.result()
}
