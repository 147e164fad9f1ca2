package zeromq

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"testing"

	"greenroom/transports/zeromq/internal/guard"
)

func longFrame(flags byte, size uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | 2}, size)
}

func rawCommand(name, data string) []byte {
	body := string(rune(len(name))) + name + data
	if len(body) > 255 {
		return append(longFrame(4, uint64(len(body))), body...)
	}
	return append([]byte{4, byte(len(body))}, body...)
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// others are a publisher and a subscriber that must be served whatever a hostile peer does.
type others struct {
	hub    *fakeHub
	bridge *Bridge
	pusher *Pusher
	heard  *Subscription
}

func newOthers(t testing.TB, h *fakeHub, b *Bridge) *others {
	t.Helper()
	return &others{h, b, push(t, b.Addr("pull")), subscribe(t, b, "room")}
}

// served checks that old peers and new ones are served.
func (o *others) served(t testing.TB, text string) {
	t.Helper()
	send(t, o.pusher, "room", text)
	o.hub.waitPub(t, "room", text)
	var fresh *Pusher
	eventually(t, "a new peer", func() (ok bool) { // some tests' HandshakeTimeout is short for a busy machine
		var err error
		fresh, err = Push(context.Background(), o.bridge.Addr("pull"))
		return err == nil
	})
	send(t, fresh, "fresh", text)
	o.hub.waitPub(t, "fresh", text)
	if err := fresh.Close(); err != nil {
		t.Fatal(err)
	}
	o.hub.emit(t, "room", "e", text)
	if got := receive(t, o.heard); got != "room|e|"+text {
		t.Fatalf("the subscriber heard %q", got)
	}
}

// footprint remembers how many descriptors and goroutines there are; the returned func waits until they
// are no more than that.
func footprint(t testing.TB) (returned func()) {
	fds, goroutines := openFiles(t), runtime.NumGoroutine()
	return func() {
		t.Helper()
		eventually(t, "descriptors and goroutines to go", func() bool {
			return openFiles(t) <= fds && runtime.NumGoroutine() <= goroutines
		})
	}
}

// openFiles counts this process's descriptors, where the system shows them.
func openFiles(t testing.TB) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestHarmlessOddities: what libzmq ignores is ignored.
func TestHarmlessOddities(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort})
	c := rawDial(t, b.Addr("pull"))
	input := concat(rawHello("PUSH"), rawCommand("PONG", "unasked"), rawCommand("READY", "again"), rawCommand("SUBSCRIBE", "x"),
		rawCommand("FUTURE", "?"), rawMessage("room", "still here"))
	if _, err := c.Write(input); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "room", "still here")

	s := rawDial(t, b.Addr("pub"))
	input = concat(rawHello("XSUB"), rawMessage("neither 0 nor 1"), rawMessage(""), rawMessage("\x00never subscribed"),
		rawMessage("\x01a"), rawMessage("\x01a"), rawMessage("\x00a"), rawCommand("SUBSCRIBE", "b"))
	if _, err := s.Write(input); err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, reasonSubscription, 2)
	eventually(t, "the subscription of b alone", func() bool {
		return b.egress.topics.size() == 1 && len(b.egress.topics.match(nil, "b")) == 1
	})
	_ = s.Close()
	eventually(t, "its end", func() bool { return b.egress.topics.size() == 0 && b.Peers("pub") == 0 })
}

func TestPartialMessageIsNotDelivered(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort})
	whole := rawMessage("room", "event", "argument")
	for cut := 1; cut < len(whole); cut++ {
		c := rawDial(t, b.Addr("pull"))
		if _, err := c.Write(concat(rawHello("PUSH"), whole[:cut])); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		waitClosed(t, c)
	}
	h.waitCount(t, guard.ReasonTruncated, len(whole)-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pubs) > 0 {
		t.Fatalf("delivered %v", h.pubs)
	}
}

func TestMaxPeers(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, MaxPeers: 2})
	first := push(t, b.Addr("pull"))
	push(t, b.Addr("pull"))
	eventually(t, "two peers", func() bool { return b.Peers("pull") == 2 })
	waitClosed(t, rawDial(t, b.Addr("pull")))
	h.waitCount(t, reasonTooManyPeers, 1)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room", func() bool { return b.Peers("pull") == 1 })
	p := push(t, b.Addr("pull"))
	send(t, p, "room", "again")
	h.waitPub(t, "room", "again")
}
