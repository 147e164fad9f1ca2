package hub

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"greenroom/coop"
)

// maxDepartures bounds how many rooms that a session has left are remembered, each with the messages that
// its client may not have got. Behind more of them a client's offset must not go back.
const maxDepartures = 128

// ticket is what lets a client come back to its session. It outlives the [Session], and passes from one to
// the next.
//
// While the session is connected the first part belongs to its loop; while it is away, all is guarded by
// [recovery]'s lock.
type ticket struct {
	base  uint64   // everything up to here is not for this session, or was sent before it was accepted
	last  position // the newest message given to the connection
	lasts time.Duration

	// lull and after stand on both sides of the latest long silence. A client that missed what broke the
	// silence may come back with an offset older than the log: that is enough to know that it has all before.
	lull, after    position
	lastAt, lullAt Offset // the same as clients know them, with a [Sequencer]

	since      map[string]uint64 // rooms: those of a session away; of a recovered one, those it has been in since before
	departures []departure
	prefixed   bool   // some of these are prefix rooms
	floor      uint64 // departures before this one are forgotten

	sid     string
	pid     string // known to the client alone
	session *Session
	loop    *coop.Loop    // of the session
	place   *list.Element // in the list of those away
	left    time.Time     // when the client was lost
	upto    uint64        // all messages up to here were given to the connection
	ready   bool          // away, and the session's handler has ended
	claimed bool          // a client is back, and middlewares decide on it
	claim   *claim        // what that client says
	data    any

	// With a [Sequencer]:
	token   string   // names this node's right to what is saved of the session, "" when nothing is
	former  []string // earlier ones: who has claimed by one of them has the session
	encoded Payload
	uptoAt  Place  // how far the order was, when the session was noted last
	quiet   bool   // it had been given all that was for it until then
	foreign bool   // the session was another node's
	born    uint64 // it is this node's behind this message
	held    bool   // what was saved of it was claimed, by this node
	turn    uint64 // when it was saved anew, among the claims of this node
	renew   bool   // what was saved is lost
	unsaved bool   // it is in its loop's list of those to save
	saved   time.Duration

	waiting []coop.EventPort // clients that are back before the session has ended
}

// departure is a room that the session was in: it gets the messages behind since up to until. It was out
// of the room, for who leaves out the room's members, at out.
type departure struct {
	room              string
	since, until, out uint64
}

// sent notes that the connection was given the message at p.
func (t *ticket) sent(p position, o *Offset, now time.Duration) {
	if t.last != (position{}) && now-t.lasts >= recoveryLull {
		t.lull, t.after, t.lullAt = t.last, p, t.lastAt
	}
	if o != nil {
		t.lastAt = *o
	}
	t.last, t.lasts = p, now
}

// entered says behind which message the session came into a room: the one that live delivery knows is younger
// when the session was recovered since.
func (t *ticket) entered(room string, live uint64) uint64 {
	if since, ok := t.since[room]; ok {
		return since
	}
	return live
}

// depart notes that the session leaves a room.
func (t *ticket) depart(d departure) {
	if since, ok := t.since[d.room]; ok { // what it was sent when it came back is not on this loop's books
		d.since, d.until = since, max(d.until, t.base)
		delete(t.since, d.room)
	}
	if d.out <= d.since {
		return
	}
	if len(t.departures) == maxDepartures {
		t.floor = max(t.floor, t.departures[0].out)
		t.departures = slices.Delete(t.departures, 0, 1)
	}
	t.departures = append(t.departures, d)
	t.prefixed = t.prefixed || isPrefixRoom(d.room)
}

// enter and exit are joins and leaves of a session that is away, behind the message at.
func (t *ticket) enter(room string, at uint64) {
	if _, in := t.since[room]; !in {
		t.since[room] = at
		t.prefixed = t.prefixed || isPrefixRoom(room)
	}
}

func (t *ticket) exit(room string, at uint64) {
	if since, in := t.since[room]; in {
		t.depart(departure{room: room, since: since, until: at, out: at})
	}
}

// gets reports whether e was for the session.
func (t *ticket) gets(e *logged) bool {
	if e.skip == t.sid || t.excepted(e) {
		return false
	}
	if len(e.ids)+len(e.rooms) == 0 {
		return t.in("", e.seq)
	}
	if slices.Contains(e.ids, t.sid) {
		return true
	}
	return slices.ContainsFunc(e.rooms, func(room string) bool { return room == t.sid || t.in(room, e.seq) })
}

// in reports whether a message to the room was for the session.
func (t *ticket) in(room string, seq uint64) bool {
	if since, ok := t.since[room]; ok && since < seq {
		return true
	}
	if t.prefixed && t.inPrefix(room, seq) {
		return true
	}
	return slices.ContainsFunc(t.departures, func(d departure) bool {
		return d.room == room && d.since < seq && seq <= d.until
	})
}

// inPrefix reports whether a message to the room was for the session because of a prefix.
func (t *ticket) inPrefix(room string, seq uint64) bool {
	for name, since := range t.since {
		if isPrefixRoom(name) && covers(name[len(prefixMark):], room) && since < seq {
			return true
		}
	}
	return slices.ContainsFunc(t.departures, func(d departure) bool {
		return isPrefixRoom(d.room) && covers(d.room[len(prefixMark):], room) && d.since < seq && seq <= d.until
	})
}

func (t *ticket) excepted(e *logged) bool {
	return slices.ContainsFunc(e.except, func(name string) bool {
		if since, ok := t.since[name]; name == t.sid || ok && since < e.seq {
			return true
		}
		return slices.ContainsFunc(t.departures, func(d departure) bool {
			return d.room == name && d.since < e.seq && e.seq <= d.out
		})
	})
}

// missed lists what a client that has all up to p has not got, in the order in which it would have. mu is
// held, the session is away. A refusal is the name of its counter.
func (rec *recovery) missed(t *ticket, p position) (list []logged, refusal string) {
	from := p.major
	switch p {
	case t.last:
		if from <= t.upto { // nothing is missing of what was sent, however old that is
			from, p = t.upto, position{t.upto, ^uint64(0)}
		}
	case t.lull:
		from = max(from, t.after.seq())
	}
	all, complete := rec.log.after(from)
	if !complete || p.major < t.floor {
		return nil, "recovery_offset_lost"
	}
	bytes := 0
	for i := range all {
		e := &all[i]
		if !p.less(e.pos) || !t.gets(e) {
			continue
		}
		list = append(list, *e)
		bytes += 64 + size(e.frame.msg)*4/3 // for polling, attachments are base64
	}
	if bytes > rec.ns.hub.opts.OutboxBytes/2 {
		return nil, "recovery_too_much"
	}
	slices.SortStableFunc(list, func(a, b logged) int {
		if c := cmp.Compare(a.pos.major, b.pos.major); c != 0 {
			return c
		}
		return cmp.Compare(a.pos.minor, b.pos.minor)
	})
	return list, ""
}

// resumed makes the ticket that of a session whose client has all up to p and is now sent list.
func (t *ticket) resumed(p position, list []logged, now time.Duration) {
	t.last, t.lasts = p, now-recoveryLull // the next message counts as behind a silence
	for _, e := range list {
		t.sent(e.pos, e.frame.msg.offset, now)
	}
	t.departures = slices.DeleteFunc(t.departures, func(d departure) bool { return d.out <= p.major })
	t.ready, t.claimed, t.data = false, false, nil
}
