package coop_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"greenroom/coop"
)

// simulated runs fn in a world, and fails the test with its error.
func simulated(t *testing.T, o coop.SimOptions, fn func(*coop.Greenlet, *coop.World) error) {
	t.Helper()
	hangs(t)
	if err := coop.Simulate(o, fn); err != nil {
		t.Fatal(err)
	}
}

// meet returns two ends of a connection.
func meet(g *coop.Greenlet, w *coop.World) (near, far *coop.Conn, err error) {
	ln, err := w.Listen("here")
	if err != nil {
		return nil, nil, err
	}
	if near, err = w.Dial(g, "here"); err != nil {
		return nil, nil, err
	}
	if far, err = ln.Accept(g); err != nil {
		return nil, nil, err
	}
	return near, far, ln.Close()
}

// One who waits for room hears that the peer takes no more, whatever becomes of what is under way.
func TestWriterInAWorldHearsOfThePeersEnd_77(t *testing.T) {
	cases := map[string]func(g *coop.Greenlet, far *coop.Conn) error{
		"while data flies": func(_ *coop.Greenlet, far *coop.Conn) error { return far.Close() },
		"with data unread": func(g *coop.Greenlet, far *coop.Conn) error { g.Sleep(time.Minute); return far.Close() },
		"in the middle": func(g *coop.Greenlet, far *coop.Conn) error {
			if _, err := io.ReadFull(far, make([]byte, 100_000)); err != nil {
				return err
			}
			return far.Close()
		},
	}
	for name, end := range cases {
		for _, delay := range []time.Duration{-1, 0, time.Second} {
			t.Run(name, func(t *testing.T) {
				simulated(t, coop.SimOptions{Seed: 3, Delay: delay}, func(g *coop.Greenlet, w *coop.World) error {
					near, far, err := meet(g, w)
					if err != nil {
						return err
					}
					writer := g.Spawn(func(*coop.Greenlet) error {
						n, err := near.Write(make([]byte, 1<<20))
						if _, network := errors.AsType[*net.OpError](err); !network || n >= 1<<20 {
							t.Errorf("wrote %d, %v", n, err)
						}
						return nil
					})
					if err := g.Yield(); err != nil {
						return err
					}
					if err := end(g, far); err != nil {
						return err
					}
					return writer.Join(g)
				})
			})
		}
	}
}

// A listener that is closed once more does not take the address from the one that has it now.
func TestAddressInAWorldBelongsToTheNewListener(t *testing.T) {
	simulated(t, coop.SimOptions{}, func(g *coop.Greenlet, w *coop.World) error {
		old, err := w.Listen("here")
		if err != nil {
			return err
		}
		if err := old.Close(); err != nil {
			return err
		}
		if _, err := w.Listen("here"); err != nil {
			return err
		}
		if err := old.Close(); err != nil {
			return err
		}
		_, err = w.Dial(g, "here")
		return err
	})
}

// What is under way when its sender's loop closes may be lost; the receiver hears of the end in any case.
func TestPipeEndsWhateverFliesWhenALoopCloses(t *testing.T) {
	for name, closed := range map[string]bool{"stream open": false, "stream closed before": true} {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			a, err := coop.NewLoop(coop.LoopOptions{})
			if err != nil {
				t.Fatal(err)
			}
			a.Start()
			b := started(t, coop.LoopOptions{})
			sa, sb, _, hb := piped(t, a, b, coop.PipeOptions{Carry: func(n int) (time.Duration, int) { return time.Hour, n }})
			onLoop(t, b, sb.Start)
			onLoop(t, a, func() {
				sa.Start()
				sa.Write([]byte("x"))
				if closed {
					sa.Close()
				}
			})
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if err := hb.end(t); err == nil || err == io.EOF || err == coop.ErrClosed {
				t.Errorf("the receiver's end: %v", err)
			}
		})
	}
}
