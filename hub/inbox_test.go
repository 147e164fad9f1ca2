package hub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

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

func TestWaitKeepsOtherEvents(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	got := make(chan string, 8)
	mustHandle(t, h, "/", func(s *Session) error {
		if _, err := s.Wait("ready", patience); err != nil {
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

func TestWaitIsServedFromWhatItPassedOver(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	got := make(chan string, 8)
	mustHandle(t, h, "/", func(s *Session) error {
		for _, name := range []string{"c", "a", "b"} {
			ev, err := s.Wait(name, patience)
			if err != nil {
				return err
			}
			got <- ev.Name
		}
		ev, err := s.next()
		if err != nil {
			return err
		}
		got <- ev.Name
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	for _, name := range []string{"a", "d", "b", "c"} {
		c.emit(t, NoAck, name)
	}
	for _, want := range []string{"c", "a", "b", "d"} {
		if name := <-got; name != want {
			t.Fatalf("got %q, want %q", name, want)
		}
	}
}

func TestWaitEnds(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()})
	errs := make(chan error, 2)
	mustHandle(t, h, "/", func(s *Session) error {
		_, err := s.Wait("never", time.Hour)
		errs <- err
		s.Greenlet().Kill()
		_, err = s.Wait("never", time.Hour)
		errs <- err
		return err
	})
	c := connect(t, h, 0, "/", "{}")
	if err := <-errs; !errors.Is(err, coop.ErrTimeout) || !strings.Contains(err.Error(), `"never"`) {
		t.Errorf("after an hour: %v", err)
	}
	if err := <-errs; !errors.Is(err, coop.ErrKilled) {
		t.Errorf("killed: %v", err)
	}
	c.wait(t, "the server's disconnect", func() bool { return c.state == "left" })
	if n := h.Counters()["handler_error"]; n != 0 {
		t.Errorf("a killed handler counts as %d failures", n)
	}
}

// TestDisconnectDropsWhatWaits: a client that was thrown out has no effect any more.
func TestDisconnectDropsWhatWaits(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	var handled []string
	done := make(chan string, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		if _, err := s.Wait("c", patience); err != nil {
			return err
		}
		_ = s.Disconnect("banned")
		for ev := range s.Events() {
			handled = append(handled, ev.Name)
		}
		done <- s.Reason()
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		for _, name := range []string{"a", "b", "c", "d"} {
			p, _ := EncodeArgs(name)
			if err := s.Deliver(NewEvent(name, p, NoAck)); err != nil {
				t.Error(err)
			}
		}
	})
	if reason := <-done; reason != "banned" || len(handled) > 0 || h.Counters()["event_after_disconnect"] != 3 {
		t.Errorf("reason %q, handled %q, counters %v", reason, handled, h.Counters())
	}
}

func TestInboxAccountsForEverything(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(s *Session) error {
		if _, err := s.Wait("last", patience); err != nil {
			return err
		}
		for range s.Events() {
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	for i := range 9 {
		c.emit(t, NoAck, fmt.Sprint("e", i), strings.Repeat("x", i), []byte("binary"))
	}
	c.emit(t, NoAck, "last")
	waitFor(t, func() bool {
		empty := false
		c.on(func(s *Session) { empty = s.inbox.count == 0 && s.inbox.bytes == 0 })
		return empty
	})
}

func TestEventsCanBeLeftAndTakenUpAgain(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	got := make(chan []string, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		var names []string
		for ev := range s.Events() {
			if names = append(names, ev.Name); len(names) == 2 {
				break
			}
		}
		for ev := range s.Events() {
			names = append(names, ev.Name)
		}
		got <- names
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	for _, name := range []string{"a", "b", "c"} {
		c.emit(t, NoAck, name)
	}
	c.leave("transport close")
	if names := <-got; !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("got %q", names)
	}
}
