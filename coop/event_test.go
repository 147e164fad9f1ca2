package coop_test

import (
	"fmt"
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
