package coop_test

import (
	"errors"
	"testing"
	"time"

	"greenroom/coop"
)

// What a greenlet computes before it sleeps is not part of the sleep, nor of a timeout or an AfterFunc.
func TestWhatWasComputedDoesNotShortenASleep(t *testing.T) {
	const work, d = 7 * time.Second, 10 * time.Second
	for name, wait := range map[string]func(g *coop.Greenlet) error{
		"sleep": func(g *coop.Greenlet) error { return g.Sleep(d) },
		"timeout": func(g *coop.Greenlet) error {
			err := g.WithTimeout(d, func() error { return g.Sleep(time.Hour) })
			if !errors.Is(err, coop.ErrTimeout) {
				return errors.Join(errBoom, err)
			}
			return nil
		},
		"func": func(g *coop.Greenlet) error {
			var ev coop.Event
			g.Loop().AfterFunc(d, ev.Set)
			return ev.Wait(g)
		},
	} {
		t.Run(name, func(t *testing.T) {
			clock := new(stepClock)
			runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
				g.Loop().Now() // the tick has read its clock
				for range 3 {
					clock.now += work
					begun := clock.now
					if err := wait(g); err != nil {
						return err
					}
					if took := clock.now - begun; took != d {
						t.Errorf("took %v", took)
					}
				}
				return nil
			})
		})
	}
}

// A raw timer counts from the tick's reading, as documented.
func TestATimerCountsFromTheTick(t *testing.T) {
	clock := new(stepClock)
	runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		l := g.Loop()
		begun := l.Now()
		clock.now += time.Second
		var ev coop.Event
		var timer coop.Timer
		timer.Init(l, ev.Set)
		timer.Reset(10 * time.Second)
		if l.Now() != begun {
			t.Errorf("the tick's time went from %v to %v", begun, l.Now())
		}
		err := ev.Wait(g)
		if took := clock.now - begun; took != 10*time.Second {
			t.Errorf("fired after %v", took)
		}
		return err
	})
}
