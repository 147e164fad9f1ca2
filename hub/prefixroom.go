package hub

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"greenroom/internal/prefix"
)

// prefixMark stands before the prefix in the name of a prefix room. No other room can be called so: the
// application's have no NUL, and clients' do not begin with "$".
const prefixMark = "$prefix\x00"

func isPrefixRoom(name string) bool { return strings.HasPrefix(name, prefixMark) }

// covers reports whether the members of a prefix room hear a room.
func covers(prefix, room string) bool { return strings.HasPrefix(room, prefix) && shown(room) }

// prefixRooms are a namespace's rooms whose members hear every room with a certain prefix. Each is a [Room] with
// members and no messages of its own: a message of a room takes a place in each prefix room that covers it, too, and
// so to each of their members, in the room's order. They are in no other map, so that nobody can address one.
//
// mu is taken inside a room's lock to find them, and then, or without one, around a prefix room's own. The locks of
// several prefix rooms are taken in the order of their names, behind those of other rooms.
type prefixRooms struct {
	used atomic.Int64 // prefix rooms; all that a message looks at while there are none

	mu   sync.RWMutex
	tree prefix.Tree[*Room]
}

// match finds the prefix rooms that cover a room, in the order of their names.
func (x *prefixRooms) match(room string) (found []*Room) {
	if x.used.Load() == 0 || !shown(room) {
		return nil
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	m := x.tree.Matches(room)
	for p := m.Next(); p != nil; p = m.Next() {
		found = append(found, *p)
	}
	return found
}

// matchAny finds those that cover any of several rooms, in the order of their names.
func (x *prefixRooms) matchAny(rooms []string) (found []*Room) {
	if x.used.Load() == 0 {
		return nil
	}
	for _, room := range rooms {
		found = append(found, x.match(room)...)
	}
	slices.SortFunc(found, func(a, b *Room) int { return strings.Compare(a.name, b.name) })
	return slices.Compact(found)
}

// lock returns the room of a prefix, made if need be, with its lock held.
func (x *prefixRooms) lock(ns *Namespace, prefix string) *Room {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.tree.Add(prefix)
	if *p == nil {
		*p = newRoom(ns, prefixMark+prefix)
		x.used.Add(1)
	}
	r := *p
	r.mu.Lock()
	return r
}

// drop forgets a prefix room that has no members any more.
func (x *prefixRooms) drop(r *Room) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.members == 0 && !r.dead {
		r.dead = true
		x.tree.Remove(r.name[len(prefixMark):])
		x.used.Add(-1)
	}
}

// sequenceWide is sequence for a message that prefix rooms get as well. The room's lock is held.
func (r *Room) sequenceWide(m *Message, d *delivery, wide []*Room) {
	d.parts = append(make([]part, 0, 1+len(wide)), part{room: r, offset: r.offset})
	for _, p := range wide {
		p.mu.Lock()
		defer p.mu.Unlock()
		d.widen(p)
	}
	d.frame = d.frameFor(m, nil, r.names())
	d.post(r.ns.hub, func(loop int) bool {
		wanted := r.wanted(loop)
		for _, p := range wide {
			wanted = p.wanted(loop) || wanted
		}
		return wanted
	})
	r.ns.hub.tapped(m)
}

// widen gives a message its place in a prefix room, whose lock is held.
func (d *delivery) widen(p *Room) {
	p.offset = d.place(p)
	d.parts = append(d.parts, part{room: p, offset: p.offset})
}

// emitAway sends m to those who hear a room that does not exist here. It exists meanwhile, so that its messages keep
// their order.
func (ns *Namespace) emitAway(room string, m *Message, d *delivery) {
	ns.drop(func() []*Room {
		r := ns.lockRoom(room)
		defer r.mu.Unlock()
		r.sequence(m, d)
		return r.emptiedLocked(r.ns.hub.now())
	}())
}

// JoinPrefix has the client get, from now on, every message to a room of the namespace whose name starts with
// prefix, as if it were in that room: in the room's order, once even if it is in the room or has joined other
// prefixes of it, and without what [Target.Except] or the sender leaves out. The rooms do not count it as a member:
// it is not present there, is not asked and gets no list of them, and what is addressed to their members by other
// means than a message does not reach it. Rooms starting with "$" are covered by no prefix, nor are sessions' own.
// Errors: [*Error] when prefix could not begin a room's name, [ErrTooManyPrefixes], [ErrGone].
func (s *Session) JoinPrefix(prefix string) error {
	if err := CheckRoom(prefix); err != nil {
		return err
	}
	if !s.Connected() {
		return ErrGone
	}
	if s.slot(prefixMark+prefix) >= 0 {
		return nil
	}
	if most := s.ns.hub.opts.MaxPrefixes; most > 0 && len(s.Prefixes()) >= most {
		s.ns.hub.Count("session_prefixes_full")
		return ErrTooManyPrefixes
	}
	r, _ := s.lockedIn(prefixMark + prefix)
	r.mu.Unlock()
	return nil
}

// LeavePrefix ends what [Session.JoinPrefix] has begun. As with [Session.Leave], messages sequenced before still come.
func (s *Session) LeavePrefix(prefix string) {
	name := prefixMark + prefix
	if s.ticket != nil && !s.accepted {
		s.ns.recovery.exit(s, name)
	}
	if i := s.slot(name); i >= 0 {
		s.leave(i)
	}
}

// Prefixes lists the prefixes that the session has joined.
func (s *Session) Prefixes() (list []string) {
	for _, m := range s.rooms {
		if prefix, ok := strings.CutPrefix(m.room.name, prefixMark); ok {
			list = append(list, prefix)
		}
	}
	return list
}

// hearsPrefixOf reports whether the session hears a room by a prefix.
func (s *Session) hearsPrefixOf(room string) bool {
	return slices.ContainsFunc(s.rooms, func(m membership) bool {
		prefix, ok := strings.CutPrefix(m.room.name, prefixMark)
		return ok && strings.HasPrefix(room, prefix)
	})
}

// WatchPrefixes is [Hub.WatchRooms] for prefixes: fn is called when the first session on this node joins a prefix,
// with live true, and when the last has left it. Prefixes that are joined already are told before WatchPrefixes returns.
func (h *Hub) WatchPrefixes(fn func(namespace, prefix string, live bool)) (cancel func()) {
	w := &roomWatch{fn: fn}
	h.editPrefixWatches(func(list []*roomWatch) []*roomWatch { return append(list, w) })
	for _, ns := range h.Namespaces() {
		for _, r := range ns.prefixes.all() {
			r.mu.Lock()
			if r.members > 0 {
				h.guard("a watch of prefixes", func() { fn(ns.name, r.name[len(prefixMark):], true) })
			}
			r.mu.Unlock()
		}
	}
	return func() {
		h.editPrefixWatches(func(list []*roomWatch) []*roomWatch {
			return slices.DeleteFunc(list, func(x *roomWatch) bool { return x == w })
		})
	}
}

func (x *prefixRooms) all() (list []*Room) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, p := range x.tree.All() {
		list = append(list, *p)
	}
	return list
}

func (h *Hub) editPrefixWatches(edit func([]*roomWatch) []*roomWatch) {
	h.observersMu.Lock()
	defer h.observersMu.Unlock()
	var list []*roomWatch
	if old := h.prefixWatches.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = edit(list)
	h.prefixWatches.Store(&list)
}

// tellPrefix says whether a prefix room has members now. Its lock is held.
func (r *Room) tellPrefix(live bool) {
	list := r.ns.hub.prefixWatches.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		r.ns.hub.guard("a watch of prefixes", func() { w.fn(r.ns.name, r.name[len(prefixMark):], live) })
	}
}

// joinPrefix serves a join with the option prefix. name may end in "*".
func (r *relay) joinPrefix(ev *Event, name string, retained bool) error {
	s, prefix := r.s, strings.TrimSuffix(name, "*")
	if r.opts.MayJoinPrefix == nil {
		return refusal("forbidden", "prefixes cannot be joined here")
	}
	if len(prefix) < r.opts.MinPrefix {
		s.ns.hub.Count("relay_prefix_too_short")
		return refusal("prefix_too_short", "a prefix has %d bytes at least", r.opts.MinPrefix)
	}
	if err := r.opts.MayJoinPrefix(s, prefix); err != nil {
		if own := (*Error)(nil); errors.As(err, &own) {
			return own
		}
		return refusal("forbidden", "%v", err)
	}
	if !s.Connected() {
		return ErrGone
	}
	if joined := s.Prefixes(); len(joined) >= r.opts.MaxPrefixes && !slices.Contains(joined, prefix) {
		s.ns.hub.Count("relay_too_many_prefixes")
		return refusal("too_many_prefixes", "%d prefixes joined already", len(joined))
	}
	h := s.ns.hub
	if !retained || h.shared == nil {
		return r.enterPrefix(ev, prefix, retained)
	}
	cancel := h.Want(s.ns.name, prefix) // what comes after it was read comes here
	r.start = h.retainedLoader(s.ns.name, prefix, "", r.opts.MaxMessages)
	r.then = func() error {
		defer cancel()
		if !s.Connected() {
			return ErrGone
		}
		return r.enterPrefix(ev, prefix, true)
	}
	return nil
}

// enterPrefix has the session hear a prefix, in one moment with what is retained.
func (r *relay) enterPrefix(ev *Event, prefix string, retained bool) error {
	s := r.s
	var kept []*Message
	var err error
	join := func(v RetainedView) {
		if err = s.JoinPrefix(prefix); err != nil || !retained {
			return
		}
		for m := range v.Messages(s.ns.name, prefix) {
			if len(kept) == r.opts.MaxMessages {
				return
			}
			kept = append(kept, m)
		}
	}
	if retained { // held still: what is retained later comes as a message
		s.ns.hub.WithRetained(join)
	} else {
		join(RetainedView{})
	}
	if err != nil {
		return err
	}
	answer := map[string]any{"ok": true}
	if retained {
		list, err := objects(fitting(kept, false, maxBinary))
		if err != nil {
			return err
		}
		answer["retained"] = list
	}
	return ev.Ack(answer)
}
