package socketio

import (
	"sync/atomic"
	"testing"
	"time"
)

// handClock is a loop's clock that moves when a test says so, so that no test is decided by how fast the
// machine is.
type handClock struct{ now atomic.Int64 }

// Now implements [coop.Clock].
func (c *handClock) Now() time.Duration { return time.Duration(c.now.Load()) }

// WakeAt implements [coop.Clock]: nothing becomes due by itself.
func (c *handClock) WakeAt(time.Duration) (time.Time, bool) { return time.Now().Add(time.Hour), true }

// serveByHand is a server whose time stands still until pass is called.
func serveByHand(t *testing.T, o settings) (f *fixture, pass func(time.Duration)) {
	t.Helper()
	clock := new(handClock)
	o.hub.Clock = clock
	f = serve(t, o)
	return f, func(d time.Duration) {
		t.Helper()
		clock.now.Add(int64(d))
		// Two ticks of each loop: when the second begins, the timers of the first have fired.
		for range 2 {
			for _, l := range f.hub.Loops().All() {
				done := make(chan struct{})
				if !l.Post(func() { close(done) }) {
					t.Fatal("the loop is closed")
				}
				<-done
			}
		}
	}
}
