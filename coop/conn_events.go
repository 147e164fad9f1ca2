package coop

import (
	"net"
	"os"
)

// What the loop tells a Conn. All of it is loop only and never waits.

// connHandler keeps the stream's calls out of Conn's method set.
type connHandler Conn

func (h *connHandler) OnRead(*Stream, []byte) {} // it is pulled

func (h *connHandler) OnWritable(*Stream) {
	c := (*Conn)(h)
	if c.flush(); len(c.out) == 0 {
		c.w.wake(nil)
	}
}

func (h *connHandler) OnClose(_ *Stream, err error) {
	if err == ErrClosed {
		err = net.ErrClosed
	}
	(*Conn)(h).over(err)
}

// readable: there is something to fetch, or the end.
func (c *Conn) readable() { c.r.wake(nil) }

// over ends both directions, for the first reason it is given. Those who wait look for the reason themselves.
func (c *Conn) over(err error) {
	if c.err != nil {
		return
	}
	c.err, c.out = err, nil
	c.r.timer.Stop()
	c.w.timer.Stop()
	c.r.wake(nil)
	c.w.wake(nil)
	if c.turn.n > 0 {
		c.turn.wakeAll(c.w.fail(err))
	}
}

// writeFailed ends one direction.
func (c *Conn) writeFailed(err error) {
	if c.w.err == nil {
		c.w.err, c.out = err, nil
	}
	c.w.wake(nil)
}

// expired tells those who wait that the deadline of a side has passed.
func (c *Conn) expired(s *side) {
	err := s.fail(os.ErrDeadlineExceeded)
	s.wake(err)
	if s == &c.w {
		c.turn.wakeAll(err)
	}
}

// push sends p without waiting, and keeps what the system does not take, ahead of later writes. Whoever
// pushes without limit waits for drained from time to time.
func (c *Conn) push(p []byte) error {
	if err := c.w.check(); err != nil {
		return err
	}
	if len(c.out) == 0 {
		n, err := c.s.send(p)
		if err != nil {
			c.writeFailed(err)
			return err
		}
		p = p[n:]
	}
	c.out = append(c.out, p...)
	return nil
}

// flush sends what was pushed.
func (c *Conn) flush() {
	if len(c.out) == 0 {
		return
	}
	n, err := c.s.send(c.out)
	if err != nil {
		c.writeFailed(err)
		return
	}
	if c.out = c.out[n:]; len(c.out) == 0 {
		c.out = nil
	}
}

// drained parks g until what was pushed is sent; it must have its turn.
func (c *Conn) drained(g *Greenlet) error {
	for {
		if err := c.w.check(); err != nil {
			return err
		}
		if len(c.out) == 0 {
			return nil
		}
		if err := c.w.wait(g); err != nil {
			return err
		}
	}
}

// A greenlet whose connections are always ready would never park. After so many calls or bytes
// within one turn it yields.
const (
	paceCalls = 64
	paceBytes = 256 << 10
)

// pacer counts what the running greenlet did without parking.
type pacer struct {
	turn         uint64 // the loop's switches, when it began to
	calls, bytes int
}

func (p *pacer) count(n int) {
	p.calls++
	p.bytes += n
}

// pace lets others run, if it is time.
func (l *Loop) pace(g *Greenlet) error {
	if p := &l.io; p.turn != l.switches {
		*p = pacer{turn: l.switches}
	} else if p.calls >= paceCalls || p.bytes >= paceBytes {
		return g.Yield()
	}
	return nil
}
