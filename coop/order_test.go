package coop_test

import (
	"testing"

	"greenroom/coop"
)

// #36: yields, starts, links and joins interleave in one order, the documented one.
func TestOrderOfYieldsLinksAndJoins(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		worker := func(name string, yields int) *coop.Greenlet {
			c := g.Spawn(func(g *coop.Greenlet) error {
				for range yields {
					j.add(name)
					if err := g.Yield(); err != nil {
						return err
					}
				}
				j.add(name + " end")
				return nil
			})
			c.Link(func(*coop.Greenlet) { j.add(name + " link") })
			return c
		}
		a, b := worker("a", 1), worker("b", 2)
		first := g.Spawn(func(g *coop.Greenlet) error { err := a.Join(g); j.add("joined a"); return err })
		err := coop.JoinAll(g, first, b)
		j.add("joined all")
		return err
	})
	j.want(t,
		"a", "b", // both start; the third waits for a
		"a end", "b",
		"a link",            // a job, before the greenlets of the next tick
		"joined a", "b end", // a's end had made its joiner ready before b yielded
		"b link",
		"joined all",
	)
}

// #3, #36: a greenlet that is spawned runs after those that were ready, and before one that yields after it.
func TestOrderOfSpawnsAndYields(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		gs := []*coop.Greenlet{}
		for _, name := range []string{"1", "2"} {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				j.add(name + "A")
				err := g.Yield()
				j.add(name + "B")
				return err
			}))
		}
		j.add("main")
		g.Yield()
		j.add("main again")
		return coop.JoinAll(g, gs...)
	})
	j.want(t, "main", "1A", "2A", "main again", "1B", "2B")
}
