package coop_test

import (
	"os"
	"testing"
	"time"

	"greenroom/coop"
)

// The ways to wait of this package that have to do with the life of greenlets.
func init() {
	waitables["future"] = func(*coop.Greenlet) waitable {
		var f coop.Future[int]
		return waitable{
			wait: func(g *coop.Greenlet) error { _, err := f.Get(g); return err },
			give: func() { f.Set(1) },
			try:  f.Ready,
			flag: true,
		}
	}
	waitables["wait for any"] = func(*coop.Greenlet) waitable {
		var never, ev coop.Event
		var f coop.Future[int]
		return waitable{
			wait: func(g *coop.Greenlet) error {
				_, err := coop.WaitAny[coop.Waitable](g, &never, &ev, &f, &ev)
				return err
			},
			give: ev.Set,
			try:  ev.IsSet,
			flag: true,
		}
	}
	waitables["wait for all"] = func(*coop.Greenlet) waitable {
		var ev coop.Event
		var f coop.Future[int]
		return waitable{
			wait: func(g *coop.Greenlet) error { _, err := coop.Wait[coop.Waitable](g, 0, &f, &ev, &f); return err },
			give: func() { ev.Set(); f.Set(1) },
			try:  func() bool { return ev.IsSet() && f.Ready() },
			flag: true,
		}
	}
	waitables["each of several"] = func(*coop.Greenlet) waitable {
		var a, b coop.Event
		return waitable{
			wait: func(g *coop.Greenlet) error {
				n := 0
				for range coop.WaitEach(g, &a, &b) {
					n++
				}
				if n == 2 {
					return nil
				}
				if err := g.Err(); err != nil {
					return err
				}
				return coop.ErrNotRunning
			},
			give: func() { a.Set(); b.Set() },
			try:  func() bool { return a.IsSet() && b.IsSet() },
			flag: true,
		}
	}

	forever := func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) }
	waits["sleep for ever"] = forever
	waits["future"] = func(g *coop.Greenlet) error { _, err := new(coop.Future[int]).Get(g); return err }
	waits["task"] = func(g *coop.Greenlet) error {
		_, err := coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return 0, forever(g) }).Get(g)
		return err
	}
	waits["joining two"] = func(g *coop.Greenlet) error {
		_, err := coop.JoinN(g, 2, g.Spawn(forever), g.Spawn(func(*coop.Greenlet) error { return nil }))
		return err
	}
	waits["any of several"] = func(g *coop.Greenlet) error {
		_, err := coop.WaitAny[coop.Waitable](g, new(coop.Event), g.Spawn(forever), new(coop.Future[int]))
		return err
	}
	waits["scope, its body"] = func(g *coop.Greenlet) error {
		return g.Scope(func(s *coop.Scope) error { s.Spawn(forever); return forever(g) })
	}
	waits["scope, its children"] = func(g *coop.Greenlet) error {
		return g.Scope(func(s *coop.Scope) error { s.Spawn(forever); return nil })
	}
	waits["signal"] = func(g *coop.Greenlet) error {
		s := coop.NewSignals(g.Loop(), os.Interrupt)
		defer s.Stop()
		_, err := s.Wait(g)
		return err
	}
}

// The handle of an event says who still waits: nobody who has left.
func TestWaitingForSeveralLeavesNobodyBehind(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var a, b coop.Event
		check := func(when string, n int) {
			t.Helper()
			if a.Waiting() != n || b.Waiting() != n {
				t.Errorf("%s: %d and %d wait, want %d", when, a.Waiting(), b.Waiting(), n)
			}
		}
		wait := func(g *coop.Greenlet) error { _, err := coop.Wait(g, 0, &a, &b, &a); return err }
		victim := g.Spawn(wait)
		g.Yield()
		if a.Waiting() != 2 || b.Waiting() != 1 {
			t.Errorf("%d and %d wait", a.Waiting(), b.Waiting())
		}
		if err := victim.Stop(g); err != nil {
			return err
		}
		check("killed", 0)
		wantErr(t, g.WithTimeout(time.Second, func() error { return wait(g) }), coop.ErrTimeout)
		check("timed out", 0)
		g.SpawnLater(time.Second, func(*coop.Greenlet) error { a.Set(); return nil })
		for range coop.WaitEach(g, &a, &b) {
			if a.Waiting() != 0 || b.Waiting() != 1 {
				t.Errorf("one is ready: %d and %d wait", a.Waiting(), b.Waiting())
			}
			break
		}
		check("left the loop", 0)
		a.Clear()
		g.SpawnLater(time.Second, func(*coop.Greenlet) error { b.Set(); return nil })
		if _, err := coop.WaitAny(g, &a, &b); err != nil {
			return err
		}
		check("one was enough", 0)
		return nil
	})
}
