package hub

import (
	"slices"
	"strings"
	"time"

	"greenroom/coop"
)

// Target addresses rooms, or sessions by their ids, of one namespace. It is a value: every modifier
// returns a copy. Any goroutine may use it.
//
//	h.To("a", "b").Except(id).Volatile().Emit("tick", t)
type Target struct {
	ns       *Namespace
	rooms    []string
	except   []string
	skip     *Session // the sender, for s.To
	ask      *gather  // collects the clients' answers, if they are asked
	within   time.Duration
	volatile bool
	local    bool
	plain    bool // not to be compressed

	entry *Entry // that it is about, with a [Sequencer]
}

// To addresses rooms (or sessions, by their ids); without a name, everybody in the namespace.
func (ns *Namespace) To(rooms ...string) Target { return Target{ns: ns, rooms: rooms} }

// In is To.
func (ns *Namespace) In(rooms ...string) Target { return ns.To(rooms...) }

// To adds rooms; a session that is in several gets the message once.
func (t Target) To(rooms ...string) Target {
	t.rooms = append(slices.Clip(t.rooms), rooms...)
	return t
}

// Except leaves out the members of these rooms, and the sessions with these ids. Who is in them is looked
// at on each loop, when the message arrives there.
func (t Target) Except(rooms ...string) Target {
	t.except = append(slices.Clip(t.except), rooms...)
	return t
}

// Volatile makes the message one that a client misses when it cannot take it at once.
func (t Target) Volatile() Target {
	t.volatile = true
	return t
}

// Compress says whether transports that compress may compress the message, which they do unless told
// otherwise. Compress(false) is for what is compressed already, an image for example.
func (t Target) Compress(on bool) Target {
	t.plain = !on
	return t
}

// Emit sends an event to everyone addressed. It returns once the message has its place in its rooms;
// it never waits for a client. With a [Sequencer], the message gets its place later, and who is in the rooms then gets
// it. The error says why the arguments cannot be sent: [ErrReservedEvent], or
// something that cannot be encoded.
func (t Target) Emit(event string, args ...any) error {
	if ReservedEvent(event) {
		return ErrReservedEvent
	}
	p, err := EncodeArgs(event, args...)
	if err != nil {
		return err
	}
	t.emit(t.message(event, p))
	return nil
}

// emit sends m here and elsewhere.
func (t Target) emit(m *Message) {
	if q := t.sequencer(); q != nil {
		t.sequence(q, &NodeRequest{Op: OpEmit, Payload: m.Payload, ordered: &ordered{message: m}})
		return
	}
	t.send(m)
	if t.spreads() {
		t.elsewhere(nil, &NodeRequest{Op: OpEmit, Payload: m.Payload})
	}
}

func (t Target) message(event string, p Payload) *Message {
	return &Message{Namespace: t.ns.name, Event: event, Payload: p, Ack: NoAck, Volatile: t.volatile, NoCompress: t.plain}
}

// delivery is what t adds to a message.
func (t Target) delivery() *delivery {
	return &delivery{skip: t.skip, except: t.except, ask: t.ask, entry: t.entry}
}

// send gives m its place in each room and posts it to the loops that have members.
func (t Target) send(m *Message) {
	if rec := t.ns.recovery; rec != nil {
		rec.send(t, m)
		return
	}
	if len(t.rooms) == 0 {
		t.ns.all.emit(m, t.delivery())
		return
	}
	if len(t.rooms) == 1 {
		if s := t.ns.Session(t.rooms[0]); s != nil {
			t.direct(s, MessageFrame(m))
			return
		}
		if r := t.ns.lookupRoom(t.rooms[0]); r != nil {
			r.emit(m, t.delivery())
			return
		}
		if t.ns.prefixes.match(t.rooms[0]) != nil && t.ask == nil {
			t.ns.emitAway(t.rooms[0], m, t.delivery())
			return
		}
		// Nobody is there, but subscribers outside (ZeroMQ) may listen to the name.
		t.ns.hub.tapUnroomed(m, t.rooms[0])
		return
	}
	t.sendMany(m, t.delivery())
}

// sendMany addresses the union of several rooms. The rooms are locked in the order of their names,
// which is the one place where two room locks are held at once.
func (t Target) sendMany(m *Message, d *delivery) {
	names := slices.Clone(t.rooms)
	slices.Sort(names)
	names = slices.Compact(names)

	var rooms []*Room
	var sessions []*Session
	var ids, others []string // for those who are away
	for _, name := range names {
		if s := t.ns.Session(name); s != nil {
			sessions = append(sessions, s)
			ids = append(ids, name)
			continue
		}
		others = append(others, name)
		if r := t.ns.lookupRoom(name); r != nil {
			rooms = append(rooms, r)
		} else {
			t.ns.hub.tapUnroomed(m, name)
		}
	}
	d.also = sessions
	for _, r := range rooms {
		r.mu.Lock()
		defer r.mu.Unlock() // see emit
	}
	loops := make([]bool, len(t.ns.hub.loops.All()))
	for _, s := range sessions {
		loops[s.loop.ID()] = true
	}
	for _, r := range rooms {
		r.offset = d.place(r)
		d.parts = append(d.parts, part{room: r, offset: r.offset})
		for i := range r.shards {
			if r.wanted(i) {
				loops[i] = true
			}
		}
		own := *m
		own.Room, own.Offset = r.name, r.offset
		t.ns.hub.tapped(&own)
	}
	if t.ask == nil {
		for _, p := range t.ns.prefixes.matchAny(others) {
			p.mu.Lock()
			defer p.mu.Unlock()
			d.widen(p)
			for i := range p.shards {
				if p.wanted(i) {
					loops[i] = true
				}
			}
		}
	}
	// One frame serves all rooms: its offset only says that it is a room's message.
	shared := *m
	switch {
	case len(rooms) > 0:
		shared.Room, shared.Offset = rooms[0].name, rooms[0].offset
	case len(d.parts) > 0: // prefix rooms
		shared.Room, shared.Offset = others[0], d.parts[0].offset
	}
	d.frame = d.frameFor(&shared, ids, others)
	d.post(t.ns.hub, func(i int) bool { return loops[i] })
}

// direct sends a frame to one session on whichever loop it lives.
func (t Target) direct(s *Session, f *Frame) {
	if s == t.skip || slices.Contains(t.except, s.id) {
		return
	}
	if t.ask != nil {
		t.ask.begin()
	}
	posted := s.loop.Post(func() {
		switch {
		case inAny(s, t.except):
		case t.ask != nil:
			t.ask.ask(s, f)
		default:
			s.send(f)
		}
		if t.ask != nil {
			t.ask.step()
		}
	})
	if !posted && t.ask != nil {
		t.ask.step()
	}
}

// emit sequences m. The lock is given back even if a tap panics: every publisher of the room would
// stand still behind it, and the loops with them.
func (r *Room) emit(m *Message, d *delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence(m, d)
}

// sequence gives m its place and posts it to the loops with members. The room's lock is held, so that
// every loop, history and the taps see the same order.
func (r *Room) sequence(m *Message, d *delivery) {
	r.offset = d.place(r)
	m.Room, m.Offset = r.name, r.offset
	if d.ask == nil {
		if wide := r.ns.prefixes.match(r.name); wide != nil {
			r.sequenceWide(m, d, wide)
			return
		}
	}
	if r.members > 0 || d.recovery != nil {
		d.parts = []part{{room: r, offset: r.offset}}
		d.frame = d.frameFor(m, nil, r.names())
		d.post(r.ns.hub, r.wanted)
	}
	r.ns.hub.tapped(m)
}

// names is the room as messages are addressed to it.
func (r *Room) names() []string {
	if r == r.ns.all {
		return nil
	}
	return []string{r.name}
}

// wanted reports whether the message that the room has just sequenced must go to a loop, and notes that
// it does. The room's lock is held.
func (r *Room) wanted(loop int) bool {
	sh := &r.shards[loop]
	if sh.count == 0 {
		return false
	}
	sh.posted = r.offset
	return true
}

// delivery is one message on its way to the members on the loops: a [coop.Job], shared by all loops.
type delivery struct {
	hub    *Hub
	frame  *Frame
	parts  []part
	also   []*Session // single sessions addressed beside the rooms
	skip   *Session
	except []string
	ask    *gather

	recovery *recovery // nil without
	seq      uint64    // with recovery: the message's place in the namespace
	entry    *Entry    // with a [Sequencer]: what it is in the order of all nodes, nil for what is this node's alone
}

// place is the offset that the message gets in r, whose lock is held.
func (d *delivery) place(r *Room) uint64 {
	if d.recovery != nil {
		return d.seq
	}
	return r.offset + 1
}

// frameFor makes the one frame for all receivers of m: sessions by their ids, and rooms, or everybody.
func (d *delivery) frameFor(m *Message, ids, rooms []string) *Frame {
	if d.recovery != nil {
		return d.recovery.frame(d, m, ids, rooms)
	}
	return MessageFrame(m)
}

type part struct {
	room   *Room
	offset uint64
}

// post gives the loops that want it a copy of d, made for the first of them: what nobody here hears allocates none.
func (d *delivery) post(h *Hub, wanted func(loop int) bool) {
	var job *delivery
	for i, l := range h.loops.All() {
		if !wanted(i) {
			continue
		}
		if job == nil {
			whole := *d
			whole.hub = h
			job = &whole
		}
		h.inFlight.Add(1)
		if d.ask != nil {
			d.ask.begin()
		}
		if d.recovery != nil {
			d.recovery.posted[i] = d.seq
		}
		if !l.PostJob(job) {
			h.inFlight.Add(-1)
			if d.ask != nil {
				d.ask.step()
			}
		}
	}
}

// RunOn delivers to the members on l.
func (d *delivery) RunOn(l *coop.Loop) {
	d.hub.inFlight.Add(-1)
	var seen map[*Session]struct{}
	if len(d.parts) > 1 || len(d.also) > 0 {
		seen = make(map[*Session]struct{})
	}
	for _, p := range d.parts {
		sh := &p.room.shards[l.ID()]
		// Backwards, because sending can end a session (a full outbox), whose place the last member,
		// already served, then takes.
		for i := len(sh.members) - 1; i >= 0; i-- {
			if i >= len(sh.members) {
				continue
			}
			if m := sh.members[i]; p.offset > m.since {
				d.give(m.session, seen)
			}
		}
		sh.done = p.offset
		if len(sh.leavers) > 0 {
			d.giveLeavers(sh, p.offset, seen)
		}
	}
	for _, s := range d.also {
		if s.loop == l && d.news(s) {
			d.give(s, seen)
		}
	}
	if d.ask != nil {
		d.ask.step()
	}
	if d.recovery != nil {
		d.recovery.done[l.ID()] = d.seq
	}
}

// news reports, on s's loop, whether the message is behind what a recovered session was sent to begin with. The
// ticket of a session that is gone is another's.
func (d *delivery) news(s *Session) bool {
	return d.recovery == nil || s.ticket == nil || s.Connected() && d.seq > s.ticket.base
}

// give sends to one session, unless it has been left out or served.
func (d *delivery) give(s *Session, seen map[*Session]struct{}) {
	if s == d.skip {
		return
	}
	if seen != nil {
		if _, dup := seen[s]; dup {
			return
		}
		seen[s] = struct{}{}
	}
	if len(d.except) > 0 && inAny(s, d.except) {
		return
	}
	if d.ask != nil {
		d.ask.ask(s, d.frame)
		return
	}
	s.send(d.frame)
}

// giveLeavers sends to those who were members when the message got its place, and forgets whoever
// waits for no other one.
func (d *delivery) giveLeavers(sh *shard, offset uint64, seen map[*Session]struct{}) {
	leavers := sh.leavers
	sh.leavers = nil
	kept := leavers[:0]
	for _, l := range leavers {
		if l.since < offset && offset <= l.until {
			d.give(l.session, seen)
		}
		if offset < l.until {
			kept = append(kept, l)
		}
	}
	clear(leavers[len(kept):])
	if len(kept) > 0 {
		sh.leavers = append(kept, sh.leavers...)
	}
}

// inAny reports, on s's loop, whether s is one of these sessions or in one of these rooms.
func inAny(s *Session, names []string) bool {
	for _, name := range names {
		if s.id == name || s.In(name) {
			return true
		}
	}
	return false
}

// Join adds everyone addressed to a room. It takes effect on each loop in turn, soon: what is emitted to the
// room right after may come too early for them. Those who are in [Options.MaxRooms] rooms stay out.
func (t Target) Join(room string) error {
	if err := checkOwnRoom(room); err != nil {
		return err
	}
	if q := t.sequencer(); q != nil {
		t.sequence(q, &NodeRequest{Op: OpJoin, Room: room})
		return nil
	}
	t.joinHere(room)
	t.elsewhere(nil, &NodeRequest{Op: OpJoin, Room: room})
	return nil
}

func (t Target) joinHere(room string) {
	t.each(func(s *Session) { _ = s.Join(room) }, // one that is in too many rooms is counted there
		func(rec *recovery, k *ticket) { k.enter(room, rec.seq.Load()); rec.moved(k) })
}

// Leave removes everyone addressed from a room.
func (t Target) Leave(room string) {
	if q := t.sequencer(); q != nil {
		t.sequence(q, &NodeRequest{Op: OpLeave, Room: room})
		return
	}
	t.leaveHere(room)
	t.elsewhere(nil, &NodeRequest{Op: OpLeave, Room: room})
}

func (t Target) leaveHere(room string) {
	t.each(func(s *Session) { s.Leave(room) },
		func(rec *recovery, k *ticket) {
			k.exit(room, rec.seq.Load())
			k.exit(presenceRoom(room), rec.seq.Load())
			rec.moved(k)
		})
}

// Disconnect ends the sessions of everyone addressed, each for the reason given. Those that wait for their
// clients to come back are forgotten.
func (t Target) Disconnect(reason string) { t.disconnect(reason, false) }

// CloseConn is Disconnect that closes the clients' whole connections, and thereby ends their sessions in other
// namespaces.
func (t Target) CloseConn(reason string) { t.disconnect(reason, true) }

func (t Target) disconnect(reason string, closeConn bool) {
	if q := t.sequencer(); q != nil {
		t.sequence(q, &NodeRequest{Op: OpDisconnect, Reason: reason, CloseConn: closeConn})
		return
	}
	t.disconnectHere(reason, closeConn)
	t.elsewhere(nil, &NodeRequest{Op: OpDisconnect, Reason: reason, CloseConn: closeConn})
}

func (t Target) disconnectHere(reason string, closeConn bool) {
	t.each(func(s *Session) { _ = s.disconnect(reason, closeConn) }, (*recovery).forget)
}

// each runs fn on the loop of every session addressed, and away for those that wait for their clients.
func (t Target) each(fn func(*Session), away func(*recovery, *ticket)) {
	t.eachAway(nil, away)
	for _, l := range t.ns.hub.loops.All() {
		l.Post(func() {
			for _, s := range t.on(l) {
				fn(s)
			}
			t.eachAway(l, away) // who left in between
		})
	}
}

// on lists, on l, the sessions addressed there.
func (t Target) on(l *coop.Loop) []*Session {
	var out []*Session
	seen := make(map[*Session]struct{})
	add := func(s *Session) {
		if _, dup := seen[s]; dup || s.loop != l || s == t.skip || inAny(s, t.except) {
			return
		}
		seen[s] = struct{}{}
		out = append(out, s)
	}
	if len(t.rooms) == 0 {
		for _, m := range t.ns.all.shards[l.ID()].members {
			add(m.session)
		}
		return out
	}
	for _, name := range t.rooms {
		if s := t.ns.Session(name); s != nil {
			add(s)
		} else if r := t.ns.lookupRoom(name); r != nil {
			for _, m := range r.shards[l.ID()].members {
				add(m.session)
			}
		}
	}
	return out
}

// checkOwnRoom checks a room name that the application chose: anything but nothing.
func checkOwnRoom(name string) error {
	if name == "" || len(name) > maxRoomName || strings.ContainsRune(name, 0) {
		return refusal("bad_room", "a room's name is 1 to %d bytes without NUL", maxRoomName)
	}
	return nil
}
