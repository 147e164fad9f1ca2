package hub

import (
	"encoding/json"
	"errors"
	"fmt"
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
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func TestEventsBeforeLeavingAreHandled(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	var got []string
	done := make(chan struct{})
	mustHandle(t, h, "/", func(s *Session) error {
		defer close(done)
		for ev := range s.Events() {
			got = append(got, ev.Name)
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		for i := range 5 {
			p, _ := EncodeArgs("e")
			if err := s.Deliver(NewEvent(fmt.Sprint(i), p, NoAck)); err != nil {
				t.Error(err)
			}
		}
		s.Closed("transport close")
		if err := s.Deliver(NewEvent("late", Payload{}, NoAck)); !errors.Is(err, ErrGone) {
			t.Errorf("delivering to a session that is over: %v", err)
		}
	})
	<-done
	if len(got) != 5 {
		t.Errorf("got %q", got)
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

func TestAsk(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type result struct {
		v   string
		err error
	}
	results := make(chan result, 4)
	mustHandle(t, h, "/", func(s *Session) error {
		v, err := Ask[string](s, 10*time.Second, "question", 1)
		results <- result{v, err}
		v, err = Ask[string](s, time.Millisecond, "slow")
		results <- result{v, err}
		v, err = Ask[string](s, 10*time.Second, "gone")
		results <- result{v, err}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.waitEvents(t, 1)
	c.on(func(s *Session) { s.DeliverAck(0, Payload{JSON: []byte(`["blue"]`)}) })
	if r := <-results; r.v != "blue" || r.err != nil {
		t.Errorf("got %+v", r)
	}
	if r := <-results; !errors.Is(r.err, coop.ErrTimeout) {
		t.Errorf("no answer: %v", r.err)
	}
	c.waitEvents(t, 3)
	c.on(func(s *Session) {
		s.DeliverAck(1, Payload{JSON: []byte(`["too late"]`)})
		s.Closed("transport close")
	})
	if r := <-results; !errors.Is(r.err, ErrGone) {
		t.Errorf("the client left: %v", r.err)
	}
	if n := h.Counters()["ack_unexpected"]; n != 1 {
		t.Errorf("%d unexpected acks counted, want 1", n)
	}
}

func TestWaitKeepsOtherEvents(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	got := make(chan string, 8)
	mustHandle(t, h, "/", func(s *Session) error {
		if _, err := s.Wait("ready", 10*time.Second); err != nil {
			return err
		}
		got <- "ready"
		for ev := range s.Events() {
			got <- ev.Name
		}
		_, err := s.Wait("never", time.Second)
		if !errors.Is(err, ErrGone) {
			t.Errorf("waiting for a client that left: %v", err)
		}
		got <- "end"
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	for _, name := range []string{"a", "b", "ready", "c"} {
		c.emit(t, NoAck, name)
	}
	c.leave("transport close")
	for _, want := range []string{"ready", "a", "b", "c", "end"} {
		if name := <-got; name != want {
			t.Fatalf("got %q, want %q", name, want)
		}
	}
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

func TestInboxBackPressure(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, InboxEvents: 4, InboxMax: 10_000})
	release := make(chan struct{})
	mustHandle(t, h, "/", func(s *Session) error {
		if _, err := coop.Await(s.Greenlet(), func() (int, error) { <-release; return 0, nil }); err != nil {
			return err
		}
		for range s.Events() {
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	room := make(chan struct{}, 1)
	c.on(func(s *Session) {
		s.OnInboxRoom(func() { room <- struct{}{} })
		p, _ := EncodeArgs("e")
		for i := range 4 {
			if s.InboxFull() {
				t.Errorf("full with %d events", i)
			}
			if err := s.Deliver(NewEvent("e", p, NoAck)); err != nil {
				t.Error(err)
			}
		}
		if !s.InboxFull() {
			t.Error("not full with 4 events")
		}
		big, _ := EncodeArgs("e", strings.Repeat("x", 10_000))
		if err := s.Deliver(NewEvent("e", big, NoAck)); !errors.Is(err, ErrOverloaded) {
			t.Errorf("beyond the last bound: %v", err)
		}
	})
	close(release)
	<-room
	c.on(func(s *Session) {
		if s.InboxFull() {
			t.Error("still full")
		}
	})
}

func TestHandleChecksShapes(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	for name, handler := range map[string]any{
		"nil":           nil,
		"number":        7,
		"nil func":      (func(*Session) error)(nil),
		"reserved":      Events{"connect_error": func() {}},
		"bad connect":   Events{"connect": func() {}},
		"no function":   Events{"x": 1},
		"variadic":      Events{"x": func(...int) {}},
		"channel":       Events{"x": func(chan int) {}},
		"nil in table":  Events{"x": nil},
		"typed nil fun": Events{"x": (func())(nil)},
	} {
		if err := h.Handle("/", handler); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, ns := range []string{"", "chat", "/a,b", "/\n"} {
		if err := h.Handle(ns, func(*Session) error { return nil }); err == nil {
			t.Errorf("namespace %q was taken", ns)
		}
	}
}

func TestEventTable(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type point struct{ X, Y int }
	ended := make(chan string, 1)
	mustHandle(t, h, "/", Events{
		"connect":    func(s *Session) error { s.Data = "data"; return nil },
		"disconnect": func(s *Session) { ended <- s.Reason() },
		"join":       func(s *Session, room string) string { s.Join(room); return "ok" },
		"sum":        func(p point, more []int) (int, error) { return p.X + p.Y + len(more), nil },
		"two":        func() (int, string) { return 1, "b" },
		"fail":       func() error { return &Error{Code: "no", Message: "not now"} },
		"echo":       func(x json.RawMessage) json.RawMessage { return x },
		"bytes":      func(b []byte) int { return len(b) },
		"data":       func(s *Session) any { return s.Data },
	})
	c := connect(t, h, 0, "/", "{}")
	for i, tc := range []struct {
		event string
		args  []any
		want  string
	}{
		{"join", []any{"r"}, `["ok"]`},
		{"sum", []any{point{1, 2}, []int{9}}, `[4]`},
		{"two", nil, `[1,"b"]`},
		{"fail", nil, `[{"error":{"code":"no","message":"not now"},"ok":false}]`},
		{"echo", []any{map[string]int{"a": 1}}, `[{"a":1}]`},
		{"bytes", []any{[]byte("abc")}, `[3]`},
		{"data", nil, `["data"]`},
		{"join", nil, `[{"error":{"code":"bad_arguments","message":"join wants 1 arguments, got 0"},"ok":false}]`},
		{"nope", nil, `[{"error":{"code":"unknown_event","message":"no such event: \"nope\""},"ok":false}]`},
	} {
		if got := c.call(t, int64(i), tc.event, tc.args...); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.event, got, tc.want)
		}
	}
	c.leave("ping timeout")
	if got := <-ended; got != "ping timeout" {
		t.Errorf("disconnect saw %q", got)
	}
}
