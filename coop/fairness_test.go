package coop_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// stepClock moves when the test says so.
type stepClock struct{ now time.Duration }

func (c *stepClock) Now() time.Duration { return c.now }

func (c *stepClock) WakeAt(t time.Duration) (time.Time, bool) {
	c.now = max(c.now, t)
	return time.Time{}, false
}

// hogs are ways to keep a loop busy for ever. Each calls turn once a tick or so, as long as that is true.
var hogs = map[string]func(g *coop.Greenlet, turn func() bool){
	"a greenlet that yields": func(g *coop.Greenlet, turn func() bool) {
		for turn() {
			g.Yield()
		}
	},
	"two that wake each other": func(g *coop.Greenlet, turn func() bool) {
		var ping, pong coop.Event
		g.Spawn(func(g *coop.Greenlet) error {
			for ping.Wait(g) == nil {
				ping.Clear()
				pong.Set()
			}
			return nil
		})
		for turn() {
			ping.Set()
			pong.Wait(g)
			pong.Clear()
		}
	},
	"two ends of a queue": func(g *coop.Greenlet, turn func() bool) {
		var q coop.Queue[int]
		g.Spawn(func(g *coop.Greenlet) error {
			for range q.All(g) {
			}
			return nil
		})
		for turn() {
			q.Put(g, 1)
		}
	},
	"a job that posts itself": func(g *coop.Greenlet, turn func() bool) {
		untilOver(g, turn, func(again func()) { g.Loop().Post(again) })
	},
	"a timer that is due again at once": func(g *coop.Greenlet, turn func() bool) {
		untilOver(g, turn, func(again func()) { g.Loop().AfterFunc(0, again) })
	},
	"a flusher that queues itself": func(g *coop.Greenlet, turn func() bool) {
		untilOver(g, turn, func(again func()) { g.Loop().QueueFlush(flushFunc(again)) })
	},
}

// untilOver has a callback come back until turn is false.
func untilOver(g *coop.Greenlet, turn func() bool, later func(again func())) {
	var over coop.Event
	var again func()
	again = func() {
		if turn() {
			later(again)
		} else {
			over.Set()
		}
	}
	again()
	over.Wait(g)
}

// TestNobodyIsStarved measures in ticks how long others wait while something keeps the loop busy.
func TestNobodyIsStarved(t *testing.T) {
	for name, hog := range hogs {
		for pace, c := range map[string]struct {
			step time.Duration // of the clock, in each tick
			io   int           // ticks that I/O may wait
		}{
			"in short ticks":         {0, 16},
			"in ticks of 100 µs":     {100 * time.Microsecond, 1},
			"in ticks of 30 µs":      {30 * time.Microsecond, 4},
			"in ticks of 10 seconds": {10 * time.Second, 1},
		} {
			t.Run(name+" "+pace, func(t *testing.T) {
				for start := range c.io + 1 { // anywhere between two polls
					starve(t, hog, c.step, c.io, 40+start)
				}
			})
		}
	}
}

func starve(t *testing.T, hog func(*coop.Greenlet, func() bool), step time.Duration, io, start int) {
	hangs(t)
	local, remote := unixPair(t)
	clock := new(stepClock)
	runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		l := g.Loop()
		ticks, began := 0, -1
		var count func()
		count = func() {
			clock.now += step
			if ticks++; ticks >= 0 {
				l.QueueFlush(flushFunc(count))
			}
		}
		l.QueueFlush(flushFunc(count))

		waits := map[string]int{} // ticks that each of these has waited
		bounds := map[string]int{"post": 1, "greenlet": 1, "kill": 1, "timer": 1, "stream": io}
		note := func(what string) { waits[what] = ticks - began }

		h := newHandler()
		h.read = func(*coop.Stream, []byte) { note("stream") }
		s, err := l.Attach(local, h)
		if err != nil {
			return err
		}
		s.Start()
		victim := g.Spawn(func(g *coop.Greenlet) error {
			err := g.Sleep(1 << 62)
			note("kill")
			return err
		})

		turns := 0
		hog(g, func() bool {
			if turns++; turns == start {
				began = ticks
				l.AfterFunc(0, func() { note("timer") })
				outside := make(chan struct{})
				go func() {
					defer close(outside)
					l.Post(func() { note("post") })
					l.Go(func(*coop.Greenlet) error { note("greenlet"); return nil })
					victim.Kill()
					if _, err := remote.Write([]byte("x")); err != nil {
						t.Error(err)
					}
				}()
				<-outside
			}
			return len(waits) < len(bounds) && (!onDescriptors || turns < 1000)
		})
		ticks = -1 << 31 // stop counting
		for _, what := range slices.Sorted(maps.Keys(bounds)) {
			waited, came := waits[what]
			switch {
			case !came:
				t.Errorf("the %s starved", what)
			case waited > bounds[what] && (what != "stream" || onDescriptors):
				t.Errorf("the %s waited for %d ticks, more than %d", what, waited, bounds[what])
			}
		}
		return nil
	})
}
