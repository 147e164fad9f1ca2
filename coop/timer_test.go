package coop_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

func TestTimerStopAndReset(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		fired := 0
		var timer coop.Timer
		timer.Init(g.Loop(), func() { fired++ })
		if timer.Active() || timer.Stop() {
			t.Error("armed before Reset")
		}
		timer.Reset(time.Second)
		timer.Reset(3 * time.Second)
		g.Sleep(2 * time.Second)
		if fired != 0 || !timer.Active() {
			t.Errorf("fired %d, active %v", fired, timer.Active())
		}
		g.Sleep(2 * time.Second)
		if fired != 1 || timer.Active() {
			t.Errorf("fired %d, active %v", fired, timer.Active())
		}
		timer.Reset(time.Second)
		if !timer.Stop() || timer.Stop() {
			t.Error("stop")
		}
		timer.Reset(1 << 62)
		timer.Reset(1<<63 - 1)
		timer.Stop()
		return g.Sleep(time.Hour)
	})
}

// TestTimersModel arms, re-arms and stops timers at random and compares the order in which they fire
// with a sorted list.
func TestTimersModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type armed struct {
			at       time.Duration
			seq, who int
		}
		n := rapid.IntRange(1, 40).Draw(rt, "timers")
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 200).Draw(rt, "steps")
		var fired, want []int
		err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
			timers := make([]coop.Timer, n)
			for i := range timers {
				timers[i].Init(g.Loop(), func() { fired = append(fired, i) })
			}
			model := map[int]armed{}
			for seq, step := range steps {
				who, d := step%n, time.Duration(step/n%20+1)
				if step%5 == 0 {
					if _, was := model[who]; timers[who].Stop() != was {
						rt.Fatalf("stop of %d: was %v", who, was)
					}
					delete(model, who)
					continue
				}
				timers[who].Reset(d)
				model[who] = armed{d, seq, who}
			}
			var order []armed
			for _, a := range model {
				order = append(order, a)
			}
			slices.SortFunc(order, func(a, b armed) int {
				if a.at != b.at {
					return int(a.at - b.at)
				}
				return a.seq - b.seq
			})
			for _, a := range order {
				want = append(want, a.who)
			}
			return g.Sleep(time.Hour)
		})
		if err != nil {
			rt.Fatal(err)
		}
		if !slices.Equal(fired, want) {
			rt.Fatalf("fired %v, want %v", fired, want)
		}
	})
}

func TestTimerThatRearmsItselfForNow(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		n := 0
		var timer coop.Timer
		timer.Init(g.Loop(), func() {
			if n++; n < 100 {
				timer.Reset(0)
			}
		})
		timer.Reset(0)
		g.Yield()
		if n > 2 {
			t.Errorf("fired %d times within a tick", n)
		}
		return g.Sleep(1)
	})
}
