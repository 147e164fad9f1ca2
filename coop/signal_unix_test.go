//go:build unix

package coop_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"greenroom/coop"
)

func raise(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

// #76: a signal wakes the greenlet that waits for it, and only one.
func TestSignalIsDeliveredToAGreenlet(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	on(t, l, func(g *coop.Greenlet) error {
		s := coop.NewSignals(l, syscall.SIGUSR1, syscall.SIGUSR2)
		defer s.Stop()
		var j journal
		waiter := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				sig, err := s.Wait(g)
				if err == nil {
					j.add(name + " " + sig.String())
				}
				return err
			})
		}
		a, b := waiter("a"), waiter("b")
		g.Yield()
		raise(t, syscall.SIGUSR1)
		if err := a.Join(g); err != nil {
			return err
		}
		if b.Ended() {
			t.Error("one signal woke two")
		}
		raise(t, syscall.SIGUSR2)
		if err := b.Join(g); err != nil {
			return err
		}
		j.want(t, "a "+syscall.SIGUSR1.String(), "b "+syscall.SIGUSR2.String())
		return nil
	})
}

// #76: waiting can be killed, timed out and stopped; iteration ends with Stop.
func TestSignalsWaitsEnd(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	on(t, l, func(g *coop.Greenlet) error {
		s := coop.NewSignals(l, syscall.SIGUSR1)
		wait := func(g *coop.Greenlet) error { _, err := s.Wait(g); return err }
		err := g.WithTimeout(time.Millisecond, func() error { return wait(g) })
		wantErr(t, err, coop.ErrTimeout)
		victim := g.Spawn(wait)
		g.Yield()
		if err := victim.Stop(g); err != nil {
			return err
		}
		n := 0
		each := g.Spawn(func(g *coop.Greenlet) error {
			for range s.All(g) {
				n++
				s.Stop()
			}
			return nil
		})
		g.Yield()
		raise(t, syscall.SIGUSR1) // nothing was lost to those who gave up
		if err := each.Join(g); err != nil {
			return err
		}
		if n != 1 {
			t.Errorf("%d signals", n)
		}
		s.Stop()
		wantErr(t, wait(g), coop.ErrClosed)
		return nil
	})
}

// Left open, it ends with the loop; goleak sees to the goroutine.
func TestSignalsEndWithTheLoop(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		s := coop.NewSignals(g.Loop(), syscall.SIGUSR1)
		g.Spawn(func(g *coop.Greenlet) error { _, err := s.Wait(g); wantErr(t, err, coop.ErrKilled); return err })
		return g.Yield()
	})
}
