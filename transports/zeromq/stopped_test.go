//go:build unix

package zeromq

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/transports/zeromq/internal/guard"
)

// TestStoppedSubscriber: a libzmq SUB whose process is stopped holds up nobody and is disconnected; when it
// goes on it comes back by itself.
func TestStoppedSubscriber(t *testing.T) {
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
