package coop_test

import (
	"errors"
	"testing"
	"time"

	"greenroom/coop"
)

// #8
func TestJoinOfOneself(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		wantErr(t, g.Join(g), coop.ErrSelfJoin)
		wantErr(t, coop.JoinAll(g, g), coop.ErrSelfJoin)
		return nil
	})
}

// #6, #9
func TestJoinWakesInOrderAndReturnsTheResult(t *testing.T) {
	var j journal
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		target := g.Spawn(func(g *coop.Greenlet) error { g.Sleep(time.Second); return errBoom })
		var gs []*coop.Greenlet
		for _, name := range []string{"a", "b", "c"} {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				wantErr(t, target.Join(g), errBoom)
				j.add(name)
				return nil
			}))
		}
		if err := coop.JoinAll(g, gs...); err != nil {
			return err
		}
		wantErr(t, target.Join(g), errBoom) // at once, again
		return coop.JoinAll(g)
	})
	j.want(t, "a", "b", "c")
}

// #11
func TestJoinAllReturnsTheFirstFailureInTime(t *testing.T) {
	late := errors.New("late")
	run(t, func(g *coop.Greenlet) error {
		fail := func(d time.Duration, err error) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error { g.Sleep(d); return err })
		}
		err := coop.JoinAll(g, fail(3, late), fail(1, errBoom), fail(4, nil))
		if err != errBoom {
			t.Errorf("got %v", err)
		}
		if g.Loop().Now() != 4 {
			t.Error("did not wait for all")
		}
		return nil
	})
}

// #21
func TestKillAllTellsAllBeforeWaiting(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		victim := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				err := g.Sleep(time.Hour)
				j.add(name + " told")
				g.Yield()
				j.add(name + " over")
				return err
			})
		}
		a, b := victim("a"), victim("b")
		g.Yield()
		unborn := g.Spawn(func(*coop.Greenlet) error { j.add("born"); return nil })
		return coop.KillAll(g, a, b, unborn)
	})
	j.want(t, "a told", "b told", "a over", "b over")
}

func TestJoinAcrossLoops(t *testing.T) {
	ls, err := coop.NewLoops(2, coop.LoopOptions{OnFailure: quiet})
	if err != nil {
		t.Fatal(err)
	}
	here, there := ls.All()[0], ls.All()[1]
	born := make(chan *coop.Greenlet, 1)
	there.Go(func(g *coop.Greenlet) error {
		born <- g
		g.Sleep(time.Millisecond)
		return errBoom
	})
	target := <-born
	on(t, here, func(g *coop.Greenlet) error {
		var gs []*coop.Greenlet
		for range 10 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error { wantErr(t, target.Join(g), errBoom); return nil }))
		}
		if err := coop.JoinAll(g, gs...); err != nil {
			return err
		}
		wantErr(t, target.Join(g), errBoom)
		return nil
	})

	// One that gives up, and one that outlives the other loop.
	there.Go(func(g *coop.Greenlet) error { born <- g; return g.Sleep(time.Hour) })
	target = <-born
	on(t, here, func(g *coop.Greenlet) error {
		err := g.WithTimeout(time.Millisecond, func() error { return target.Join(g) })
		wantErr(t, err, coop.ErrTimeout)
		waiter := g.Spawn(func(g *coop.Greenlet) error { return target.Join(g) })
		g.Yield()
		if _, err := coop.Await(g, func() (int, error) { return 0, there.Close() }); err != nil {
			return err
		}
		if err := waiter.Join(g); err != nil {
			return err
		}
		return target.Join(g)
	})
	if err := ls.Close(); err != nil {
		t.Fatal(err)
	}
}
