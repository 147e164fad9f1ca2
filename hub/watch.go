package hub

import "slices"

// roomWatch is one who is told which rooms have members; see [Hub.WatchRooms].
type roomWatch struct {
	fn  func(namespace, room string, live bool)
	own bool // the hub's own rooms are told too
}

// WatchRooms calls fn when a room gets its first member on this node, with live true, and when it loses its last.
// Rooms that have members already are told before WatchRooms returns; one that changes meanwhile may be told twice,
// in the end rightly. The rooms that observers are not told of are not told here either. Any goroutine. The room is
// locked meanwhile: fn must neither block nor call the hub back. cancel ends it; a call may be under way when it
// returns. Unlike [Hub.Observe] it costs nothing but at these two moments of a room's life.
func (h *Hub) WatchRooms(fn func(namespace, room string, live bool)) (cancel func()) {
	return h.watchRooms(&roomWatch{fn: fn})
}

func (h *Hub) watchRooms(w *roomWatch) (cancel func()) {
	h.editWatches(func(list []*roomWatch) []*roomWatch { return append(list, w) })
	for _, ns := range h.Namespaces() {
		for _, r := range ns.roomList() {
			if w.own || shown(r.name) {
				r.tell(w)
			}
		}
	}
	return func() {
		h.editWatches(func(list []*roomWatch) []*roomWatch {
			return slices.DeleteFunc(list, func(x *roomWatch) bool { return x == w })
		})
	}
}

// tell tells one watch that the room has members, if it has.
func (r *Room) tell(w *roomWatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members > 0 {
		r.ns.hub.guard("a watch of rooms", func() { w.fn(r.ns.name, r.name, true) })
	}
}

// editWatches swaps in an edited copy, so that rooms read the list without a lock.
func (h *Hub) editWatches(edit func([]*roomWatch) []*roomWatch) {
	h.observersMu.Lock()
	defer h.observersMu.Unlock()
	var list []*roomWatch
	if old := h.watches.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = edit(list)
	h.watches.Store(&list)
}

// tellLive says whether the room has members now. The room's lock is held.
func (r *Room) tellLive(live bool) {
	if isPrefixRoom(r.name) {
		r.tellPrefix(live)
		return
	}
	list := r.ns.hub.watches.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		if !w.own && !shown(r.name) {
			continue
		}
		r.ns.hub.guard("a watch of rooms", func() { w.fn(r.ns.name, r.name, live) })
	}
}
