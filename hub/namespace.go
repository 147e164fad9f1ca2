package hub

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

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
	prefixes prefixRooms
	seqs     seqs           // how far rooms were that are gone
	turns    [16]sync.Mutex // by room: held while publications go to other nodes; taken before all other locks

	asks     atomic.Int64 // the ids of questions to clients
	onServer map[string]*call

	family  *Family // whose handler it has
	made    bool    // it exists for its sessions
	dead    bool    // dropped from the hub: look it up again
	watched bool    // a timer will look whether it is to be dropped

	recovery *recovery // nil without
}

// nextAsk is an id for a question, which one client gets or many.
func (ns *Namespace) nextAsk() int64 { return ns.asks.Add(1) - 1 }

func newNamespace(h *Hub, name string) *Namespace {
	ns := &Namespace{hub: h, name: name, rooms: make(map[string]*Room), sessions: make(map[string]*Session)}
	ns.all = newRoom(ns, "")
	ns.seqs.floor = h.seqFloor.Load()
	if h.opts.Recovery != nil {
		ns.recovery = newRecovery(ns) // in the hub's lock, see progress
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

// add reports false when the namespace was dropped meanwhile.
func (ns *Namespace) add(s *Session) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.dead {
		return false
	}
	ns.sessions[s.id] = s
	ns.tellSessionName(s.id, true)
	ns.hub.sessions.Add(1)
	return true
}

// rename gives s, which nobody knows by its id yet, that of an earlier session.
func (ns *Namespace) rename(s *Session, id string) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	delete(ns.sessions, s.id)
	ns.tellSessionName(s.id, false)
	s.id = id
	ns.sessions[id] = s
	ns.tellSessionName(id, true)
	s.greenlet.SetName(sessionGreenlet + id)
}

func (ns *Namespace) remove(s *Session) {
	ns.mu.Lock()
	if ns.sessions[s.id] == s { // not its successor of the same name, see Identifier
		delete(ns.sessions, s.id)
		ns.tellSessionName(s.id, false)
	}
	empty := ns.made && len(ns.sessions) == 0
	ns.mu.Unlock()
	ns.hub.sessions.Add(-1)
	if empty {
		ns.hub.dropEmpty(ns, s.loop)
	}
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
	if prefix, ok := strings.CutPrefix(name, prefixMark); ok {
		return ns.prefixes.lock(ns, prefix)
	}
	for {
		r := ns.lookupRoom(name)
		if r == nil {
			ns.mu.Lock()
			if r = ns.rooms[name]; r == nil {
				r = newRoom(ns, name)
				r.seq = ns.seqs.resume(name)
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

// SessionCount is the number of sessions, those that middlewares have not decided about included.
func (ns *Namespace) SessionCount() int {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return len(ns.sessions)
}

// Rooms lists the rooms that have members on this node or history, in no order, without the hub's own.
func (ns *Namespace) Rooms() []string {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	var out []string
	for name := range ns.rooms {
		if shown(name) {
			out = append(out, name)
		}
	}
	return out
}

// roomList lists all rooms, the hub's own too.
func (ns *Namespace) roomList() []*Room {
	ns.mu.RLock()
	defer ns.mu.RUnlock()
	return slices.Collect(maps.Values(ns.rooms))
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
// calls c.Accepted or c.Refused, then runs the handler. Errors: [ErrUnknownNamespace],
// [ErrTooManyNamespaces], [ErrClosed].
func (h *Hub) Connect(c Conn, namespace string, hs *Handshake) (*Session, error) {
	s, handler, err := h.enter(c, namespace, hs)
	if err != nil {
		return nil, err
	}
	s.begin(s.main(handler))
	return s, nil
}

// enter makes the session of c, without its greenlet, and returns the namespace's handler.
func (h *Hub) enter(c Conn, namespace string, hs *Handshake) (*Session, func(*Session) error, error) {
	if h.closed.Load() {
		return nil, nil, ErrClosed
	}
	for {
		ns, handler, err := h.open(namespace, hs)
		if err != nil {
			return nil, nil, err
		}
		s := newSession(ns, c, hs)
		if ns.add(s) {
			return s, handler, nil
		} // else its last session has just left
	}
}

// begin starts the session's greenlet, on its loop.
func (s *Session) begin(main func(*coop.Greenlet) error) {
	s.greenlet = s.loop.Spawn(main)
	s.greenlet.SetName(sessionGreenlet + s.id)
}
