package hub

import (
	"container/list"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// retained keeps the newest retained publication of each room, of all namespaces, for those who come later. It is
// bounded by number, bytes and age; what was retained the longest ago goes first. Rooms that retain nothing never
// touch it.
//
// Its lock is taken inside a room's, and held until the publication has been shown to the taps: who holds it, see
// [Hub.WithRetained], finds a publication either among the retained ones or sees it come.
type retained struct {
	mu         sync.Mutex
	namespaces map[string]*retainedNames
	order      list.List // of *Message, the longest ago first
	bytes      int

	loads []*retainedLoad // under way
}

// retainedNames are the rooms of one namespace that have a retained publication.
type retainedNames struct {
	rooms  map[string]*list.Element // in order
	sorted []string
}

// retainedOverhead is what a retained publication costs beside its payload, roughly.
const retainedOverhead = 300

// put keeps m as its room's retained publication, or, when it says nothing, no longer keeps the one before.
// mu is held.
func (k *retained) put(m *Message, nothing bool, h *Hub) {
	if len(k.loads) > 0 {
		k.came(m)
	}
	names := k.namespaces[m.Namespace]
	if names != nil {
		if at := names.rooms[m.Room]; at != nil {
			old := at.Value.(*Message)
			if m.Foreign && old.Foreign && old.epoch == m.epoch && old.count > m.count {
				return // what nodes share was ahead of what they send each other
			}
			if nothing {
				k.drop(at)
				return
			}
			k.bytes += size(m) - size(old)
			at.Value = m
			k.order.MoveToBack(at)
			k.trim(h)
			return
		}
	}
	if nothing {
		return
	}
	k.add(m)
	k.trim(h)
}

// add keeps the publication of a room that has none. mu is held.
func (k *retained) add(m *Message) {
	names := k.namespaces[m.Namespace]
	if names == nil {
		names = &retainedNames{rooms: make(map[string]*list.Element)}
		if k.namespaces == nil {
			k.namespaces = make(map[string]*retainedNames)
		}
		k.namespaces[m.Namespace] = names
	}
	names.rooms[m.Room] = k.order.PushBack(m)
	i, _ := slices.BinarySearch(names.sorted, m.Room)
	names.sorted = slices.Insert(names.sorted, i, m.Room)
	k.bytes += size(m) + retainedOverhead
}

// trim drops what is beyond the bounds. mu is held.
func (k *retained) trim(h *Hub) {
	o := &h.opts
	k.expire(h)
	for k.order.Len() > o.MaxRetained || k.bytes > o.RetainedBytes {
		reason := "retained_full"
		if k.bytes > o.RetainedBytes {
			reason = "retained_bytes_full"
		}
		h.Count(reason)
		k.drop(k.order.Front())
	}
}

// expire drops what is too old. mu is held.
func (k *retained) expire(h *Hub) {
	if k.order.Len() == 0 {
		return
	}
	now := h.now()
	for at := k.order.Front(); at != nil && tooOld(at.Value.(*Message), now, h.opts.RetainedTTL); at = k.order.Front() {
		h.Count("retained_expired")
		k.drop(at)
	}
}

func tooOld(m *Message, now time.Time, ttl time.Duration) bool { return ttl > 0 && now.Sub(m.At) > ttl }

func (k *retained) drop(at *list.Element) {
	m := k.order.Remove(at).(*Message)
	k.bytes -= size(m) + retainedOverhead
	names := k.namespaces[m.Namespace]
	delete(names.rooms, m.Room)
	if i, found := slices.BinarySearch(names.sorted, m.Room); found {
		names.sorted = slices.Delete(names.sorted, i, i+1)
	}
	if len(names.rooms) == 0 {
		delete(k.namespaces, m.Namespace)
	}
}

// get is a room's retained publication, or nil. mu is held.
func (k *retained) get(namespace, room string) *Message {
	if names := k.namespaces[namespace]; names != nil {
		if at := names.rooms[room]; at != nil {
			return at.Value.(*Message)
		}
	}
	return nil
}

// lockedGet is get that takes the lock, inside a room's perhaps.
func (k *retained) lockedGet(h *Hub, namespace, room string) *Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(h)
	return k.get(namespace, room)
}

// RetainedView is what a hub retains, as it is while [Hub.WithRetained] runs.
type RetainedView struct{ kept *retained }

// Namespaces lists those in which something is retained, in no order.
func (v RetainedView) Namespaces() []string {
	names := make([]string, 0, len(v.kept.namespaces))
	for name := range v.kept.namespaces {
		names = append(names, name)
	}
	return names
}

// Messages are the retained publications of the rooms whose names start with prefix, by name.
func (v RetainedView) Messages(namespace, prefix string) iter.Seq[*Message] {
	return func(yield func(*Message) bool) {
		names := v.kept.namespaces[namespace]
		if names == nil {
			return
		}
		i, _ := slices.BinarySearch(names.sorted, prefix)
		for ; i < len(names.sorted) && strings.HasPrefix(names.sorted[i], prefix); i++ {
			if !yield(names.rooms[names.sorted[i]].Value.(*Message)) {
				return
			}
		}
	}
}

// WithRetained calls fn while nothing is retained anew. A tap that is told of a new listener by fn has no gap and
// no double: what is in the view was shown to the taps before, all that is not will be. fn must be short, must not
// call the hub back, and may take the locks that the tap takes. Any goroutine that is not a tap.
func (h *Hub) WithRetained(fn func(RetainedView)) {
	k := &h.retained
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(h)
	fn(RetainedView{k})
}

// Retained lists the retained publications of a namespace's rooms whose names start with prefix, by name, at most
// limit. The messages are immutable. Any goroutine.
func (h *Hub) Retained(namespace, prefix string, limit int) []*Message {
	var found []*Message
	h.WithRetained(func(v RetainedView) {
		for m := range v.Messages(namespace, prefix) {
			if len(found) >= limit {
				return
			}
			found = append(found, m)
		}
	})
	return found
}

// RoomState is how far a room was at one moment, see [Hub.SnapshotRooms].
type RoomState struct {
	Room     string
	Epoch    string   // of this process, see [Hub.Epoch]
	Seq      uint64   // of the room's last publication
	Members  int      // on this node
	Retained *Message // the room's retained publication, or nil; read-only
}

// SnapshotRooms tells, for the rooms of a namespace whose names start with prefix, by name and at most limit, how
// far they are and what they retain. more says that there were others. Each room is looked at in one moment: a
// publication is in the state of its room exactly when its seq is not above that of the state. So who listens
// first, asks then, and leaves out what has a seq up to the state's, misses nothing and has nothing twice.
// Rooms that have neither members, history nor a retained publication are not listed: what comes of them is new,
// unless it came before the answer. Any goroutine.
func (h *Hub) SnapshotRooms(namespace, prefix string, limit int) (rooms []RoomState, more bool) {
	return h.SnapshotPage(namespace, prefix, "", limit, nil)
}

// SnapshotPage is SnapshotRooms for the rooms whose names come behind after and, unless it is nil, are wanted: the
// others count for neither limit nor more. wanted must not call the hub back.
func (h *Hub) SnapshotPage(namespace, prefix, after string, limit int, wanted func(room string) bool) (rooms []RoomState, more bool) {
	names := make(map[string]struct{})
	add := func(name string) {
		if name > after && (wanted == nil || wanted(name)) {
			names[name] = struct{}{}
		}
	}
	h.WithRetained(func(v RetainedView) {
		for m := range v.Messages(namespace, prefix) {
			add(m.Room)
		}
	})
	ns := h.lookup(namespace)
	if ns != nil {
		ns.mu.RLock()
		for name := range ns.rooms {
			if shown(name) && strings.HasPrefix(name, prefix) {
				add(name)
			}
		}
		ns.mu.RUnlock()
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if len(rooms) >= limit {
			return rooms, true
		}
		if state, ok := h.roomState(ns, namespace, name); ok {
			rooms = append(rooms, state)
		}
	}
	return rooms, false
}

// roomState reports false when there is nothing to say of the room any more.
func (h *Hub) roomState(ns *Namespace, namespace, name string) (RoomState, bool) {
	s := RoomState{Room: name, Epoch: h.epoch}
	if ns != nil {
		for r := ns.lookupRoom(name); r != nil; r = ns.lookupRoom(name) {
			r.mu.Lock()
			if r.dead { // it was dropped between the look-up and the lock
				r.mu.Unlock()
				continue
			}
			defer r.mu.Unlock()
			s.Seq, s.Members = r.seq, r.members
			s.Retained = h.retained.lockedGet(h, namespace, name)
			return s, true
		}
	}
	if s.Retained = h.retained.lockedGet(h, namespace, name); s.Retained == nil {
		return s, false
	}
	s.Seq = s.Retained.Seq
	return s, true
}

// Epoch names this run of the hub: 8 characters, not a secret. Within an epoch the Seq of a room's publications
// only grows.
func (h *Hub) Epoch() string { return h.epoch }

// retainLocked is publishLocked for what is to be retained. The room's lock is held.
func (r *Room) retainLocked(m *Message, d *delivery) {
	h := r.ns.hub
	nothing := m.Payload.saysNothing(m.Event)
	h.retained.mu.Lock()
	defer h.retained.mu.Unlock()
	r.publishLocked(m, d)
	h.retained.put(m, nothing, h)
}

// saysNothing reports whether there are no arguments, or null alone.
func (p Payload) saysNothing(event string) bool {
	rest := string(p.JSON[len(appendString(make([]byte, 0, 64), event))+1:])
	return rest == "]" || rest == ",null]"
}
