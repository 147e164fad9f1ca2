package hub

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// RetainedQuery says which rooms' retained publications are wanted: those of the first Limit rooms, by name, that start
// with Prefix and come behind After, and of those in Also.
type RetainedQuery struct {
	Prefix, After string
	Limit         int
	Bytes         int // so much of them, roughly
	Also          []string
}

// RetainedRoom is what nodes share of a room, as far as it retains something. Of one in [RetainedQuery].Also it may be
// nothing.
type RetainedRoom struct {
	Room     string
	Retained *KeptPublication
	Ended    bool
	Last     map[string]uint64 // as in [RoomView], like the two above
}

// retainedLoad is what is being read of what nodes share. What comes meanwhile is newer, or will be followed by it.
type retainedLoad struct {
	namespace string
	query     RetainedQuery
	touched   map[string]bool // rooms in which something came
	over      bool            // it was read, or too much came
}

// LoadRetained has this node know what is retained in the rooms of a namespace whose names start with prefix and come
// behind after, the first limit of them, also where it was published on other nodes and did not come here, because nobody
// has heard it. Where nodes share nothing it does nothing; else it waits for two seconds at most, and without an answer,
// or on a loop outside of greenlets, what this node has heard is all. Any goroutine.
func (h *Hub) LoadRetained(namespace, prefix, after string, limit int) {
	if h.shared != nil {
		_ = h.await(h.retainedLoader(namespace, prefix, after, limit)) // what has come, has come
	}
}

// BeginLoadRetained is LoadRetained for a goroutine that has more to do meanwhile: it returns what waits.
func (h *Hub) BeginLoadRetained(namespace, prefix, after string, limit int) (wait func()) {
	if h.shared == nil {
		return func() {}
	}
	m := &meeting{done: make(chan struct{})}
	began := time.Now()
	h.retainedLoader(namespace, prefix, after, limit)(m.over)
	return func() { _ = m.wait(sharedPatience - time.Since(began)) }
}

// retainedLoader is what [Hub.await] waits for.
func (h *Hub) retainedLoader(namespace, prefix, after string, limit int) (start func(over func())) {
	return func(over func()) {
		l := h.retained.begin(namespace, RetainedQuery{Prefix: prefix, After: after, Limit: max(1, limit), Bytes: h.opts.RetainedBytes})
		h.shared.ReadRetained(namespace, l.query, func(rooms []RetainedRoom, err error) {
			if err != nil {
				h.Count("shared_read_failed")
			}
			h.loaded(l, rooms)
			over()
		})
	}
}

// loaded takes what was read.
func (h *Hub) loaded(l *retainedLoad, rooms []RetainedRoom) {
	ns := h.lookup(l.namespace)
	k := &h.retained
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.over {
		return
	}
	if k.end(l); ns == nil {
		return
	}
	var fresh []*Message
	for i := range rooms {
		r := &rooms[i]
		if l.touched[r.Room] || CheckRoom(r.Room) != nil {
			continue
		}
		l.touched[r.Room] = true // once each
		own := k.get(l.namespace, r.Room)
		if own != nil && !h.outdated(own, r) {
			continue
		}
		m := ns.messageOf(r.Room, r.Retained)
		if own != nil && own.alone && !newer(m, own) {
			continue
		}
		switch {
		case m != nil && m.ID != "" && !tooOld(m, h.now(), h.opts.RetainedTTL):
			fresh = append(fresh, m)
		case r.Ended && own != nil:
			k.drop(k.namespaces[l.namespace].rooms[r.Room])
		}
	}
	k.insert(fresh)
	k.trim(h)
}

// outdated reports whether what nodes share takes the place of what this node has heard: unless they have not kept that
// yet, or know nothing of the room, as when what they share was lost.
func (h *Hub) outdated(own *Message, r *RetainedRoom) bool {
	if r.Retained == nil && !r.Ended || r.Retained != nil && r.Retained.ID == own.ID {
		return false
	}
	epoch, seq := own.origin(h)
	last, known := r.Last[epoch]
	return own.alone || !known || seq <= last
}

// newer reports whether m, which nodes share, came after one that is for this node alone: its number says nothing of that,
// since they do not keep it.
func newer(m, alone *Message) bool { return m != nil && m.At.After(alone.At) }

// begin notes that something is being read, and adds to the question what this node has.
func (k *retained) begin(namespace string, q RetainedQuery) *retainedLoad {
	k.mu.Lock()
	defer k.mu.Unlock()
	if names := k.namespaces[namespace]; names != nil {
		i, _ := slices.BinarySearch(names.sorted, max(q.Prefix, q.After))
		for _, name := range names.sorted[i:] {
			if !strings.HasPrefix(name, q.Prefix) || len(q.Also) == q.Limit {
				break
			}
			if name > q.After {
				q.Also = append(q.Also, name)
			}
		}
	}
	l := &retainedLoad{namespace: namespace, query: q, touched: make(map[string]bool)}
	k.loads = append(k.loads, l)
	return l
}

// came notes that a room retains something else from now on. mu is held.
func (k *retained) came(m *Message) {
	k.loads = slices.DeleteFunc(k.loads, func(l *retainedLoad) bool {
		if l.namespace == m.Namespace && strings.HasPrefix(m.Room, l.query.Prefix) {
			l.touched[m.Room] = true
		}
		l.over = len(l.touched) > maxTouched
		return l.over
	})
}

// maxTouched bounds what is remembered while an answer is waited for that may never come.
const maxTouched = 100_000

// end forgets what is being read. mu is held.
func (k *retained) end(l *retainedLoad) {
	l.over = true
	k.loads = slices.DeleteFunc(k.loads, func(x *retainedLoad) bool { return x == l })
}

// insert puts publications where their age belongs, in one walk. mu is held.
func (k *retained) insert(fresh []*Message) {
	for _, m := range fresh {
		if names := k.namespaces[m.Namespace]; names != nil && names.rooms[m.Room] != nil {
			k.drop(names.rooms[m.Room])
		}
	}
	slices.SortFunc(fresh, func(a, b *Message) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(b.Room, a.Room)) })
	before := k.order.Back()
	for _, m := range fresh {
		for before != nil && before.Value.(*Message).At.After(m.At) {
			before = before.Prev()
		}
		k.add(m)
		if at := k.namespaces[m.Namespace].rooms[m.Room]; before == nil {
			k.order.MoveToFront(at)
		} else {
			k.order.MoveAfter(at, before)
		}
	}
}
