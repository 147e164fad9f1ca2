package hub

import (
	"slices"
	"strings"
	"time"
)

// presenceDelay gathers joins and leaves: a room that thousands enter at once sends few updates.
const presenceDelay = 50 * time.Millisecond

// presenceEvent is the event that tells watchers about it. Nobody can publish it.
const presenceEvent = "presence"

// presence is who is in a room, kept from the first time that somebody says so (Relay does) until
// nobody is left. Guarded by the room's lock.
type presence struct {
	members map[string]*Sender // by session id
	sorted  []*Sender          // the same, by name: a list of the first few costs no more in a large room
	changed map[string]*Sender // since the last update: who joined or left, whichever is true now
	told    map[string]bool    // for those in changed: whether watchers know them as members
	listed  bool               // since then a list was given out, whose reader may know of changes between
	pending bool               // an update is on its way
}

func (p *presence) add(who *Sender) {
	p.members[who.ID] = who
	i, _ := slices.BinarySearchFunc(p.sorted, who, compareSenders)
	p.sorted = slices.Insert(p.sorted, i, who)
}

func (p *presence) remove(who *Sender) {
	delete(p.members, who.ID)
	if i, found := slices.BinarySearchFunc(p.sorted, who, compareSenders); found {
		p.sorted = slices.Delete(p.sorted, i, i+1)
	}
}

// presenceRoom is the room of those who want updates on who is in a room.
func presenceRoom(room string) string { return presencePrefix + room }

const presencePrefix = "$presence:"

// presentLocked notes that s, a member, is here as who, whose ID is the session's. The room's lock is
// held.
func (r *Room) presentLocked(s *Session, who *Sender) {
	if r.watch == nil {
		r.watch = &presence{
			members: make(map[string]*Sender), changed: make(map[string]*Sender), told: make(map[string]bool),
		}
	}
	if r.watch.members[s.id] != nil {
		return
	}
	r.watch.note(s.id, who, false)
	r.watch.add(who)
	r.scheduleLocked(s)
}

// absent notes that s has left. No locks are held; on s's loop.
func (r *Room) absent(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil {
		return
	}
	if who := r.watch.members[s.id]; who != nil {
		r.watch.note(s.id, who, true)
		r.watch.remove(who)
		r.scheduleLocked(s)
	}
}

// note records a change; was says whether the session was a member before it.
func (p *presence) note(id string, who *Sender, was bool) {
	if _, again := p.changed[id]; !again {
		p.told[id] = was
	}
	p.changed[id] = who
}

// scheduleLocked makes sure that an update follows. The room's lock is held; on s's loop.
func (r *Room) scheduleLocked(s *Session) {
	if !r.watch.pending {
		r.watch.pending = true
		s.loop.AfterFunc(presenceDelay, r.tellPresence)
	}
}

// tellPresence sends the watchers what has changed since the last update.
func (r *Room) tellPresence() {
	h := r.ns.hub
	all := r.tellHere()
	if h.shared != nil && shown(r.name) {
		h.announce.change(roomName{r.ns.name, r.name}, all)
	}
}

// tellHere tells those on this node, and returns what is to be told to others.
func (r *Room) tellHere() (all map[Sender]bool) {
	r.telling.Lock()
	defer r.telling.Unlock()
	joined, left, all := r.takeChanges()
	if len(joined)+len(left) == 0 {
		return all
	}
	update := presenceChange{r.name, joined, left}
	if err := r.ns.To(presenceRoom(r.name)).Local().Emit(presenceEvent, update); err != nil { // such a struct always encodes
		r.ns.hub.Count("presence_failed")
	}
	return all
}

// takeChanges lists what watchers do not know yet. A room that was dropped has none: they were members. all are those
// who have changed, and whether they were known before.
func (r *Room) takeChanges() (joined, left []*Sender, all map[Sender]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.watch
	p.pending = false
	if len(p.members) == 0 {
		defer func() { r.watch = nil }() // with the memory of a crowd that was here once
	}
	if r.ns.hub.shared != nil {
		all = make(map[Sender]bool, len(p.changed))
		for id, who := range p.changed {
			all[*who] = p.told[id]
		}
	}
	if r.dead {
		return nil, nil, all
	}
	joined, left = []*Sender{}, []*Sender{}
	for id, who := range p.changed {
		_, here := p.members[id]
		switch {
		case here && (p.listed || !p.told[id]):
			joined = append(joined, who)
		case !here && (p.listed || p.told[id]):
			left = append(left, who)
		}
	}
	p.listed = false
	clear(p.changed)
	clear(p.told)
	slices.SortFunc(joined, compareSenders)
	slices.SortFunc(left, compareSenders)
	return joined, left, all
}

// membersLocked lists up to limit of those who are here, by name. The room's lock is held.
func (r *Room) membersLocked(limit int) (list []*Sender, total int) {
	if r.watch == nil {
		return []*Sender{}, 0
	}
	r.watch.listed = true
	all := r.watch.sorted
	return slices.Clone(all[:min(limit, len(all))]), len(all)
}

func compareSenders(a, b *Sender) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}
