package hub

import (
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// The namespace of a family waits for its clients as long as their sessions do.
func TestFamiliesKeepWhatClientsComeBackTo(t *testing.T) {
	clock := coop.NewFakeClock()
	h := newTestHub(t, Options{Loops: 1, Clock: clock, Recovery: &Recovery{MaxDisconnection: time.Hour}})
	ended := make(chan struct{}, 4)
	if _, err := h.HandleFamily(gameName, func(s *Session) error {
		defer func() { ended <- struct{}{} }()
		if err := s.Join("a"); err != nil {
			return err
		}
		return chatter(s)
	}); err != nil {
		t.Fatal(err)
	}
	var d diary
	h.Observe(Observer{
		Connected: func(s *Session) { d.add("connected %v %v", s.Recovered(), s.Rooms()) },
		Joined:    func(_ *Session, room string) { d.add("joined %s", room) },
	})
	first := come(t, h, 0, "/game-1", "", "")
	first.on(func(s *Session) {
		if err := s.Emit("x"); err != nil {
			t.Error(err)
		}
	})
	pid, offset := first.ticketOf()
	back := &comer{fakeConn: newFakeConn(h, 0), h: h}
	back.loop.Post(func() { // at once: the fake clock would run on
		first.session.Closed("transport close")
		s, err := h.Reconnect(back, "/game-1", &Handshake{}, pid, offset)
		back.change(func() { back.session, back.err = s, err })
	})
	back.wait(t, "the session", func() bool { return back.state == "accepted" && back.session != nil })
	<-ended
	back.on(func(s *Session) {
		if !s.Recovered() || s.ID() != first.session.ID() {
			t.Errorf("it is a new session, %s", s.ID())
		}
	})
	if got, want := d.all(), []string{"connected false []", "joined a", "joined a", "connected true [a]"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	back.leave("transport close")
	<-ended
	waitFor(t, func() bool { return len(h.Namespaces()) == 0 }) // an hour later on the fake clock
}
