//go:build unix

package zeromq

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// TestStoppedSubscriber: a libzmq SUB whose process is stopped holds up nobody and is disconnected; when it
// goes on it comes back by itself.
func TestStoppedSubscriber(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort, QueueBytes: 64 << 10, SlowAfter: 3 * time.Second})
	p := python(t, "steady.py", "SUB", b.Addr("pub"))
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) }) // a stopped process does not end at SIGTERM
	eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 2 })
	healthy := subscribe(t, b, "room")
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 1024)
	sent := 0
	for ended := false; !ended; {
		h.emit(t, "room", "flood", sent, body)
		if got := receive(t, healthy); !strings.HasPrefix(got, fmt.Sprintf("room|flood|%d|", sent)) {
			t.Fatalf("message %d: heard %.40q", sent, got)
		}
		sent++
		h.mu.Lock()
		ended = h.counts[guard.ReasonLate]+h.counts[reasonSlow] == 1
		h.mu.Unlock()
	}
	h.mu.Lock()
	if h.counts[reasonDropped] == 0 {
		t.Errorf("counted %v", h.counts)
	}
	h.mu.Unlock()
	eventually(t, "the healthy one alone", func() bool { return b.Peers("pub") == 1 && b.egress.topics.size() == 1 })
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its return", func() bool { return b.egress.topics.size() == 3 })
	h.emit(t, "room", "welcome", "back")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, "room|welcome|back\n"); err != nil {
		t.Fatalf("%v, after %d bytes", err, len(p.Output()))
	}
	h.emit(t, "ctl", "end")
	finished(t, p)
}

// TestStoppedSubscriberThatIsKept: with SlowDrop a stopped libzmq SUB stays, within its bounds, misses what it cannot
// take, sees that by the numbers, and goes on; one beside it hears everything.
func TestStoppedSubscriberThatIsKept(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort, QueueBytes: 256 << 10, SlowAfter: time.Second, Slow: SlowDrop})
	p := python(t, "listen.py", b.Addr("pub"), "room")
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) }) // a stopped process does not end at SIGTERM
	eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 2 })
	healthy := subscribe(t, b, "room")
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 16<<10) // so that the system's buffers are full soon
	sent := uint64(0)
	send := func() {
		sent++
		publish(t, h, hub.Publication{Room: "room", Args: []any{body}, Volatile: true})
		if got := parseHeard(t, receive(t, healthy)); got.meta.Seq != sent {
			t.Fatalf("message %d: the healthy one heard %d", sent, got.meta.Seq)
		}
	}
	for h.Counters()[reasonDropped] < 100 {
		send()
	}
	for _, s := range b.SubscriberStats() {
		if s.QueuedBytes > 2*(256<<10) {
			t.Errorf("%d bytes wait for %s", s.QueuedBytes, s.Remote)
		}
		if s.Dropped > 0 && (s.QueuedMessages == 0 || s.Lag == 0 || s.Topics != 2) {
			t.Errorf("of the stopped one: %+v", s)
		}
	}
	var since time.Time // what waits behind the message that is being written has been there
	old := func() bool {
		for _, s := range b.SubscriberStats() {
			if s.Dropped == 0 {
				continue
			}
			if s.QueuedMessages < 3 {
				since = time.Now()
			}
			return s.Lag > 1500*time.Millisecond && time.Since(since) > 1500*time.Millisecond
		}
		return false
	}
	// On a busy machine the queue may have been full only because nobody had written it yet: the system still takes
	// some of it, and what comes then has to wait.
	for end := time.Now().Add(time.Minute); !old(); send() {
		if time.Now().After(end) {
			t.Fatal("waited in vain for what waits to be too old")
		}
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h2 := func() uint64 { return h.Counters()[reasonStale] }
	eventually(t, "what was too old to be dropped", func() bool { return h2() > 0 })
	for range 10 {
		send()
	}
	publish(t, h, hub.Publication{Room: "ctl", Event: "end"})
	var list []heard
	for line := range strings.Lines(finished(t, p)) {
		list = append(list, parseHeard(t, strings.TrimSpace(line)))
	}
	missed, at := uint64(0), uint64(0)
	for _, m := range list {
		if m.meta.Seq <= at {
			t.Fatalf("%d follows %d", m.meta.Seq, at)
		}
		missed += m.meta.Seq - at - 1
		at = m.meta.Seq
	}
	counted := h.Counters()[reasonDropped] + h.Counters()[reasonStale]
	if at != sent || missed == 0 || missed != counted {
		t.Errorf("of %d it heard the last as %d and saw %d missing, counted %d", sent, at, missed, counted)
	}
	if b.Peers("pub") != 1 && b.Peers("pub") != 2 {
		t.Errorf("%d peers", b.Peers("pub"))
	}
}
