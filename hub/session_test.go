package hub

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

func mustHandle(t testing.TB, h *Hub, namespace string, handler any) {
	t.Helper()
	if err := h.Handle(namespace, handler); err != nil {
		t.Fatal(err)
	}
}

func TestSessionStraightLine(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	ended := make(chan string, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		s.Join("lobby")
		for ev := range s.Events() {
			var text string
			if err := ev.Args(&text); err != nil {
				ev.Refuse(err)
				continue
			}
			s.To("lobby").Emit("said", s.ID(), text)
			ev.Ack(len(text))
		}
		ended <- s.Reason() + " " + strings.Join(s.Rooms(), ",")
		return nil
	})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	if got := a.call(t, 1, "say", "hello"); got != "[5]" {
		t.Errorf("ack %s", got)
	}
	want := fmt.Sprintf(`["said",%q,"hello"]`, a.session.ID())
	if got := b.waitEvents(t, 1); got[0] != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := a.call(t, 2, "say", 7); !strings.Contains(got, `"bad_arguments"`) {
		t.Errorf("a number for a text: %s", got)
	}
	if got := a.events(); len(got) != 0 {
		t.Errorf("the sender got its own message: %s", got)
	}
	a.leave("transport close")
	if got := <-ended; got != "transport close lobby" {
		t.Errorf("ended %q", got)
	}
	b.leave("ping timeout")
	<-ended
	waitFor(t, func() bool { return h.SessionCount() == 0 && h.Of("/").RoomCount() == 0 })
}

// waitFor polls what no event announces: counters of the hub.
func waitFor(t testing.TB, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func TestPanicEndsOnlyItsSession(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", Events{
		"boom": func() { panic("boom") },
		"ping": func() string { return "pong" },
	})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	a.emit(t, NoAck, "boom")
	a.wait(t, "the end of the session", func() bool { return a.state == "left" })
	if got := b.call(t, 1, "ping"); got != `["pong"]` {
		t.Errorf("the other session: %s", got)
	}
	waitFor(t, func() bool { return h.Counters()["handler_failed"] == 1 && h.SessionCount() == 1 })
}

func TestHandlerReturnDisconnects(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(s *Session) error { return nil })
	c := connect(t, h, 0, "/", "{}")
	c.wait(t, "the server's disconnect", func() bool { return c.state == "left" })
}

func TestMiddlewareRefuses(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(s *Session) error { t.Error("the handler ran"); return nil })
	h.Of("/").Use(func(s *Session) error { return nil })
	h.Of("/").Use(func(s *Session) error { return &ConnectError{Message: "not authorized", Data: 1} })
	c := connect(t, h, 0, "/", "{}")
	var ce *ConnectError
	if c.state != "refused" || !errors.As(c.err, &ce) || ce.Message != "not authorized" {
		t.Errorf("state %s, %v", c.state, c.err)
	}
	if c := connect(t, h, 0, "/nope", "{}"); !errors.Is(c.err, ErrUnknownNamespace) {
		t.Errorf("unknown namespace: %v", c.err)
	}
	waitFor(t, func() bool { return h.SessionCount() == 0 })
}

func TestSleepEndsWhenTheClientLeaves(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	errs := make(chan error, 2)
	mustHandle(t, h, "/", func(s *Session) error {
		errs <- s.Sleep(time.Millisecond)
		errs <- s.Sleep(time.Hour)
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	if err := <-errs; err != nil {
		t.Errorf("a sleep that was not disturbed: %v", err)
	}
	c.leave("transport close")
	if err := <-errs; !errors.Is(err, ErrGone) {
		t.Errorf("a sleep that was: %v", err)
	}
}

// TestReasons: every way in which a session ends, what it says afterwards and what the client is told.
func TestReasons(t *testing.T) {
	for _, tc := range []struct {
		name   string
		end    func(*fakeConn)
		reason string
		told   string // what the client was told last
	}{
		{"the client left", func(c *fakeConn) { c.leave("client namespace disconnect") }, "client namespace disconnect", "accepted"},
		{"the transport closed", func(c *fakeConn) { c.leave("ping timeout") }, "ping timeout", "accepted"},
		{"disconnected by its handler", func(c *fakeConn) { c.on(func(s *Session) { _ = s.Disconnect("bad manners") }) }, "bad manners", "left"},
		{"disconnected by its id", func(c *fakeConn) { c.hub.In(c.session.ID()).Disconnect("banned") }, "banned", "left"},
		{"killed", func(c *fakeConn) { c.session.Greenlet().Kill() }, "server namespace disconnect", "left"},
		{"the handler returned", func(c *fakeConn) { c.emit(nil, NoAck, "return") }, "server namespace disconnect", "left"},
		{"the handler failed", func(c *fakeConn) { c.emit(nil, NoAck, "fail") }, "server namespace disconnect", "left"},
		{"the handler panicked", func(c *fakeConn) { c.emit(nil, NoAck, "panic") }, "server namespace disconnect", "left"},
		{"the handler called Goexit", func(c *fakeConn) { c.emit(nil, NoAck, "goexit") }, "server namespace disconnect", "left"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 2})
			mustHandle(t, h, "/", func(s *Session) error {
				if err := s.Join("r"); err != nil {
					return err
				}
				for ev := range s.Events() {
					switch ev.Name {
					case "return":
						return nil
					case "fail":
						return errors.New("failed")
					case "panic":
						panic("boom")
					case "goexit":
						runtime.Goexit()
					}
				}
				return nil
			})
			other := connect(t, h, 1, "/", "{}")
			c := connect(t, h, 0, "/", "{}")
			for _, member := range []*fakeConn{other, c} { // their handlers go on when they are accepted, not before
				waitFor(t, func() (in bool) { member.on(func(s *Session) { in = s.In("r") }); return in })
			}
			tc.end(c)
			waitFor(t, func() bool { return h.SessionCount() == 1 })
			c.on(func(s *Session) {
				if s.Connected() || s.Reason() != tc.reason {
					t.Errorf("connected %v, reason %q, want %q", s.Connected(), s.Reason(), tc.reason)
				}
				if rooms := s.Rooms(); len(rooms) != 1 || rooms[0] != "r" {
					t.Errorf("it was in %q", rooms)
				}
				if s.In("r") {
					t.Error("it is in a room")
				}
				s.Closed("again")
				if err := s.Disconnect("again"); !errors.Is(err, ErrGone) || s.Reason() != tc.reason {
					t.Errorf("a second end: %v, reason %q", err, s.Reason())
				}
				if err := s.Join("x"); !errors.Is(err, ErrGone) {
					t.Errorf("joining: %v", err)
				}
				if err := s.Emit("e"); !errors.Is(err, ErrGone) {
					t.Errorf("emitting: %v", err)
				}
				if err := s.Deliver(NewEvent("e", Payload{JSON: []byte(`["e"]`)}, NoAck)); !errors.Is(err, ErrGone) {
					t.Errorf("delivering: %v", err)
				}
				s.Leave("r")
			})
			c.mu.Lock()
			if c.state != tc.told {
				t.Errorf("the client was told %q, want %q", c.state, tc.told)
			}
			c.mu.Unlock()
			if err := h.To("r").Emit("after"); err != nil {
				t.Error(err)
			}
			if err := h.To(c.session.ID()).Emit("after"); err != nil {
				t.Error(err)
			}
			other.waitEvents(t, 1)
			c.on(func(*Session) {})
			if got := c.events(); len(got) != 0 {
				t.Errorf("after its end it got %q", got)
			}
		})
	}
}

// TestMiddlewares: whatever a middleware does, the client gets one answer.
func TestMiddlewares(t *testing.T) {
	for _, tc := range []struct {
		name    string
		use     func(*Session) error
		state   string
		message string
		count   string
	}{
		{"lets in", func(*Session) error { return nil }, "accepted", "", ""},
		{"refuses", func(*Session) error { return errors.New("no") }, "refused", "no", ""},
		{"refuses with data", func(*Session) error { return &ConnectError{Message: "no", Data: 1} }, "refused", "no", ""},
		{"disconnects", func(s *Session) error { return s.Disconnect("go away") }, "refused", "go away", ""},
		{"disconnects and goes on", func(s *Session) error { _ = s.Disconnect("go away"); return nil }, "refused", "go away", ""},
		{"panics", func(*Session) error { panic("boom") }, "refused", "internal error", "handler_failed"},
		{"kills itself", func(s *Session) error { s.Greenlet().Kill(); return s.Greenlet().Yield() }, "refused", coop.ErrKilled.Error(), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 1})
			ran := make(chan struct{}, 1)
			mustHandle(t, h, "/", func(s *Session) error { ran <- struct{}{}; return chatter(s) })
			h.Of("/").Use(func(s *Session) error {
				if err := s.Join("before"); err != nil { // nothing of it reaches a client who is not let in
					t.Error(err)
				}
				return h.To("before").Emit("early")
			})
			h.Of("/").Use(tc.use)
			c := connect(t, h, 0, "/", "{}")
			c.on(func(*Session) {})
			if c.state != tc.state || tc.message != "" && (c.err == nil || c.err.Error() != tc.message) {
				t.Errorf("%s, %v", c.state, c.err)
			}
			if tc.state == "accepted" {
				<-ran
				return
			}
			waitFor(t, func() bool { return h.SessionCount() == 0 && h.Of("/").RoomCount() == 0 })
			select {
			case <-ran:
				t.Error("the handler ran")
			default:
			}
			if got := c.events(); len(got) != 0 {
				t.Errorf("got %q", got)
			}
			if tc.count != "" && h.Counters()[tc.count] != 1 {
				t.Errorf("counted %v", h.Counters())
			}
		})
	}
}

// TestClientLeavesDuringAMiddleware: it is told nothing any more and the handler does not run.
func TestClientLeavesDuringAMiddleware(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(*Session) error { t.Error("the handler ran"); return nil })
	entered, left := make(chan struct{}), make(chan error, 1)
	h.Of("/").Use(func(s *Session) error {
		close(entered)
		err := s.Sleep(time.Hour)
		left <- err
		return nil
	})
	c := newFakeConn(h, 0)
	c.loop.Post(func() { c.session, _ = h.Connect(c, "/", &Handshake{}) })
	<-entered
	c.leave("transport close")
	if err := <-left; !errors.Is(err, ErrGone) {
		t.Errorf("a sleep in the middleware: %v", err)
	}
	waitFor(t, func() bool { return h.SessionCount() == 0 })
	if c.state != "" {
		t.Errorf("the client was told %q", c.state)
	}
}

// A session is in MaxRooms rooms at most, its own and everybody's not counted; to leave one makes place.
func TestRoomsOfASessionAreBounded(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, MaxRooms: 2})
	mustHandle(t, h, "/", func(s *Session) error {
		join := func(room string, want error) {
			t.Helper()
			if err := s.Join(room); !errors.Is(err, want) {
				t.Errorf("joining %s: %v, want %v", room, err, want)
			}
		}
		join("a", nil)
		join("b", nil)
		join("c", ErrTooManyRooms)
		join("a", nil)
		if s.In("c") {
			t.Error("it is in the room that refused it")
		}
		s.Leave("a")
		join("c", nil)
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.wait(t, "the end of the handler", func() bool { return c.state == "left" })
	if n := h.Counters()["session_rooms_full"]; n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}
