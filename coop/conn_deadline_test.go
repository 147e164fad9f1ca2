package coop_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"greenroom/coop"
)

// deadlines are set before or while a greenlet waits; the fake clock jumps to whatever is next.
func TestConnDeadlines_77(t *testing.T) {
	type set func(c *coop.Conn, at time.Time)
	both := set(func(c *coop.Conn, at time.Time) { c.SetDeadline(at) })
	ops := map[string]struct {
		set set
		do  func(c *coop.Conn) error
	}{
		"read":        {func(c *coop.Conn, at time.Time) { c.SetReadDeadline(at) }, readOne},
		"read both":   {both, readOne},
		"write":       {func(c *coop.Conn, at time.Time) { c.SetWriteDeadline(at) }, writeMuch},
		"write both":  {both, writeMuch},
		"second":      {both, writeSecond},
		"wait":        {both, func(c *coop.Conn) error { return c.WaitRead(c.Loop().Current()) }},
		"close write": {both, func(c *coop.Conn) error { blockWrites(c); return c.CloseWrite() }},
	}
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	past := time.Unix(1, 0)
	cases := map[string]struct {
		before func(c *coop.Conn, set set)
		parked func(c *coop.Conn, set set)
		after  time.Duration
	}{
		"in the past":             {func(c *coop.Conn, set set) { set(c, past) }, nil, 0},
		"to come":                 {func(c *coop.Conn, set set) { set(c, in(time.Hour)) }, nil, time.Hour},
		"set while parked":        {nil, func(c *coop.Conn, set set) { set(c, in(time.Hour)) }, time.Hour},
		"in the past when parked": {nil, func(c *coop.Conn, set set) { set(c, past) }, 0},
		"moved away": {func(c *coop.Conn, set set) { set(c, in(time.Minute)) },
			func(c *coop.Conn, set set) { set(c, in(time.Hour)) }, time.Hour},
		"moved nearer": {func(c *coop.Conn, set set) { set(c, in(2*time.Hour)) },
			func(c *coop.Conn, set set) { set(c, in(time.Hour)) }, time.Hour},
		"cleared and set": {func(c *coop.Conn, set set) { set(c, in(time.Minute)) },
			func(c *coop.Conn, set set) { set(c, time.Time{}); set(c, in(time.Hour)) }, time.Hour},
	}
	for opName, op := range ops {
		for name, tc := range cases {
			t.Run(opName+"/"+name, func(t *testing.T) {
				hangs(t)
				l := started(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet})
				c, remote := conn(t, l, kinds[0])
				smallBuffers(t, remote)
				on(t, l, func(g *coop.Greenlet) error {
					began := l.Now()
					if tc.before != nil {
						tc.before(c, op.set)
					}
					h := parkedIn(g, func(*coop.Greenlet) error { return op.do(c) })
					if tc.parked != nil {
						tc.parked(c, op.set)
					}
					err := h.Join(g)
					var ne net.Error
					if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
						t.Errorf("got %v", err)
					}
					// The deadline is a moment of the system's clock: a little of it has gone by.
					if d := l.Now() - began; d > tc.after || d < tc.after-patience {
						t.Errorf("after %v", d)
					}
					wantErr(t, op.do(c), os.ErrDeadlineExceeded) // until it is moved
					return nil
				})
			})
		}
	}
}

func readOne(c *coop.Conn) error { _, err := c.Read(make([]byte, 1)); return err }

func writeMuch(c *coop.Conn) error { _, err := c.Write(make([]byte, 64<<20)); return err }

// blockWrites has another greenlet hold the connection's writing side up.
func blockWrites(c *coop.Conn) {
	parkedIn(c.Loop().Current(), func(*coop.Greenlet) error { return writeMuch(c) })
}

func writeSecond(c *coop.Conn) error {
	blockWrites(c)
	_, err := c.Write([]byte("x"))
	return err
}

func TestConnClearedDeadlineHasNoEffect_77(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		local, remote := tcpPair(t)
		c, err := coop.NewConn(g.Loop(), local)
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(time.Minute))
		h := parkedIn(g, func(*coop.Greenlet) error { return readOne(c) })
		c.SetDeadline(time.Time{})
		if err := g.Sleep(time.Hour); err != nil {
			return err
		}
		if h.Ended() {
			t.Error("it expired")
		}
		remote.Write([]byte("x"))
		return h.Join(g)
	})
}

// A deadline that has passed can be moved, and nothing was lost.
func TestConnGoesOnAfterADeadline_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		remote.Write([]byte("hello"))
		wantErr(t, c.WaitRead(g), nil)
		c.SetReadDeadline(time.Now().Add(-1))
		p := make([]byte, 5)
		n, err := c.Read(p)
		wantErr(t, err, os.ErrDeadlineExceeded)
		if n != 0 {
			t.Errorf("read %d", n)
		}
		c.SetReadDeadline(time.Time{})
		if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
			t.Errorf("read %q, %v", p, err)
		}
	})
}

// A partial write says how much of it the peer will see.
func TestConnPartialWrite_77(t *testing.T) {
	for name, end := range map[string]func(c *coop.Conn, h *coop.Greenlet){
		"deadline": func(c *coop.Conn, _ *coop.Greenlet) { c.SetWriteDeadline(time.Unix(1, 0)) },
		"killed":   func(_ *coop.Conn, h *coop.Greenlet) { h.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
				n := 0
				h := parkedIn(g, func(*coop.Greenlet) (err error) {
					n, err = c.Write(make([]byte, 64<<20))
					return err
				})
				end(c, h)
				h.Join(g)
				if err := h.Result(); !errors.Is(err, coop.ErrKilled) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				c.Close()
				all := gather(remote)
				got, _ := coop.Await(g, func() ([]byte, error) { return all(), nil })
				if n == 0 || len(got) != n {
					t.Errorf("%d of %d bytes arrived", len(got), n)
				}
			})
		})
	}
}
