package hub

import (
	"slices"
	"sort"
	"sync"

	"greenroom/coop"
)

// beforeAll is the sequence number of what this node has not sequenced itself, or does not have any more: in front of
// all that it has, and behind 0, since when a session that comes from another node is in its rooms.
const beforeAll = 1

// spot is what a message is in the order of all nodes.
type spot struct {
	Offset
	origin  string
	n       uint64
	early   bool
	settled Place // of an early one, once it is known
}

// behind reports whether the message is for a client that has everything up to p.
func (s *spot) behind(p Place) bool {
	if s.early {
		return s.settled == Place{} || s.settled.Compare(p) > 0
	}
	return s.Place.Compare(p) > 0
}

// spotOf is that of an entry that is about to be kept. mu is held.
func (rec *recovery) spotOf(e *Entry) *spot {
	s := &spot{Offset: e.Offset, origin: e.Origin, n: e.N, early: e.Early}
	if s.early {
		rec.early++
		rec.unsettled = append(rec.unsettled, s)
	}
	return s
}

// dropped notes that the log has lost a message. mu is held.
func (rec *recovery) dropped(e *logged) {
	p := e.spot.Place
	if e.spot.early {
		rec.early--
		if e.spot.settled.Compare(p) > 0 {
			p = e.spot.settled
		}
	}
	if rec.log.gone.Compare(p) < 0 {
		rec.log.gone, rec.log.gap = p, false
	}
}

// settle says that p is the place of this node's message n, which was delivered before it had one.
func (rec *recovery) settleEarly(n uint64, p Place) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for len(rec.unsettled) > 0 && rec.unsettled[0].n <= n {
		if s := rec.unsettled[0]; s.n == n {
			s.settled = p
		}
		rec.unsettled = rec.unsettled[1:]
	}
}

// skip says that this node goes on behind p, and has missed something if lost.
func (rec *recovery) skip(p Place, lost bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if lost {
		rec.log.clear()
		rec.early, rec.unsettled = 0, nil
		rec.log.lost = rec.seq.Load()
	}
	rec.log.gone, rec.log.gap = p, lost
	if lost {
		rec.saveAll()
	}
}

// taken says that another node has taken over a session, of which this one thinks that it is here still.
func (rec *recovery) taken(pid, token string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if t := rec.tickets[pid]; t != nil && (t.token == token || slices.Contains(t.former, token)) {
		rec.giveUp(t)
	}
}

// maxFormer bounds the earlier tokens of a session that are remembered: a claim by one of them is known everywhere soon.
const maxFormer = 8

// giveUp forgets a session that is another node's now. mu is held.
func (rec *recovery) giveUp(t *ticket) {
	rec.ns.hub.Count("recovery_taken_over")
	if old := t.session; old != nil && t.place == nil {
		old.loop.Post(old.replaced)
	}
	t.token = "" // what is kept is not ours to forget
	rec.forget(t)
}

// retrieval is a question to the [Sequencer] for which a session's greenlet waits.
type retrieval struct {
	port coop.EventPort

	mu    sync.Mutex
	left  bool // nobody waits any more
	saved *SavedSession
	list  []Entry
	upto  Place
	err   error
}

// done takes the answer. It reports false when it comes too late.
func (r *retrieval) done(fill func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return false
	}
	fill()
	r.port.Set()
	return true
}

// await has ask put a question, and parks until it is answered. It reports false when the client has left or the time
// is over: nobody looks at the answer then.
func (s *Session) await(ask func(*retrieval)) (r *retrieval, ok bool) {
	var answered coop.Event
	r = &retrieval{port: answered.Port(s.loop)}
	ask(r)
	err := s.greenlet.WithTimeout(recoveryWait, func() error {
		_, err := coop.WaitAny(s.greenlet, &answered, &s.gone)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = true
	return r, err == nil && answered.IsSet()
}

// retrieve finds the session that the client says it had, wherever that was: c then has what can be known. It reports
// false when there is none. It parks.
func (s *Session) retrieve(c *claim) bool {
	rec := s.ns.recovery
	h := s.ns.hub
	var ok bool
	if c.had, ok = ParseOffset(c.offset); !ok {
		h.Count("recovery_bad_offset")
		return false
	}
	c.at = c.had
	if !s.caughtUp(c.had.Place) {
		return false
	}
	rec.mu.Lock()
	rec.turn++
	c.turn = rec.turn
	rec.mu.Unlock()
	r, ok := s.await(func(r *retrieval) {
		rec.shared.Claim(c.pid, func(st *SavedSession, err error) {
			if !r.done(func() { r.saved, r.err = st, err }) && st != nil {
				rec.putBack(st)
			}
		})
	})
	if !ok {
		if s.Connected() {
			h.Count("recovery_too_slow")
		}
		return false
	}
	fetch, ok := rec.adopt(r.saved, r.err, c)
	if ok && !s.caughtUp(c.upto) { // its rooms are those of then: what was sent before must not come now
		rec.giveBack(c.pid)
		return false
	}
	if !ok || !fetch {
		return ok
	}
	r, ok = s.await(func(r *retrieval) {
		rec.shared.Missed(s.ns.name, c.at.Place, func(list []Entry, upto Place, err error) {
			r.done(func() { r.list, r.upto, r.err = list, upto, err })
		})
	})
	switch {
	case !ok:
		return false
	case r.err == ErrOffsetGone:
		h.Count("recovery_offset_lost")
	case r.err != nil:
		h.Count("recovery_store_failed")
	default:
		c.list, c.upto, c.fetched = r.list, r.upto, true
		return true
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if t := rec.tickets[c.pid]; t != nil {
		rec.forget(t)
	}
	return false
}

// caughtUp parks until this node has done everything that a client has got elsewhere: it would send it that again.
func (s *Session) caughtUp(p Place) bool {
	h := s.ns.hub
	if h.order.upto().Compare(p) >= 0 {
		return true
	}
	var mine *retrieval
	_, ok := s.await(func(r *retrieval) {
		mine = r
		h.order.add(p, r)
	})
	h.order.forget(mine)
	if !ok && s.Connected() {
		h.Count("recovery_too_slow")
	}
	return ok
}

// giveBack lets others claim what this node has claimed.
func (rec *recovery) giveBack(pid string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if t := rec.tickets[pid]; t != nil && t.place != nil {
		rec.save(t)
	}
}

// putBack undoes a claim that nobody has waited for.
func (rec *recovery) putBack(st *SavedSession) {
	st.New, st.Live, st.For = true, false, rec.opts.MaxDisconnection
	rec.shared.Save(st)
}

// adopt makes what was saved of a session a ticket of this node, if it is not one already. fetch says that what it has
// missed must be asked for, ok that there is such a session.
func (rec *recovery) adopt(st *SavedSession, err error, c *claim) (fetch, ok bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	h := rec.ns.hub
	t := rec.tickets[c.pid]
	switch {
	case err != nil: // the order is not to be reached: what this node knows it knows
		h.Count("recovery_store_failed")
		return false, t != nil
	case st == nil:
		if t != nil && (t.held || t.turn > c.turn) { // another connection of the client's has just claimed it here
			return false, true
		}
		if t != nil {
			rec.giveUp(t)
		}
		h.Count("recovery_unknown_session")
		return false, false
	case st.Namespace != "" && st.Namespace != rec.ns.name:
		h.Count("recovery_unknown_session")
		rec.putBack(st)
		return false, false
	case t != nil && st.Token != "" && st.Token == t.token:
		t.held = true
	default:
		if t != nil {
			rec.giveUp(t)
		}
		if t, ok = rec.ticketOf(st); !ok {
			h.Count("recovery_bad_session")
			return false, false
		}
		if st.Token != "" {
			rec.shared.Sequence(&NodeRequest{
				Op: OpReplaced, Namespace: rec.ns.name, Room: c.pid, Reason: st.Token, ordered: &ordered{},
			})
		}
		if st.Last == c.offset && c.at.Place.Compare(st.Upto) < 0 {
			c.at.Place = st.Upto // it has all that it was sent, and that is all that there was
		}
		c.upto = st.Upto
	}
	return t.foreign && !rec.known(t, c.had) && !rec.log.covers(c.at.Place), true
}

// ticketOf makes a ticket of a session that was another node's. mu is held.
func (rec *recovery) ticketOf(st *SavedSession) (*ticket, bool) {
	o := &rec.ns.hub.opts
	if st.ID == "" || len(st.ID) > maxRoomName || o.MaxRooms > 0 && len(st.Rooms) > 2*(o.MaxRooms+max(o.MaxPrefixes, 0))+2 {
		return nil, false
	}
	t := &ticket{
		sid: st.ID, pid: st.RecoveryID, foreign: true, held: true, ready: true, born: rec.seq.Load(), token: NewID(),
		since: map[string]uint64{"": 0}, left: rec.ns.hub.now(), encoded: st.Data,
	}
	for _, room := range st.Rooms {
		if room == st.ID || room == "" || len(room) > maxRoomName+len(prefixMark) {
			continue
		}
		t.since[room] = 0
		t.prefixed = t.prefixed || isPrefixRoom(room)
	}
	t.data = rec.decode(st.Data)
	rec.tickets[t.pid] = t
	t.place = rec.away.PushBack(t)
	return t, true
}

// encode is a session's Data as it is saved.
func (rec *recovery) encode(data any) Payload {
	if data == nil {
		return Payload{}
	}
	p, err := encodeAck(data)
	if err == nil && len(p.JSON) <= maxSavedData {
		return p
	}
	rec.ns.hub.Count("recovery_data_not_saved")
	return Payload{}
}

// maxSavedData is the largest Data that is saved for other nodes, in bytes of JSON.
const maxSavedData = 256 << 10

func (rec *recovery) decode(p Payload) (data any) {
	parts, err := p.Split()
	if err != nil || len(parts) == 0 || string(parts[0]) == "{}" || string(parts[0]) == "null" {
		return nil
	}
	rec.ns.hub.guard("Recovery.DecodeData", func() {
		if fn := rec.opts.DecodeData; fn != nil {
			data, err = fn(parts[0])
		} else {
			err = p.Decode(parts[0], &data)
		}
	})
	if err != nil {
		rec.ns.hub.Count("recovery_bad_data")
	}
	return data
}

// known reports whether a client's offset is one of a session's that this node has all books of. mu is held.
func (rec *recovery) known(t *ticket, o Offset) bool {
	_, ok := rec.place(t, o)
	return ok
}

// place is the position of a session's client in the order of this node's loops. mu is held.
func (rec *recovery) place(t *ticket, o Offset) (p position, ok bool) {
	switch {
	case t.last != (position{}) && o == t.lastAt:
		return t.last, true
	case t.lull != (position{}) && o == t.lullAt && t.after.major > beforeAll:
		return t.lull, true
	}
	all, _ := rec.log.after(0)
	i := sort.Search(len(all), func(i int) bool { return all[i].spot.compare(o) >= 0 })
	if i == len(all) || all[i].spot.Offset != o || all[i].seq <= t.born {
		return p, false
	}
	return all[i].pos, true
}

// compare orders what is in one node's log.
func (s *spot) compare(o Offset) int {
	if c := s.Place.Compare(o.Place); c != 0 {
		return c
	}
	switch {
	case s.Ahead < o.Ahead:
		return -1
	case s.Ahead > o.Ahead:
		return 1
	}
	return 0
}

// missedBy lists what a client has missed, see missed.
func (rec *recovery) missedBy(t *ticket, c *claim) (list []logged, p position, refusal string) {
	if rec.shared == nil {
		p, ok := rec.position(c.offset)
		if !ok {
			return nil, p, "recovery_bad_offset"
		}
		list, refusal = rec.missed(t, p)
		return list, p, refusal
	}
	if p, ok := rec.place(t, c.had); ok {
		list, refusal = rec.missed(t, p)
		return list, p, refusal
	}
	if !t.foreign {
		return nil, p, "recovery_offset_lost"
	}
	list, refusal = rec.missedElsewhere(t, c)
	return list, position{major: beforeAll}, refusal
}

// missedElsewhere is missed for a client that comes from another node. What this node has kept is taken from there, as
// all that is on its way to its loops must be; only what was sent before that comes from the order itself. mu is held.
func (rec *recovery) missedElsewhere(t *ticket, c *claim) (list []logged, refusal string) {
	gone := rec.log.gone
	if !rec.log.covers(c.at.Place) && (!c.fetched || c.upto.Compare(gone) < 0) {
		return nil, "recovery_offset_lost"
	}
	w := walk{rec: rec, ticket: t, from: c.at.Place, at: c.at}
	for i := range c.list {
		if e := &c.list[i]; e.Place.Compare(gone) <= 0 {
			w.take(rec.loggedOf(e))
		}
	}
	all, _ := rec.log.after(0)
	if rec.early == 0 {
		all = all[sort.Search(len(all), func(i int) bool { return all[i].spot.Place.Compare(c.at.Place) > 0 }):]
	}
	for i := range all {
		if all[i].spot.behind(gone) {
			w.take(all[i])
		}
	}
	switch {
	case w.at.Ahead > 0 && w.at.From != rec.shared.Origin() && !rec.ns.hub.order.has(w.at.From, w.at.Ahead):
		// Another node has sent it things that have no place yet. When they get one, this node would send them again.
		w.refusal = "recovery_ahead"
	case w.bytes > rec.ns.hub.opts.OutboxBytes/2:
		w.refusal = "recovery_too_much"
	}
	return w.list, w.refusal
}

// walk follows a client through what it has missed.
type walk struct {
	rec     *recovery
	ticket  *ticket
	from    Place
	at      Offset // where the client is
	list    []logged
	bytes   int
	refusal string
}

func (w *walk) take(e logged) {
	s := e.spot
	if w.at.Ahead > 0 && s.n > 0 && s.origin == w.at.From && s.behind(w.from) {
		has := s.n <= w.at.Ahead
		if s.n >= w.at.Ahead && !s.early {
			w.at.From, w.at.Ahead = "", 0
		}
		if has {
			return // it has got that before it had a place
		}
	}
	if !s.behind(w.from) || !w.ticket.gets(&e) {
		return
	}
	o := s.Offset
	if o.Place.Compare(w.at.Place) < 0 {
		o.Place = w.at.Place
	}
	if w.at.Ahead > 0 {
		if o.Ahead > 0 && o.From != w.at.From {
			w.refusal = "recovery_ahead" // an offset cannot say both
			return
		}
		o.From, o.Ahead = w.at.From, max(o.Ahead, w.at.Ahead)
	}
	if o != s.Offset {
		e.frame = reframed(e.frame.msg, &o)
	}
	w.at.Place = o.Place
	w.list = append(w.list, e)
	w.bytes += 64 + size(e.frame.msg)*4/3
}

// reframed is the frame of a message under another offset.
func reframed(m *Message, o *Offset) *Frame {
	own := *m
	bare := own.Payload.JSON[:len(own.Payload.JSON)-len(own.offset.String())-len(`,""]`)]
	own.Payload = Payload{JSON: append(slices.Clip(bare), ']'), Attachments: m.Payload.Attachments}.with(o.String())
	own.offset = o
	return MessageFrame(&own)
}

// loggedOf is an entry that this node has not kept.
func (rec *recovery) loggedOf(e *Entry) logged {
	r := e.Request
	event, err := r.Payload.event()
	if err != nil {
		event = ""
	}
	m := Target{ns: rec.ns, plain: r.NoCompress}.message(event, r.Payload)
	m.Foreign = r.Published
	if len(r.Rooms) > 0 {
		m.Room, m.Offset = r.Rooms[0], beforeAll
	}
	s := &spot{Offset: e.Offset, origin: e.Origin, n: e.N}
	m.place, m.offset = beforeAll, &s.Offset
	m.Payload = m.Payload.with(s.Offset.String())
	return logged{
		pos: position{major: beforeAll}, seq: beforeAll, frame: MessageFrame(m), rooms: r.Rooms, except: r.Except, spot: s,
	}
}
