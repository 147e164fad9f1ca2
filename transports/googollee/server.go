package googollee

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	gosocketio "github.com/googollee/go-socket.io"
	goengineio "github.com/googollee/go-socket.io/engineio"

	"greenroom/hub"
	"greenroom/transports/socketio"
)

// The types of the library.
type (
	// Conn is a client in one namespace.
	Conn = gosocketio.Conn
	// Namespace is what of a Conn is not the connection's.
	Namespace = gosocketio.Namespace
	// EachFunc is what [Server.ForEach] calls.
	EachFunc = gosocketio.EachFunc
	// RedisAdapterOptions is what [Server.Adapter] takes.
	RedisAdapterOptions = gosocketio.RedisAdapterOptions
)

// ErrNoAdapter says that the library's Redis adapter is not supported.
var ErrNoAdapter = errors.New("googollee: the Redis adapter of go-socket.io is not supported")

// closeTimeout bounds how long Close waits for what was sent to leave.
const closeTimeout = 5 * time.Second

// Server is a server of Socket.IO clients of versions 1 to 4. It is an [http.Handler] for whatever path it is mounted
// at. All methods may be called from any goroutine.
type Server struct {
	hub    *hub.Hub
	own    bool // the hub is ours to close
	log    *slog.Logger
	socket *socketio.Server
	initor goengineio.ConnInitorFunc

	mu     sync.RWMutex
	spaces map[string]*space
	fault  error // the first mistake of the program

	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error
}

// NewServer makes a server with a hub of its own; opts may be nil.
func NewServer(opts *goengineio.Options) *Server {
	h, err := hub.New(hub.Options{})
	if err != nil {
		// The signature has no room for it: without loops there is nothing to serve, as Serve says.
		return &Server{log: slog.Default(), fault: err, spaces: make(map[string]*space), closed: make(chan struct{})}
	}
	s := NewServerOn(h, opts, socketio.Options{})
	s.own = true
	return s
}

// NewServerOn makes a server whose clients are sessions of h. Close does not close h. Of o.Engine, opts
// overrides what it has a word for.
func NewServerOn(h *hub.Hub, opts *goengineio.Options, o socketio.Options) *Server {
	s := &Server{hub: h, log: h.Options().Logger, spaces: make(map[string]*space), closed: make(chan struct{})}
	if opts != nil {
		s.initor = opts.ConnInitor
	}
	o.Engine = engineOptions(opts, o.Engine)
	s.socket = socketio.New(h, o)
	return s
}

// Hub is the hub that the server's clients are sessions of; nil if it could not be made.
func (s *Server) Hub() *hub.Hub { return s.hub }

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.socket == nil {
		http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
		return
	}
	s.socket.ServeHTTP(w, r)
}

// Serve returns when the server is closed, with nil, or at once with the first mistake that was made in setting it
// up. Clients are served without it, too.
func (s *Server) Serve() error {
	s.mu.RLock()
	fault := s.fault
	s.mu.RUnlock()
	if fault != nil {
		return fault
	}
	<-s.closed
	return nil
}

// Close ends all connections; what was sent has five seconds to leave, then the rest is cut off. A second call
// does nothing.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		defer close(s.closed)
		if s.socket == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := s.socket.Close(ctx); !errors.Is(err, context.DeadlineExceeded) { // then the rest was cut off
			s.closeErr = err
		}
		if s.own {
			s.closeErr = errors.Join(s.closeErr, s.hub.Close())
		}
	})
	return s.closeErr
}

// Adapter returns [ErrNoAdapter].
func (s *Server) Adapter(*RedisAdapterOptions) (bool, error) { return false, ErrNoAdapter }

// OnConnect sets what is called for a new connection to a namespace, before its events are. An error goes to
// OnError and closes the connection.
func (s *Server) OnConnect(namespace string, f func(Conn) error) {
	s.set(namespace, func(sp *space) { sp.onConnect = f })
}

// OnDisconnect sets what is called when a connection to a namespace has ended, with the reason.
func (s *Server) OnDisconnect(namespace string, f func(Conn, string)) {
	s.set(namespace, func(sp *space) { sp.onDisconnect = f })
}

// OnError sets what is called when something went wrong with an event, an answer or a handler of a connection.
func (s *Server) OnError(namespace string, f func(Conn, error)) {
	s.set(namespace, func(sp *space) { sp.onError = f })
}

// OnEvent sets the handler of an event: a function of a [Conn] and of the event's arguments, which are decoded into
// its parameters. What the client did not send is zero, what is too much is left out. Its results are
// the answer, if the client wants one.
func (s *Server) OnEvent(namespace, event string, f interface{}) {
	fn, err := newFunction(f, true)
	if err == nil && hub.ReservedEvent(event) {
		err = hub.ErrReservedEvent
	}
	if err != nil {
		s.mistake(fmt.Errorf("googollee: handler of event %q in namespace %q: %w", event, namespace, err))
		return
	}
	s.set(namespace, func(sp *space) { sp.events[event] = fn })
}

// mistake keeps what the program did wrong for Serve.
func (s *Server) mistake(err error) {
	s.log.Error("not registered", "error", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		s.fault = err
	}
}

// rootAlias is the other name of "/" in the library.
const rootAlias = ""

// set changes a namespace, which begins to exist with that.
func (s *Server) set(namespace string, change func(*space)) {
	if namespace == rootAlias {
		namespace = "/"
	}
	s.mu.Lock()
	sp, isNew := s.spaces[namespace], false
	if sp == nil && s.hub != nil {
		sp, isNew = newSpace(s, namespace), true
		s.spaces[namespace] = sp
	}
	s.mu.Unlock()
	if sp == nil {
		return // see NewServer
	}
	sp.mu.Lock()
	change(sp)
	sp.mu.Unlock()
	if isNew {
		if err := s.hub.Handle(namespace, sp.session); err != nil {
			s.mistake(fmt.Errorf("googollee: %w", err))
		}
	}
}

func (s *Server) space(namespace string) *space {
	if namespace == rootAlias {
		namespace = "/"
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spaces[namespace]
}

// JoinRoom has a connection join a room. It is false if there is no such namespace.
func (s *Server) JoinRoom(namespace string, room string, connection Conn) bool {
	return s.with(namespace, func(*space) { connection.Join(room) })
}

// LeaveRoom has a connection leave a room. It is false if there is no such namespace.
func (s *Server) LeaveRoom(namespace string, room string, connection Conn) bool {
	return s.with(namespace, func(*space) { connection.Leave(room) })
}

// LeaveAllRooms has a connection leave all rooms. It is false if there is no such namespace.
func (s *Server) LeaveAllRooms(namespace string, connection Conn) bool {
	return s.with(namespace, func(*space) { connection.LeaveAll() })
}

// ClearRoom has all connections leave a room. It is false if there is no such namespace.
func (s *Server) ClearRoom(namespace string, room string) bool {
	return s.with(namespace, func(sp *space) {
		for _, c := range sp.members(room) {
			c.Leave(room)
		}
	})
}

// BroadcastToRoom sends an event to all in a room. It is false if there is no such namespace.
func (s *Server) BroadcastToRoom(namespace string, room, event string, args ...interface{}) bool {
	return s.with(namespace, func(sp *space) { sp.broadcast(sp.ns.To(room), event, args) })
}

// BroadcastToNamespace sends an event to all in a namespace, once to each. It is false if there is no such namespace.
func (s *Server) BroadcastToNamespace(namespace string, event string, args ...interface{}) bool {
	return s.with(namespace, func(sp *space) { sp.broadcast(sp.ns.To(), event, args) })
}

// RoomLen is the number of connections in a room, -1 if there is no such namespace.
func (s *Server) RoomLen(namespace string, room string) int {
	sp := s.space(namespace)
	if sp == nil {
		return -1
	}
	sp.mu.RLock()
	defer sp.mu.RUnlock()
	return len(sp.rooms[room])
}

// Rooms lists the rooms of a namespace that have members, among them one for each connection, called by its id.
func (s *Server) Rooms(namespace string) []string {
	sp := s.space(namespace)
	if sp == nil {
		return nil
	}
	sp.mu.RLock()
	defer sp.mu.RUnlock()
	rooms := make([]string, 0, len(sp.rooms))
	for room := range sp.rooms {
		rooms = append(rooms, room)
	}
	return rooms
}

// ForEach calls f for each connection in a room, which may change meanwhile. It is false if there is no such namespace.
func (s *Server) ForEach(namespace string, room string, f EachFunc) bool {
	return s.with(namespace, func(sp *space) {
		for _, c := range sp.members(room) {
			f(c)
		}
	})
}

func (s *Server) with(namespace string, do func(*space)) bool {
	sp := s.space(namespace)
	if sp != nil {
		do(sp)
	}
	return sp != nil
}

// Count is the number of connections.
func (s *Server) Count() int {
	if s.socket == nil {
		return 0
	}
	return s.socket.Engine().Sessions()
}

// Remove closes the connection that has a [Conn] with this id.
func (s *Server) Remove(id string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sp := range s.spaces {
		sp.mu.RLock()
		c := sp.conns[id]
		sp.mu.RUnlock()
		if c != nil {
			c.later(func() { _ = c.session.CloseConn(serverDisconnect) })
		}
	}
}
