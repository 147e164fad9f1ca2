package coop_test

import (
	"testing"
	"time"

	"greenroom/coop"
)

// #38
func TestIdleRunsWhenNothingElseIsReady(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		l := g.Loop()
		idler := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				err := g.Idle()
				j.add(name)
				l.Post(func() { j.add(name + "'s post") }) // goes before the next of the idle
				return err
			})
		}
		a, b := idler("idle a"), idler("idle b")
		busy := g.Spawn(func(g *coop.Greenlet) error {
			for range 100 {
				if err := g.Yield(); err != nil {
					return err
				}
			}
			j.add("busy done")
			return nil
		})
		l.AfterFunc(0, func() { j.add("due timer") })
		sleeper := g.Spawn(func(g *coop.Greenlet) error { err := g.Sleep(time.Second); j.add("sleeper"); return err })
		return coop.JoinAll(g, a, b, busy, sleeper)
	})
	j.want(t, "due timer", "busy done", "idle a", "idle a's post", "idle b", "idle b's post", "sleeper")
}

func TestIdleGoesBackToSleepWithTheLoop(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	on(t, l, func(g *coop.Greenlet) error {
		end := l.Now() + 5*time.Millisecond
		for l.Now() < end { // never parked for anything but idleness
			if err := g.Idle(); err != nil {
				return err
			}
		}
		return nil
	})
	done := make(chan struct{})
	l.Post(func() { close(done) })
	<-done
}

// One that idles over and over cannot keep out timers, posts and streams.
func TestIdleStarvesNobody(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	stop := false
	on(t, l, func(g *coop.Greenlet) error {
		spinner := g.Spawn(func(g *coop.Greenlet) error {
			for !stop {
				if err := g.Idle(); err != nil {
					return err
				}
			}
			return nil
		})
		if err := g.Sleep(time.Millisecond); err != nil {
			return err
		}
		if _, err := coop.Await(g, func() (int, error) { return 0, nil }); err != nil {
			return err
		}
		stop = true
		return spinner.Join(g)
	})
}
