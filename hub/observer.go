package hub

import (
	"runtime/debug"
	"slices"

	"greenroom/coop"
)

// Observer is told what happens in a hub; see [Hub.Observe]. Fields that are nil are not called. None of them
// may block or park.
//
// What concerns a session is called on the session's loop, where the session's methods may be used. The order is
// that of the session's life: Joined by what a middleware does, Connected, …, Left for each of its rooms,
// Disconnected. A session that a middleware refuses is never Connected nor Disconnected. The room of a session's
// own id is none of those that are told, nor are the hub's own, whose names start with "$".
type Observer struct {
	// Connected: a client was let in, and has just been told.
	Connected func(s *Session)
	// Disconnected: a client that was let in is gone; [Session.Reason] says why, [Session.Rooms] where it was.
	Disconnected func(s *Session)
	// Updated: the session's data was set by [Session.SetData], or its connection changed its transport.
	Updated func(s *Session)
	// Joined and Left: the session entered a room, or left one.
	Joined, Left func(s *Session, room string)
	// Received: the client sent an event. It waits for the handler still, or was not refused by the session's
	// rate; middlewares of the session have not seen it.
	Received func(s *Session, ev *Event)
	// Sent: the client was sent an event, a question or a room's message. It must not be modified.
	Sent func(s *Session, m *Message)

	// RoomCreated and RoomDeleted: a room has got its first member on this node, or lost its last. Any goroutine.
	// The room is locked meanwhile, so that the two keep their order: fn must not call the hub back.
	RoomCreated, RoomDeleted func(ns *Namespace, room string)
	// NamespaceCreated and NamespaceDeleted: a namespace came into being, or, made from a [Family], lost its last
	// session. Any goroutine.
	NamespaceCreated, NamespaceDeleted func(ns *Namespace)
}

// Observe tells o what happens from now on. cancel ends it; a call may be under way when cancel returns. A panic
// in an observer is counted and logged, and harms nobody. Without observers, the hub's work costs one comparison
// more for each event. Any goroutine.
func (h *Hub) Observe(o Observer) (cancel func()) {
	p := &o
	h.editObservers(func(list []*Observer) []*Observer { return append(list, p) })
	return func() {
		h.editObservers(func(list []*Observer) []*Observer {
			return slices.DeleteFunc(list, func(x *Observer) bool { return x == p })
		})
	}
}

// editObservers swaps in an edited copy: nil when it is empty, which is all that the hot path looks at.
func (h *Hub) editObservers(edit func([]*Observer) []*Observer) {
	h.observersMu.Lock()
	defer h.observersMu.Unlock()
	var list []*Observer
	if old := h.observers.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = edit(list); len(list) == 0 {
		h.observers.Store(nil)
		return
	}
	h.observers.Store(&list)
}

// observed reports whether anybody observes.
func (h *Hub) observed() bool { return h.observers.Load() != nil }

// tell calls one field of each observer.
func (h *Hub) tell(call func(o *Observer)) {
	list := h.observers.Load()
	if list == nil {
		return
	}
	for _, o := range *list {
		h.guard("an observer", func() { call(o) })
	}
}

// guard calls what the application has left with the hub, so that a panic there ends nothing else.
func (h *Hub) guard(what string, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			h.Count("callback_panicked")
			h.log.Error("a callback panicked: "+what, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	fn()
}

// shown reports whether a room is one that observers are told of.
func shown(room string) bool { return room != "" && room[0] != '$' }

// tellOn is tell on the loop's own stack: a greenlet's would grow by what observers do, and stay so.
func (h *Hub) tellOn(l *coop.Loop, call func(o *Observer)) {
	if g := l.Current(); g != nil {
		g.OnLoop(func() { h.tell(call) })
		return
	}
	h.tell(call)
}

func (h *Hub) tellSession(s *Session, field func(o *Observer) func(*Session)) {
	h.tellOn(s.loop, func(o *Observer) {
		if fn := field(o); fn != nil {
			fn(s)
		}
	})
}

func (h *Hub) tellRoom(s *Session, room string, field func(o *Observer) func(*Session, string)) {
	if !shown(room) {
		return
	}
	h.tellOn(s.loop, func(o *Observer) {
		if fn := field(o); fn != nil {
			fn(s, room)
		}
	})
}

// Which field a call is for.
func ofConnected(o *Observer) func(*Session)             { return o.Connected }
func ofDisconnected(o *Observer) func(*Session)          { return o.Disconnected }
func ofUpdated(o *Observer) func(*Session)               { return o.Updated }
func ofJoined(o *Observer) func(*Session, string)        { return o.Joined }
func ofLeft(o *Observer) func(*Session, string)          { return o.Left }
func ofRoomCreated(o *Observer) func(*Namespace, string) { return o.RoomCreated }
func ofRoomDeleted(o *Observer) func(*Namespace, string) { return o.RoomDeleted }
func ofNamespaceCreated(o *Observer) func(*Namespace)    { return o.NamespaceCreated }
func ofNamespaceDeleted(o *Observer) func(*Namespace)    { return o.NamespaceDeleted }

func (h *Hub) tellReceived(s *Session, ev *Event) {
	h.tell(func(o *Observer) {
		if o.Received != nil {
			o.Received(s, ev)
		}
	})
}

func (h *Hub) tellSent(s *Session, m *Message) {
	h.tellOn(s.loop, func(o *Observer) {
		if o.Sent != nil {
			o.Sent(s, m)
		}
	})
}

// tellMembers says that the room has got its first member, or lost its last. The room's lock is held.
func (r *Room) tellMembers(field func(o *Observer) func(*Namespace, string)) {
	if !r.ns.hub.observed() || !shown(r.name) {
		return
	}
	r.ns.hub.tell(func(o *Observer) {
		if fn := field(o); fn != nil {
			fn(r.ns, r.name)
		}
	})
}

func (h *Hub) tellNamespace(ns *Namespace, field func(o *Observer) func(*Namespace)) {
	h.tell(func(o *Observer) {
		if fn := field(o); fn != nil {
			fn(ns)
		}
	})
}

// SetData sets Data and tells observers so, which an assignment does not.
func (s *Session) SetData(v any) {
	s.Data = v
	s.Touch()
}

// Touch tells observers that something about the session has changed: what its Data points to, or, for
// transports, how its connection travels.
func (s *Session) Touch() {
	s.changed()
	if s.ns.hub.observed() && s.Connected() {
		s.ns.hub.tellSession(s, ofUpdated)
	}
}
