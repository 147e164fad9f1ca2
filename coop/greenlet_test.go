package coop_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

// #1, #3
func TestSpawnDoesNotSwitchAndStartsInOrder(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		for i := range 3 {
			g.Spawn(func(*coop.Greenlet) error { j.add(fmt.Sprint(i)); return nil })
		}
		j.add("spawned")
		return g.Yield()
	})
	j.want(t, "spawned", "0", "1", "2")
}

// #36
func TestYieldLetsEveryoneRunOnce(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		turns := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				for i := range 3 {
					j.add(fmt.Sprint(name, i))
					if err := g.Yield(); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return coop.JoinAll(g, turns("a"), turns("b"))
	})
	j.want(t, "a0", "b0", "a1", "b1", "a2", "b2")
}

// #37
func TestSleepOrder(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		sleeper := func(name string, d time.Duration) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error { err := g.Sleep(d); j.add(name); return err })
		}
		return coop.JoinAll(g, sleeper("2a", 2), sleeper("1", 1), sleeper("2b", 2), sleeper("neg", -1), sleeper("2c", 2))
	})
	j.want(t, "neg", "1", "2a", "2b", "2c")
}

// #15, #18
func TestKillEndsEveryWait(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				var got, again, third error
				victim := g.Spawn(func(g *coop.Greenlet) error {
					got = wait(g)
					again, third = g.Sleep(time.Hour), g.Yield()
					return got
				})
				for range 3 {
					g.Yield()
				}
				victim.Kill()
				victim.Kill()
				if victim.Ended() {
					t.Error("ended within Kill")
				}
				if err := victim.Join(g); err != nil {
					t.Errorf("join of a killed greenlet: %v", err)
				}
				wantErr(t, got, coop.ErrKilled)
				wantErr(t, again, coop.ErrKilled)
				wantErr(t, third, coop.ErrKilled)
				wantErr(t, victim.Result(), coop.ErrKilled)
				wantErr(t, victim.Err(), context.Canceled)
				victim.Kill()
				if now := g.Loop().Now(); now != 0 {
					t.Errorf("the clock moved to %v", now)
				}
				return nil
			})
		})
	}
}

// #14
func TestKillBeforeStart(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		ran := false
		victim := g.Spawn(func(*coop.Greenlet) error { ran = true; return nil })
		victim.Kill()
		if err := victim.Join(g); err != nil {
			t.Error(err)
		}
		if ran {
			t.Error("a killed greenlet began")
		}
		wantErr(t, victim.Result(), coop.ErrKilled)
		return nil
	})
}

// #16
func TestKillOfOneselfComesAtTheNextPark(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		victim := g.Spawn(func(g *coop.Greenlet) error {
			g.Kill()
			wantErr(t, g.Err(), coop.ErrKilled)
			return g.Yield()
		})
		err := victim.Join(g)
		wantErr(t, victim.Result(), coop.ErrKilled)
		return err
	})
}

// #22
func TestKillersOfEachOther(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var a, b *coop.Greenlet
		a = g.Spawn(func(g *coop.Greenlet) error { return coop.KillAll(g, b) })
		b = g.Spawn(func(g *coop.Greenlet) error { return coop.KillAll(g, a) })
		return coop.JoinAll(g, a, b)
	})
}

// #20
func TestKilledGreenletThatIgnoresErrorsDoesNotHoldTheLoop(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		stop := false
		victim := g.Spawn(func(g *coop.Greenlet) error {
			for !stop {
				g.Sleep(time.Second)
			}
			return nil
		})
		victim.Kill()
		for range 100 {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		stop = true
		return victim.Join(g)
	})
}

func TestWakeUpBeforeKillIsNotLost(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var ev coop.Event
		var first, second error
		victim := g.Spawn(func(g *coop.Greenlet) error {
			first = ev.Wait(g)
			second = g.Yield()
			return nil
		})
		g.Yield()
		ev.Set()
		victim.Kill()
		err := victim.Join(g)
		wantErr(t, first, nil)
		wantErr(t, second, coop.ErrKilled)
		return err
	})
}

func TestPanicIsIsolatedAndReportedOnce(t *testing.T) {
	var reports []error
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(_ *coop.Greenlet, err error) { reports = append(reports, err) }}
	runWith(t, o, func(g *coop.Greenlet) error {
		bad := g.Spawn(func(*coop.Greenlet) error { panic(errBoom) })
		good := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		err := coop.JoinAll(g, good, bad)
		var p *coop.PanicError
		if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "TestPanicIsIsolated") {
			t.Errorf("got %#v", err)
		}
		wantErr(t, err, errBoom)
		return nil
	})
	if len(reports) != 1 {
		t.Errorf("reported %q", reports)
	}
}

// #29
func TestFailureIsReportedUnlessJoined(t *testing.T) {
	var names []string
	o := coop.LoopOptions{OnFailure: func(g *coop.Greenlet, err error) { names = append(names, g.Name()) }}
	runWith(t, o, func(g *coop.Greenlet) error {
		fail := func(*coop.Greenlet) error { return errBoom }
		alone, joined := g.Spawn(fail), g.Spawn(fail)
		alone.SetName("alone")
		wantErr(t, joined.Join(g), errBoom)
		wantErr(t, alone.Join(g), errBoom)
		return nil
	})
	if len(names) != 1 || names[0] != "alone" {
		t.Errorf("reported %q", names)
	}
}

func TestGoexitEndsTheGreenletOnly(t *testing.T) {
	l := started(t, coop.LoopOptions{OnFailure: quiet})
	on(t, l, func(g *coop.Greenlet) error {
		gone := g.Spawn(func(*coop.Greenlet) error { runtime.Goexit(); return nil })
		after := g.Spawn(func(g *coop.Greenlet) error { return g.Yield() })
		wantErr(t, gone.Join(g), coop.ErrGoexit)
		return after.Join(g)
	})
	if !l.Post(runtime.Goexit) {
		t.Error("post refused")
	}
	on(t, l, func(g *coop.Greenlet) error { return g.Yield() })
}

func TestGoexitWithinRunEndsTheCaller(t *testing.T) {
	cleaned, returned := false, false
	done := make(chan struct{})
	go func() {
		defer close(done)
		coop.RunWith(coop.LoopOptions{OnFailure: quiet}, func(g *coop.Greenlet) error {
			g.Spawn(func(g *coop.Greenlet) error {
				defer func() { cleaned = true }()
				return g.Sleep(time.Hour)
			})
			g.Yield()
			runtime.Goexit()
			return nil
		})
		returned = true
	}()
	<-done
	if !cleaned || returned {
		t.Errorf("cleaned %v, returned %v", cleaned, returned)
	}
}

func TestParkByAnotherIsRefused(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		other := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		g.Yield()
		wantErr(t, other.Yield(), coop.ErrNotRunning)
		wantErr(t, other.Sleep(1), coop.ErrNotRunning)
		wantErr(t, other.WithTimeout(1, func() error { return nil }), coop.ErrNotRunning)
		_, err := coop.NewQueue[int](0).Get(other)
		wantErr(t, err, coop.ErrNotRunning)
		return other.Join(g)
	})
}

func TestManyGreenletsReuseCoroutines(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		n := 0
		for range 100 {
			var gs []*coop.Greenlet
			for range 40 {
				gs = append(gs, g.Spawn(func(g *coop.Greenlet) error { n++; return g.Yield() }))
			}
			if err := coop.JoinAll(g, gs...); err != nil {
				return err
			}
		}
		if n != 4000 {
			t.Errorf("%d ran", n)
		}
		if s := g.Loop().Stats(); s.Greenlets != 1 {
			t.Errorf("%d alive", s.Greenlets)
		}
		return nil
	})
}
