package hub

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// presenceDelay gathers joins and leaves: a room that thousands enter at once sends few updates.
const presenceDelay = 50 * time.Millisecond

// presence is who is in a room, kept from the first time that somebody says so (Relay does).
// Guarded by the room's lock.
type presence struct {
	members map[string]*Sender // by session id
	changed map[string]*Sender // since the last update: who joined or left, whichever is true now
	told    map[string]bool    // for those in changed: whether watchers know them as members
	pending bool               // an update is on its way
}

// presenceRoom is the room of those who want updates on who is in a room.
func presenceRoom(room string) string { return "$presence:" + room }

// presentLocked notes that s, a member, is here as who. The room's lock is held.
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
	r.watch.members[s.id] = who
	r.scheduleLocked(s)
}

// absent notes that s has left. No locks are held; on s's loop.
func (r *Room) absent(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil || r.watch.members[s.id] == nil {
		return
	}
	r.watch.note(s.id, r.watch.members[s.id], true)
	delete(r.watch.members, s.id)
	r.scheduleLocked(s)
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
	r.mu.Lock()
	p := r.watch
	p.pending = false
	joined, left := []*Sender{}, []*Sender{}
	for id, who := range p.changed {
		_, here := p.members[id]
		switch {
		case here && !p.told[id]:
			joined = append(joined, who)
		case !here && p.told[id]:
			left = append(left, who)
		}
	}
	clear(p.changed)
	clear(p.told)
	r.mu.Unlock()
	if len(joined)+len(left) == 0 {
		return
	}
	sortMembers(joined)
	sortMembers(left)
	update := struct {
		Room   string    `json:"room"`
		Joined []*Sender `json:"joined"`
		Left   []*Sender `json:"left"`
	}{r.name, joined, left}
	if err := r.ns.To(presenceRoom(r.name)).Emit("presence", update); err != nil { // such a struct always encodes
		r.ns.hub.Count("presence_failed")
	}
}

// membersLocked lists up to limit of those who are here, by name. The room's lock is held.
func (r *Room) membersLocked(limit int) (list []*Sender, total int) {
	if r.watch == nil {
		return []*Sender{}, 0
	}
	list = slices.AppendSeq(make([]*Sender, 0, len(r.watch.members)), maps.Values(r.watch.members))
	sortMembers(list)
	return list[:min(limit, len(list))], len(r.watch.members)
}

func sortMembers(list []*Sender) {
	slices.SortFunc(list, func(a, b *Sender) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}
