package coop_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"greenroom/coop"
)

// #19: every park returns the error of the kill; as a context the greenlet is cancelled.
func TestKillWithEndsEveryWait(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { t.Error("reported though joined") }}
			runWith(t, o, func(g *coop.Greenlet) error {
				var got, again error
				victim := g.Spawn(func(g *coop.Greenlet) error {
					got = wait(g)
					again = g.Sleep(time.Hour)
					wantErr(t, g.Err(), context.Canceled)
					return got
				})
				for range 3 {
					g.Yield()
				}
				victim.KillWith(errBoom)
				victim.Kill() // the first counts
				victim.KillWith(errors.New("another"))
				wantErr(t, victim.Join(g), errBoom)
				wantErr(t, got, errBoom)
				if again != errBoom || victim.Successful() {
					t.Errorf("again %v, successful %v", again, victim.Successful())
				}
				return nil
			})
		})
	}
}

// #14, #19: a kill before the start is the whole life, and its error a failure that is reported once.
func TestKillWithBeforeStart(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		reports int
	}{
		"an error":      {errBoom, 1},
		"nil":           {nil, 0},
		"ErrKilled":     {coop.ErrKilled, 0},
		"wraps a kill":  {errors.Join(errBoom, coop.ErrKilled), 0},
		"a timeout too": {coop.ErrTimeout, 1},
	} {
		t.Run(name, func(t *testing.T) {
			reports := 0
			o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { reports++ }}
			runWith(t, o, func(g *coop.Greenlet) error {
				victim := g.Spawn(func(*coop.Greenlet) error { t.Error("ran"); return nil })
				victim.KillWith(c.err)
				g.Yield()
				if want := c.err; want != nil && victim.Result() != want {
					t.Errorf("result %v", victim.Result())
				}
				if !victim.Ended() || victim.Successful() != (c.reports == 0) {
					t.Errorf("ended %v, successful %v", victim.Ended(), victim.Successful())
				}
				return nil
			})
			if reports != c.reports {
				t.Errorf("%d reports", reports)
			}
		})
	}
}

// #15, #20: a kill is sticky, so clean-up that parks revives the greenlet first; then it can be killed again.
func TestReviveTakesAKillBack(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		if g.Revive() {
			t.Error("revived one that lives")
		}
		var told, sticky, cleanup, second error
		var before, after <-chan struct{}
		var old, oldInner context.Context
		victim := g.Spawn(func(g *coop.Greenlet) error {
			before, old = g.Done(), g.Context()
			g.WithTimeout(time.Hour, func() error { oldInner = g.Context(); return g.Sleep(1) })
			told, sticky = g.Sleep(coop.Forever), g.Yield()
			if !g.Revive() || g.Revive() {
				t.Error("revive")
			}
			after = g.Done()
			cleanup = g.WithTimeout(time.Minute, func() error { return g.Sleep(time.Second) })
			wantErr(t, g.Err(), nil)
			wantErr(t, old.Err(), coop.ErrKilled)
			second = g.Sleep(coop.Forever)
			return second
		})
		g.Sleep(time.Second)
		if victim.Revive() {
			t.Error("revived by another")
		}
		victim.Kill()
		g.Sleep(time.Minute)
		if victim.Ended() {
			t.Fatal("it did not live on")
		}
		if !closed(before) || closed(after) {
			t.Error("contexts")
		}
		victim.Kill()
		if err := victim.Join(g); err != nil {
			return err
		}
		wantErr(t, told, coop.ErrKilled)
		wantErr(t, sticky, coop.ErrKilled)
		wantErr(t, cleanup, nil)
		wantErr(t, second, coop.ErrKilled)
		wantErr(t, oldInner.Err(), context.Canceled)
		if !closed(after) {
			t.Error("not done after the end")
		}
		return nil
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestReviveWithinATimeout(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		victim := g.Spawn(func(g *coop.Greenlet) error {
			err := g.WithTimeout(time.Minute, func() error {
				wantErr(t, g.Sleep(coop.Forever), coop.ErrKilled)
				g.Revive()
				wantErr(t, g.Err(), coop.ErrKilled) // this scope stays cancelled
				return g.Sleep(coop.Forever)        // but its time still counts
			})
			wantErr(t, err, coop.ErrTimeout)
			wantErr(t, g.Err(), nil)
			return g.Sleep(time.Second)
		})
		g.Yield()
		victim.Kill()
		return victim.Join(g)
	})
}

// A kill that was posted but not delivered when the greenlet revived itself is gone with the other.
func TestReviveForgetsAKillOnItsWay(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		victim := g.Spawn(func(g *coop.Greenlet) error {
			g.Kill()
			wantErr(t, g.Err(), coop.ErrKilled)
			if !g.Revive() {
				t.Error("revive")
			}
			return g.Sleep(time.Second)
		})
		return victim.Join(g)
	})
}

func TestReviveDoesNotHoldAClosingLoop(t *testing.T) {
	flushed := false
	run(t, func(g *coop.Greenlet) error {
		g.Spawn(func(g *coop.Greenlet) error {
			defer g.Revive() // too late to matter
			err := g.Sleep(coop.Forever)
			g.Revive()
			flushed = g.WithTimeout(time.Second, func() error { return g.Sleep(time.Millisecond) }) == nil
			g.Sleep(coop.Forever)
			t.Error("slept for ever")
			return err
		})
		return g.Yield()
	})
	if !flushed {
		t.Error("no time to clean up")
	}
}

// #17, #18: killing with and without waiting; with a timeout; twice; of the dead; of oneself.
func TestStopWaitsForTheEnd(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		slow := func(g *coop.Greenlet) error {
			err := g.Sleep(coop.Forever)
			g.Revive()
			return errors.Join(g.Sleep(time.Minute), err)
		}
		a := g.Spawn(slow)
		g.Yield()
		if err := a.Stop(g); err != nil || !a.Ended() || g.Loop().Now() != time.Minute {
			t.Errorf("%v, ended %v, at %v", err, a.Ended(), g.Loop().Now())
		}
		if err := a.Stop(g); err != nil {
			t.Errorf("again: %v", err)
		}
		a.Kill()
		b := g.Spawn(slow)
		g.Yield()
		err := g.WithTimeout(time.Second, func() error { return b.Stop(g) })
		wantErr(t, err, coop.ErrTimeout)
		if b.Ended() {
			t.Error("ended with the timeout")
		}
		wantErr(t, g.Stop(g), coop.ErrSelfJoin)
		return b.Join(g)
	})
}

// #21
func TestKillDoesNotWaitAndKillAllDoes(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		victim := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error { err := g.Sleep(coop.Forever); j.add(name); return err })
		}
		a, b := victim("a"), victim("b")
		g.Yield()
		unborn, later := victim("unborn"), g.SpawnLater(time.Hour, func(*coop.Greenlet) error { return nil })
		coop.Kill(b, unborn, later, a, a)
		j.add("told")
		if a.Ended() || later.Ended() {
			t.Error("Kill waited")
		}
		if err := coop.JoinAll(g, a, b, unborn, later); err != nil {
			return err
		}
		wantErr(t, coop.KillAll(g, victim("c"), g), coop.ErrSelfJoin)
		return coop.KillAll(g)
	})
	j.want(t, "told", "b", "a")
}

// #21: the list may change while KillAll waits.
func TestKillAllOfAChangingList(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var all []*coop.Greenlet
		ends := 0
		for range 10 {
			all = append(all, g.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(coop.Forever)
				ends++
				g.Yield()
				clear(all[:ends])
				return err
			}))
		}
		g.Yield()
		err := coop.KillAll(g, all...)
		if ends != 10 {
			t.Errorf("%d ended", ends)
		}
		return err
	})
}

// #22: nobody waits for ever for one that waits for him.
func TestKillsThatCross(t *testing.T) {
	for name, build := range map[string]func(g *coop.Greenlet) []*coop.Greenlet{
		"each other": func(g *coop.Greenlet) []*coop.Greenlet {
			gs := make([]*coop.Greenlet, 2)
			gs[0] = g.Spawn(func(g *coop.Greenlet) error { return gs[1].Stop(g) })
			gs[1] = g.Spawn(func(g *coop.Greenlet) error { return gs[0].Stop(g) })
			return gs
		},
		"one's joiner": func(g *coop.Greenlet) []*coop.Greenlet {
			gs := make([]*coop.Greenlet, 2)
			gs[0] = g.Spawn(func(g *coop.Greenlet) error { g.Yield(); return gs[1].Stop(g) })
			gs[1] = g.Spawn(func(g *coop.Greenlet) error { return gs[0].Join(g) })
			return gs
		},
		"the killer, while it waits": func(g *coop.Greenlet) []*coop.Greenlet {
			gs := make([]*coop.Greenlet, 3)
			gs[0] = g.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(coop.Forever)
				g.Revive()
				g.Sleep(time.Second)
				return err
			})
			gs[1] = g.Spawn(func(g *coop.Greenlet) error { g.Yield(); return gs[0].Stop(g) })
			gs[2] = g.Spawn(func(g *coop.Greenlet) error { g.Yield(); g.Yield(); return gs[1].Stop(g) })
			return gs
		},
		"a ring": func(g *coop.Greenlet) []*coop.Greenlet {
			gs := make([]*coop.Greenlet, 100)
			for i := range gs {
				gs[i] = g.Spawn(func(g *coop.Greenlet) error { return gs[(i+1)%len(gs)].Stop(g) })
			}
			return gs
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				return g.WithTimeout(time.Minute, func() error { return coop.JoinAll(g, build(g)...) })
			})
		})
	}
}

// The race detector looks for what Kill from outside and Revive share.
func TestKillFromOutsideWhileReviving(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	born := make(chan *coop.Greenlet)
	done := make(chan struct{})
	l.Go(func(g *coop.Greenlet) error {
		defer close(done)
		born <- g
		for n := 0; n < 200; {
			err := g.WithTimeout(time.Minute, func() error { g.Err(); return g.Sleep(time.Minute) })
			if errors.Is(err, errBoom) && g.Revive() {
				n++
			} else if err != nil {
				t.Errorf("got %v", err)
			}
		}
		return nil
	})
	g := <-born
	for {
		select {
		case <-done:
			return
		default:
			g.KillWith(errBoom)
			g.Done()
			runtime.Gosched()
		}
	}
}
