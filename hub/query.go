package hub

import (
	"cmp"
	"slices"
	"strings"

	"greenroom/coop"
)

// RoomInfo is what [Namespace.RoomPage] tells about a room.
type RoomInfo struct {
	Name    string
	Members int // on this node
}

// RoomPage lists up to limit of the rooms that [Namespace.Rooms] lists, by name: those that start with prefix, come
// behind after and, unless it is nil, are wanted. wanted must not call the hub back. It costs a look at every room.
func (ns *Namespace) RoomPage(prefix, after string, limit int, wanted func(room string) bool) []RoomInfo {
	names := firsts[string]{limit: limit, compare: strings.Compare}
	ns.mu.RLock()
	for name := range ns.rooms {
		if shown(name) && name > after && strings.HasPrefix(name, prefix) && (wanted == nil || wanted(name)) {
			names.add(name)
		}
	}
	ns.mu.RUnlock()
	list := make([]RoomInfo, 0, limit)
	for _, name := range names.list() {
		if r := ns.lookupRoom(name); r != nil {
			r.mu.Lock()
			list = append(list, RoomInfo{name, r.members})
			r.mu.Unlock()
		}
	}
	return list
}

// SessionPage lists up to limit of a room's members on this node, by id, those behind after; of all sessions when
// room is "". It waits for each loop as [Target.Sessions] does, with the same errors, and costs a look at every member.
func (ns *Namespace) SessionPage(room, after string, limit int) ([]Snapshot, error) {
	r := ns.all
	if room != "" {
		if r = ns.lookupRoom(room); r == nil {
			return nil, nil
		}
	}
	m, err := ns.hub.newMeeting()
	if err != nil {
		return nil, err
	}
	g := newGather(ns.hub, m.over)
	for _, l := range ns.hub.loops.All() {
		g.begin()
		if !l.Post(func() { g.page(l, r, after, limit) }) {
			g.step()
		}
	}
	g.step()
	err = g.wait(m, defaultWithin)
	slices.SortFunc(g.sessions, func(a, b Snapshot) int { return cmp.Compare(a.ID, b.ID) })
	return g.sessions[:min(limit, len(g.sessions))], err
}

// page gathers the first members of a room on l.
func (g *gather) page(l *coop.Loop, r *Room, after string, limit int) {
	members := firsts[*Session]{limit: limit, compare: func(a, b *Session) int { return strings.Compare(a.id, b.id) }}
	for _, m := range r.shards[l.ID()].members {
		if s := m.session; s.id > after && s.accepted && s.Connected() {
			members.add(s)
		}
	}
	var found []Snapshot
	for _, s := range members.list() {
		found = append(found, s.Snapshot())
	}
	g.mu.Lock()
	if !g.closed {
		g.sessions = append(g.sessions, found...)
	}
	g.mu.Unlock()
	g.step()
}

// History returns up to limit publications of a room, oldest first: the newest ones, or, given the id of one that the
// caller has, the first ones after it; complete is false when some of those between are lost, or may be. The messages
// are immutable. Their payloads end with the meta object. Where nodes share what rooms have ([SharedRooms]) it asks for
// that, and waits for two seconds at most; without an answer, or on a loop outside of greenlets, it knows what this
// node has heard.
func (ns *Namespace) History(room, after string, limit int) (messages []*Message, complete bool) {
	limit = max(0, limit)
	if ns.hub.shared != nil {
		query := ns.historyQuery(after, limit)
		ns.readNow(room, query, func(r *Room, view *RoomView) {
			messages, complete = r.historyLocked(view, after, limit)
		})
		return messages, complete
	}
	r := ns.lookupRoom(room)
	if r == nil {
		return nil, after == ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.history.last(limit, after)
}

// Present lists up to limit of those who have said that they are in a room, as clients of [Relay] do, by name, and how
// many there are: on all nodes where they share that, as [Namespace.History] does.
func (ns *Namespace) Present(room string, limit int) (members []*Sender, count int) {
	if ns.hub.shared != nil {
		ns.readNow(room, RoomQuery{Members: max(1, limit)}, func(r *Room, view *RoomView) {
			members, count = r.presentMembersLocked(view, limit)
		})
		return members, count
	}
	r := ns.lookupRoom(room)
	if r == nil {
		return []*Sender{}, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.membersLocked(limit)
}

// firsts keeps the first of many in order, and never holds more than twice as many.
type firsts[T any] struct {
	limit   int
	compare func(a, b T) int
	kept    []T
	full    bool // what does not come before the last of kept[:limit] is not wanted
}

func (f *firsts[T]) add(v T) {
	if f.limit <= 0 || f.full && f.compare(v, f.kept[f.limit-1]) >= 0 {
		return
	}
	f.kept = append(f.kept, v)
	if len(f.kept) >= 2*f.limit {
		f.cut()
	}
}

func (f *firsts[T]) cut() {
	slices.SortFunc(f.kept, f.compare)
	if len(f.kept) >= f.limit {
		f.full = true
		clear(f.kept[f.limit:])
		f.kept = f.kept[:f.limit]
	}
}

func (f *firsts[T]) list() []T {
	f.cut()
	return f.kept
}

// Find returns the namespace called name, or nil: it creates none.
func (h *Hub) Find(name string) *Namespace { return h.lookup(name) }

// HasRoom reports whether a room called name has members on this node, or history.
func (ns *Namespace) HasRoom(name string) bool { return ns.lookupRoom(name) != nil }
