package hub

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

func TestAsk(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type result struct {
		v   string
		err error
	}
	results := make(chan result, 4)
	mustHandle(t, h, "/", func(s *Session) error {
		v, err := Ask[string](s, patience, "question", 1)
		results <- result{v, err}
		v, err = Ask[string](s, time.Millisecond, "slow")
		results <- result{v, err}
		v, err = Ask[string](s, patience, "gone")
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

// TestAskDecodesAnswers has the client answer all kinds of things.
func TestAskDecodesAnswers(t *testing.T) {
	type point struct{ X, Y int }
	for _, tc := range []struct {
		name   string
		answer Payload
		want   point
		err    string // part of it; "" for none
	}{
		{"what was asked for", Payload{JSON: []byte(`[{"X":1,"Y":2}]`)}, point{1, 2}, ""},
		{"more than that", Payload{JSON: []byte(`[{"X":1},2,3]`)}, point{1, 0}, ""},
		{"nothing", Payload{JSON: []byte(`[]`)}, point{}, ""},
		{"null", Payload{JSON: []byte(`[null]`)}, point{}, ""},
		{"a string", Payload{JSON: []byte(`["x"]`)}, point{}, "the answer: want an object, got a string"},
		{"a field of the wrong type", Payload{JSON: []byte(`[{"X":"one"}]`)}, point{}, "the answer: X: want a whole number, got a string"},
		{"binary data", Payload{JSON: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}}}, point{}, ""},
		{"a refusal", Payload{JSON: []byte(`[[{"ok":false}]]`)}, point{}, "the answer: want an object, got an array"},
		{"no array", Payload{JSON: []byte(`{}`)}, point{}, errNotArray.Error()},
		{"no text", Payload{}, point{}, errNotArray.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 1})
			done := make(chan error, 1)
			var got point
			mustHandle(t, h, "/", func(s *Session) (err error) {
				got, err = Ask[point](s, patience, "where?")
				done <- err
				return nil
			})
			c := newFakeConn(h, 0)
			c.onSend = func(f *Frame) { c.session.DeliverAck(f.Message().Ack, tc.answer) }
			c.connect(t, "/", "{}")
			err := <-done
			if tc.err == "" && (err != nil || got != tc.want) {
				t.Errorf("got %v, %v", got, err)
			}
			if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err) || !strings.HasPrefix(err.Error(), `asking "where?": `)) {
				t.Errorf("error %v, want %s", err, tc.err)
			}
		})
	}
}

func TestAskTakesBinaryAnswers(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	got := make(chan string, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		b, err := Ask[[]byte](s, patience, "picture?")
		got <- string(b)
		return err
	})
	c := connect(t, h, 0, "/", "{}")
	c.waitEvents(t, 1)
	c.on(func(s *Session) {
		s.DeliverAck(0, Payload{JSON: []byte(`[{"_placeholder":true,"num":0}]`), Attachments: [][]byte{[]byte("png")}})
	})
	if b := <-got; b != "png" {
		t.Errorf("got %q", b)
	}
}

// TestAskRefusesAtOnce: what cannot be asked sends nothing, waits for nothing and leaves nothing behind.
func TestAskRefusesAtOnce(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	done := make(chan struct{})
	mustHandle(t, h, "/", func(s *Session) error {
		defer close(done)
		if _, err := Ask[int](s, time.Hour, "disconnect"); !errors.Is(err, ErrReservedEvent) {
			t.Errorf("a reserved event: %v", err)
		}
		if _, err := Ask[int](s, time.Hour, "e", make(chan int)); err == nil {
			t.Error("a channel was sent")
		}
		if _, err := Ask[int](s, time.Hour, "e", json.RawMessage("{")); err == nil {
			t.Error("broken JSON was sent")
		}
		if len(s.acks.pending) != 0 {
			t.Errorf("%d answers are waited for", len(s.acks.pending))
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	<-done
	if got := c.events(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestAskIsForTheSessionsOwnGreenlet(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		if _, err := Ask[int](s, time.Hour, "e"); !errors.Is(err, coop.ErrNotRunning) {
			t.Errorf("from a callback: %v", err)
		}
		if len(s.acks.pending) != 0 {
			t.Errorf("%d answers are waited for", len(s.acks.pending))
		}
	})
	if got := c.events(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

// TestAskWhenSendingEndsTheSession: the question is what the client's outbox could not take.
func TestAskWhenSendingEndsTheSession(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	errs := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		_, err := Ask[int](s, patience, "e")
		errs <- err
		return nil
	})
	c := newFakeConn(h, 0)
	c.onSend = func(*Frame) { c.session.Closed("transport error") }
	c.connect(t, "/", "{}")
	if err := <-errs; !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
	waitFor(t, func() bool { return h.SessionCount() == 0 })
	if n := h.Counters()["handler_failed"]; n != 0 {
		t.Errorf("%d handlers failed", n)
	}
}

func TestAskTimesOutOnTheClock(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()})
	type result struct {
		err  error
		took time.Duration
	}
	results := make(chan result, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		start := s.loop.Now()
		_, err := Ask[int](s, time.Hour, "e")
		results <- result{err, s.loop.Now() - start}
		return nil
	})
	connect(t, h, 0, "/", "{}")
	if r := <-results; !errors.Is(r.err, coop.ErrTimeout) || r.took != time.Hour {
		t.Errorf("%v after %v", r.err, r.took)
	}
}

// TestAskEndsWithAKill: the greenlet may be killed while it waits.
func TestAskEndsWithAKill(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	errs := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		_, err := Ask[int](s, time.Hour, "e")
		errs <- err
		return err
	})
	c := connect(t, h, 0, "/", "{}")
	c.waitEvents(t, 1)
	c.session.Greenlet().Kill()
	if err := <-errs; !errors.Is(err, coop.ErrKilled) {
		t.Errorf("got %v", err)
	}
	c.wait(t, "the server's disconnect", func() bool { return c.state == "left" })
}

// TestUnexpectedAcksAreCounted: a client may answer what was never asked, or twice.
func TestUnexpectedAcksAreCounted(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		for _, id := range []int64{0, -1, 1 << 53} {
			s.DeliverAck(id, Payload{JSON: []byte("[]")})
		}
	})
	if n := h.Counters()["ack_unexpected"]; n != 3 {
		t.Errorf("%d counted, want 3", n)
	}
}

func TestPendingAsksAreBounded(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, MaxAsks: 3})
	mustHandle(t, h, "/", func(s *Session) error {
		ask := func() error { return s.AskFunc(time.Hour, func(Answer, error) {}, "e") }
		for range 3 {
			if err := ask(); err != nil {
				t.Error(err)
			}
		}
		if err := ask(); !errors.Is(err, ErrTooManyAsks) {
			t.Errorf("one too many: %v", err)
		}
		if _, err := Ask[int](s, time.Hour, "e"); !errors.Is(err, ErrTooManyAsks) {
			t.Errorf("one too many: %v", err)
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.wait(t, "the end of the handler", func() bool { return c.state == "left" })
	if n := h.Counters()["asks_full"]; n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
}
