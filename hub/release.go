package hub

import (
	"runtime/debug"
	"time"
)

const (
	// releaseEvery is how often the number of sessions is looked at; memory is released when it has not changed much
	// since the last look.
	releaseEvery = time.Second
	// releaseStep is by how many sessions their number must have changed since the last release, beside by a quarter.
	releaseStep = 1000
)

// release gives memory back to the system after many sessions have come or gone, until the hub closes.
func (h *Hub) release() {
	defer close(h.released)
	tick := time.NewTicker(releaseEvery)
	defer tick.Stop()
	var c calm
	for {
		select {
		case <-h.quit:
			return
		case <-tick.C:
			if c.after(h.SessionCount()) {
				debug.FreeOSMemory()
				h.Count("memory_released")
			}
		}
	}
}

// calm notices when many sessions have come or gone and it is over.
type calm struct{ last, released int }

// after takes the number of sessions now, and reports whether it is such a moment.
func (c *calm) after(n int) bool {
	changed := distance(n, c.released)
	still := distance(n, c.last) <= max(n, c.last)/50
	c.last = n
	if !still || changed < releaseStep || changed < max(n, c.released)/4 {
		return false
	}
	c.released = n
	return true
}

func distance(a, b int) int { return max(a-b, b-a) }
