package hub

import (
	"sync"

	"greenroom/coop"
)

// Namespace is a world of its own: its sessions, its rooms, its handler. Any goroutine.
type Namespace struct {
	hub  *Hub
	name string
	all  *Room // everybody; has no name, no history and is in no map

	mu       sync.RWMutex
	handler  func(*Session) error
	use      []func(*Session) error
	rooms    map[string]*Room
	sessions map[string]*Session
	empty    emptyRooms // rooms kept for their history alone

	recovery *recovery // nil without
}

func newNamespace(h *Hub, name string) *Namespace {
	ns := &Namespace{hub: h, name: name, rooms: make(map[string]*Room), sessions: make(map[string]*Session)}
	ns.all = newRoom(ns, "")
	if h.opts.Recovery != nil {
		ns.recovery = newRecovery(ns)
	}
	return ns
}

// Name is "/" or "/chat".
func (ns *Namespace) Name() string { return ns.name }

// Use adds a middleware: it runs in the new session's greenlet, before the client is told that it is
// connected, and may park. An error refuses the connection; a [*ConnectError] carries data.
func (ns *Namespace) Use(middleware func(*Session) error) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.use = append(ns.use[:len(ns.use):len(ns.use)], middleware)
}

// setHandler sets the handler, once: to replace it would be a mistake that nobody sees.
func (ns *Namespace) setHandler(run func(*Session) error) error {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.handler != nil {
		return ErrHandled
	}
	ns.handler = run
	return nil
}

func (ns *Namespace) run() func(*Session) error {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.handler
}

func (ns *Namespace) middlewares() []func(*Session) error {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.use
}

// Session returns the session called id, or nil.
func (ns *Namespace) Session(id string) *Session {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.sessions[id]
}

func (ns *Namespace) add(s *Session) {
	ns.mu.Lock()
	ns.sessions[s.id] = s
	ns.mu.Unlock()
	ns.hub.sessions.Add(1)
}

// rename gives s, which nobody knows by its id yet, that of an earlier session.
func (ns *Namespace) rename(s *Session, id string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	delete(ns.sessions, s.id)
	s.id = id
	ns.sessions[id] = s
	s.greenlet.SetName(sessionGreenlet + id)
}

func (ns *Namespace) remove(s *Session) {
	ns.mu.Lock()
	delete(ns.sessions, s.id)
	ns.mu.Unlock()
	ns.hub.sessions.Add(-1)
}

// removeAll forgets all sessions; the loops have ended.
func (ns *Namespace) removeAll() {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.hub.sessions.Add(-int64(len(ns.sessions)))
	clear(ns.sessions)
}

// lookupRoom returns the room called name, or nil.
func (ns *Namespace) lookupRoom(name string) *Room {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return ns.rooms[name]
}

// lockRoom returns the room called name, made if need be, with its lock held.
func (ns *Namespace) lockRoom(name string) *Room {
	for {
		r := ns.lookupRoom(name)
		if r == nil {
			ns.mu.Lock()
			if r = ns.rooms[name]; r == nil {
				r = newRoom(ns, name)
				ns.rooms[name] = r
			}
			ns.mu.Unlock()
		}
		r.mu.Lock()
		if !r.dead {
			return r
		}
		r.mu.Unlock() // it was dropped between the look-up and the lock
	}
}

// RoomCount is the number of rooms that have members or history.
func (ns *Namespace) RoomCount() int {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return len(ns.rooms)
}

// sessionGreenlet stands in front of the session's id in the name of its greenlet, as traces show it.
const sessionGreenlet = "session "

// Connect makes the session of c in a namespace: on c's loop. Its greenlet runs the middlewares, then
// calls c.Accepted or c.Refused, then runs the handler. Errors: [ErrUnknownNamespace], [ErrClosed].
func (h *Hub) Connect(c Conn, namespace string, hs *Handshake) (*Session, error) {
	ns, handler, err := h.handled(namespace)
	if err != nil {
		return nil, err
	}
	s := newSession(ns, c, hs)
	s.begin(func(*coop.Greenlet) error { return s.main(handler) })
	return s, nil
}

// handled returns the namespace called name, and its handler.
func (h *Hub) handled(name string) (*Namespace, func(*Session) error, error) {
	if h.closed.Load() {
		return nil, nil, ErrClosed
	}
	ns := h.lookup(name)
	if ns == nil {
		return nil, nil, ErrUnknownNamespace
	}
	handler := ns.run()
	if handler == nil {
		return nil, nil, ErrUnknownNamespace
	}
	return ns, handler, nil
}

// begin starts the session's greenlet, on its loop.
func (s *Session) begin(main func(*coop.Greenlet) error) {
	s.greenlet = s.loop.Spawn(main)
	s.greenlet.SetName(sessionGreenlet + s.id)
	s.ns.add(s)
}
