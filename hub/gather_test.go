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

// answering is a client that answers every question with what answer returns; nil is no answer.
func answering(t *testing.T, h *Hub, loop int, answer func(m *Message) any) *fakeConn {
	t.Helper()
	c := newFakeConn(h, loop)
	c.onSend = func(f *Frame) {
		m := f.Message()
		if m.Ack == NoAck {
			return
		}
		a := answer(m)
		if a == nil {
			return
		}
		p, err := encodeAck(a)
		if err != nil {
			t.Error(err)
		}
		c.loop.Post(func() { c.session.DeliverAck(m.Ack, p) })
	}
	c.connect(t, "/", "{}")
	c.on(func(s *Session) {
		if err := s.Join("a"); err != nil {
			t.Error(err)
		}
	})
	return c
}

// pendingAsks is how many answers the client owes.
func (c *fakeConn) pendingAsks() (n int) {
	c.on(func(s *Session) { n = len(s.acks.pending) })
	return n
}

// said is what the clients answered, by session.
func said(t *testing.T, answers []Answer) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, a := range answers {
		var v string
		if err := a.Args(&v); err != nil {
			t.Error(err)
		}
		if _, twice := out[a.Session]; twice {
			t.Errorf("two answers of %s", a.Session)
		}
		out[a.Session] = v
	}
	return out
}

func TestAskingARoom(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	yes := func(*Message) any { return "yes" }
	a, b := answering(t, h, 0, yes), answering(t, h, 1, func(*Message) any { return "no" })
	outside := answering(t, h, 1, yes)
	outside.on(func(s *Session) { s.Leave("a") })
	answers, err := h.To("a").Within(10*time.Second).Ask("vote?", "tea")
	if err != nil {
		t.Fatal(err)
	}
	got := said(t, answers)
	if len(got) != 2 || got[a.session.ID()] != "yes" || got[b.session.ID()] != "no" {
		t.Errorf("got %v", got)
	}
	if q := a.events(); !slices.Equal(q, []string{`["vote?","tea"]`}) {
		t.Errorf("asked %q", q)
	}
	if len(outside.events()) != 0 {
		t.Error("one outside of the room was asked")
	}
	for name, target := range map[string]Target{
		"two rooms":  h.To("a", outside.session.ID()),
		"everybody":  h.To(),
		"one by one": h.To(a.session.ID(), b.session.ID(), outside.session.ID()),
	} {
		if answers, err := target.Ask("again?"); err != nil || len(said(t, answers)) != 3 {
			t.Errorf("%s: %v, %v", name, answers, err)
		}
	}
	if answers, err := h.To(b.session.ID()).Ask("you?"); err != nil || said(t, answers)[b.session.ID()] != "no" || len(answers) != 1 {
		t.Errorf("one session: %v, %v", answers, err)
	}
	if answers, err := h.To("a").Except(b.session.ID()).Ask("you?"); err != nil || len(answers) != 1 {
		t.Errorf("all but one: %v, %v", answers, err)
	}
	if answers, err := h.To("nobody").Ask("anyone?"); err != nil || len(answers) != 0 {
		t.Errorf("an empty room: %v, %v", answers, err)
	}
	if n := a.pendingAsks() + b.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
}

// A handler asks the others of its room, itself among the loops that are waited for.
func TestAskingARoomFromAGreenlet(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			answers, err := s.To("a").Within(10 * time.Second).Ask("vote?")
			if err != nil {
				return err
			}
			if err := ev.Ack(len(answers)); err != nil {
				return err
			}
		}
		return nil
	})
	yes := func(*Message) any { return "yes" }
	a := answering(t, h, 0, yes)
	answering(t, h, 0, yes)
	answering(t, h, 1, yes)
	if got := a.call(t, 1, "poll"); got != "[2]" {
		t.Errorf("got %s", got)
	}
}

func TestAnswersThatAreMissingAreNamed(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	answering(t, h, 0, func(*Message) any { return "yes" })
	silent := answering(t, h, 1, func(*Message) any { return nil })
	answers, err := h.To("a").Within(20 * time.Millisecond).Ask("vote?")
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Sessions, []string{silent.session.ID()}) || len(missing.Nodes) != 0 || !errors.Is(err, coop.ErrTimeout) {
		t.Errorf("error %v", err)
	}
	if len(answers) != 1 {
		t.Errorf("%d answers", len(answers))
	}
	if n := silent.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for after the timeout", n)
	}
	silent.on(func(s *Session) { s.DeliverAck(0, Payload{JSON: []byte(`["late"]`)}) })
	if n := h.Counters()["ack_unexpected"]; n != 1 {
		t.Errorf("%d late answers counted", n)
	}
}

func TestAskingARoomEndsWhenTheSilentHaveLeft(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	answering(t, h, 0, func(*Message) any { return "yes" })
	quitter := newFakeConn(h, 0)
	quitter.onSend = func(*Frame) { quitter.session.Closed("transport close") } // sending ends it
	quitter.connect(t, "/", "{}")
	_, err := h.To().Within(time.Hour).Ask("vote?")
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Sessions, []string{quitter.session.ID()}) || !errors.Is(err, ErrGone) || errors.Is(err, coop.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

func TestAVolatileQuestionThatIsMissedIsNotWaitedFor(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := answering(t, h, 0, func(*Message) any { return "yes" })
	c.on(func(*Session) { c.busy = true })
	_, err := h.To().Volatile().Within(time.Hour).Ask("vote?")
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Sessions, []string{c.session.ID()}) {
		t.Errorf("error %v", err)
	}
	if n := c.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
}

func TestOneWithTooManyOpenQuestionsIsMissing(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, MaxAsks: 3})
	mustHandle(t, h, "/", chatter)
	c := answering(t, h, 0, func(*Message) any { return "yes" })
	c.on(func(s *Session) {
		for i := range int64(3) {
			if err := s.expect(1<<40+i, new(ask)); err != nil {
				t.Error(err)
			}
		}
	})
	_, err := h.To().Within(time.Hour).Ask("vote?")
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Sessions, []string{c.session.ID()}) {
		t.Errorf("error %v", err)
	}
	if got := c.events(); len(got) != 0 {
		t.Errorf("it was asked: %q", got)
	}
}

// The greenlet that asks may be killed, or run out of another timeout.
func TestAskingARoomEndsWithAKill(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	errs := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		if string(s.Handshake().Auth) == `"asker"` {
			_, err := h.To("a").Within(time.Hour).Ask("vote?")
			errs <- err
			return err
		}
		return chatter(s)
	})
	silent := answering(t, h, 0, func(*Message) any { return nil })
	asker := connect(t, h, 0, "/", `"asker"`)
	silent.waitEvents(t, 1)
	asker.session.Greenlet().Kill()
	if err := <-errs; !errors.Is(err, coop.ErrKilled) {
		t.Errorf("error %v", err)
	}
	if n := silent.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
}

func TestWhatCannotBeAskedIsAskedOfNobody(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := answering(t, h, 0, func(*Message) any { return "yes" })
	if _, err := h.To().Ask("disconnect"); !errors.Is(err, ErrReservedEvent) {
		t.Errorf("a reserved event: %v", err)
	}
	if _, err := h.To().Ask("x", make(chan int)); err == nil {
		t.Error("a channel was sent")
	}
	if got := c.events(); len(got) != 0 {
		t.Errorf("sent %q", got)
	}
}

func TestQuestionsAndAnswersWithBinary(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := answering(t, h, 0, func(m *Message) any {
		return append([]byte("re: "), m.Payload.Attachments[0]...)
	})
	answers, err := h.To("a").Ask("file", []byte("hi"))
	if err != nil || len(answers) != 1 {
		t.Fatalf("%v, %v", answers, err)
	}
	var b []byte
	if err := answers[0].Args(&b); err != nil || string(b) != "re: hi" {
		t.Errorf("%q, %v", b, err)
	}
	if got := c.events(); got[0] != `["file",{"_placeholder":true,"num":0}]` {
		t.Errorf("asked %q", got)
	}
}

func TestAskFunc(t *testing.T) {
	clock := coop.NewFakeClock()
	h := newTestHub(t, Options{Loops: 1, Clock: clock})
	mustHandle(t, h, "/", chatter)
	results := make(chan string, 1)
	note := func(a Answer, err error) { results <- fmt.Sprintf("%s %v", a.Payload.JSON, err) }
	ask := func(c *fakeConn, event string) (err error) {
		c.on(func(s *Session) { err = s.AskFunc(time.Hour, note, event) })
		return err
	}
	c := answering(t, h, 0, func(m *Message) any {
		if m.Event == "silence" {
			return nil
		}
		return m.Event
	})
	for _, tc := range []struct{ event, want string }{
		{"x", `["x"] <nil>`},
		{"silence", ` timed out`},
	} {
		if err := ask(c, tc.event); err != nil {
			t.Error(err)
		}
		if got := <-results; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.event, got, tc.want)
		}
	}
	if n := c.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
	if err := ask(c, "connect"); !errors.Is(err, ErrReservedEvent) {
		t.Errorf("a reserved event: %v", err)
	}
	if n := c.pendingAsks(); n != 0 {
		t.Errorf("%d answers are waited for", n)
	}
	c.on(func(s *Session) {
		if err := s.AskFunc(time.Hour, note, "silence"); err != nil {
			t.Error(err)
		}
		s.Closed("transport close")
		if err := s.AskFunc(time.Hour, note, "x"); !errors.Is(err, ErrGone) {
			t.Errorf("after the end: %v", err)
		}
	})
	if got := <-results; !strings.Contains(got, ErrGone.Error()) {
		t.Errorf("at the end: %s", got)
	}
	c = answering(t, h, 0, func(m *Message) any { return 1 })
	c.on(func(s *Session) {
		if err := s.AskFunc(time.Hour, func(Answer, error) { panic("callback") }, "x"); err != nil {
			t.Error(err)
		}
	})
	waitFor(t, func() bool { return h.Counters()["callback_panicked"] == 1 })
}

// A node with a busy loop, which the question has not reached, cannot say whom it lacks, and must not answer in time.
func TestANodeWithABusyLoopIsMissing(t *testing.T) {
	t.Parallel()
	h := newTestHub(t, Options{Node: "b"})
	mustHandle(t, h, "/", serveNothing)
	connect(t, h, 0, "/", "{}")
	free := make(chan struct{})
	for _, l := range h.Loops().All() {
		l.Post(func() { <-free })
	}
	defer close(free)
	replies := make(chan NodeReply, 9)
	began := time.Now()
	for _, op := range []Op{OpAsk, OpSessions} {
		r := &NodeRequest{Op: op, Namespace: "/", Payload: Payload{JSON: []byte(`["q"]`)}, Timeout: time.Millisecond}
		node{h}.Serve(r, func(r NodeReply) { replies <- r })
	}
	for done := 0; done < 2; {
		if r := <-replies; r.Done {
			done++
		}
		if d := time.Since(began); d < silentFor {
			t.Errorf("it answers after %v", d)
		}
	}
}
