package hub

import (
	"errors"
	"slices"
	"time"

	"greenroom/coop"
)

// Session is one client in one namespace. It lives on one loop and has one greenlet, which runs the
// namespace's handler. Its methods may be called by that greenlet, and by other code on the loop,
// only; use [Namespace.To] with the session's id from elsewhere.
type Session struct {
	// Data is the application's own.
	Data any

	id        string
	ns        *Namespace
	loop      *coop.Loop
	conn      Conn
	greenlet  *coop.Greenlet
	handshake Handshake
	rooms     []membership

	inbox     inbox
	acks      acks
	pace      pace
	listeners *listeners // nil until the application wants some

	ticket *ticket // what lets the client come back, nil without recovery

	gone coop.Event
	past *past // once the client has left

	accepted  bool
	recovered bool
	rests     bool // the greenlet goes on without it
}

// past is what stays readable of a session that has ended.
type past struct {
	reason string
	rooms  []string
}

func newSession(ns *Namespace, c Conn, hs *Handshake) *Session {
	s := &Session{id: sessionID(c, ns.name), ns: ns, loop: c.Loop(), conn: c}
	if hs != nil {
		s.handshake = *hs
	}
	s.inbox.queue = coop.NewQueue[*Event](-1)
	return s
}

// ID is the session's id, known to the client: 20 characters and not a secret, unless the transport gives its
// own, see [Identifier].
func (s *Session) ID() string { return s.id }

// Namespace is the name of the namespace, "/" or "/chat".
func (s *Session) Namespace() string { return s.ns.name }

// Hub is the hub the session belongs to.
func (s *Session) Hub() *Hub { return s.ns.hub }

// Handshake is what was known of the client when it connected.
func (s *Session) Handshake() *Handshake { return &s.handshake }

// Greenlet is the greenlet that runs the session's handler, for use with coop's primitives.
func (s *Session) Greenlet() *coop.Greenlet { return s.greenlet }

// Connected reports whether the client is still there.
func (s *Session) Connected() bool { return !s.gone.IsSet() }

// Reason is why the session ended, "" while it lives: "transport close", "client namespace
// disconnect", "ping timeout", … as the Node.js server names them.
func (s *Session) Reason() string {
	if s.past == nil {
		return ""
	}
	return s.past.reason
}

// main is what the session's greenlet runs. What comes before the handler is not on its stack while it waits,
// and what needs a deep stack runs on the loop's: a session waits most of the time, and its stack is
// most of what it costs then.
func (s *Session) main(handler func(*Session) error) func(*coop.Greenlet) error {
	return func(*coop.Greenlet) error {
		defer s.finish() // also when the handler or a middleware panics
		if !s.admit() {
			return nil
		}
		err := handler(s)
		if s.rests {
			return err
		}
		if err != nil {
			s.failed(err)
		}
		return nil
	}
}

// admit runs the middlewares and tells the client that it is in. It reports false when one of them has
// refused, or the client has left.
func (s *Session) admit() bool {
	if s.accepted {
		return true // recovered
	}
	for _, use := range s.ns.middlewares() {
		if err := use(s); err != nil {
			s.greenlet.OnLoop(func() { s.dismiss("refused", err, false) })
			return false
		}
	}
	s.greenlet.OnLoop(s.accept)
	return s.accepted
}

func (s *Session) accept() {
	switch rec := s.ns.recovery; {
	case !s.Connected():
	case rec != nil:
		told := len(s.rooms)
		if missed, ok := rec.admit(s); ok {
			s.welcome(missed, told)
		} else {
			s.dismiss("refused", errLost, false)
		}
	default:
		s.accepted = true
		s.enter(s.ns.all)
		s.conn.Accepted(s)
		if s.ns.hub.observed() {
			s.tellConnected(nil, nil)
		}
	}
}

// welcome tells the client that it is in. What it has missed comes first: the client then knows that its
// place is right, whenever it is cut off. Of a recovered session's rooms, observers know as many as it had joined
// before.
func (s *Session) welcome(missed []logged, told int) {
	for i := range missed {
		s.conn.Send(missed[i].frame)
	}
	s.conn.Accepted(s)
	if s.listeners == nil && !s.ns.hub.observed() {
		return
	}
	var back []string
	if s.recovered {
		for _, m := range s.rooms[min(told, len(s.rooms)):] {
			back = append(back, m.room.name)
		}
	}
	s.tellConnected(back, missed)
}

// tellConnected tells those who watch that the client is in, with the rooms that it is in again and what it was sent.
// Each of them may end the session.
func (s *Session) tellConnected(rooms []string, missed []logged) {
	h := s.ns.hub
	for _, room := range rooms {
		if s.Connected() {
			h.tellRoom(s, room, ofJoined)
		}
	}
	if s.Connected() {
		h.tellSession(s, ofConnected)
	}
	for i := range missed {
		if s.Connected() {
			s.sending(missed[i].frame.msg)
		}
	}
}

// failed reports a handler's error, unless it only says that the session is over.
func (s *Session) failed(err error) {
	if s.Connected() && !errors.Is(err, coop.ErrKilled) {
		s.ns.hub.Count("handler_error")
		s.ns.hub.log.Warn("a session's handler ended with an error", "session", s.id, "namespace", s.ns.name, "error", err)
	}
}

// finish ends the session when its handler has returned, failed or panicked, unless its events are still to be handled.
func (s *Session) finish() {
	if s.rests {
		return
	}
	s.dismiss("server namespace disconnect", errMiddlewarePanicked, false)
	s.ns.remove(s)
	if s.ticket != nil {
		s.ns.recovery.settle(s)
	}
}

// dismiss ends the session from the server's side, if it has not ended, and tells the client: that it
// is disconnected, or, when it was never connected, that it is refused because of err.
func (s *Session) dismiss(reason string, err error, closeConn bool) {
	if !s.Connected() {
		return
	}
	if s.accepted {
		s.end(reason)
		s.conn.Leave(s, closeConn)
		return
	}
	s.inbox.discard(s.ns.hub, "event_before_refusal")
	if s.end(reason) {
		s.conn.Refused(s, err)
	}
	if closeConn {
		s.conn.Leave(s, true)
	}
}

// Closed tells the session that its client is gone, and why. The transport calls it, on the loop; it
// is idempotent. Deliveries stop, rooms are left, pending asks fail, and the handler gets what the
// client had sent before and then the end of its events.
func (s *Session) Closed(reason string) { s.end(reason) }

// end reports false when the session has ended before, perhaps because a listener has just done it.
func (s *Session) end(reason string) bool {
	if s.listeners != nil {
		s.disconnecting(reason)
	}
	if s.gone.IsSet() {
		return false
	}
	s.past = &past{reason, s.Rooms()}
	if s.accepted && s.ticket != nil {
		s.ns.recovery.leave(s, reason)
	}
	s.gone.Set()
	for len(s.rooms) > 0 {
		s.leave(len(s.rooms) - 1)
	}
	s.rooms = nil
	if s.accepted && s.ns.hub.observed() {
		s.ns.hub.tellSession(s, ofDisconnected)
	}
	s.inbox.close()
	s.acks.fail(s, ErrGone)
	return true
}

// Disconnect ends the session from the server's side: the client is told, and does not reconnect by
// itself. reason becomes Reason; a client that is not connected yet, because a middleware still runs,
// is refused with it. What the client had sent and the handler has not taken yet is dropped and counted.
// It returns [ErrGone], so that a handler can `return s.Disconnect(…)`.
func (s *Session) Disconnect(reason string) error { return s.disconnect(reason, false) }

// CloseConn is Disconnect that closes the client's whole connection, and thereby ends its sessions in other
// namespaces, each for the reason of its transport.
func (s *Session) CloseConn(reason string) error { return s.disconnect(reason, true) }

func (s *Session) disconnect(reason string, closeConn bool) error {
	if s.Connected() {
		if s.accepted {
			s.inbox.discard(s.ns.hub, "event_after_disconnect")
		}
		s.dismiss(reason, &ConnectError{Message: reason}, closeConn)
	}
	return ErrGone
}

// Sleep parks the session's greenlet for d. It returns [ErrGone] as soon as the client leaves.
func (s *Session) Sleep(d time.Duration) error {
	err := s.greenlet.WithTimeout(d, func() error { return s.gone.Wait(s.greenlet) })
	switch {
	case err == nil:
		return ErrGone
	case errors.Is(err, coop.ErrTimeout):
		return nil
	}
	return err
}

// Emit sends an event to this client. [ErrGone] when it has left, which it gets all the same if it comes back
// to its session ([Recovery]); other errors say why the arguments cannot be sent. With recovery over a [Sequencer] the
// event has a place in the order of all nodes: it leaves when that has come, perhaps behind the answers to what the
// client sends.
func (s *Session) Emit(event string, args ...any) error {
	return s.emit(NoAck, false, event, args)
}

// EmitVolatile is Emit for what the client may miss: it is not sent, but counted, when it would have to wait.
func (s *Session) EmitVolatile(event string, args ...any) error {
	if s.Connected() && !s.conn.Writable() {
		s.ns.hub.Count("volatile_dropped")
		return nil
	}
	return s.emit(NoAck, true, event, args)
}

func (s *Session) emit(ack int64, volatile bool, event string, args []any) error {
	if ReservedEvent(event) {
		return ErrReservedEvent
	}
	p, err := EncodeArgs(event, args...)
	if err != nil {
		return err
	}
	m := &Message{Namespace: s.ns.name, Event: event, Payload: p, Ack: ack, Volatile: volatile}
	rec, kept := s.ns.recovery, s.ticket != nil && s.accepted && ack == NoAck && !volatile
	if !s.Connected() {
		if kept {
			rec.keep(s, m)
		}
		return ErrGone
	}
	if kept && rec.shared != nil && givenID(s.conn, s.ns.name) == "" {
		s.ns.To(s.id).emit(m)
		return nil
	}
	if s.listeners != nil || s.ns.hub.observed() {
		s.sending(m)
	}
	if kept && rec.shared == nil {
		s.conn.Send(rec.direct(s, m))
	} else {
		s.conn.Send(MessageFrame(m))
	}
	return nil
}

// send delivers a shared frame, on the loop. It reports whether the client is there and took it.
func (s *Session) send(f *Frame) bool {
	switch {
	case !s.Connected() || !s.accepted:
		return false // There is no client to miss it.
	case f.msg.Volatile && !s.conn.Writable():
		s.ns.hub.Count("volatile_dropped")
		return false
	}
	if s.listeners != nil || s.ns.hub.observed() {
		s.sending(f.msg)
	}
	if f.msg.place > 0 {
		s.ticket.sent(position{major: f.msg.place}, f.msg.offset, s.loop.Now())
	}
	s.conn.Send(f)
	return true
}

// To addresses rooms of the session's namespace without the session itself.
func (s *Session) To(rooms ...string) Target {
	return Target{ns: s.ns, rooms: rooms, skip: s}
}

// Join enters a room. From the next message that the room sequences the client gets them all. To be
// in it already is fine.
func (s *Session) Join(room string) error {
	if err := checkOwnRoom(room); err != nil {
		return err
	}
	if !s.Connected() {
		return ErrGone
	}
	if most := s.ns.hub.opts.MaxRooms; most > 0 && len(s.rooms) >= most && s.slot(room) < 0 && s.named() >= most {
		s.ns.hub.Count("session_rooms_full")
		return ErrTooManyRooms
	}
	r, joined := s.lockedIn(room)
	r.mu.Unlock()
	s.tellJoined(room, joined)
	return nil
}

// lockedIn makes the session a member of a room, if it is none, and returns the room with its lock held.
// The caller gives joined to tellJoined when it has unlocked the room.
func (s *Session) lockedIn(room string) (r *Room, joined bool) {
	if i := s.slot(room); i >= 0 {
		r := s.rooms[i].room
		r.mu.Lock()
		return r, false
	}
	r = s.ns.lockRoom(room)
	r.joinLocked(s)
	s.changed()
	return r, true
}

func (s *Session) tellJoined(room string, joined bool) {
	if joined && s.ns.hub.observed() {
		s.ns.hub.tellRoom(s, room, ofJoined)
	}
}

func (s *Session) enter(r *Room) {
	r.mu.Lock()
	r.joinLocked(s)
	r.mu.Unlock()
}

// Leave leaves a room, and with it the updates on who is there. Messages sequenced before are still
// sent to the client, perhaps after Leave has returned; none sequenced after are.
func (s *Session) Leave(room string) {
	if s.ticket != nil && !s.accepted {
		s.ns.recovery.exit(s, room)
		s.ns.recovery.exit(s, presenceRoom(room))
	}
	i := s.slot(room)
	if i < 0 {
		return
	}
	s.leave(i)
	if i := s.slot(presenceRoom(room)); i >= 0 {
		s.leave(i)
	}
}

// leave leaves the room in a slot and takes the session off the room's list of who is here.
func (s *Session) leave(slot int) {
	r := s.rooms[slot].room
	r.absent(s)
	s.leaveSlot(slot)
	s.changed()
	if s.ns.hub.observed() {
		s.ns.hub.tellRoom(s, r.name, ofLeft)
	}
}

// In reports whether the session is in a room.
func (s *Session) In(room string) bool { return s.slot(room) >= 0 }

func (s *Session) slot(room string) int {
	if room == "" {
		return -1
	}
	return slices.IndexFunc(s.rooms, func(m membership) bool { return m.room.name == room })
}

// named counts the session's rooms that have a name of their own choice: all but everybody and the hub's.
func (s *Session) named() (n int) {
	for _, m := range s.rooms {
		if name := m.room.name; name != "" && name[0] != '$' {
			n++
		}
	}
	return n
}

// Rooms lists the rooms the session is in, or was in when the client left.
func (s *Session) Rooms() []string {
	if s.gone.IsSet() {
		return s.past.rooms
	}
	var out []string
	for _, m := range s.rooms {
		if m.room.name != "" && !isPrefixRoom(m.room.name) {
			out = append(out, m.room.name)
		}
	}
	return out
}
