package coop_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"greenroom/coop"
)

// #34: leaving a scope joins what was spawned in it, grandchildren spawned into it included.
func TestScopeJoinsOnLeaving(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		err := g.Scope(func(s *coop.Scope) error {
			s.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(2 * time.Second)
				s.Spawn(func(g *coop.Greenlet) error { err := g.Sleep(time.Second); j.add("grandchild"); return err })
				j.add("child")
				return err
			})
			task := coop.SpawnTask(s, func(g *coop.Greenlet) (int, error) { return 4, g.Sleep(time.Second) })
			v, err := task.Get(g)
			j.add(fmt.Sprint("task ", v))
			return err
		})
		j.add(fmt.Sprint("left ", g.Loop().Now()))
		if err != nil {
			return err
		}
		return g.Scope(func(*coop.Scope) error { return nil })
	})
	j.want(t, "task 4", "child", "grandchild", "left 3s")
}

// #34: what ends a scope early, and what comes out of it.
func TestScopeEndsEarly(t *testing.T) {
	sleeper := func(j *journal, name string) func(*coop.Greenlet) error {
		return func(g *coop.Greenlet) error {
			err := g.Sleep(time.Hour)
			j.add(name + " " + fmt.Sprint(errors.Is(err, coop.ErrKilled)))
			return err
		}
	}
	failing := func(d time.Duration, err error) func(*coop.Greenlet) error {
		return func(g *coop.Greenlet) error { g.Sleep(d); return err }
	}
	other := errors.New("other")
	for name, c := range map[string]struct {
		body func(g *coop.Greenlet, s *coop.Scope) error
		err  error
		at   time.Duration
	}{
		"a child fails while the body is done": {func(g *coop.Greenlet, s *coop.Scope) error {
			s.Spawn(failing(time.Second, errBoom))
			return nil
		}, errBoom, time.Second},
		"a child fails while the body is parked": {func(g *coop.Greenlet, s *coop.Scope) error {
			s.Spawn(failing(time.Second, errBoom))
			err := g.Sleep(time.Hour)
			if err != errBoom {
				t.Errorf("body's park: %v", err)
			}
			return g.Sleep(time.Second) // the body may clean up
		}, errBoom, 2 * time.Second},
		"a child panics": {func(g *coop.Greenlet, s *coop.Scope) error {
			s.Spawn(func(*coop.Greenlet) error { panic(errBoom) })
			return g.Sleep(time.Hour)
		}, errBoom, 0},
		"the first of two failures": {func(g *coop.Greenlet, s *coop.Scope) error {
			s.Spawn(failing(2, other))
			s.Spawn(failing(1, errBoom))
			s.Spawn(func(g *coop.Greenlet) error { g.Sleep(time.Hour); return other }) // while it is killed
			return g.Sleep(time.Hour)
		}, errBoom, 1},
		"the body fails": {func(g *coop.Greenlet, s *coop.Scope) error {
			g.Yield()
			return errBoom
		}, errBoom, 0},
		"a timeout around, body parked": {func(g *coop.Greenlet, s *coop.Scope) error {
			return g.Sleep(2 * time.Hour)
		}, coop.ErrTimeout, time.Minute},
		"a timeout around, body done": {func(g *coop.Greenlet, s *coop.Scope) error { g.Yield(); return nil },
			coop.ErrTimeout, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
				err := g.WithTimeout(time.Minute, func() error {
					return g.Scope(func(s *coop.Scope) error {
						s.Spawn(sleeper(&j, "a"))
						s.Spawn(sleeper(&j, "b"))
						return c.body(g, s)
					})
				})
				wantErr(t, err, c.err)
				if now := g.Loop().Now(); now != c.at {
					t.Errorf("at %v, want %v", now, c.at)
				}
				j.want(t, "a true", "b true")
				return g.Sleep(time.Hour) // nothing is left of the scope
			})
		})
	}
}

// #34: a scope of a greenlet that is killed still waits for its own.
func TestScopeOfAKilledGreenletOutlivesItsChildren(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		owner := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Scope(func(s *coop.Scope) error {
				s.Spawn(func(g *coop.Greenlet) error {
					err := g.Sleep(coop.Forever)
					g.Revive()
					g.Sleep(time.Minute)
					j.add("child over")
					return err
				})
				return g.Sleep(coop.Forever)
			})
			j.add("owner over")
			return err
		})
		g.Yield()
		g.Yield()
		owner.Kill()
		err := owner.Join(g)
		wantErr(t, owner.Result(), coop.ErrKilled)
		if now := g.Loop().Now(); now != time.Minute {
			t.Errorf("at %v", now)
		}
		return err
	})
	j.want(t, "child over", "owner over")
}

func TestScopeAfterPanicAndAfterItsEnd(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var kept *coop.Scope
		var child *coop.Greenlet
		func() {
			defer func() { wantErr(t, recover().(error), errBoom) }()
			g.Scope(func(s *coop.Scope) error {
				kept = s
				child = s.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
				panic(errBoom)
			})
		}()
		if !child.Ended() {
			t.Error("a child outlived the panic")
		}
		late := kept.Spawn(func(*coop.Greenlet) error { t.Error("ran"); return nil })
		if err := late.Join(g); err != nil {
			return err
		}
		wantErr(t, late.Result(), coop.ErrKilled)
		other := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(1) })
		wantErr(t, other.Scope(func(*coop.Scope) error { return nil }), coop.ErrNotRunning)
		return g.Sleep(time.Second)
	})
}

// Kill ends what runs, such as the losers of a race; the scope is good for more.
func TestScopeKillLeavesTheScopeOpen(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var winner string
		err := g.Scope(func(s *coop.Scope) error {
			racer := func(name string, d time.Duration) *coop.Task[string] {
				return coop.SpawnTask(s, func(g *coop.Greenlet) (string, error) { return name, g.Sleep(d) })
			}
			first, err := coop.WaitAny(g, racer("slow", 3*time.Second), racer("fast", time.Second))
			if err != nil {
				return err
			}
			s.Kill()
			winner, err = first.Get(g)
			s.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
			return err
		})
		if winner != "fast" || g.Loop().Now() != 2*time.Second {
			t.Errorf("%q at %v", winner, g.Loop().Now())
		}
		return err
	})
}

func TestScopesNest(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		err := g.Scope(func(outer *coop.Scope) error {
			outer.Spawn(func(g *coop.Greenlet) error { g.Sleep(time.Second); return errBoom })
			inner := g.Scope(func(s *coop.Scope) error {
				s.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
				return nil
			})
			if inner != errBoom {
				t.Errorf("the inner passes on %v", inner)
			}
			return nil
		})
		if err != errBoom || g.Loop().Now() != time.Second {
			t.Errorf("%v at %v", err, g.Loop().Now())
		}
		return nil
	})
}

// A scope that spawns without end keeps only those that live.
func TestScopeForgetsThoseThatAreOver(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		return g.Scope(func(s *coop.Scope) error {
			long := s.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
			for range 1000 {
				s.Spawn(func(*coop.Greenlet) error { return nil })
				if err := g.Yield(); err != nil {
					return err
				}
			}
			if n := s.Held(); n > 20 {
				t.Errorf("holds %d", n)
			}
			return long.Stop(g)
		})
	})
}

// A closing loop ends the deaf too.
func TestScopeOnAClosingLoop(t *testing.T) {
	ended := false
	run(t, func(g *coop.Greenlet) error {
		g.Spawn(func(g *coop.Greenlet) error {
			defer func() { ended = true }()
			return g.Scope(func(s *coop.Scope) error {
				s.Spawn(func(g *coop.Greenlet) error {
					for {
						g.Yield() // ignores its kill
					}
				})
				return nil
			})
		})
		g.Yield()
		return g.Yield()
	})
	if !ended {
		t.Error("still there")
	}
}

// A loop that closes is patient for a while. Then those in a scope are ended by force, and whoever waits there for
// them is, too; their end, which is told later, does not bring it back.
func TestScopeEndsByForce(t *testing.T) {
	hangs(t)
	l, err := coop.NewLoop(coop.LoopOptions{OnFailure: quiet})
	if err != nil {
		t.Fatal(err)
	}
	began, ended := 0, 0
	owner := l.Spawn(func(g *coop.Greenlet) error {
		defer func() { ended++ }()
		return g.Scope(func(s *coop.Scope) error {
			for range 3 {
				s.Spawn(func(g *coop.Greenlet) error {
					began++
					defer func() { ended++ }()
					for {
						g.Yield()
					}
				})
			}
			return nil
		})
	})
	l.Start()
	waitUntil(t, func() (all bool) { onLoop(t, l, func() { all = began == 3 }); return all })
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if n := l.Stats().Greenlets; n != 0 || ended != 4 {
		t.Errorf("%d greenlets are left, %d of 4 have cleaned up", n, ended)
	}
	wantErr(t, owner.Result(), coop.ErrKilled)
}
