package hub

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/coop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing is decided by its length.
const patience = time.Minute

// testWire encodes a message as its payload's JSON, so that tests can read it.
var testWire = RegisterWire("test", func(m *Message) []byte { return m.Payload.JSON })

// recoverAll gives every hub recovery, see TestWithRecoveryNothingElseChanges.
var recoverAll bool

// unmarked is an event's text without its offset.
func unmarked(h *Hub, f *Frame) (text, offset string) {
	text = string(f.Bytes(testWire))
	if rec := h.Of(f.Message().Namespace).recovery; rec != nil && rec.shared != nil {
		if o := f.Message().offset; o != nil {
			return strings.TrimSuffix(text, `,"`+o.String()+`"]`) + "]", o.String()
		}
	} else if rec != nil {
		if i := strings.LastIndex(text, `,"`+rec.epoch); i > 0 {
			return text[:i] + "]", strings.TrimSuffix(text[i+2:], `"]`)
		}
	}
	return text, ""
}

// newTestHub is a hub whose loops end with the test.
func newTestHub(t testing.TB, o Options) *Hub {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if recoverAll && o.Recovery == nil {
		o.Recovery = &Recovery{}
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// fakeConn is a client whose wire is a list. Its methods run on its loop; tests look through the
// lock-guarded lists.
type fakeConn struct {
	hub    *Hub
	loop   *coop.Loop
	busy   bool         // not writable
	onSend func(*Frame) // called after each frame

	mu      sync.Mutex
	changed chan struct{} // closed and renewed at every change
	got     []string
	acks    map[int64]string
	state   string // accepted, refused, left
	err     error
	session *Session
}

// newFakeConn is a client that has not connected yet.
func newFakeConn(h *Hub, loop int) *fakeConn {
	return &fakeConn{hub: h, loop: h.Loops().All()[loop], acks: make(map[int64]string), changed: make(chan struct{})}
}

// connect brings a client into a namespace and waits until it is accepted or refused.
func connect(t testing.TB, h *Hub, loop int, namespace, auth string) *fakeConn {
	t.Helper()
	c := newFakeConn(h, loop)
	c.connect(t, namespace, auth)
	return c
}

func (c *fakeConn) connect(t testing.TB, namespace, auth string) {
	t.Helper()
	c.begin(namespace, auth)
	c.wait(t, "an answer to connect", func() bool { return c.state != "" && (c.session != nil || c.err != nil) })
}

// begin is connect without waiting for an answer.
func (c *fakeConn) begin(namespace, auth string) {
	c.loop.Post(func() {
		s, err := c.hub.Connect(c, namespace, &Handshake{Auth: json.RawMessage(auth)})
		c.change(func() {
			if c.session = s; err != nil {
				c.state, c.err = "unknown", err
			}
		})
	})
}

func (c *fakeConn) change(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait blocks until cond, which is looked at with the lock held, is true.
func (c *fakeConn) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited in vain for %s; got %q, acks %v", what, c.events(), c.acks)
		}
	}
}

func (c *fakeConn) events() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// waitEvents waits for n events and returns them.
func (c *fakeConn) waitEvents(t testing.TB, n int) []string {
	t.Helper()
	c.wait(t, "events", func() bool { return len(c.got) >= n })
	return c.events()
}

// call sends an event with an ack id and returns the answer.
func (c *fakeConn) call(t testing.TB, id int64, event string, args ...any) string {
	t.Helper()
	c.emit(t, id, event, args...)
	c.wait(t, "the ack of "+event, func() bool { _, ok := c.acks[id]; return ok })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acks[id]
}

// emit sends an event. t may be nil when the arguments can be encoded for sure.
func (c *fakeConn) emit(t testing.TB, id int64, event string, args ...any) {
	p, err := EncodeArgs(event, args...)
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
	c.on(func(s *Session) { _ = s.Deliver(NewEvent(event, p, id)) })
}

// on runs fn on the loop and waits for it.
func (c *fakeConn) on(fn func(*Session)) {
	done := make(chan struct{})
	if !c.loop.Post(func() { defer close(done); fn(c.session) }) {
		return
	}
	<-done
}

func (c *fakeConn) leave(reason string) { c.on(func(s *Session) { s.Closed(reason) }) }

func (c *fakeConn) Loop() *coop.Loop { return c.loop }
func (c *fakeConn) Writable() bool   { return !c.busy }

func (c *fakeConn) Send(f *Frame) {
	text, _ := unmarked(c.hub, f)
	c.change(func() { c.got = append(c.got, text) })
	if c.onSend != nil {
		c.onSend(f)
	}
}

func (c *fakeConn) Accepted(s *Session) {
	c.change(func() { c.state = "accepted" })
}

func (c *fakeConn) Refused(s *Session, err error) {
	c.change(func() { c.state, c.err = "refused", err })
}

func (c *fakeConn) Ack(s *Session, id int64, p Payload) {
	c.change(func() { c.acks[id] = string(p.JSON) })
}

func (c *fakeConn) Leave(s *Session, closeConn bool) {
	c.change(func() { c.state = "left" })
}
