package coop_test

import (
	"fmt"
	"testing"
	"time"

	"greenroom/coop"
)

// #47: those who waited for the first Set are woken, whatever happens before they run.
func TestEventSetThenClear47(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		for _, n := range []int{1, 1000} {
			var e coop.Event
			gs := make([]*coop.Greenlet, n)
			for i := range gs {
				gs[i] = g.Spawn(e.Wait)
			}
			g.Yield()
			e.Set()
			e.Clear()
			e.Set()
			e.Clear()
			if err := coop.JoinAll(g, gs...); err != nil {
				return err
			}
			late := g.Spawn(e.Wait)
			settle(g)
			if late.Ended() {
				t.Error("a cleared event did not make one wait")
			}
			late.Kill()
			e.Set()
			if err := e.Wait(g); err != nil {
				return err
			}
		}
		return nil
	})
}

// #48: one who timed out is not there any more when the flag goes up.
func TestEventTimedOutWaiterIsGone48(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var e coop.Event
		var slept time.Duration
		waiter := g.Spawn(func(g *coop.Greenlet) error {
			err := g.WithTimeout(time.Second, func() error { return e.Wait(g) })
			wantErr(t, err, coop.ErrTimeout)
			before := g.Loop().Now()
			err = g.Sleep(time.Hour) // Set must not end this
			slept = g.Loop().Now() - before
			return err
		})
		if err := g.Sleep(2 * time.Second); err != nil {
			return err
		}
		e.Set()
		err := waiter.Join(g)
		if slept != time.Hour {
			t.Errorf("slept %v", slept)
		}
		return err
	})
}

// #49: who begins to wait while others are being woken is woken by the next Set, each once.
func TestEventSetDuringNotification49(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var e coop.Event
		waiter := func(name string, then func(g *coop.Greenlet) error) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				err := e.Wait(g)
				j.add(name)
				if err == nil && then != nil {
					err = then(g)
				}
				return err
			})
		}
		gs := []*coop.Greenlet{
			waiter("a", func(g *coop.Greenlet) error { // runs while b is woken but did not run
				e.Clear()
				err := e.Wait(g)
				j.add("a again")
				return err
			}),
			waiter("b", func(*coop.Greenlet) error { e.Set(); return nil }),
			waiter("c", nil),
		}
		g.Yield()
		e.Set()
		return coop.JoinAll(g, gs...)
	})
	j.want(t, "a", "b", "c", "a again")
}

// #63: releasing and acquiring at once does not starve those who wait.
func TestSemaphoreIsFair63(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		s := coop.NewSemaphore(1)
		var gs []*coop.Greenlet
		for i := range 3 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				for range 3 {
					if err := s.Acquire(g); err != nil {
						return err
					}
					j.add(fmt.Sprint(i))
					if err := g.Yield(); err != nil {
						return err
					}
					s.Release()
					if s.TryAcquire() && i < 2 {
						t.Error("overtook those who wait")
						s.Release()
					} else if i == 2 && s.Free() == 0 && len(j) == 9 {
						s.Release()
					}
				}
				return nil
			}))
		}
		return coop.JoinAll(g, gs...)
	})
	j.want(t, "0", "1", "2", "0", "1", "2", "0", "1", "2")
}

// #64: a timeout keeps the count; anybody may release; more permits than at first are new ones.
func TestSemaphoreCounts64(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		s := coop.NewSemaphore(2)
		for range 2 {
			if err := s.Acquire(g); err != nil {
				return err
			}
		}
		err := g.WithTimeout(time.Second, func() error { return s.Acquire(g) })
		wantErr(t, err, coop.ErrTimeout)
		g.Loop().Post(func() {
			for range 3 {
				s.Release()
			}
		})
		g.Yield()
		if s.Free() != 3 {
			t.Errorf("%d free", s.Free())
		}
		return nil
	})
}

// #64
func TestBoundedSemaphoreOverRelease64(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		s := coop.NewBoundedSemaphore(2)
		wantErr(t, s.Release(), coop.ErrOverRelease)
		if err := s.Acquire(g); err != nil {
			return err
		}
		wantErr(t, s.Release(), nil)
		wantErr(t, s.Release(), coop.ErrOverRelease)
		if s.Free() != 2 {
			t.Errorf("%d free", s.Free())
		}
		return nil
	})
}

func TestWithReleasesWhateverHappens(t *testing.T) {
	runWith(t, coop.LoopOptions{OnFailure: quiet}, func(g *coop.Greenlet) error {
		s, b := coop.NewSemaphore(1), coop.NewBoundedSemaphore(1)
		var r coop.RLock
		for name, with := range map[string]func(*coop.Greenlet, func() error) error{
			"semaphore": s.With, "bounded": b.With, "rlock": r.With,
		} {
			wantErr(t, with(g, func() error { return errBoom }), errBoom)
			wantErr(t, g.Spawn(func(g *coop.Greenlet) error {
				return with(g, func() error { panic(errBoom) })
			}).Join(g), errBoom)
			killed := g.Spawn(func(g *coop.Greenlet) error {
				return with(g, func() error { return g.Sleep(time.Hour) })
			})
			waiting := g.Spawn(func(g *coop.Greenlet) error {
				return with(g, func() error { t.Error(name, "ran although it was killed"); return nil })
			})
			g.Yield()
			waiting.Kill()
			if err := coop.KillAll(g, killed); err != nil {
				return err
			}
		}
		if s.Free() != 1 || b.Free() != 1 || r.Owner() != nil {
			t.Errorf("not released: %d %d %v", s.Free(), b.Free(), r.Owner())
		}
		return nil
	})
}

// #66
func TestRLock66(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var r coop.RLock
		wantErr(t, r.Release(g), coop.ErrNotOwner)
		for range 3 {
			if err := r.Acquire(g); err != nil {
				return err
			}
		}
		take := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				wantErr(t, r.Release(g), coop.ErrNotOwner)
				if r.TryAcquire(g) {
					t.Error("two owners")
				}
				return r.With(g, func() error {
					j.add(name)
					if r.Owner() != g {
						t.Error("not the owner")
					}
					return r.With(g, g.Yield) // and again
				})
			})
		}
		a, b := take("a"), take("b")
		for range 3 {
			g.Yield()
			j.add("release")
			wantErr(t, r.Release(g), nil)
		}
		wantErr(t, r.Release(g), coop.ErrNotOwner)
		if r.TryAcquire(g) {
			t.Error("overtook those who wait")
		}
		err := coop.JoinAll(g, a, b)
		if r.Owner() != nil {
			t.Error("not free at the end")
		}
		return err
	})
	j.want(t, "release", "release", "release", "a", "b")
}
