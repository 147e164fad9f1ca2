package coop_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"greenroom/coop"
)

func TestListenerAcceptsInOrderOfWaiting(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		var order journal
		var gs []*coop.Greenlet
		for _, name := range []string{"first", "second", "killed", "third"} {
			h := parkedIn(g, func(g *coop.Greenlet) error {
				c, err := ln.Accept(g)
				if err != nil {
					return err
				}
				order.add(name)
				return c.Close()
			})
			if name == "killed" {
				h.Kill()
			}
			gs = append(gs, h)
		}
		for range 3 {
			c := dialed(t, g, ln)
			c.Read(make([]byte, 1))
			c.Close()
		}
		if err := coop.JoinAll(g, gs...); err != nil {
			return err
		}
		order.want(t, "first", "second", "third")
		return nil
	})
}

// A connection that arrives for a greenlet that has gone is the next one's.
func TestListenerLosesNothing(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		err = g.WithTimeout(time.Millisecond, func() error { _, err := ln.Accept(g); return err })
		wantErr(t, err, coop.ErrTimeout)
		c := dialed(t, g, ln)
		defer c.Close()
		got, err := ln.Accept(g)
		if err != nil {
			return err
		}
		defer got.Close()
		if got.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("from %v", got.RemoteAddr())
		}
		return nil
	})
}

func TestListenerClosedWhileWaiting(t *testing.T) {
	for name, closing := range map[string]func(g *coop.Greenlet, ln *coop.Listener, nl net.Listener){
		"by a greenlet": func(_ *coop.Greenlet, ln *coop.Listener, _ net.Listener) { ln.Close() },
		"below":         func(_ *coop.Greenlet, _ *coop.Listener, nl net.Listener) { nl.Close() },
		"by another goroutine": func(g *coop.Greenlet, ln *coop.Listener, _ net.Listener) {
			coop.Await(g, func() (int, error) { return 0, ln.Close() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			runReal(t, func(g *coop.Greenlet) error {
				nl, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				ln := coop.NewListener(g.Loop(), nl)
				accept := func(g *coop.Greenlet) error { _, err := ln.Accept(g); return err }
				first, second := parkedIn(g, accept), parkedIn(g, accept)
				closing(g, ln, nl)
				wantErr(t, first.Join(g), net.ErrClosed)
				wantErr(t, second.Join(g), net.ErrClosed)
				wantErr(t, accept(g), net.ErrClosed)
				return ln.Close()
			})
		})
	}
}

func TestListenerOfAClosingLoop(t *testing.T) {
	for _, waiting := range []bool{true, false} {
		t.Run(fmt.Sprintf("waiting=%v", waiting), func(t *testing.T) {
			l, err := coop.NewLoop(coop.LoopOptions{})
			if err != nil {
				t.Fatal(err)
			}
			nl, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ln := coop.NewListener(l, nl)
			l.Start()
			var h *coop.Greenlet
			if waiting {
				l.Call(func(g *coop.Greenlet) error {
					h = parkedIn(g, func(g *coop.Greenlet) error { _, err := ln.Accept(g); return err })
					return nil
				})
			}
			if err := l.Close(); err != nil { // the listener's goroutine has ended, too
				t.Error(err)
			}
			if waiting {
				wantErr(t, h.Result(), coop.ErrKilled)
			}
			for _, ln := range []*coop.Listener{ln, coop.NewListener(l, nl)} {
				if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
					c.Close()
					t.Error("it still listens")
				}
				ln.Close()
			}
		})
	}
}

func TestListenerIsForItsLoop(t *testing.T) {
	l, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := coop.NewListener(l, nl)
	on(t, other, func(g *coop.Greenlet) error {
		_, err := ln.Accept(g)
		wantErr(t, err, coop.ErrOtherLoop)
		return nil
	})
}
