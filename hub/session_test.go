package hub

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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
