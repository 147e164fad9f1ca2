package coop

import (
	"context"
	"slices"
	"sync/atomic"
)

// A port is how the rest of the world uses what is confined to one loop: its home. Whoever uses it
// asks the home by a post, and is answered by a post (a greenlet of another loop, which parks meanwhile)
// or through a channel (a goroutine, which blocks). The thing itself stays without locks, and its
// greenlets do not pay for the ports that it has.
//
// Who asks may give up at the very moment in which the home grants what was asked for. One atomic word in
// each call decides: the home claims the call before it hands anything over, and the asker abandons it
// before it leaves; only one of the two succeeds. So nothing has to be fetched back from one who has
// left. An asker that comes too late waits for the answer that is on its way, which is a matter of
// microseconds, and has it; a kill or a timeout then comes at its next park.
//
// Who has to wait stands in the same list as the home's own greenlets, in the order of arrival, by way
// of a greenlet that never runs (see standIn).
type call struct {
	op    operation // what this is the call of
	home  *Loop
	state atomic.Uint32
	place *Greenlet // where it stands in line, if it does; home's
	err   error     // the answer; the home's until it is given

	// One of two:
	g    *Greenlet     // who asks, on another loop
	why  ParkReason    // it parks for
	done chan struct{} // closed when there is an answer, for a goroutine
}

const (
	callOpen      uint32 = iota
	callClaimed          // the home answers
	callAbandoned        // nobody waits for an answer
)

// operation is a call that does something. All of it runs on the home loop.
type operation interface {
	standIn
	canceler  // takes back what stands in line with the call
	attempt() // does it at once, or gets in line
	undo()    // gives back what was granted: the asker is gone with its loop
}

// remote is how lists know those who stand for somebody that may have given up.
type remote interface {
	claim() bool
	abandoned() bool
	withdraw()
}

// claim makes sure that the asker waits for the answer. Home only.
func (c *call) claim() bool {
	return c.state.CompareAndSwap(callOpen, callClaimed) || c.state.Load() == callClaimed
}

func (c *call) abandon() bool   { return c.state.CompareAndSwap(callOpen, callAbandoned) }
func (c *call) abandoned() bool { return c.state.Load() == callAbandoned }

// ask is called by a greenlet of another loop. It returns the answer, or what ended the park.
func (c *call) ask(home *Loop, op operation, g *Greenlet) error {
	if err := g.enter(); err != nil {
		return err
	}
	c.home, c.op, c.g = home, op, g
	if !home.PostJob((*askJob)(c)) {
		return ErrClosed
	}
	g.giveUp, g.why = (*asker)(c), c.why
	if err := g.park(); err != nil {
		return err
	}
	return c.err
}

// asker is the call as the asking greenlet's loop sees it.
type asker call

func (a *asker) keeps() bool      { return !(*call)(a).abandon() }
func (a *asker) giveUp(*Greenlet) { a.home.PostJob((*cancelJob)(a)) }

// askContext is called by a goroutine.
func (c *call) askContext(ctx context.Context, home *Loop, op operation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.home, c.op, c.done = home, op, make(chan struct{})
	if !home.PostJob((*askJob)(c)) {
		return ErrClosed
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	if c.abandon() {
		home.PostJob((*cancelJob)(c))
		return ctx.Err()
	}
	<-c.done
	return c.err
}

type askJob call

func (j *askJob) RunOn(l *Loop) {
	c := (*call)(j)
	switch {
	case c.abandoned():
	case l.phase != running:
		c.settle(ErrClosed)
	default:
		c.op.attempt()
	}
}

type cancelJob call

func (j *cancelJob) RunOn(*Loop) { (*call)(j).withdraw() }

// newPlace returns what stands in line for the asker.
func (c *call) newPlace() *Greenlet {
	p := &Greenlet{loop: c.home, id: lastID.Add(1), state: standing, giveUp: c.op}
	c.home.places.add(p)
	c.place = p
	return p
}

// withdraw leaves the line.
func (c *call) withdraw() {
	p := c.place
	if p == nil || p.on == nil {
		return
	}
	c.op.giveUp(p)
	p.on.remove(p)
	c.leave()
}

func (c *call) leave() {
	c.place.state = dead
	c.home.places.remove(c.place)
}

// endPlaces ends the waiting of all who are not of this loop, which is closing; new ones are refused. The oldest
// first.
func (l *Loop) endPlaces() {
	var all []*Greenlet
	for p := l.places.newest; p != nil; p = p.older {
		all = append(all, p)
	}
	for _, p := range slices.Backward(all) {
		if p.state == standing {
			p.interrupt(ErrClosed)
		}
	}
}

// woken is called when its turn in the line has come, or the line is no more.
func (c *call) woken(err error) {
	c.leave()
	c.settle(err)
}

// settle answers, if anybody still waits for it.
func (c *call) settle(err error) {
	if !c.claim() {
		return
	}
	c.err = err
	switch {
	case c.done != nil:
		close(c.done)
	case !c.g.loop.PostJob((*answerJob)(c)):
		if err == nil {
			c.op.undo()
		}
	}
}

type answerJob call

func (j *answerJob) RunOn(*Loop) {
	if g := j.g; g.state == parked && g.giveUp == canceler((*asker)(j)) {
		g.wake(nil)
		return
	}
	if j.err == nil { // its loop ended it by force while it waited
		j.home.PostJob((*undoJob)(j))
	}
}

type undoJob call

func (j *undoJob) RunOn(*Loop) { j.op.undo() }
