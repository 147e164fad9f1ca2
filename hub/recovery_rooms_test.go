package hub

import (
	"errors"
	"slices"
	"testing"

	"greenroom/coop"
)

// joinsInMiddleware is a hub whose middleware, as many do, brings each session into a room; when it is back, too.
func joinsInMiddleware(t *testing.T, during func(s *Session)) *Hub {
	h := recoveryHub(t, Options{}, Recovery{RunMiddlewares: true}, stays)
	h.Of("/").Use(func(s *Session) error {
		err := s.Join("all")
		if during != nil {
			during(s)
		}
		return err
	})
	return h
}

func TestARoomThatAMiddlewareJoinsAgainIsJoinedOnce(t *testing.T) {
	h := joinsInMiddleware(t, nil)
	var d diary
	h.Observe(Observer{
		Joined: func(_ *Session, room string) { d.add("joined %s", room) },
		Left:   func(_ *Session, room string) { d.add("left %s", room) },
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	pid, offset := a.ticketOf()
	a.leave("transport close")
	emit(t, h.To("all"), "missed")
	b := come(t, h, 1, "/", pid, offset)
	emit(t, h.To("all"), "once")
	emit(t, h.To("r"), "also")
	b.wantGot(t, `["missed"]`, "accepted", `["once"]`, `["also"]`)
	var rooms []string
	b.on(func(s *Session) {
		rooms = s.Rooms()
		s.Leave("all")
	})
	if slices.Sort(rooms); !slices.Equal(rooms, []string{"all", "r"}) {
		t.Errorf("in %q", rooms)
	}
	emit(t, h.To("all"), "left")
	b.wantGot(t, `["missed"]`, "accepted", `["once"]`, `["also"]`)
	want := []string{"joined all", "joined r", "left r", "left all", "joined all", "joined r", "left all"}
	if got := d.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// What is sent while the middlewares decide comes once, to rooms of before and to those that they have just joined,
// and a client that is cut off after that gets nothing twice.
func TestMessagesDuringTheMiddlewaresThatJoin(t *testing.T) {
	var h *Hub
	h = joinsInMiddleware(t, func(s *Session) {
		if s.Recovered() {
			_ = errors.Join(s.Join("new"), h.To("all").Emit("1"), h.To("new").Emit("2"), h.To("all", "new").Emit("3"))
		}
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	b := a.back(t)
	emit(t, h.To("new"), "4")
	b.wantGot(t, `["1"]`, `["2"]`, `["3"]`, "accepted", `["4"]`)
	c := b.back(t)
	c.wantGot(t, `["1"]`, `["2"]`, `["3"]`, "accepted")
}

// Who makes a session join while middlewares decide on its return changes the session, not only its books.
func TestJoinFromOutsideDuringTheMiddlewares(t *testing.T) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	h := recoveryHub(t, Options{}, Recovery{RunMiddlewares: true}, stays)
	h.Of("/").Use(func(s *Session) error {
		if s.Recovered() {
			close(inside)
			_, err := coop.Await(s.Greenlet(), func() (int, error) { <-goOn; return 0, nil })
			return err
		}
		return nil
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("old"), s.Emit("hello")) })
	id := a.session.ID()
	pid, offset := a.ticketOf()
	a.leave("transport close")
	b := &comer{fakeConn: newFakeConn(h, 1), h: h, had: offset}
	b.start("/", pid, offset)
	<-inside
	if err := h.To(id).Join("new"); err != nil {
		t.Fatal(err)
	}
	h.To(id).Leave("old")
	settled(h)
	close(goOn)
	b.wait(t, "an answer", func() bool { return b.state == "accepted" })
	emit(t, h.To("new"), "once")
	emit(t, h.To("old"), "not any more")
	b.wantGot(t, "accepted", `["once"]`)
}

// The middleware that joins and leaves a room that is the session's own has left it.
func TestLeaveDuringTheMiddlewares(t *testing.T) {
	h := joinsInMiddleware(t, func(s *Session) {
		if s.Recovered() {
			s.Leave("all")
		}
	})
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	b := a.back(t)
	emit(t, h.To("all"), "not any more")
	emit(t, h.To("r"), "still")
	b.wantGot(t, "accepted", `["still"]`)
}

// Who watches is told of a session that is back as of a new one, and of what it had missed as of what it is sent.
func TestObserversOfASessionThatIsBack(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	pid, offset := a.ticketOf()
	a.leave("transport close")
	emit(t, h.To("r"), "missed")
	var d diary
	h.Observe(Observer{
		Joined:    func(_ *Session, room string) { d.add("joined %s", room) },
		Connected: func(s *Session) { d.add("connected"); _ = s.Emit("welcome") },
		Sent:      func(_ *Session, m *Message) { d.add("sent %s", m.Event) },
	})
	b := come(t, h, 1, "/", pid, offset)
	b.wantGot(t, `["missed"]`, "accepted", `["welcome"]`)
	if got := d.all(); !slices.Equal(got, []string{"joined r", "connected", "sent welcome", "sent missed"}) {
		t.Errorf("told %q", got)
	}
	b.back(t).wantGot(t, "accepted", `["welcome"]`)
}

// An observer may end the session that it is told of; its client hears of both.
func TestAnObserverEndsASession(t *testing.T) {
	for _, r := range []*Recovery{nil, {}} {
		h := newTestHub(t, Options{Loops: 1, Recovery: r})
		mustHandle(t, h, "/", stays)
		h.Observe(Observer{Connected: func(s *Session) { _ = s.Disconnect("full") }})
		c := come(t, h, 0, "/", "", "")
		c.wantGot(t, "accepted", "left")
		waitFor(t, func() bool { return h.SessionCount() == 0 })
	}
}
