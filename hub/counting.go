package hub

import "slices"

// countWatch is one who is told of every join and leave; see [Hub.WatchMembers].
type countWatch struct {
	fn func(namespace, room string, members int, joined bool)
}

// WatchMembers calls fn whenever a session on this node has joined a room, or left one, with the number of members
// that are left: a room begins with the first join, and ends with the leave that leaves none. Rooms that observers are
// not told of are not told here either. The room is locked meanwhile: fn must neither block nor call the hub back.
// cancel ends it; a call may be under way when it returns. Any goroutine. Unlike [Hub.Observe] it costs
// nothing but at these moments.
func (h *Hub) WatchMembers(fn func(namespace, room string, members int, joined bool)) (cancel func()) {
	w := &countWatch{fn}
	h.editCounts(func(list []*countWatch) []*countWatch { return append(list, w) })
	return func() {
		h.editCounts(func(list []*countWatch) []*countWatch {
			return slices.DeleteFunc(list, func(x *countWatch) bool { return x == w })
		})
	}
}

// editCounts swaps in an edited copy: nil when it is empty, which is all that a join looks at.
func (h *Hub) editCounts(edit func([]*countWatch) []*countWatch) {
	h.observersMu.Lock()
	defer h.observersMu.Unlock()
	var list []*countWatch
	if old := h.counts.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = edit(list); len(list) == 0 {
		h.counts.Store(nil)
		return
	}
	h.counts.Store(&list)
}

// tellCount says that somebody has joined, or left. The room's lock is held.
func (r *Room) tellCount(joined bool) {
	list := r.ns.hub.counts.Load()
	if list == nil || !shown(r.name) {
		return
	}
	for _, w := range *list {
		r.ns.hub.guard("a watch of members", func() { w.fn(r.ns.name, r.name, r.members, joined) })
	}
}
