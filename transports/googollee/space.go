package googollee

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"greenroom/coop"
	"greenroom/hub"
)

// space is a namespace: its handlers, its connections, and who is in which room. Membership is the hub's; the index of it
// here is there for questions from goroutines, which the library answers at once.
type space struct {
	srv  *Server
	name string
	ns   *hub.Namespace

	mu           sync.RWMutex
	events       map[string]*function
	onConnect    func(Conn) error
	onDisconnect func(Conn, string)
	onError      func(Conn, error)
	conns        map[string]*conn
	rooms        map[string]map[*conn]struct{}
}

func newSpace(s *Server, name string) *space {
	return &space{
		srv: s, name: name, ns: s.hub.Of(name),
		events: make(map[string]*function),
		conns:  make(map[string]*conn),
		rooms:  make(map[string]map[*conn]struct{}),
	}
}

var errUnknownEvent = errors.New("nobody handles the event")

// session is the hub's handler: the greenlet of one connection to the namespace.
func (sp *space) session(s *hub.Session) error {
	c := newConn(sp, s)
	sp.add(c)
	var wanted bool
	switch begun := c.run(s, func() { wanted = c.begin() }); {
	case !begun: // the hub is closed, and wanted still the goroutine's
	case wanted:
		for ev := range s.Events() {
			sp.handle(s, c, ev)
		}
	default:
		_ = s.CloseConn(serverDisconnect)
	}
	sp.remove(c)
	sp.mu.RLock()
	bye, reason := sp.onDisconnect, s.Reason()
	sp.mu.RUnlock()
	if bye != nil {
		c.run(s, func() { sp.guarded(c, "OnDisconnect", func() { bye(c, reason) }) })
	}
	return nil
}

// handle has an event handled on a goroutine, and answers it.
func (sp *space) handle(s *hub.Session, c *conn, ev *hub.Event) {
	sp.mu.RLock()
	fn := sp.events[ev.Name]
	sp.mu.RUnlock()
	if fn == nil {
		ev.Refuse(&hub.Error{Code: "unknown_event", Message: errUnknownEvent.Error()})
		return
	}
	var answer []any
	var err error
	if !c.run(s, func() {
		answer, err = fn.call(c, ev.Payload(), ev.Raw())
		if err != nil {
			sp.failed(c, fmt.Errorf("event %q: %w", ev.Name, err))
		}
	}) {
		return // the hub is closed, and answer still the goroutine's
	}
	if err != nil {
		ev.Refuse(err)
		return
	}
	if err := ev.Ack(answer...); err != nil {
		c.run(s, func() { sp.failed(c, err) })
		ev.Refuse(err)
	}
}

// failed tells the program. It is called on a goroutine.
func (sp *space) failed(c *conn, err error) {
	sp.mu.RLock()
	tell := sp.onError
	sp.mu.RUnlock()
	sp.srv.hub.Count("googollee_error")
	if tell != nil {
		sp.guarded(c, "OnError", func() { tell(c, err) })
		return
	}
	sp.srv.log.Warn("a go-socket.io handler failed", "session", c.id, "namespace", sp.name, "error", err)
}

// guarded calls a function of the program that has nobody else to answer for its panic.
func (sp *space) guarded(c *conn, name string, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			sp.srv.hub.Count("googollee_error")
			sp.srv.log.Error("a go-socket.io handler panicked", "handler", name, "session", c.id, "namespace", sp.name,
				"panic", v, "stack", string(debug.Stack()))
		}
	}()
	fn()
}

// broadcast sends to everyone addressed.
func (sp *space) broadcast(to hub.Target, event string, args []any) {
	args, err := outgoing(args)
	if err == nil {
		err = to.Emit(event, args...)
	}
	if err != nil {
		// The library has nobody to tell it to, either.
		sp.srv.hub.Count("googollee_error")
		sp.srv.log.Warn("a broadcast was not sent", "namespace", sp.name, "event", event, "error", err)
	}
}

func (sp *space) add(c *conn) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.conns[c.id] = c
	sp.joinLocked(c, c.id) // the room of its own that the hub gives it
}

func (sp *space) remove(c *conn) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	c.gone = true
	delete(sp.conns, c.id)
	for room := range c.rooms {
		sp.leaveLocked(c, room)
	}
}

func (sp *space) joinLocked(c *conn, room string) {
	if c.gone {
		return
	}
	if sp.rooms[room] == nil {
		sp.rooms[room] = make(map[*conn]struct{})
	}
	sp.rooms[room][c] = struct{}{}
	c.rooms[room] = struct{}{}
}

func (sp *space) leaveLocked(c *conn, room string) {
	delete(c.rooms, room)
	if delete(sp.rooms[room], c); len(sp.rooms[room]) == 0 {
		delete(sp.rooms, room)
	}
}

// members are those in a room now.
func (sp *space) members(room string) []*conn {
	sp.mu.RLock()
	defer sp.mu.RUnlock()
	out := make([]*conn, 0, len(sp.rooms[room]))
	for c := range sp.rooms[room] {
		out = append(out, c)
	}
	return out
}

// run has fn called on a goroutine of its own and parks the session's greenlet until it has returned: the program's
// functions may block, a loop must not. It is false if the greenlet was killed first, with the hub. Of
// one connection no two functions run at a time.
func (c *conn) run(s *hub.Session, fn func()) bool {
	over := coop.NewEvent()
	go func() {
		defer c.loop.Post(over.Set)
		c.turn.Lock()
		defer c.turn.Unlock()
		fn()
	}()
	return over.Wait(s.Greenlet()) == nil
}
