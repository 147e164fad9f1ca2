package hub

import (
	"errors"
	"slices"
	"time"

	"greenroom/coop"
)

// ReasonReplaced is the reason of a session whose client is back by another connection, before the server
// has noticed that the first one is dead.
const ReasonReplaced = "replaced by a newer connection"

// recoverable are the reasons that leave a session waiting for its client. The others say that one side
// wanted the end.
var recoverable = map[string]bool{
	"transport close": true, "transport error": true, "ping timeout": true, "forced close": true,
	"forced server close": true, "server shutting down": true, ReasonReplaced: true,
}

// errLost refuses a client whose session went while middlewares decided on it.
var errLost = &ConnectError{Message: "session lost"}

// Reconnect is [Hub.Connect] for a client that says that it had a session: pid is what
// [Session.RecoveryID] was then, offset the last one that it got. If the session can be recovered, the client
// is sent what it has missed before c.Accepted is called; otherwise it gets a new session, and nothing says
// why but the counters.
func (h *Hub) Reconnect(c Conn, namespace string, hs *Handshake, pid, offset string) (*Session, error) {
	s, handler, err := h.enter(c, namespace, hs)
	if err != nil {
		return nil, err
	}
	if s.ns.recovery == nil || pid == "" || offset == "" || givenID(c, namespace) != "" {
		s.begin(s.main(handler))
		return s, nil
	}
	s.begin(func(g *coop.Greenlet) error {
		s.reclaim(&claim{pid: pid, offset: offset})
		return s.main(handler)(g)
	})
	return s, nil
}

// Recovered reports whether the client has come back to the session that it had before: its id, its rooms
// and Data are there, and what was sent meanwhile. The handler begins anew all the same, after that of the
// earlier session has ended.
func (s *Session) Recovered() bool { return s.recovered }

// RecoveryID is the secret by which the client can come back to this session, "" without [Options.Recovery].
// Whoever has it can take the session over.
func (s *Session) RecoveryID() string {
	if s.ticket == nil {
		return ""
	}
	return s.ticket.pid
}

// claim is what a client says of its earlier session.
type claim struct {
	pid, offset string

	// With a [Sequencer]: what the client says it has, how far it is, and what it has missed until upto if that had to be asked for.
	had, at Offset
	turn    uint64
	list    []Entry
	upto    Place
	fetched bool
}

// reclaim makes s the session that its client had, if it can. It parks while that one ends.
func (s *Session) reclaim(c *claim) {
	rec := s.ns.recovery
	if rec.shared != nil && !s.retrieve(c) {
		return
	}
	var ended coop.Event
	port := ended.Port(s.loop)
	err := s.greenlet.WithTimeout(recoveryWait, func() error {
		for {
			var wait bool
			s.greenlet.OnLoop(func() { wait = rec.claim(s, c, port) })
			if !wait {
				return nil
			}
			if _, err := coop.WaitAny(s.greenlet, &ended, &s.gone); err != nil || s.gone.IsSet() {
				return err
			}
			ended.Clear()
		}
	})
	if errors.Is(err, coop.ErrTimeout) {
		s.ns.hub.Count("recovery_too_slow")
	}
	if err != nil {
		rec.withdraw(c.pid, port)
	}
}

// withdraw takes back a port that claim has left: nobody waits any more.
func (rec *recovery) withdraw(pid string, port coop.EventPort) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if t := rec.tickets[pid]; t != nil {
		t.waiting = slices.DeleteFunc(t.waiting, func(p coop.EventPort) bool { return p == port })
		if t.place != nil {
			rec.save(t)
		}
	}
}

// claim gives s the ticket of its client's earlier session. It reports true when that has not ended yet:
// port is set when it has. On s's loop.
func (rec *recovery) claim(s *Session, c *claim, port coop.EventPort) (wait bool) {
	rec.mu.Lock()
	missed, wait := rec.claimLocked(s, c, port)
	rec.mu.Unlock()
	if s.accepted {
		s.welcome(missed, 0)
	}
	return wait
}

func (rec *recovery) claimLocked(s *Session, c *claim, port coop.EventPort) (missed []logged, wait bool) {
	if !s.Connected() {
		return nil, false
	}
	rec.expire()
	h := rec.ns.hub
	t := rec.tickets[c.pid]
	switch {
	case t == nil:
		h.Count("recovery_unknown_session")
		return nil, false
	case t.claimed:
		h.Count("recovery_in_use")
		return nil, false
	case !t.ready:
		if t.place == nil { // still connected, as it seems
			old := t.session
			old.loop.Post(old.replaced)
		}
		if !slices.Contains(t.waiting, port) {
			t.waiting = append(t.waiting, port)
		}
		return nil, true
	}
	missed, p, refusal := rec.missedBy(t, c)
	if refusal != "" {
		h.Count(refusal)
		rec.forget(t)
		return nil, false
	}
	rec.ns.rename(s, t.sid)
	s.recovered, s.ticket, s.Data = true, t, t.data
	t.claimed, t.claim, t.loop = true, c, s.loop
	if !rec.opts.RunMiddlewares {
		rec.restore(s, missed, p)
	}
	return missed, false
}

// restore puts s, whose client has everything up to p, into its rooms, behind the messages of which missed are its. mu is held, and from here on
// messages come as they do to everybody.
func (rec *recovery) restore(s *Session, missed []logged, p position) {
	t := s.ticket
	rec.away.Remove(t.place)
	t.place, t.session, t.base = nil, s, rec.seq.Load()
	t.lastAt = t.claim.had
	t.resumed(p, missed, s.loop.Now())
	for name := range t.since {
		if i := s.slot(name); i >= 0 { // a middleware has joined it: what came since is among those missed
			m := s.rooms[i]
			m.room.shards[s.loop.ID()].members[m.index].since = t.base
			continue
		}
		r := rec.ns.all
		if name == "" {
			r.mu.Lock()
		} else {
			r = rec.ns.lockRoom(name)
		}
		r.joinLocked(s)
		r.mu.Unlock()
	}
	s.accepted = true
	rec.own(s)
	rec.ns.hub.Count("recovery_recovered")
}

// own makes what is saved of a session that has just been let in this node's. On its loop, mu held.
func (rec *recovery) own(s *Session) {
	if rec.shared == nil || givenID(s.conn, rec.ns.name) != "" {
		return
	}
	t := s.ticket
	if t.token != "" {
		if len(t.former) == maxFormer {
			t.former = slices.Delete(t.former, 0, 1)
		}
		t.former = append(t.former, t.token)
	}
	t.token = NewID()
	rec.saveLive(s, true)
}

// exit takes s out of a room that it is to have again when middlewares let it in. On s's loop.
func (rec *recovery) exit(s *Session, room string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	s.ticket.exit(room, rec.seq.Load())
}

// admit lets s in when its middlewares have: as a new session, or with what it has missed. It reports false
// when the session to recover is not there any more. On s's loop.
func (rec *recovery) admit(s *Session) (missed []logged, ok bool) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	t := s.ticket
	if t == nil {
		t = &ticket{sid: s.id, pid: NewID(), session: s, loop: s.loop, base: rec.seq.Load()}
		t.born = t.base
		rec.tickets[t.pid], s.ticket = t, t
		s.accepted = true
		s.enter(rec.ns.all)
		rec.own(s)
		return nil, true
	}
	if rec.tickets[t.pid] != t {
		return nil, false
	}
	for _, m := range s.rooms {
		t.enter(m.room.name, m.room.shards[s.loop.ID()].members[m.index].since)
	}
	missed, p, refusal := rec.missedBy(t, t.claim)
	if refusal != "" {
		rec.ns.hub.Count(refusal)
		return nil, false
	}
	rec.restore(s, missed, p)
	return missed, true
}

// leave is called when s ends: its client may come back, or not. On s's loop, before it leaves its rooms.
func (rec *recovery) leave(s *Session, reason string) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	t := s.ticket
	if rec.tickets[t.pid] != t {
		return // forgotten, while a middleware ran
	}
	if !recoverable[reason] || givenID(s.conn, rec.ns.name) != "" {
		rec.forget(t)
		return
	}
	since := make(map[string]uint64, len(s.rooms))
	for _, m := range s.rooms {
		t.prefixed = t.prefixed || isPrefixRoom(m.room.name)
		since[m.room.name] = t.entered(m.room.name, m.room.shards[s.loop.ID()].members[m.index].since)
	}
	t.since = since
	t.upto, t.left = rec.arrived(s), rec.ns.hub.now()
	t.place = rec.away.PushBack(t)
	if t.token != "" {
		rec.note(t, s.loop)
		t.encoded = rec.encode(s.Data)
		rec.save(t)
	}
}

// settle is called when the handler of s has ended: what it has left in Data is the next one's.
func (rec *recovery) settle(s *Session) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	t := s.ticket
	if t.session != s {
		t.claimed = false // refused, or gone before it was let in: the client may try again
		if t.place != nil {
			rec.save(t)
		}
		return
	}
	if t.place == nil {
		return // forgotten
	}
	t.session, t.ready, t.data = nil, true, s.Data
	if t.token != "" {
		if data := rec.encode(s.Data); string(data.JSON) != string(t.encoded.JSON) { // the handler has changed it since
			t.encoded = data
			rec.save(t)
		}
	}
	t.wake()
	rec.expire()
	for rec.away.Len() > rec.opts.MaxSessions {
		rec.ns.hub.Count("recovery_sessions_full")
		rec.forget(rec.away.Front().Value.(*ticket))
	}
}

// expire forgets sessions that have waited for too long. mu is held.
func (rec *recovery) expire() {
	now := rec.ns.hub.now()
	for e := rec.away.Front(); e != nil; e = rec.away.Front() {
		t := e.Value.(*ticket)
		if now.Sub(t.left) <= rec.opts.MaxDisconnection {
			return
		}
		rec.ns.hub.Count("recovery_session_expired")
		rec.forget(t)
	}
}

// longest is how long one of those away may still come back, 0 when nobody is away. mu is held.
func (rec *recovery) longest() time.Duration {
	rec.expire()
	last := rec.away.Back()
	if last == nil {
		return 0
	}
	away := rec.ns.hub.now().Sub(last.Value.(*ticket).left)
	return max(0, rec.opts.MaxDisconnection-away) + time.Millisecond // behind the last moment
}

// forget takes a ticket back. Whoever waits for it is told. mu is held.
func (rec *recovery) forget(t *ticket) {
	delete(rec.tickets, t.pid)
	if t.token != "" && !t.held {
		rec.shared.Forget(t.pid, t.token)
	}
	t.token = ""
	if t.place != nil {
		rec.away.Remove(t.place)
		t.place = nil
	}
	t.wake()
}

// wake tells clients that are back that the session has ended.
func (t *ticket) wake() {
	for _, port := range t.waiting {
		port.Set()
	}
	t.waiting = nil
}

// replaced ends a session whose client is back by another connection. On its loop.
func (s *Session) replaced() {
	if s.Connected() {
		s.ns.hub.Count("recovery_replaced")
		s.dismiss(ReasonReplaced, nil, false)
	}
}

// keep sends a message of a session without a client to that client all the same, if it may come back.
func (rec *recovery) keep(s *Session, m *Message) {
	rec.mu.Lock()
	kept := rec.tickets[s.ticket.pid] == s.ticket
	rec.mu.Unlock()
	switch {
	case !kept:
	case rec.shared != nil:
		rec.ns.To(s.id).emit(m)
	default:
		rec.send(rec.ns.To(s.id), m)
	}
}

// eachAway calls fn for the sessions addressed that are away and were on l, or on any loop when l is nil. mu
// is held meanwhile.
func (t Target) eachAway(l *coop.Loop, fn func(*recovery, *ticket)) {
	rec := t.ns.recovery
	if rec == nil {
		return
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for e := rec.away.Front(); e != nil; {
		k := e.Value.(*ticket)
		e = e.Next() // fn may remove it
		if (l == nil || k.loop == l) && t.addresses(k) {
			fn(rec, k)
		}
	}
}

// addresses reports whether a session that is away is among those addressed.
func (t Target) addresses(k *ticket) bool {
	is := func(name string) bool {
		_, in := k.since[name]
		return name == k.sid || in
	}
	if t.skip != nil && t.skip.id == k.sid || slices.ContainsFunc(t.except, is) {
		return false
	}
	return len(t.rooms) == 0 || slices.ContainsFunc(t.rooms, is)
}
