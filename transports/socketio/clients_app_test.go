package socketio

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/engineio"
)

// clientsServers starts what testdata/clients/server.mjs starts, and returns the addresses by the same names.
func clientsServers(t *testing.T) map[string]string {
	t.Helper()
	a := &clientsApp{t: t}
	servers := make(map[string]*fixture)
	for name, change := range map[string]func(*settings){
		"plain": func(*settings) {},
		"full": func(o *settings) {
			o.hub.Recovery = &hub.Recovery{}
			o.server.Engine.PerMessageDeflate = &engineio.Deflate{}
		},
		"hasty":   func(o *settings) { o.server.Engine.PingTimeout = time.Second },
		"closing": func(*settings) {},
		"strict":  func(o *settings) { o.server.Engine.AllowEIO3 = false },
	} {
		o := allowed()
		o.server.Engine.PingInterval, o.server.Engine.PingTimeout = 300*time.Millisecond, 20*time.Second
		o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
		change(&o)
		servers[name] = serve(t, o)
	}
	a.closing = servers["closing"].sio
	families := a.register(servers["plain"], servers["plain"])
	a.families.Store(&families)
	for name, told := range map[string]string{"full": "full", "hasty": "plain", "closing": "plain", "strict": "plain"} {
		a.register(servers[name], servers[told])
	}
	addresses := make(map[string]string)
	for name, f := range servers {
		addresses[name] = f.url
	}
	t.Cleanup(a.work.Wait) // before the servers end
	return addresses
}

// clientsApp says what server.mjs says.
type clientsApp struct {
	t        *testing.T
	families atomic.Pointer[[]*hub.Family] // sessions may be there when it is set
	closing  *Server
	work     sync.WaitGroup
}

// register adds the namespaces of one server. told is where their sessions' ends are told.
func (a *clientsApp) register(f, told *fixture) []*hub.Family {
	a.t.Helper()
	talk := func(s *hub.Session) error { return a.session(s, told) }
	for _, name := range []string{"/", "/custom", "/é", "/guarded", "/prepared"} {
		f.handle(a.t, name, talk)
	}
	f.hub.Of("/guarded").Use(func(s *hub.Session) error {
		var auth struct{ Token, With string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
			return err
		}
		if auth.Token == "good" {
			return nil
		}
		data := map[string]any{"object": json.RawMessage(`{"code":"E","list":[1,null]}`), "list": []any{1, "two"}, "text": "é€😀"}
		return &hub.ConnectError{Message: "nope", Data: data[auth.With]}
	})
	f.hub.Of("/prepared").Use(func(s *hub.Session) error {
		s.Data = map[string]any{"from": "middleware"}
		return errors.Join(s.Join("early"), s.Sleep(30*time.Millisecond))
	})
	f.hub.Of("/prepared").Use(func(s *hub.Session) error {
		s.Data.(map[string]any)["second"] = s.In("early")
		return nil
	})
	games, err := f.hub.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), talk)
	if err != nil {
		a.t.Fatal(err)
	}
	games.Use(func(s *hub.Session) error {
		var auth struct{ Token string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil || auth.Token == "bad" {
			return errors.Join(err, errors.New("not here"))
		}
		return nil
	})
	asked, err := f.hub.HandleFamily(func(name string, hs *hub.Handshake) bool {
		var auth struct{ Key string }
		return strings.HasPrefix(name, "/asked-") && json.Unmarshal(hs.Auth, &auth) == nil && auth.Key == "k"
	}, talk)
	if err != nil {
		a.t.Fatal(err)
	}
	return []*hub.Family{games, asked}
}

// clientsSession is the session that everything is asked of.
type clientsSession struct {
	*hub.Session
	app         *clientsApp
	heard, said []any
	lost        map[string]bool
}

func (a *clientsApp) session(s *hub.Session, told *fixture) error {
	c := &clientsSession{Session: s, app: a, heard: []any{}, said: []any{}, lost: make(map[string]bool)}
	s.Use(func(ev *hub.Event) error {
		if ev.Name == "forbidden" {
			return errors.New("forbidden")
		}
		return nil
	})
	s.OnAny(func(ev *hub.Event) { c.heard = append(c.heard, append([]any{ev.Name}, c.rest(ev, 0)...)) })
	s.OnAnyOutgoing(func(m *hub.Message) { c.said = append(c.said, decoded(m.Payload)) })
	s.OnDisconnecting(func(reason string) {
		c.check(told.hub.To("watch").Emit("left", s.ID(), s.Namespace(), reason, reason, c.rooms()))
	})
	c.check(s.Emit("hello", s.ID(), s.Handshake().Auth, s.Recovered(), c.rooms(), c.data()))
	for ev := range s.Events() {
		c.check(c.event(ev))
	}
	return nil
}

func (c *clientsSession) check(err error) {
	if err != nil && !errors.Is(err, hub.ErrGone) {
		c.app.t.Error(err)
	}
}

func (c *clientsSession) rooms() []string {
	rooms := append([]string{}, c.Rooms()...)
	slices.Sort(rooms)
	return rooms
}

func (c *clientsSession) data() any {
	if c.Data == nil {
		return map[string]any{}
	}
	return c.Data
}

// decoded is a payload's array, binary values as []byte.
func decoded(p hub.Payload) (list []any) {
	raws, err := p.Split()
	if err != nil {
		return []any{err.Error()}
	}
	for _, raw := range raws {
		var v any
		if err := p.Decode(raw, &v); err != nil {
			v = err.Error()
		}
		list = append(list, v)
	}
	return list
}

// rest are an event's arguments from the nth on. Without binary values they stay the text that came, as Node.js would
// write it again.
func (c *clientsSession) rest(ev *hub.Event, n int) []any {
	if len(ev.Payload().Attachments) > 0 {
		return arguments(ev)[n:]
	}
	list := []any{}
	for _, raw := range ev.Raw()[n:] {
		list = append(list, raw)
	}
	return list
}

// reach is whom a client wants to reach.
type reach struct {
	From                   string
	To, Except             []string
	Volatile, Plain, Local bool
}

func (c *clientsSession) target(r reach) hub.Target {
	to := c.Hub().Of(c.Namespace()).To(r.To...)
	if r.From == "socket" {
		to = c.Session.To(r.To...)
	}
	if len(r.Except) > 0 {
		to = to.Except(r.Except...)
	}
	if r.Volatile {
		to = to.Volatile()
	}
	if r.Plain {
		to = to.Compress(false)
	}
	if r.Local {
		to = to.Local()
	}
	return to
}

func (c *clientsSession) event(ev *hub.Event) error {
	switch ev.Name {
	case "message":
		return c.Emit("message", c.rest(ev, 0)...)
	case "ack":
		return ev.Ack(c.rest(ev, 0)...)
	case "ack twice":
		return errors.Join(ev.Ack("first"), ev.Ack("second"))
	case "whoami":
		return ev.Ack(c.whoami())
	case "heard":
		return ev.Ack(c.heard, c.said)
	case "fence":
		return c.Hub().Of(c.Namespace()).To().Emit("fence", c.rest(ev, 0)...)
	case "shut down":
		c.app.work.Go(func() { c.app.close() })
		return nil
	case "parents":
		return c.parents(ev)
	case "lose once", "data", "join", "leave", "reserved", "disconnect me":
		return c.self(ev)
	case "direct", "emit", "list", "move", "kick":
		return c.others(ev)
	case "ask me", "ask":
		return c.ask(ev)
	}
	return nil
}

func (a *clientsApp) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.closing.Close(ctx); err != nil {
		a.t.Error(err)
	}
}

func (c *clientsSession) whoami() any {
	hs := c.Handshake()
	query := make(map[string]string)
	for name, values := range hs.Query() {
		if name != "t" && name != "sid" {
			query[name] = values[len(values)-1]
		}
	}
	address, _, err := net.SplitHostPort(hs.RemoteAddr)
	c.check(err)
	path, _, _ := strings.Cut(hs.URL, "?")
	return map[string]any{
		"id": c.ID(), "nsp": c.Namespace(), "connected": c.Connected(), "auth": hs.Auth, "query": query, "test": hs.Header().Get("X-Test"),
		"address": address, "xdomain": hs.XDomain, "secure": hs.Secure, "path": path, "transport": c.Snapshot().Transport,
	}
}

func (c *clientsSession) parents(ev *hub.Event) error {
	var name string
	err := ev.Args(&name)
	for _, f := range *c.app.families.Load() {
		err = errors.Join(err, f.Emit(name, c.rest(ev, 1)...))
	}
	return err
}

// self is what a client wants of its own session.
func (c *clientsSession) self(ev *hub.Event) error {
	if ev.Name == "data" {
		return errors.Join(ev.Args(&c.Data), ev.Ack())
	}
	if ev.Name == "disconnect me" {
		var all bool
		if err := ev.Args(&all); err != nil || !all {
			return errors.Join(err, c.Disconnect(ReasonServerDisconnect))
		}
		return c.CloseConn(ReasonServerDisconnect)
	}
	var name string
	if err := ev.Args(&name); err != nil {
		return err
	}
	switch ev.Name {
	case "lose once":
		if !c.lost[name] {
			c.lost[name] = true
			return nil
		}
		return ev.Ack(name)
	case "join":
		return errors.Join(c.Join(name), ev.Ack(c.rooms()))
	case "leave":
		c.Leave(name)
		return ev.Ack(c.rooms())
	}
	if err := c.Emit(name); !errors.Is(err, hub.ErrReservedEvent) {
		return errors.Join(err, ev.Ack("sent"))
	}
	return ev.Ack("refused")
}

// others is what a client wants of several, or of itself with the same words.
func (c *clientsSession) others(ev *hub.Event) error {
	var r reach
	if err := ev.Args(&r); err != nil {
		return err
	}
	to := c.target(r)
	switch ev.Name {
	case "direct", "emit":
		var name string
		if err := ev.Args(nil, &name); err != nil {
			return err
		}
		switch {
		case ev.Name == "emit":
			return to.Emit(name, c.rest(ev, 2)...)
		case r.Volatile:
			return c.EmitVolatile(name, c.rest(ev, 2)...)
		default: // a Session has no word for what may not be compressed
			return c.Emit(name, c.rest(ev, 2)...)
		}
	case "list":
		sessions, err := to.Sessions()
		list := []any{}
		for _, s := range sessions {
			rooms := append([]string{}, s.Rooms...)
			slices.Sort(rooms)
			list = append(list, map[string]any{"id": s.ID, "rooms": rooms, "data": cmp.Or[any](s.Data, struct{}{}), "auth": s.Handshake.Auth})
		}
		return errors.Join(err, ev.Ack(list))
	case "move":
		var join, leave []string
		if err := ev.Args(nil, &join, &leave); err != nil {
			return err
		}
		var err error
		for _, room := range join {
			err = errors.Join(err, to.Join(room))
		}
		for _, room := range leave {
			to.Leave(room)
		}
		_, late := to.Sessions() // behind it on each loop
		return errors.Join(err, late, ev.Ack())
	case "kick":
		var all bool
		if err := ev.Args(nil, &all); err != nil {
			return err
		}
		if all {
			to.CloseConn(ReasonServerDisconnect)
		} else {
			to.Disconnect(ReasonServerDisconnect)
		}
	}
	return nil
}

// ask asks this client, or those that it names.
func (c *clientsSession) ask(ev *hub.Event) error {
	said := func(err error) any {
		if errors.Is(err, coop.ErrTimeout) {
			return "operation has timed out"
		}
		if err != nil {
			return err.Error()
		}
		return nil
	}
	if ev.Name == "ask me" {
		var within int
		if err := ev.Args(&within); err != nil {
			return err
		}
		return c.AskFunc(time.Duration(within)*time.Millisecond, func(a hub.Answer, err error) {
			answer := []any{said(err)}
			if err == nil {
				answer = append(answer, decoded(a.Payload)...)
			}
			c.check(ev.Ack(answer...)) // one who has left hears nothing
		}, "question", c.rest(ev, 1)...)
	}
	var r reach
	var within int
	if err := ev.Args(&r, &within); err != nil {
		return err
	}
	answers, err := c.target(r).Within(time.Duration(within)*time.Millisecond).Ask("question", c.rest(ev, 2)...)
	list := []any{}
	for _, a := range answers {
		list = append(list, append(decoded(a.Payload), nil)[0])
	}
	return ev.Ack(said(err), list)
}
