package hub

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// announceRetry is how long after a failure the rest is tried again, and announceLongest after many of them; each at
	// random within a factor of two, so that nodes do not all come when Redis is back.
	announceRetry   = time.Second
	announceLongest = 8 * time.Second
	// maxAnnounced bounds the changes of one announcement, so that a crowd makes no huge message.
	maxAnnounced = 500
	// maxUnannounced bounds the changes that wait while nodes share nothing, beside those who were here when it was last
	// begun anew. With more, this node begins anew.
	maxUnannounced = 100_000
	// maxUpdates bounds the updates of other nodes that are remembered while a room is read.
	maxUpdates = 256
)

// presenceChange is what watchers are told.
type presenceChange struct {
	Room   string    `json:"room"`
	Joined []*Sender `json:"joined"`
	Left   []*Sender `json:"left"`
}

// announcer tells the other nodes, and what they share, who is here. What it has to tell are names whose state may have
// changed; whether they are here it looks up when it tells, so that after a failure, or when a room was dropped and came
// back, the last state is what is told. Of one room one announcement is under way at a time. Any goroutine.
type announcer struct {
	hub  *Hub
	most int // maxUnannounced

	mu      sync.Mutex
	rooms   map[roomName]*unannounced // with something to tell, or under way
	waiting int                       // changes in them
	crowd   int                       // how many waited when all had to be told
	filling int                       // calls of again under way
	retry   *time.Timer               // runs while some wait after a failure
	failed  time.Duration             // how long it ran last; 0 after a success
	closed  bool
}

type roomName struct{ namespace, room string }

type unannounced struct {
	changes map[Sender]bool // whether nodes may know that it was here
	sending bool
}

// change notes names whose state may have changed, and has them told.
func (a *announcer) change(n roomName, who map[Sender]bool) {
	if len(who) == 0 {
		return
	}
	a.mu.Lock()
	u := a.addLocked(n, who)
	renew := a.filling == 0 && a.waiting > a.crowd+a.most
	if renew {
		clear(a.rooms)
		a.waiting = 0
	}
	a.mu.Unlock()
	if renew {
		a.hub.Count("presence_renewed")
		a.hub.shared.Renew()
		return
	}
	a.send(n, u)
}

func (a *announcer) addLocked(n roomName, who map[Sender]bool) *unannounced {
	u := a.rooms[n]
	if u == nil {
		u = &unannounced{changes: make(map[Sender]bool)}
		if a.rooms == nil {
			a.rooms = make(map[roomName]*unannounced)
		}
		a.rooms[n] = u
	}
	for s, known := range who {
		was, again := u.changes[s]
		if !again {
			a.waiting++
		}
		u.changes[s] = was || known
	}
	return u
}

// send tells what there is of a room, unless that is under way or waits after a failure.
func (a *announcer) send(n roomName, u *unannounced) {
	for {
		part := a.take(n, u)
		if part == nil {
			return
		}
		joined, left := a.hub.sort(n, part)
		if len(joined)+len(left) > 0 {
			a.tell(n, u, part, joined, left)
			return
		}
		a.done(n, u, nil, nil)
	}
}

// take takes a part of the changes of a room, nil when there is nothing to do now.
func (a *announcer) take(n roomName, u *unannounced) map[Sender]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || u.sending || a.rooms[n] != u || a.retry != nil {
		return nil
	}
	if len(u.changes) == 0 {
		delete(a.rooms, n)
		return nil
	}
	u.sending = true
	part := u.changes
	if len(part) > maxAnnounced {
		part = make(map[Sender]bool, maxAnnounced)
		for s, known := range u.changes {
			if len(part) == maxAnnounced {
				break
			}
			part[s] = known
			delete(u.changes, s)
		}
	} else {
		u.changes = make(map[Sender]bool)
	}
	a.waiting -= len(part)
	return part
}

// sort looks up who of these is here.
func (h *Hub) sort(n roomName, who map[Sender]bool) (joined, left []*Sender) {
	joined, left = []*Sender{}, []*Sender{}
	here := func(*Sender) bool { return false }
	if ns := h.lookup(n.namespace); ns != nil {
		if r := ns.lookupRoom(n.room); r != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			here = r.hereLocked
		}
	}
	for s, known := range who {
		switch {
		case here(&s):
			joined = append(joined, &s)
		case known:
			left = append(left, &s)
		}
	}
	slices.SortFunc(joined, compareSenders)
	slices.SortFunc(left, compareSenders)
	return joined, left
}

// hereLocked reports whether who is here on this node. The room's lock is held.
func (r *Room) hereLocked(who *Sender) bool {
	if r.watch == nil {
		return false
	}
	_, found := slices.BinarySearchFunc(r.watch.sorted, who, compareSenders)
	return found
}

func (a *announcer) tell(n roomName, u *unannounced, part map[Sender]bool, joined, left []*Sender) {
	var once sync.Once
	done := func(err error) { once.Do(func() { a.done(n, u, part, err); a.send(n, u) }) }
	payload, err := EncodeArgs(presenceEvent, presenceChange{n.room, joined, left})
	if err != nil { // such a struct always encodes
		a.hub.Count("presence_failed")
		done(nil)
		return
	}
	r := &NodeRequest{
		Op: OpEmit, Namespace: n.namespace, Rooms: []string{presenceRoom(n.room)}, Payload: payload,
		Keep: &Keep{Room: n.room, Joined: joined, Left: left, Done: done},
	}
	if _, err := a.hub.opts.Adapter.Send(r, nil); err != nil {
		a.hub.Count("adapter_failed")
		done(err)
	}
}

// done notes how it went. What may not have been told is told again.
func (a *announcer) done(n roomName, u *unannounced, part map[Sender]bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u.sending = false
	if err == nil && part != nil {
		a.failed = 0
	}
	if err == nil || a.closed || a.rooms[n] != u {
		return
	}
	a.hub.Count("presence_announce_failed")
	for s := range part {
		part[s] = true
	}
	a.addLocked(n, part)
	if a.retry == nil {
		a.failed = min(max(2*a.failed, announceRetry), announceLongest)
		a.retry = time.AfterFunc(announceWait(a.failed), a.tryAgain)
	}
}

// announceWait is at random between a half of d and d.
func announceWait(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func (a *announcer) tryAgain() {
	a.mu.Lock()
	a.retry = nil
	rooms := make(map[roomName]*unannounced, len(a.rooms))
	for n, u := range a.rooms {
		rooms[n] = u
	}
	a.mu.Unlock()
	for n, u := range rooms {
		a.send(n, u)
	}
}

// again tells everything: nodes know nothing of this one. However many are here, that is no reason to begin anew.
func (a *announcer) again() {
	a.mu.Lock()
	a.filling++
	for _, u := range a.rooms {
		for s := range u.changes {
			u.changes[s] = false
		}
	}
	a.mu.Unlock()
	for _, ns := range a.hub.Namespaces() {
		for _, r := range ns.roomList() {
			r.mu.Lock()
			var who map[Sender]bool
			if r.watch != nil && shown(r.name) {
				who = make(map[Sender]bool, len(r.watch.sorted))
				for _, s := range r.watch.sorted {
					who[*s] = false
				}
			}
			r.mu.Unlock()
			a.change(roomName{ns.name, r.name}, who)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.filling--
	a.crowd = a.waiting
}

func (a *announcer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.retry != nil {
		a.retry.Stop()
	}
}

// foreignPresence sends an update of another node on to the watchers here.
func (ns *Namespace) foreignPresence(t Target, watchers string, m *Message) {
	if r := ns.lookupRoom(strings.TrimPrefix(watchers, presencePrefix)); r != nil {
		r.telling.Lock()
		defer r.telling.Unlock()
	}
	if !ns.foreignUpdate(watchers, &m.Payload) {
		t.send(m)
	}
}

// foreignUpdate looks at an update of another node on its way to the watchers here, and reports whether there is
// nothing to send. Nobody who is here has left: that is said when another node clears away what this one had announced
// before it was cut off, or of a session that came back here.
func (ns *Namespace) foreignUpdate(watchers string, p *Payload) (nothing bool) {
	name, ok := strings.CutPrefix(watchers, presencePrefix)
	if !ok {
		return false
	}
	var u presenceChange
	parts, err := p.Split()
	if err != nil || len(parts) != 2 || json.Unmarshal(parts[1], &u) != nil || u.Room != name ||
		slices.Contains(u.Joined, nil) || slices.Contains(u.Left, nil) {
		ns.hub.Count("presence_unreadable")
		return true
	}
	r := ns.lookupRoom(name)
	if r == nil {
		return false
	}
	watched := ns.watchers(name) > 0
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := slices.DeleteFunc(slices.Clone(u.Left), r.hereLocked)
	changed := len(gone) < len(u.Left)
	u.Left = gone
	if watched {
		r.toldLocked(&u)
	} else {
		r.others = nil
	}
	if r.holds > 0 {
		if len(r.updates) == maxUpdates {
			r.updates = slices.Delete(r.updates, 0, 1)
		}
		r.updates = append(r.updates, u)
	}
	if !changed {
		return false
	}
	if len(u.Joined)+len(u.Left) == 0 {
		return true
	}
	if u.Joined == nil {
		u.Joined = []*Sender{}
	}
	own, err := EncodeArgs(presenceEvent, u)
	if err != nil {
		return true
	}
	*p = own
	return false
}

// presentMembersLocked is membersLocked for all nodes, given what they share. Who is here on this node it knows itself;
// and updates that came while that was read are newer, or will be followed by newer ones. The room's lock is held.
func (r *Room) presentMembersLocked(view *RoomView, limit int) (list []*Sender, count int) {
	own, here := r.membersLocked(limit)
	if view == nil {
		return own, here
	}
	list = own
	for _, s := range r.othersLocked(view) {
		if !r.hereLocked(s) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, compareSenders)
	count = here + len(list) - len(own)
	if len(view.Members) < view.Count { // others are not listed: nearly right
		count = max(view.Count, len(list))
	}
	return list[:min(limit, len(list))], count
}

// othersLocked are those of other nodes, by id: those whom nodes share, with the updates that came while that was read. A
// session that moves to another node may be on both for a moment. The room's lock is held.
func (r *Room) othersLocked(view *RoomView) map[string]*Sender {
	node := r.ns.hub.opts.Node
	type place struct{ id, node string }
	there := make(map[place]*Sender, len(view.Members))
	for i := range view.Members {
		if p := &view.Members[i]; p.Node != node {
			p.Sender.Node = p.Node
			there[place{p.ID, p.Node}] = &p.Sender
		}
	}
	for _, u := range r.updates {
		for _, s := range u.Joined {
			there[place{s.ID, s.Node}] = s
		}
		for _, s := range u.Left {
			if s.Node == "" { // whoever says that does not know which: it is nowhere
				maps.DeleteFunc(there, func(at place, _ *Sender) bool { return at.id == s.ID })
			}
			delete(there, place{s.ID, s.Node})
		}
	}
	others := make(map[string]*Sender, len(there))
	for at, s := range there {
		others[at.id] = s
	}
	return others
}
