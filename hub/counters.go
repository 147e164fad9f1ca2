package hub

import (
	"sync"
	"sync/atomic"
)

// counters count by reason. Reasons are constants of our code, so the map stays small.
type counters struct {
	m sync.Map // string → *atomic.Uint64
}

func (c *counters) add(reason string, n uint64) {
	v, ok := c.m.Load(reason)
	if !ok {
		v, _ = c.m.LoadOrStore(reason, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Add(n)
}

// Count adds one to the counter named reason: a refusal, a drop, a bad input. Any goroutine.
// reason must be a constant, never something that a client sent.
func (h *Hub) Count(reason string) { h.counters.add(reason, 1) }

// Counters returns a copy of all counters that have been used. Any goroutine.
func (h *Hub) Counters() map[string]uint64 {
	out := make(map[string]uint64)
	h.counters.m.Range(func(k, v any) bool {
		out[k.(string)] = v.(*atomic.Uint64).Load()
		return true
	})
	return out
}
