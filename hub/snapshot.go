package hub

import (
	"encoding/json"

	"greenroom/coop"
	"greenroom/internal/msgpack"
)

// Snapshot is a session as it was a moment ago, on whichever node. Its methods address the session itself; when it
// has ended they do nothing. Any goroutine. Node.js: RemoteSocket.
type Snapshot struct {
	ID        string
	Namespace string
	Node      string     // where the session lives; "" for this node
	Handshake *Handshake // read-only
	Rooms     []string   // without the room of the session's own id
	// Data is [Session.Data] itself on this node: what it points to belongs to the session's loop. Of another node it is
	// what that has made of it, a json.RawMessage; nil if nothing could be.
	Data       any
	Transport  string // how the connection travels now: "websocket", "polling"; "" when it does not say
	Connection string // names the connection, which all its namespaces share; not a secret

	hub *Hub
}

// Linked may be implemented by a [Conn], to say what is below it. On the loop.
type Linked interface {
	// Transport is how the connection travels now: "websocket", "polling".
	Transport() string
	// Connection names the connection; it must not be a secret.
	Connection() string
}

// Snapshot is what [Target.Sessions] tells about the session, for its own loop.
func (s *Session) Snapshot() Snapshot {
	snap := Snapshot{
		ID: s.id, Namespace: s.ns.name, Handshake: &s.handshake, Rooms: s.Rooms(), Data: s.Data, hub: s.ns.hub,
	}
	if l, ok := s.conn.(Linked); ok {
		snap.Transport, snap.Connection = l.Transport(), l.Connection()
	}
	return snap
}

// Target addresses the session.
func (s Snapshot) Target() Target { return s.hub.Of(s.Namespace).To(s.ID) }

// Emit sends the session an event, as [Target.Emit] does.
func (s Snapshot) Emit(event string, args ...any) error { return s.Target().Emit(event, args...) }

// Join makes the session enter a room, soon.
func (s Snapshot) Join(room string) error { return s.Target().Join(room) }

// Leave makes the session leave a room, soon.
func (s Snapshot) Leave(room string) { s.Target().Leave(room) }

// Disconnect ends the session.
func (s Snapshot) Disconnect(reason string) { s.Target().Disconnect(reason) }

// Sessions lists those who are addressed, on all nodes; an order is not promised. It waits for each loop, and each
// node, at most for the time of [Target.Within], and returns what it has together with a [*MissingError] when some
// were silent. A greenlet parks meanwhile, a goroutine blocks; a callback on a loop can do neither and gets
// [coop.ErrNotRunning].
func (t Target) Sessions() ([]Snapshot, error) {
	m, err := t.ns.hub.newMeeting()
	if err != nil {
		return nil, err
	}
	g := newGather(t.ns.hub, m.over)
	t.roll(g)
	err = g.wait(m, t.patience())
	return g.sessions, err
}

// roll has g gather the sessions addressed, here and elsewhere.
func (t Target) roll(g *gather) {
	for _, l := range t.ns.hub.loops.All() {
		g.begin()
		if !l.Post(func() { t.rollOn(l, g) }) {
			g.step()
		}
	}
	t.elsewhere(g, &NodeRequest{Op: OpSessions})
	g.step()
}

func (t Target) rollOn(l *coop.Loop, g *gather) {
	var found []Snapshot
	for _, s := range t.on(l) {
		if s.accepted && s.Connected() {
			snap := s.Snapshot()
			if g.sink != nil {
				snap.Data = s.encodedData()
			}
			found = append(found, snap)
		}
	}
	g.mu.Lock()
	if !g.closed {
		g.sessions = append(g.sessions, found...)
	}
	g.mu.Unlock()
	g.step()
}

// encodedData is the session's data for another node: as JSON, in which binary values are objects as Node.js has them
// there, {"type":"Buffer","data":[…]}. On the loop, to which what Data points to belongs.
func (s *Session) encodedData() any {
	if s.Data == nil {
		return nil
	}
	p, err := encodeAck(s.Data)
	if err == nil && len(p.Attachments) > 0 {
		p.JSON, err = msgpack.Text(p.JSON, p.Attachments)
	}
	if err != nil {
		s.ns.hub.Count("session_data_not_encodable")
		return nil
	}
	return json.RawMessage(p.JSON[1 : len(p.JSON)-1])
}
