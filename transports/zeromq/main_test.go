package zeromq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing is decided by its length.
const patience = time.Minute

// together runs tests at the same time: for those that wait most of the time, of which t.Parallel runs no more than
// there are processors.
type together struct{ sync.WaitGroup }

func (all *together) run(t *testing.T, name string, fn func(*testing.T)) {
	all.Go(func() { t.Run(name, fn) })
}

// fakeHub records what the bridge does to a hub.
type fakeHub struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change
	pubs      []hub.Publication
	counts    map[string]int
	saturated bool
	refuse    error
	tap       func(*hub.Message)
}

func newFakeHub() *fakeHub {
	return &fakeHub{changed: make(chan struct{}), counts: make(map[string]int)}
}

func (h *fakeHub) change(edit func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	edit()
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *fakeHub) Publish(p hub.Publication) (string, error) {
	var err error
	p.Args = slices.Clone(p.Args)
	for i, a := range p.Args {
		if lent, ok := a.(hub.Text); ok {
			p.Args[i] = lent.String()
		}
	}
	h.change(func() {
		if err = h.refuse; err == nil {
			h.pubs = append(h.pubs, p)
		}
	})
	return "", err
}

func (h *fakeHub) Tap(fn func(*hub.Message)) (cancel func()) {
	h.change(func() { h.tap = fn })
	return func() { h.change(func() { h.tap = func(*hub.Message) {} }) }
}

func (h *fakeHub) Count(reason string) { h.change(func() { h.counts[reason]++ }) }

func (h *fakeHub) Saturated() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.saturated
}

// wait blocks until ok, which runs with the hub locked, is true.
func (h *fakeHub) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		h.mu.Lock()
		done, changed := ok(), h.changed
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("waited in vain for %s; counts %v, %d publications", what, h.counts, len(h.pubs))
		}
	}
}

func (h *fakeHub) waitCount(t testing.TB, reason string, n int) {
	t.Helper()
	h.wait(t, fmt.Sprintf("%d × %s", n, reason), func() bool { return h.counts[reason] >= n })
}

// waitPub waits for a publication into room whose first argument is the string text.
func (h *fakeHub) waitPub(t testing.TB, room, text string) {
	t.Helper()
	h.wait(t, room+" "+text, func() bool {
		for _, p := range h.pubs {
			if p.Room == room && len(p.Args) > 0 && fmt.Sprint(p.Args[0]) == text {
				return true
			}
		}
		return false
	})
}

// emit is what the hub's taps see of a room message.
func (h *fakeHub) emit(t testing.TB, room, event string, args ...any) {
	t.Helper()
	payload, err := hub.EncodeArgs(event, args...)
	if err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	tap := h.tap
	h.mu.Unlock()
	tap(&hub.Message{Namespace: "/", Room: room, Event: event, Payload: payload})
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// listen starts a bridge on free loopback ports that the test's end closes.
func listen(t testing.TB, h Hub, o Options) *Bridge {
	t.Helper()
	o.Logger = quiet
	b, err := Listen(h, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

const anyPort = "tcp://127.0.0.1:0"

func push(t testing.TB, endpoint string) *Pusher {
	t.Helper()
	p, err := Push(context.Background(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// send sends one message of string frames.
func send(t testing.TB, p *Pusher, frames ...string) {
	t.Helper()
	raw := make([][]byte, len(frames))
	for i, f := range frames {
		raw[i] = []byte(f)
	}
	if err := p.Send(raw...); err != nil {
		t.Fatal(err)
	}
}

// subscribe connects a subscriber and waits until the bridge knows its topics.
func subscribe(t testing.TB, b *Bridge, topics ...string) *Subscription {
	t.Helper()
	before := b.egress.topics.size()
	s, err := Subscribe(context.Background(), b.Addr("pub"), topics...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	eventually(t, "the subscriptions", func() bool { return b.egress.topics.size() == before+max(1, len(topics)) })
	return s
}

// eventually polls what has no event to wait for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// receive returns the next message, its frames joined by "|".
func receive(t testing.TB, s *Subscription) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	frames, err := s.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, f := range frames {
		parts = append(parts, string(f))
	}
	return strings.Join(parts, "|")
}

// rawDial connects without any ZeroMQ.
func rawDial(t testing.TB, endpoint string) net.Conn {
	t.Helper()
	c := rawVisit(t, endpoint)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// rawVisit is rawDial for a caller who closes.
func rawVisit(t testing.TB, endpoint string) net.Conn {
	t.Helper()
	c, err := dial(context.Background(), endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Wire pieces for peers that do not behave.

func rawGreeting() []byte {
	b := make([]byte, 64)
	copy(b, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01NULL")
	return b
}

func rawReady(socketType string) []byte {
	body := "\x05READY\x0bSocket-Type\x00\x00\x00" + string(rune(len(socketType))) + socketType
	return append([]byte{4, byte(len(body))}, body...)
}

func rawHello(socketType string) []byte { return append(rawGreeting(), rawReady(socketType)...) }

func rawMessage(frames ...string) (b []byte) {
	for i, f := range frames {
		b = guard.AppendStringFrame(b, f, i < len(frames)-1)
	}
	return b
}

// waitClosed reads until the other side has closed.
func waitClosed(t testing.TB, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			t.Fatal("the connection is still open")
		}
	}
}
