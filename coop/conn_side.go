package coop

import (
	"net"
	"os"
	"time"
)

// A side is one direction of a Conn: the greenlet that waits for it, and its deadline.
type side struct {
	c     *Conn
	op    string
	why   ParkReason
	g     *Greenlet     // who waits
	at    time.Duration // the deadline, on the loop's clock; 0 is none
	armed time.Duration // when the timer fires, if it is armed
	timer Timer
	err   error // what it ended with
}

func (s *side) init(c *Conn, op string, why ParkReason) {
	s.c, s.op, s.why = c, op, why
	s.timer.init(c.loop, s)
}

// wait parks g until wake. A timer that is armed early enough is left alone, so that a deadline that moves
// on with every call costs no work on the heap.
func (s *side) wait(g *Greenlet) error {
	if err := g.enter(); err != nil {
		return err
	}
	s.g = g
	g.giveUp, g.why = s, s.why
	s.arm()
	return g.park()
}

func (s *side) giveUp(*Greenlet) { s.g = nil }

func (s *side) wake(err error) {
	if g := s.g; g != nil {
		s.g = nil
		g.wake(err)
	}
}

func (s *side) arm() {
	if s.at != 0 && (!s.timer.Active() || s.armed > s.at) {
		s.armed = s.at
		s.timer.Reset(s.at - s.c.loop.Now())
	}
}

// late reports whether the deadline has passed.
func (s *side) late() bool { return s.at != 0 && s.at <= s.c.loop.Now() }

// expire is the timer's.
func (s *side) expire() {
	switch {
	case s.late():
		s.c.expired(s)
	case s.g != nil || s == &s.c.w && s.c.turn.n > 0:
		s.arm() // the deadline has moved on meanwhile
	}
}

// setDeadline takes effect on whoever waits, too.
func (s *side) setDeadline(at time.Duration) {
	s.at = at
	switch {
	case at == 0:
		s.timer.Stop()
	case s.late():
		s.c.expired(s)
	case s.g != nil:
		s.arm()
	}
}

// check says why the side cannot be used.
func (s *side) check() error {
	switch {
	case s.c.err != nil:
		return s.fail(s.c.err)
	case s.err != nil:
		return s.err
	case s.late():
		return s.fail(os.ErrDeadlineExceeded)
	default:
		return nil
	}
}

// fail dresses an error as net does. Errors of the system come dressed, io.EOF goes bare.
func (s *side) fail(err error) error {
	if _, dressed := err.(*net.OpError); dressed {
		return err
	}
	e := &net.OpError{Op: s.op, Source: s.c.local, Addr: s.c.peer, Err: err}
	if s.c.peer != nil { // nobody knows the peer of some unnamed sockets
		e.Net = s.c.peer.Network()
	}
	return e
}

// instant is a deadline on the loop's clock; 0 stands for none.
func (l *Loop) instant(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	at := l.Now() + time.Until(t)
	if l.world != nil {
		at = t.Sub(simEpoch)
	}
	if clock, ok := l.clock.(realClock); ok {
		at = t.Sub(clock.start)
	}
	if at == 0 {
		at = -1
	}
	return at
}
