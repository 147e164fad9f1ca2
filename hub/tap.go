package hub

import "slices"

// tap sees every room message; see [Hub.Tap].
type tap struct{ fn func(*Message) }

// TapWanted is [Hub.Tap] for one who says by [Hub.Want] what it wants to hear. Where an [Adapter] does not bring every
// message of other nodes, it brings those; messages of this node are all shown.
func (h *Hub) TapWanted(fn func(*Message)) (cancel func()) {
	t := &tap{fn}
	h.editTaps(func(taps []*tap) []*tap { return append(taps, t) })
	return func() {
		h.editTaps(func(taps []*tap) []*tap { return slices.DeleteFunc(taps, func(x *tap) bool { return x == t }) })
	}
}

// Tap calls fn with every message that a room sequences, in the room's order, from whichever
// goroutine publishes. The room is locked meanwhile: fn must neither block nor call the hub back,
// and must not modify the message. cancel ends it; a call may be under way when cancel returns.
func (h *Hub) Tap(fn func(*Message)) (cancel func()) {
	forget, untap := h.Want("", ""), h.TapWanted(fn)
	return func() {
		untap()
		forget()
	}
}

// editTaps swaps in an edited copy, so that publishers read the list without a lock.
func (h *Hub) editTaps(edit func([]*tap) []*tap) {
	h.tapsMu.Lock()
	defer h.tapsMu.Unlock()
	var next []*tap
	if old := h.taps.Load(); old != nil {
		next = append(next, *old...)
	}
	next = edit(next)
	h.taps.Store(&next)
}

func (h *Hub) tapped(m *Message) {
	if m.Room == "" {
		return
	}
	if taps := h.taps.Load(); taps != nil {
		for _, t := range *taps {
			t.fn(m)
		}
	}
}

// tapUnroomed shows the taps a message for a room that does not exist here, so that subscribers
// outside hear rooms without members too.
func (h *Hub) tapUnroomed(m *Message, room string) {
	if taps := h.taps.Load(); taps != nil && len(*taps) > 0 {
		own := *m
		own.Room = room
		h.tapped(&own)
	}
}
