package coop_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"greenroom/coop"
)

// #40: a timeout belongs to the greenlet that started it, whoever else is parked, and waits for its next park.
func TestTimeoutFiresInItsOwnGreenlet(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		other := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Minute) })
		var ev coop.Event
		setter := g.SpawnLater(time.Second, func(*coop.Greenlet) error { ev.Set(); return nil })
		err := g.WithTimeout(time.Second, func() error {
			// The setter was spawned first: the wake-up of the same instant comes first, and is not lost.
			return errors.Join(ev.Wait(g), g.Yield())
		})
		wantErr(t, err, coop.ErrTimeout)
		return coop.JoinAll(g, other, setter)
	})
}

// #41: whose error it is, is told by identity.
func TestTimeoutCausedTellsWhose(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		for name, c := range map[string]struct{ outer, inner time.Duration }{
			"inner first": {2 * time.Second, time.Second},
			"outer first": {time.Second, 2 * time.Second},
			"equal":       {time.Second, time.Second}, // the outer was started first
		} {
			outer := g.StartTimeout(c.outer)
			inner := g.StartTimeout(c.inner)
			err := fmt.Errorf("while asleep: %w", g.Sleep(time.Hour))
			isInner := c.inner < c.outer
			if inner.Caused(err) != isInner || outer.Caused(err) == isInner {
				t.Errorf("%s: inner %v, outer %v", name, inner.Caused(err), outer.Caused(err))
			}
			if outer.Caused(nil) || outer.Caused(coop.ErrTimeout) || outer.Caused(errBoom) {
				t.Errorf("%s: caused what it did not", name)
			}
			outer.Close() // and the inner one
			if err := g.Sleep(time.Hour); err != nil {
				t.Errorf("%s: after both: %v", name, err)
			}
		}
		return nil
	})
}

// #42, #46: the states of a timeout, and its restart.
func TestTimeoutResetAndPending(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		l := g.Loop()
		to := g.StartTimeout(time.Second)
		state := func(when string, pending, expired bool) {
			t.Helper()
			if to.Pending() != pending || to.Expired() != expired {
				t.Errorf("%s: pending %v, expired %v", when, to.Pending(), to.Expired())
			}
		}
		state("started", true, false)
		for range 5 { // goes on as long as it is extended
			if err := g.Sleep(900 * time.Millisecond); err != nil {
				return err
			}
			if !to.Reset(time.Second) {
				t.Error("reset")
			}
		}
		from := l.Now()
		err := g.Sleep(time.Hour)
		if !to.Caused(err) || l.Now()-from != time.Second {
			t.Errorf("%v after %v", err, l.Now()-from)
		}
		state("expired", false, true)
		if to.Reset(time.Second) {
			t.Error("reset after it expired")
		}
		if err := g.Sleep(time.Hour); err != nil {
			return err
		}
		to.Close()
		to.Close()
		if to.Reset(time.Second) {
			t.Error("reset after Close")
		}

		to = g.StartTimeout(time.Second)
		to.Close()
		state("closed", false, false)
		to = g.StartTimeout(time.Second)
		to.Reset(coop.Forever)
		if err := g.Sleep(time.Hour); err != nil {
			return err
		}
		to.Reset(0) // at the first park
		state("reset to nothing", false, true)
		wantErr(t, g.Yield(), coop.ErrTimeout)
		to.Close()

		// Closed while owed: no effect.
		to = g.StartTimeout(0)
		to.Close()
		return g.Yield()
	})
}

// #41, #42: closing an outer timeout closes those within; closing one twice does not close others.
func TestTimeoutCloseOutOfOrder(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		a := g.StartTimeout(time.Second)
		b := g.StartTimeout(time.Second)
		c := g.StartTimeout(time.Second)
		b.Close()
		if !a.Pending() || b.Pending() || c.Pending() {
			t.Error("which are closed")
		}
		c.Close()
		if !a.Caused(g.Sleep(time.Hour)) {
			t.Error("the outermost is gone")
		}
		a.Close()
		return g.Sleep(time.Hour)
	})
}

func TestTimeoutOfAGreenletThatIsNotRunning(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		other := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Minute) })
		to := other.StartTimeout(time.Second)
		if to.Pending() || to.Reset(time.Second) {
			t.Error("started")
		}
		to.Close()
		wantErr(t, other.AtMost(1, func() error { return nil }), coop.ErrNotRunning)
		_, err := coop.Within(other, 1, 1, func() (int, error) { return 2, nil })
		wantErr(t, err, coop.ErrNotRunning)
		return other.Join(g)
	})
}

// #43
func TestForeverNeverFires(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		err := g.WithTimeout(coop.Forever, func() error {
			if at, ok := g.Deadline(); ok {
				t.Errorf("deadline %v", at)
			}
			return g.Sleep(1 << 61)
		})
		if err != nil {
			return err
		}
		sleeper := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
		g.Sleep(1 << 61)
		if sleeper.Ended() {
			t.Error("forever is over")
		}
		err = g.WithTimeout(time.Second, func() error { return g.Sleep(coop.Forever) })
		wantErr(t, err, coop.ErrTimeout)
		return sleeper.Stop(g)
	})
}

func TestDeadlineFollowsReset(t *testing.T) {
	runWith(t, coop.LoopOptions{}, func(g *coop.Greenlet) error {
		to := g.StartTimeout(time.Hour)
		defer to.Close()
		at, ok := g.Deadline()
		to.Reset(2 * time.Hour)
		later, still := g.Deadline()
		if d := later.Sub(at); !ok || !still || d < 59*time.Minute || d > 61*time.Minute {
			t.Errorf("%v, %v: %v apart", ok, still, d)
		}
		to.Reset(coop.Forever)
		if _, ok := g.Deadline(); ok {
			t.Error("forever has a deadline")
		}
		return nil
	})
}

// #44, #45: who swallows which error.
func TestSilentTimeoutsSwallowOnlyTheirOwn(t *testing.T) {
	sleep := func(g *coop.Greenlet) error { return g.Sleep(time.Hour) }
	for name, c := range map[string]struct {
		outer, own time.Duration
		fn         func(g *coop.Greenlet) error
		err        error // nil: swallowed
		otherwise  bool  // the value for its own timeout
	}{
		"in time":            {coop.Forever, time.Second, func(*coop.Greenlet) error { return nil }, nil, false},
		"own":                {coop.Forever, time.Second, sleep, nil, true},
		"own, wrapped":       {coop.Forever, time.Second, func(g *coop.Greenlet) error { return fmt.Errorf("reading: %w", sleep(g)) }, nil, true},
		"own, at once":       {coop.Forever, 0, sleep, nil, true},
		"outer":              {time.Second, 2 * time.Second, sleep, coop.ErrTimeout, false},
		"outer, at the same": {time.Second, time.Second, sleep, coop.ErrTimeout, false},
		"another's":          {coop.Forever, time.Second, func(*coop.Greenlet) error { return &coop.TimeoutError{D: time.Second} }, coop.ErrTimeout, false},
		"a context's":        {coop.Forever, time.Second, func(*coop.Greenlet) error { return context.DeadlineExceeded }, context.DeadlineExceeded, false},
		"other error":        {coop.Forever, time.Second, func(*coop.Greenlet) error { return errBoom }, errBoom, false},
		"other error, late":  {coop.Forever, time.Second, func(g *coop.Greenlet) error { sleep(g); return errBoom }, errBoom, false},
		"late, but done":     {coop.Forever, time.Second, func(g *coop.Greenlet) error { sleep(g); return nil }, nil, false},
		"inner":              {coop.Forever, time.Hour, func(g *coop.Greenlet) error { return g.WithTimeout(1, func() error { return sleep(g) }) }, coop.ErrTimeout, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				var err error
				g.WithTimeout(c.outer, func() error {
					err = g.AtMost(c.own, func() error { return c.fn(g) })
					return nil
				})
				if !errors.Is(err, c.err) {
					t.Errorf("AtMost: %v, want %v", err, c.err)
				}
				var v string
				g.WithTimeout(c.outer, func() error {
					v, err = coop.Within(g, c.own, "otherwise", func() (string, error) { return "value", c.fn(g) })
					return nil
				})
				want := "value"
				if c.otherwise {
					want = "otherwise"
				}
				if !errors.Is(err, c.err) || v != want {
					t.Errorf("Within: %q, %v, want %q, %v", v, err, want, c.err)
				}
				return g.Sleep(time.Hour)
			})
		})
	}
}

// #44: a custom error comes out instead; as a context the scope still is past its deadline.
func TestTimeoutWithCustomError(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		err := g.WithTimeoutError(time.Second, errBoom, func() error {
			err := g.Sleep(time.Hour)
			wantErr(t, g.Err(), context.DeadlineExceeded)
			return err
		})
		if err != errBoom {
			t.Errorf("got %v", err)
		}
		to := g.StartTimeoutError(time.Second, errBoom)
		defer to.Close()
		if to.Caused(errBoom) {
			t.Error("caused before it expired")
		}
		if err := g.Sleep(time.Hour); err != errBoom || !to.Caused(err) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

// #46: equal timeouts fire in the order of their start, one a park; a restart goes to the end of the queue.
func TestEqualTimeoutsFireInOrderOfStart(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		a, b, c := g.StartTimeout(time.Second), g.StartTimeout(time.Second), g.StartTimeout(time.Second)
		a.Reset(time.Second)
		for _, want := range []*coop.Timeout{b, c, a} {
			if err := g.Sleep(time.Hour); !want.Caused(err) {
				t.Errorf("got %v", err)
			}
		}
		if now := g.Loop().Now(); now != time.Second {
			t.Errorf("at %v", now)
		}
		a.Close()
		return g.Sleep(time.Hour)
	})
}

// #37: a sleep of less than nothing is a yield; a sleep that is ended says why.
func TestSleepOddities(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		ran := false
		g.Spawn(func(*coop.Greenlet) error { ran = true; return nil })
		if err := g.Sleep(-time.Hour); err != nil || !ran || g.Loop().Now() != 0 {
			t.Errorf("%v, others ran %v, at %v", err, ran, g.Loop().Now())
		}
		// Only the innermost that expired ends the sleep; the time left of the other stays in force.
		outer := g.StartTimeout(3 * time.Second)
		inner := g.StartTimeout(time.Second)
		if err := g.Sleep(time.Hour); !inner.Caused(err) {
			t.Errorf("got %v", err)
		}
		inner.Close()
		if err := g.Sleep(time.Hour); !outer.Caused(err) || g.Loop().Now() != 3*time.Second {
			t.Errorf("%v at %v", err, g.Loop().Now())
		}
		outer.Close()
		return nil
	})
}

// One that its greenlet forgot to close ends with the greenlet.
func TestTimeoutLeftOpenEndsWithItsGreenlet(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var outer, inner *coop.Timeout
		var ctx context.Context
		c := g.Spawn(func(g *coop.Greenlet) error {
			outer, inner = g.StartTimeout(time.Hour), g.StartTimeout(time.Minute)
			ctx = g.Context()
			return g.Yield()
		})
		if err := c.Join(g); err != nil {
			return err
		}
		if n := g.Loop().Timers(); n != 0 || outer.Pending() || inner.Pending() {
			t.Errorf("%d timers armed, pending %v, %v", n, outer.Pending(), inner.Pending())
		}
		wantErr(t, ctx.Err(), context.Canceled)
		outer.Close()
		return nil
	})
}
