package hub

import (
	"slices"
	"time"
)

// givenFor is how long a publication that somebody was given with a room's history is expected as a message: longer
// than adapters keep messages that they cannot send.
const givenFor = 15 * time.Second

// maxGiven bounds how many joins are remembered in a room for publications of one node that have not come.
const maxGiven = 4096

// given says who must not get publications of another node any more that were kept when its room's history was read.
// They come in their order: with the first one behind all of these it is over.
type given struct {
	last uint64 // the highest of all
	list []givenTo
}

type givenTo struct {
	session string
	last    uint64
	until   time.Time
}

// mergeHistory is a room's history: what nodes have kept, oldest first, and behind it what has come here and was not kept
// yet: what has a number above the last one of its node that was. The rest of the ring is older than what was kept, but
// for what was published for this node alone: that is where it was among the others here.
func (h *Hub) mergeHistory(kept, ring []*Message, last map[string]uint64) []*Message {
	if len(kept) == 0 {
		return ring
	}
	at := make(map[string]int, len(kept)) // by id
	for i, m := range kept {
		at[m.ID] = i
	}
	all := make([]*Message, 0, len(kept)+8)
	taken := 0 // of kept
	var behind []*Message
	for _, m := range ring {
		i, has := at[m.ID]
		epoch, seq := m.origin(h)
		switch {
		case has && i >= taken:
			all = append(all, kept[taken:i+1]...)
			taken = i + 1
		case has:
		case m.alone && len(behind) == 0:
			all = append(all, m)
		case m.alone || seq > last[epoch]:
			behind = append(behind, m)
		}
	}
	return append(append(all, kept[taken:]...), behind...)
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
func (r *Room) historyLocked(view *RoomView, after string, limit int) ([]*Message, bool) {
	if view == nil {
		found, _ := r.history.last(limit, after)
		return found, false
	}
	kept := r.ns.messagesOf(r.name, view.History)
	found, complete := cutHistory(r.ns.hub.mergeHistory(kept, r.history.entries[r.history.start:], view.Last), after, limit)
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

// giveLocked notes that s has joined with what was kept: what of it has not come here as a message must not come behind
// that. The room's lock is held.
func (r *Room) giveLocked(s *Session, last map[string]uint64) {
	h := r.ns.hub
	now := h.now()
	r.expireGivenLocked(now)
	for epoch, seq := range last {
		if r.arrived[epoch] >= seq || epoch == h.epoch && !h.ownLater {
			continue
		}
		if r.given == nil {
			r.given = make(map[string]*given)
		}
		g := r.given[epoch]
		if g == nil {
			g = &given{}
			r.given[epoch] = g
		}
		if len(g.list) >= maxGiven { // then somebody may get a message twice
			h.Count("shared_given_full")
			g.list = nil
		}
		g.list = append(g.list, givenTo{s.id, seq, now.Add(givenFor)})
		g.last = max(g.last, seq)
	}
}

// expireGivenLocked forgets whose time is over: what they were given will not come as a message any more, and who joins
// later need not be remembered for it. The room's lock is held.
func (r *Room) expireGivenLocked(now time.Time) {
	for epoch, g := range r.given {
		for len(g.list) > 0 && now.After(g.list[0].until) {
			r.arriveLocked(epoch, g.list[0].last)
			g.list = g.list[1:]
		}
		if len(g.list) == 0 {
			delete(r.given, epoch)
		}
	}
}

// takeGivenLocked is who must not get a publication that has come now. The room's lock is held.
func (r *Room) takeGivenLocked(m *Message) (sessions []string) {
	epoch, seq := m.origin(r.ns.hub)
	r.arriveLocked(epoch, seq)
	g := r.given[epoch]
	switch {
	case g == nil:
		return nil
	case seq > g.last:
		if delete(r.given, epoch); len(r.given) == 0 {
			r.given = nil
		}
		return nil
	}
	now := r.ns.hub.now()
	for _, t := range g.list {
		if seq <= t.last && now.Before(t.until) {
			sessions = append(sessions, t.session)
		}
	}
	return sessions
}

// maxArrived bounds the nodes of which a room knows how far they are.
const maxArrived = 1024

// arriveLocked notes that what a node has published up to seq has come, or is not expected any more. The room's lock is
// held.
func (r *Room) arriveLocked(epoch string, seq uint64) {
	if r.arrived == nil || len(r.arrived) >= maxArrived {
		r.arrived = make(map[string]uint64)
	}
	r.arrived[epoch] = max(r.arrived[epoch], seq)
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
