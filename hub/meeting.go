package hub

import (
	"cmp"
	"fmt"
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

// errPart tells the end of a part from a time-out of the caller's own.
var errPart = fmt.Errorf("waiting for other nodes: %w", coop.ErrTimeout)

// waitParts is wait that does not trust the clock: of a process that was stopped it says that it has waited for long, and the
// answer lies there.
func (m *meeting) waitParts(d time.Duration) (err error) {
	const parts = 4
	for range parts {
		if err = m.waitOr(d/parts, errPart); err != errPart {
			break
		}
	}
	return err
}

// wait returns when it is over, or d later with [coop.ErrTimeout], or when the greenlet is killed.
func (m *meeting) wait(d time.Duration) error { return m.waitOr(d, nil) }

// waitOr is wait with an error of the caller's.
func (m *meeting) waitOr(d time.Duration, late error) error {
	if g := m.greenlet; g != nil {
		return g.WithTimeoutError(d, late, func() error { return m.event.Wait(g) })
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-m.done:
		return nil
	case <-t.C:
		return cmp.Or(late, coop.ErrTimeout)
	}
}
