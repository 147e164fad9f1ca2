package hub

import (
	"sync"
	"time"

	"greenroom/coop"
)

// meeting is where a greenlet or a goroutine waits for what happens on other loops. A goroutine blocks; a
// greenlet of the hub's loops parks, because its loop may be one of those that are waited for.
type meeting struct {
	greenlet *coop.Greenlet // who waits; nil for a goroutine
	event    coop.Event     // loop
	done     chan struct{}
	once     sync.Once
}

// newMeeting is for the caller to wait at. A callback on a loop cannot wait: [coop.ErrNotRunning].
func (h *Hub) newMeeting() (*meeting, error) {
	l := h.loops.Here()
	if l == nil {
		return &meeting{done: make(chan struct{})}, nil
	}
	g := l.Current()
	if g == nil {
		return nil, coop.ErrNotRunning
	}
	return &meeting{greenlet: g}, nil
}

// over lets the one who waits go on. Any goroutine, any number of times.
func (m *meeting) over() {
	m.once.Do(func() {
		if m.greenlet == nil {
			close(m.done)
			return
		}
		m.greenlet.Loop().Post(m.event.Set) // if the loop has ended, so has the greenlet
	})
}

// wait returns when it is over, or d later with [coop.ErrTimeout], or when the greenlet is killed.
func (m *meeting) wait(d time.Duration) error {
	if g := m.greenlet; g != nil {
		return g.WithTimeout(d, func() error { return m.event.Wait(g) })
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.done:
		return nil
	case <-t.C:
		return coop.ErrTimeout
	}
}
