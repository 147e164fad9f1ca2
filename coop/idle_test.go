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

// A timer that comes due after the loop has looked at its timers, and before it turns to the idle, goes first.
func TestIdleLooksAtTheClockOnceMore(t *testing.T) {
	var j journal
	clock := new(handClock)
	runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		l := g.Loop()
		l.AfterFunc(time.Second, func() { j.add("timer") })
		l.QueueFlush(clock) // at the end of this tick
		err := g.Idle()
		j.add("idle")
		return err
	})
	j.want(t, "timer", "idle")
}

// handClock moves on by a minute with each flush.
type handClock struct{ now time.Duration }

func (c *handClock) Flush()             { c.now += time.Minute }
func (c *handClock) Now() time.Duration { return c.now }
func (c *handClock) WakeAt(t time.Duration) (time.Time, bool) {
	c.now = max(c.now, t)
	return time.Time{}, false
}
