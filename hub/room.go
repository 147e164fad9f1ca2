package hub

import (
	"sync"
	"unicode/utf8"
)

// Room is a set of sessions and the sequencer of the messages sent to them. Each loop keeps its own
// members, in its shard, without a lock; the lock guards the sequencer and the counts.
type Room struct {
	ns     *Namespace
	name   string
	shards []shard // by loop id

	mu      sync.Mutex
	members int
	offset  uint64 // of the last message
	seq     uint64 // of the last publication
	history history
	watch   *presence          // nil while nobody has said that they are here
	holds   int                // it stays, members or not; see hold
	given   map[string]*given  // by epoch
	arrived map[string]uint64  // by epoch of another node: its last publication that has come
	updates []presenceChange   // of other nodes, while there are holds
	others  map[string]*Sender // of other nodes, whom watchers here know to be in it; nil when that is not known
	dead    bool               // dropped from its namespace: look it up again

	kept    keepsake   // guarded by Namespace.empty
	telling sync.Mutex // held while a presence update is made and sent, so that they keep their order
}

// shard holds the members of a room on one loop.
type shard struct {
	members []member // loop
	leavers []leaver // loop
	done    uint64   // loop: the offset of the last message delivered here

	count  int    // guarded by Room.mu: len(members) as of the last join or leave
	posted uint64 // guarded by Room.mu: the offset of the last message posted to this loop
}

// member is a session's place in a shard. slot is the index of the matching [membership], so that
// both ends of the pair can be moved in constant time.
type member struct {
	session *Session
	since   uint64 // the room's offset at the join: earlier messages are not for this member
	slot    int32
}

// leaver is a session that has left while messages sequenced before were on their way to its loop.
// It still gets those.
type leaver struct {
	session      *Session
	since, until uint64
}

// membership is a room's place in a session's list of rooms.
type membership struct {
	room  *Room
	index int32 // in the shard
}

func newRoom(ns *Namespace, name string) *Room {
	return &Room{ns: ns, name: name, shards: make([]shard, len(ns.hub.loops.All()))}
}

// maxRoomName is the longest room name, in bytes.
const maxRoomName = 255

// CheckRoom says why name cannot be a room that clients or publishers name: it must be 1 to 255
// bytes of UTF-8 without control characters, and names starting with "$" are the hub's own.
func CheckRoom(name string) error {
	switch {
	case name == "":
		return refusal("bad_room", "the room needs a name")
	case len(name) > maxRoomName:
		return refusal("bad_room", "the room's name is longer than %d bytes", maxRoomName)
	case name[0] == '$':
		return refusal("bad_room", `room names starting with "$" are reserved`)
	case !utf8.ValidString(name):
		return refusal("bad_room", "the room's name is not UTF-8")
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return refusal("bad_room", "the room's name holds a control character")
		}
	}
	return nil
}

// joinLocked adds s, on its loop. s must not be a member. The room's lock is held.
func (r *Room) joinLocked(s *Session) {
	sh := &r.shards[s.loop.ID()]
	if r.members == 0 {
		if r.history.len() > 0 {
			r.ns.empty.forget(r)
		}
		r.tellMembers(ofRoomCreated)
		r.tellLive(true)
	}
	r.members++
	r.tellCount(true)
	sh.count++
	s.rooms = append(s.rooms, membership{room: r, index: int32(len(sh.members))})
	sh.members = append(sh.members, member{session: s, since: r.latest(), slot: int32(len(s.rooms) - 1)})
}

// latest is an offset behind which the room's next message is. With recovery, offsets are those of the whole
// namespace. The room's lock is held.
func (r *Room) latest() uint64 {
	if rec := r.ns.recovery; rec != nil {
		return rec.seq.Load()
	}
	return r.offset
}

// leaveSlot removes s from the room in slot of its list, on its loop. No locks are held.
func (s *Session) leaveSlot(slot int) {
	m := s.rooms[slot]
	r := m.room
	sh := &r.shards[s.loop.ID()]
	since := sh.members[m.index].since

	last := len(sh.members) - 1
	if moved := sh.members[last]; int(m.index) != last {
		sh.members[m.index] = moved
		moved.session.rooms[moved.slot].index = m.index
	}
	sh.members[last] = member{}
	sh.members = sh.members[:last]
	if last == 0 {
		sh.members = nil
	}

	end := len(s.rooms) - 1
	if slot != end {
		s.rooms[slot] = s.rooms[end]
		at := s.rooms[slot]
		at.room.shards[s.loop.ID()].members[at.index].slot = int32(slot)
	}
	s.rooms[end] = membership{}
	s.rooms = s.rooms[:end]

	r.mu.Lock()
	sh.count--
	r.members--
	r.tellCount(false)
	if r.members == 0 {
		r.tellMembers(ofRoomDeleted)
		r.tellLive(false)
	}
	posted, out := sh.posted, r.latest()
	over := r.emptiedLocked(r.ns.hub.now())
	r.mu.Unlock()
	if s.ticket != nil && s.accepted && s.Connected() {
		s.ticket.depart(departure{room: r.name, since: since, until: posted, out: out})
	}
	if posted > sh.done && posted > since && s.Connected() {
		sh.leavers = append(sh.leavers, leaver{session: s, since: since, until: posted})
	}
	r.ns.drop(over)
}
