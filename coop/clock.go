package coop

import (
	"sync/atomic"
	"time"
)

// A Clock tells a loop the time. Both methods are safe from any goroutine.
type Clock interface {
	// Now is the time since the clock began. It never goes back.
	Now() time.Duration

	// WakeAt is asked by a loop that has nothing to do before t. It returns the moment until which
	// the loop should sleep, and true; or false when the clock has moved on to t by itself. A clock that
	// somebody moves on while the loop sleeps wakes nobody: whoever moves it has to post to the loop.
	WakeAt(t time.Duration) (time.Time, bool)
}

// realClock is the system's monotonic clock, counted from its creation.
type realClock struct{ start time.Time }

func (c realClock) Now() time.Duration                       { return time.Since(c.start) }
func (c realClock) WakeAt(t time.Duration) (time.Time, bool) { return c.start.Add(t), true }

// Time is the time of day from which the deadlines of the loop's connections count: the system's or, in a
// simulation, that of its [World]. Any goroutine.
func (l *Loop) Time() time.Time {
	if l.world != nil {
		return simEpoch.Add(l.clock.Now())
	}
	return time.Now()
}

// A FakeClock stands still while its loop has anything to do, and jumps to the next deadline when it
// has not: hours of sleeping pass in no time and in a fixed order. Work handed to [Await] holds it
// until the work has come back; streams and posts from other goroutines do not. Give each loop
// its own.
type FakeClock struct{ now atomic.Int64 }

// NewFakeClock returns a clock that shows zero.
func NewFakeClock() *FakeClock { return new(FakeClock) }

// Now is the time the clock shows.
func (c *FakeClock) Now() time.Duration { return time.Duration(c.now.Load()) }

// WakeAt moves the clock to t, unless it is past it.
func (c *FakeClock) WakeAt(t time.Duration) (time.Time, bool) {
	for {
		now := c.now.Load()
		if now >= int64(t) || c.now.CompareAndSwap(now, int64(t)) {
			return time.Time{}, false
		}
	}
}
