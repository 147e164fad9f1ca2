package hub

import (
	"slices"
	"time"
)

// givenFor is how long a publication that somebody was given with a room's history is expected as a message: longer
// than adapters keep messages that they cannot send.
const givenFor = 15 * time.Second

// maxGiven bounds the publications of a room that are expected so.
const maxGiven = 4096

// given says who has a publication already that has not come from its node yet.
type given struct {
	sessions []string
	until    time.Time
}

// mergeHistory is a room's history: what nodes have kept, oldest first, and behind it what has come here after the offset
// since and is not among that, because it was kept later. The rest of the ring is older than what was kept, or could
// not be; it counts when nothing was.
func mergeHistory(kept, ring []*Message, since uint64) []*Message {
	if len(kept) == 0 {
		return ring
	}
	has := make(map[string]bool, len(kept))
	for _, m := range kept {
		has[m.ID] = true
	}
	all := slices.Clone(kept)
	for _, m := range ring {
		if m.Offset > since && !has[m.ID] {
			all = append(all, m)
		}
	}
	return all
}

// cutHistory takes up to limit publications: the newest ones, or, given the id of one, the first ones after it.
// complete says that none of those between are missing as far as nodes have kept them. Marks of missing ones are left
// out.
func cutHistory(all []*Message, after string, limit int) (found []*Message, complete bool) {
	complete = after == ""
	if after != "" {
		if i := slices.IndexFunc(all, func(m *Message) bool { return m.ID == after }); i >= 0 {
			all, complete = all[i+1:], true
			all = all[:min(len(all), limit)]
			if slices.ContainsFunc(all, func(m *Message) bool { return m.ID == "" }) {
				complete = false
			}
		}
	}
	found = make([]*Message, 0, min(limit, len(all)))
	for _, m := range all {
		if m.ID != "" {
			found = append(found, m)
		}
	}
	return found[max(0, len(found)-limit):], complete
}

// historyLocked is history.last for all nodes, given what they have kept; without that, nothing is complete. The room's
// lock is held.
func (r *Room) historyLocked(d *hold, view *RoomView, after string, limit int) ([]*Message, bool) {
	if view == nil {
		found, _ := r.history.last(limit, after)
		return found, false
	}
	kept := r.ns.messagesOf(r.name, view.History)
	found, complete := cutHistory(mergeHistory(kept, r.history.entries[r.history.start:], d.offset), after, limit)
	if after != "" && !slices.ContainsFunc(kept, func(m *Message) bool { return m.ID == after }) {
		complete = false // others may have published what this node has not heard
	}
	return found, complete
}

// historyQuery asks for what History and Relay need.
func (ns *Namespace) historyQuery(after string, limit int) RoomQuery {
	most := max(0, ns.hub.opts.HistoryMessages)
	if after == "" {
		most = min(most, limit)
	}
	return RoomQuery{History: most}
}

// giveLocked notes that s was given publications otherwise than as messages, and with them what nodes have kept before
// them: it must not come behind. Those that have come here are no concern. The room's lock is held.
func (r *Room) giveLocked(s *Session, list []*Message, view *RoomView, kept *Message) {
	last := -1
	if len(list) > 0 {
		last = slices.IndexFunc(view.History, func(k KeptPublication) bool { return k.ID == list[len(list)-1].ID })
		for i := len(list) - 2; last < 0 && i >= 0; i-- { // the newest are this node's own
			last = slices.IndexFunc(view.History, func(k KeptPublication) bool { return k.ID == list[i].ID })
		}
	}
	if last < 0 && kept == nil {
		return
	}
	seen := make(map[string]bool)
	for _, m := range r.history.entries[r.history.start:] {
		seen[m.ID] = true
	}
	for _, k := range view.History[:last+1] {
		r.giveOneLocked(s, k.ID, seen)
	}
	if kept != nil {
		r.giveOneLocked(s, kept.ID, seen)
	}
}

func (r *Room) giveOneLocked(s *Session, id string, seen map[string]bool) {
	if id == "" || seen[id] {
		return
	}
	now := r.ns.hub.now()
	if len(r.given) >= maxGiven {
		r.forgetGivenLocked(now)
	}
	if r.given == nil {
		r.given = make(map[string]given)
	}
	g := r.given[id]
	g.sessions, g.until = append(g.sessions, s.id), now.Add(givenFor)
	r.given[id] = g
}

// forgetGivenLocked makes place: what is overdue goes, and if nothing is, all: then somebody may get a message twice.
func (r *Room) forgetGivenLocked(now time.Time) {
	for id, g := range r.given {
		if now.After(g.until) {
			delete(r.given, id)
		}
	}
	if len(r.given) >= maxGiven {
		r.ns.hub.Count("shared_given_full")
		clear(r.given)
	}
}

// takeGivenLocked is who must not get a publication that has come now. The room's lock is held.
func (r *Room) takeGivenLocked(id string) []string {
	g, ok := r.given[id]
	if !ok {
		return nil
	}
	if delete(r.given, id); len(r.given) == 0 {
		r.given = nil
	}
	if r.ns.hub.now().After(g.until) {
		return nil
	}
	return g.sessions
}

// messageOf makes a message of a publication that is kept, nil of one that cannot be read.
func (ns *Namespace) messageOf(room string, k *KeptPublication) *Message {
	if k == nil {
		return nil
	}
	m := &Message{Namespace: ns.name, Room: room, ID: k.ID, Payload: k.Payload, Ack: NoAck, Foreign: true}
	if k.ID == "" {
		return m // a mark
	}
	if !m.readMeta() {
		ns.hub.Count("shared_unreadable")
		return nil
	}
	return m
}

func (ns *Namespace) messagesOf(room string, list []KeptPublication) []*Message {
	out := make([]*Message, 0, len(list))
	for i := range list {
		if m := ns.messageOf(room, &list[i]); m != nil {
			out = append(out, m)
		}
	}
	return out
}
