package zeromq

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

// member is a client of a real hub that counts what it is sent, on its loop.
type member struct {
	loop   *coop.Loop
	joined chan struct{}
	next   atomic.Int64 // the number that the next message has to have
	wrong  atomic.Pointer[string]
}

func (m *member) Loop() *coop.Loop                     { return m.loop }
func (m *member) Writable() bool                       { return true }
func (m *member) Accepted(*hub.Session)                {}
func (m *member) Refused(*hub.Session, error)          {}
func (m *member) Ack(*hub.Session, int64, hub.Payload) {}
func (m *member) Leave(*hub.Session, bool)             {}
func (m *member) Send(f *hub.Frame) {
	got, want := string(f.Message().Payload.JSON), fmt.Sprintf(`["n","%d",`, m.next.Load())
	if !strings.HasPrefix(got, want) {
		got = fmt.Sprintf("%.60s, want %s", got, want)
		m.wrong.CompareAndSwap(nil, &got)
	}
	m.next.Add(1)
}

// TestASaturatedHubHoldsPublishersBack: while a loop is busy its hub takes a bounded number of messages, TCP
// holds the publisher, and when the loop goes on the members get everything, in order.
func TestASaturatedHubHoldsPublishersBack(t *testing.T) {
	h, err := hub.New(hub.Options{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	m := &member{loop: h.Loops().All()[0], joined: make(chan struct{})}
	err = h.Handle("/", func(s *hub.Session) error {
		s.Join("count")
		close(m.joined)
		for range s.Events() {
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m.loop.Post(func() {
		if _, err := h.Connect(m, "/", &hub.Handshake{}); err != nil {
			t.Error(err)
		}
	})
	<-m.joined
	b := listen(t, h, Options{Pull: anyPort})
	c := rawDial(t, b.Addr("pull"))
	if _, err := c.Write(rawHello("PUSH")); err != nil {
		t.Fatal(err)
	}

	busy, release := make(chan struct{}), make(chan struct{})
	m.loop.Post(func() {
		close(busy)
		<-release
	})
	<-busy
	const n = 14_000
	wire := numbered(n, strings.Repeat("x", 3000)) // 42 MB
	heap := heapBytes()
	type written struct {
		n   int
		err error
	}
	done := make(chan written, 1)
	go func() {
		n, err := c.Write(wire)
		done <- written{n, err}
	}()
	eventually(t, "the pause", func() bool { return h.Counters()[reasonPaused] > 0 })
	// Long enough for the rest, were it taken.
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	first := <-done
	sent, err := first.n, first.err
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the publisher is not held back: %d bytes sent, %v", sent, err)
	}
	if !h.Saturated() {
		t.Errorf("not saturated, counted %v", h.Counters())
	}
	grown := heapBytes() - heap
	t.Logf("%d bytes sent, %d held", sent, grown)
	if grown > 32<<20 { // some thousands of messages, on their way
		t.Errorf("%d bytes are held", grown)
	}
	close(release)
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(wire[sent:]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all messages", func() bool { return m.next.Load() == n })
	if wrong := m.wrong.Load(); wrong != nil {
		t.Error(*wrong)
	}
}
