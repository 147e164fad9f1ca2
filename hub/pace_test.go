package hub

import (
	"errors"
	"testing"
	"time"

	"greenroom/coop"
)

func TestPace(t *testing.T) {
	const rate, burst = 10, 5
	var p pace
	allowed := func(now time.Duration, n int) (count int) {
		for range n {
			if p.allow(now, rate, burst) {
				count++
			}
		}
		return count
	}
	now := time.Hour
	for _, tc := range []struct {
		after      time.Duration
		sent, want int
	}{
		{0, 5, 5},                        // the burst
		{0, 1, 0},                        // beyond it, which costs a tenth
		{100 * time.Millisecond, 2, 0},   // not quite
		{130 * time.Millisecond, 1, 1},   // the rate, with the debt paid
		{time.Hour, 7, 5},                // full again, and no fuller
		{800 * time.Millisecond, 100, 5}, // full again
		{10 * time.Second, 3, 3},         // with the debt of 95 refusals paid
		{time.Millisecond, 2, 2},
		{5 * time.Second, 1_000_000, 5},  // a storm
		{9_000 * time.Second, 1, 0},      // its debt, of 999 995 tenths
		{100_000*time.Second + 1, 10, 5}, // is paid
		{-time.Second, 1, 0},             // a clock that goes back gives nothing away
		{1200 * time.Millisecond, 1, 1},
	} {
		now += tc.after
		if got := allowed(now, tc.sent); got != tc.want {
			t.Errorf("%d sent after %v: %d allowed, want %d", tc.sent, tc.after, got, tc.want)
		}
	}
}

func TestEventsBeyondTheRateAreRefused(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, EventRate: 10, EventBurst: 3, Clock: coop.NewFakeClock()})
	var taken int
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			taken++
			if err := ev.Ack("ok"); err != nil {
				return err
			}
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	calm := connect(t, h, 0, "/", "{}")
	const refused = `[{"error":{"code":"rate_limited","message":"more than 10 events a second"},"ok":false}]`
	// All at once: the fake clock stands still while the loop has something to do.
	c.on(func(s *Session) {
		for i := range int64(5) {
			if err := s.Deliver(NewEvent("x", Payload{JSON: []byte(`["x"]`)}, i)); err != nil {
				t.Error(err)
			}
		}
	})
	c.wait(t, "five answers", func() bool { return len(c.acks) == 5 })
	for i, want := range []string{`["ok"]`, `["ok"]`, `["ok"]`, refused, refused} {
		if got := c.acks[int64(i)]; got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	if got := calm.call(t, 9, "x"); got != `["ok"]` {
		t.Errorf("another session: %s", got)
	}
	c.on(func(s *Session) {
		s.loop.AfterFunc(time.Second, func() { _ = s.Deliver(NewEvent("x", Payload{JSON: []byte(`["x"]`)}, 5)) })
	})
	c.wait(t, "its answer a second later", func() bool { return c.acks[5] != "" })
	if c.acks[5] != `["ok"]` {
		t.Errorf("a second later: %s", c.acks[5])
	}
	if n := h.Counters()["event_rate_limited"]; n != 2 || taken != 5 {
		t.Errorf("%d refusals counted, the handler took %d", n, taken)
	}
}

// A storm ends the connection: the transport closes it over ErrOverloaded.
func TestAStormOfEventsIsAnOverload(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, EventRate: 10, EventBurst: 10, Clock: coop.NewFakeClock()})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		sent := 0
		for ; sent < 1000; sent++ {
			err := s.Deliver(NewEvent("x", Payload{JSON: []byte(`["x"]`)}, NoAck))
			if errors.Is(err, ErrOverloaded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		// The burst, and then refusals that cost a tenth each until they have cost another burst.
		if sent < 100 || sent > 130 {
			t.Errorf("ended after %d events", sent)
		}
	})
	if n := h.Counters()["event_rate_disconnected"]; n != 1 {
		t.Errorf("%d disconnections counted", n)
	}
}

func TestEventsThatComeBeforeTheirClientIsLetInAreNotAnswered(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, EventRate: 10, EventBurst: 1, Clock: coop.NewFakeClock()})
	release := new(coop.Event)
	h.Of("/").Use(func(s *Session) error { return release.Wait(s.Greenlet()) })
	mustHandle(t, h, "/", chatter)
	c := newFakeConn(h, 0)
	c.begin("/", "{}")
	c.wait(t, "the session", func() bool { return c.session != nil })
	c.on(func(s *Session) {
		for range 3 {
			if err := s.Deliver(NewEvent("x", Payload{JSON: []byte(`["x"]`)}, 1)); err != nil {
				t.Error(err)
			}
		}
		if len(c.acks) != 0 {
			t.Errorf("answered %v", c.acks)
		}
		release.Set()
	})
	c.wait(t, "its turn", func() bool { return c.state == "accepted" })
	if n := h.Counters()["event_rate_limited"]; n != 2 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestANegativeRateIsNoBound(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, EventRate: -1, EventBurst: 1, Clock: coop.NewFakeClock()})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		for range 100 {
			if err := s.Deliver(NewEvent("x", Payload{JSON: []byte(`["x"]`)}, NoAck)); err != nil {
				t.Error(err)
			}
		}
	})
	if n := h.Counters()["event_rate_limited"]; n != 0 {
		t.Errorf("%d refusals counted", n)
	}
}
