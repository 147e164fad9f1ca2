package coop_test

import (
	"fmt"
	"strings"
	"testing"

	"greenroom/coop"
)

func TestEventWakesInOrderAlsoWhenClearedAtOnce(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		ev := coop.NewEvent()
		var gs []*coop.Greenlet
		for i := range 5 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				err := ev.Wait(g)
				j.add(fmt.Sprint(i))
				return err
			}))
		}
		g.Yield()
		gs[2].Kill()
		g.Yield()
		g.Yield()
		ev.Set()
		ev.Clear()
		j.add("set")
		if ev.IsSet() {
			t.Error("still set")
		}
		err := coop.JoinAll(g, gs...)
		ev.Set()
		if err := ev.Wait(g); err != nil {
			return err
		}
		return err
	})
	j.want(t, "2", "set", "0", "1", "3", "4")
}

func TestWaitersOfTwoLoopsAreRefused(t *testing.T) {
	for name, wait := range map[string]func() func(g *coop.Greenlet) error{
		"event": func() func(g *coop.Greenlet) error { return new(coop.Event).Wait },
		"get": func() func(g *coop.Greenlet) error {
			q := coop.NewQueue[int](1)
			return func(g *coop.Greenlet) error { _, err := q.Get(g); return err }
		},
		"put": func() func(g *coop.Greenlet) error {
			q := coop.NewQueue[int](0)
			return func(g *coop.Greenlet) error { return q.Put(g, 1) }
		},
		"semaphore": func() func(g *coop.Greenlet) error { return new(coop.Semaphore).Acquire },
	} {
		t.Run(name, func(t *testing.T) {
			hangs(t)
			park := wait()
			a, b := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{OnFailure: quiet})
			a.Go(func(g *coop.Greenlet) error { return park(g) })
			onLoop(t, a, func() {})
			onLoop(t, a, func() {}) // it has parked
			on(t, b, func(g *coop.Greenlet) error {
				err := g.Spawn(park).Join(g)
				if err == nil || !strings.Contains(err.Error(), "two loops") {
					t.Errorf("got %v", err)
				}
				return nil
			})
		})
	}
}
