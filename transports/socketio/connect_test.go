package socketio

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

func TestConnect(t *testing.T) {
	f := serveEcho(t, settings{})
	for name, c := range map[string]struct{ send, reply, auth string }{
		"the root":                  {`40`, `40{"sid":"`, `42["auth",{}]`},
		"the root by its name":      {`40/,`, `40{"sid":"`, `42["auth",{}]`},
		"with a payload":            {`40{"token":"123"}`, `40{"sid":"`, `42["auth",{"token":"123"}]`},
		"another namespace":         {`40/custom,`, `40/custom,{"sid":"`, `42/custom,["auth",{}]`},
		"without a comma":           {`40/custom`, `40/custom,{"sid":"`, `42/custom,["auth",{}]`},
		"another, with a payload":   {`40/custom,{"token":"abc"}`, `40/custom,{"sid":"`, `42/custom,["auth",{"token":"abc"}]`},
		"with an id, which is idle": {`405`, `40{"sid":"`, `42["auth",{}]`},
	} {
		t.Run(name, func(t *testing.T) {
			c1 := f.dial(t)
			c1.send(c.send)
			if m := c1.next(); !strings.HasPrefix(m.text, c.reply) || len(m.text) != len(c.reply)+22 {
				t.Fatalf("got %s, want %s and 20 characters", m, c.reply)
			}
			c1.want(c.auth)
		})
	}
}

// What came with CONNECT is the session's to keep.
func TestAuthStays(t *testing.T) {
	f := serveEcho(t, settings{hub: hub.Options{Loops: 1}})
	f.handle(t, "/late", func(s *hub.Session) error {
		for range s.Events() {
			if err := s.Emit("auth", s.Handshake().Auth); err != nil {
				return err
			}
		}
		return nil
	})
	c, _ := f.join(t, "/")
	c.connect("/late", `{"token":"123"}`)
	other, _ := f.join(t, "/")
	other.send(`421["ack","` + strings.Repeat("#", 500) + `"]`) // into the same buffer
	other.want(`431["` + strings.Repeat("#", 500) + `"]`)
	c.send(`42/late,["tell"]`)
	c.want(`42/late,["auth",{"token":"123"}]`)
}

// A namespace that does not exist is refused, and the connection goes on.
func TestUnknownNamespace(t *testing.T) {
	f := serveEcho(t, settings{})
	c := f.dial(t)
	c.send(`40/random`, `40/custom?a=1,`, `40/CUSTOM,{"a":1}`)
	c.want(`44/random,{"message":"Invalid namespace"}`,
		`44/custom?a=1,{"message":"Invalid namespace"}`,
		`44/CUSTOM,{"message":"Invalid namespace"}`)
	c.connect("/", "")
	c.want(`42["auth",{}]`)
	c.alive()
	f.counted(t, "socketio_unknown_namespace", 3)
	if f.hub.HasNamespace("/random") {
		t.Error("a client has made a namespace")
	}
}

// refuse registers a namespace whose middleware looks at the CONNECT payload.
func (f *fixture) refuse(t *testing.T, namespace string) {
	t.Helper()
	f.hub.Of(namespace).Use(func(s *hub.Session) error {
		switch string(s.Handshake().Auth) {
		case `{"a":"data"}`:
			return fmt.Errorf("wrapped: %w", &hub.ConnectError{Message: "not authorized", Data: map[string]any{"code": "E", "n": 1}})
		case `{"a":"plain"}`:
			return errors.New("not authorized")
		case `{"a":"panic"}`:
			panic("in a middleware")
		case `{"a":"disconnect"}`:
			return s.Disconnect("go away")
		case `{"a":"slow"}`:
			return s.Sleep(time.Hour)
		}
		return nil
	})
	f.handle(t, namespace, echo)
}

// However a middleware says no, the client hears it, may try again on the same connection, and nothing
// of the refused session stays behind.
func TestMiddlewareRefuses(t *testing.T) {
	f := serve(t, settings{})
	f.refuse(t, "/")
	f.refuse(t, "/x")
	for auth, want := range map[string]string{
		`{"a":"plain"}`:      `{"message":"not authorized"}`,
		`{"a":"data"}`:       `{"message":"not authorized","data":{"code":"E","n":1}}`,
		`{"a":"disconnect"}`: `{"message":"go away"}`,
		`{"a":"panic"}`:      `{"message":"internal error"}`,
	} {
		t.Run(auth, func(t *testing.T) {
			c := f.dial(t)
			c.send(`40`+auth, `40/x,`+auth)
			c.want(`44`+want, `44/x,`+want)
			eventually(t, "the sessions to go", func() bool { return f.hub.SessionCount() == 0 })
			c.connect("/", "")
			c.want(`42["auth",{}]`)
			c.connect("/x", "")
			c.want(`42/x,["auth",{}]`)
			c.send(`41`, `41/x,`)
			eventually(t, "the sessions to go", func() bool { return f.hub.SessionCount() == 0 })
		})
	}
}

func TestSecondConnectClosesTheConnection(t *testing.T) {
	f := serveEcho(t, settings{})
	c, _ := f.join(t, "/")
	c.send(`40`)
	c.wantClosed(1002)
	f.counted(t, "socketio_second_connect", 1)
	f.empty(t)
}

func TestConnectTimeout(t *testing.T) {
	const timeout = 10 * time.Second // less than a heartbeat
	for name, c := range map[string]struct {
		send, reply string
		sessions    int
	}{
		"says nothing":          {},
		"unknown namespace":     {`40/random`, `44/random,{"message":"Invalid namespace"}`, 0},
		"refused":               {`40/x,{"a":"plain"}`, `44/x,{"message":"not authorized"}`, 0},
		"middleware undecided":  {`40/x,{"a":"slow"}`, ``, 1},
		"ended by a middleware": {`40/x,{"a":"disconnect"}`, `44/x,{"message":"go away"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, pass := serveByHand(t, settings{server: Options{ConnectTimeout: timeout}})
			f.refuse(t, "/x")
			peer := f.dial(t)
			if c.send != "" {
				peer.send(c.send)
			}
			if c.reply != "" {
				peer.want(c.reply)
			}
			eventually(t, "the session", func() bool { return f.hub.SessionCount() == c.sessions })
			pass(timeout - 1)
			f.counted(t, "socketio_connect_timeout", 0)
			pass(1)
			peer.wantClosed(1008)
			f.counted(t, "socketio_connect_timeout", 1)
			f.empty(t)
		})
	}
}

// Once a namespace was joined the connection may stay without one.
func TestConnectTimeoutEndsWithTheFirstNamespace(t *testing.T) {
	const timeout = 10 * time.Second
	f, pass := serveByHand(t, settings{server: Options{ConnectTimeout: timeout}})
	f.handle(t, "/", echo)
	c, _ := f.join(t, "/")
	c.send(`41`)
	eventually(t, "the session to go", func() bool { return f.hub.SessionCount() == 0 })
	pass(timeout)
	c.connect("/", "")
	c.want(`42["auth",{}]`)
	c.alive()
	f.counted(t, "socketio_connect_timeout", 0)
}

// It ends with the connection as well.
func TestConnectTimeoutEndsWithTheConnection(t *testing.T) {
	const timeout = 10 * time.Second
	f, pass := serveByHand(t, settings{server: Options{ConnectTimeout: timeout}})
	f.dial(t).conn.Close()
	f.empty(t)
	pass(timeout)
	f.counted(t, "socketio_connect_timeout", 0)
}

// Disconnecting ends one session; the connection and the other namespaces go on, and the client may come
// back under a new id.
func TestDisconnectByTheClient(t *testing.T) {
	reasons := make(chan string, 1)
	f := serveEcho(t, settings{})
	f.handle(t, "/ends", func(s *hub.Session) error {
		for range s.Events() {
		}
		reasons <- s.Reason()
		return nil
	})
	c, _ := f.join(t, "/")
	first := c.connect("/ends", "")
	c.send(`41/ends,`)
	if got := <-reasons; got != ReasonClientDisconnect {
		t.Errorf("reason %q", got)
	}
	c.send(`42/ends,["late"]`, `43/ends,1[]`, `41/ends,`) // were on their way
	c.alive()
	f.counted(t, "socketio_left_namespace", 3)
	if second := c.connect("/ends", ""); second == first {
		t.Error("the same id again")
	}
	c.send(`41/ends,`)
	<-reasons
	c.send(`41`)
	eventually(t, "the session to go", func() bool { return f.hub.SessionCount() == 0 })
	if n := f.sio.Engine().Sessions(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestDisconnectByTheServer(t *testing.T) {
	for name, handler := range map[string]func(*hub.Session) error{
		"by Disconnect":  func(s *hub.Session) error { return s.Disconnect("enough") },
		"by returning":   func(*hub.Session) error { return nil },
		"by an error":    func(*hub.Session) error { return errors.New("no") },
		"by a panic":     func(*hub.Session) error { panic("no") },
		"from elsewhere": func(s *hub.Session) error { s.Hub().Of("/ends").In(s.ID()).Disconnect("no"); return s.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			f := serveEcho(t, settings{})
			f.handle(t, "/ends", func(s *hub.Session) error {
				if _, err := s.Wait("go", patience); err != nil {
					return err
				}
				return handler(s)
			})
			c, _ := f.join(t, "/")
			c.connect("/ends", "")
			c.send(`42/ends,["go"]`)
			c.want(`41/ends,`)
			c.send(`42/ends,["late"]`) // was on its way
			c.alive()
			f.counted(t, "socketio_left_namespace", 1)
			c.connect("/ends", "")
			c.alive()
		})
	}
}

// A packet for a namespace that the client is not in closes the connection.
func TestPacketsForOtherNamespaces(t *testing.T) {
	for name, packet := range map[string]string{
		"event":             `42/custom,["x"]`,
		"ack":               `43/custom,1[]`,
		"disconnect":        `41/custom,`,
		"binary event":      `451-/custom,["x",{"_placeholder":true,"num":0}]`,
		"unknown namespace": `42/random,["x"]`,
	} {
		t.Run(name, func(t *testing.T) {
			f := serveEcho(t, settings{})
			c, _ := f.join(t, "/")
			c.send(packet)
			c.wantClosed(1008)
			f.counted(t, "socketio_not_joined", 1)
			f.empty(t)
		})
	}
}

// What was left is forgotten after a while, and then closes the connection like any other.
func TestLeftNamespacesAreForgotten(t *testing.T) {
	c := &conn{srv: &Server{opts: Options{MaxNamespaces: 2}}}
	for i, at := range []time.Duration{0, time.Second, 2 * time.Second} {
		c.noteLeft(fmt.Sprintf("/%d", i), at)
	}
	if c.leftLately([]byte("/0"), 2*time.Second) {
		t.Error("more are kept than a connection may have")
	}
	if !c.leftLately([]byte("/1"), time.Second+leftGrace) || !c.leftLately([]byte("/2"), 2*time.Second) {
		t.Error("forgotten too early")
	}
	if c.leftLately([]byte("/1"), time.Second+leftGrace+1) {
		t.Error("remembered for too long")
	}
	c.noteLeft("/3", time.Minute)
	if len(c.left) != 1 {
		t.Errorf("%d are kept, want 1", len(c.left))
	}
}

// Several namespaces on one connection: each has its session, its events, its acks and its rooms.
func TestNamespacesShareAConnection(t *testing.T) {
	f := serveEcho(t, settings{})
	c, root := f.join(t, "/")
	if custom := c.connect("/custom", `{"x":1}`); custom == root {
		t.Error("one id for two sessions")
	}
	c.want(`42/custom,["auth",{"x":1}]`)
	c.send(`42/custom,5["ack","custom"]`, `425["ack","root"]`)
	got := []string{c.next().text, c.next().text}
	if got[0] > got[1] { // each namespace has its own greenlet
		got[0], got[1] = got[1], got[0]
	}
	if got[0] != `43/custom,5["custom"]` || got[1] != `435["root"]` {
		t.Errorf("got %q", got)
	}
	c.send(`420["join","room"]`)
	c.want(`430["ok"]`)
	c.send(`42/custom,["say","room","not heard in the root"]`, `42/custom,0["join","room"]`)
	c.want(`43/custom,0["ok"]`)
	c.send(`42/custom,["say","room","heard"]`)
	c.want(`42/custom,["said","heard"]`)
	c.alive()
	c.conn.Close()
	f.empty(t)
}

func TestNamespacesPerConnectionAreLimited(t *testing.T) {
	f := serve(t, settings{server: Options{MaxNamespaces: 3}})
	for i := range 5 {
		f.handle(t, fmt.Sprintf("/%d", i), echo)
	}
	c := f.dial(t)
	for i := range 3 {
		c.connect(fmt.Sprintf("/%d", i), "")
		c.want(fmt.Sprintf(`42/%d,["auth",{}]`, i))
	}
	c.send(`40/3,`, `40/no-such,`)
	c.want(`44/3,{"message":"Too many namespaces"}`, `44/no-such,{"message":"Too many namespaces"}`)
	f.counted(t, "socketio_too_many_namespaces", 2)
	c.send(`41/1,`)
	c.connect("/3", "")
	c.want(`42/3,["auth",{}]`)
}

// Shutting down closes every connection without a goodbye, so that clients come back by themselves.
func TestShutdown(t *testing.T) {
	reasons := make(chan string, 2)
	f := serveEcho(t, settings{})
	f.handle(t, "/ends", func(s *hub.Session) error {
		for range s.Events() {
		}
		reasons <- s.Reason()
		return nil
	})
	c, _ := f.join(t, "/")
	c.connect("/ends", "")
	done := make(chan error, 1)
	go func() { done <- f.sio.Close(t.Context()) }()
	_, err := c.receive()
	if closed := (errClosed{}); !errors.As(err, &closed) || closed.status != 1005 {
		t.Errorf("got %v, want a close frame and nothing before", err)
	}
	c.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := <-reasons; got != "server shutting down" {
		t.Errorf("reason %q", got)
	}
	if _, err := f.open(); err == nil {
		t.Error("a closed server lets clients in")
	}
}

// A client that joins and leaves without end cannot pile up sessions whose handlers still have something to do.
func TestNamespaceChurn(t *testing.T) {
	f, pass := serveByHand(t, settings{server: Options{MaxNamespaces: 2}})
	release := make(chan struct{})
	f.handle(t, "/", func(s *hub.Session) error {
		for range s.Events() {
		}
		_, err := coop.Await(s.Greenlet(), func() (struct{}, error) { <-release; return struct{}{}, nil })
		return err
	})
	defer close(release)
	c := f.dial(t)
	for range 4 {
		c.connect("/", "")
		c.send("41")
	}
	c.send("40")
	c.want(`44{"message":"Namespaces joined too often"}`)
	f.counted(t, "socketio_namespace_rate", 1)
	pass(leftGrace + 1)
	c.connect("/", "")
}
