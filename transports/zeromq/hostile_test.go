package zeromq

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

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

// hostile inputs: bytes that a peer sends and then waits. Each must end its own connection, be
// counted under reason, and nothing else.
var hostile = []struct {
	name, endpoint, reason string
	input                  []byte
}{
	{"silence", "pull", reasonHandshake, nil},
	{"half a greeting", "pull", reasonHandshake, rawGreeting()[:30]},
	{"greeting only", "pub", reasonHandshake, rawGreeting()},
	{"HTTP", "pull", guard.ReasonGreeting, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
	{"TLS", "pub", guard.ReasonGreeting, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	{"64 bytes of noise", "sub", guard.ReasonGreeting, bytes.Repeat([]byte{0x5a}, 64)},
	{"ZMTP 1", "pull", guard.ReasonVersion, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00")},
	{"PLAIN", "pull", guard.ReasonMechanism, bytes.Replace(rawGreeting(), []byte("NULL\x00"), []byte("PLAIN"), 1)},
	{"frame of 2^62 before READY", "pull", guard.ReasonReady, concat(rawGreeting(), longFrame(4, 1<<62))},
	{"frame of 2^62", "pull", guard.ReasonFrameSize, concat(rawHello("PUSH"), longFrame(0, 1<<62))},
	{"frame of 1 TiB", "pull", guard.ReasonFrameSize, concat(rawHello("PUSH"), longFrame(0, 1<<40))},
	{"frame of 8 GiB", "sub", guard.ReasonFrameSize, concat(rawHello("PUB"), longFrame(0, 8<<30))},
	{"frame of 2^64-1", "pub", guard.ReasonFrameSize, concat(rawHello("SUB"), longFrame(0, 1<<64-1))},
	{"command of 1 GiB", "pull", guard.ReasonCommand, concat(rawHello("PUSH"), longFrame(4, 1<<30))},
	{"READY cut in a length", "pull", guard.ReasonReady, concat(rawGreeting(), rawCommand("READY", "\x0bSocket-Type\x00\x00"))},
	{"READY with a name beyond it", "pull", guard.ReasonReady, concat(rawGreeting(), rawCommand("READY", "\xffSocket"))},
	{"type FOO", "pull", guard.ReasonSocketType, rawHello("FOO")},
	{"type RADIO", "pub", guard.ReasonSocketType, rawHello("RADIO")},
	{"PUSH to XPUB", "pub", guard.ReasonSocketType, rawHello("PUSH")},
	{"ERROR", "pull", guard.ReasonPeerError, concat(rawGreeting(), rawCommand("ERROR", "\x02no"))},
	{"a million empty frames", "pull", guard.ReasonFrames, concat(rawHello("PUSH"), bytes.Repeat([]byte{1, 0}, 1_000_000))},
	{"large multipart", "pull", guard.ReasonMessageSize, concat(rawHello("PUSH"), bytes.Repeat(concat(longFrame(1, 1<<20), make([]byte, 1<<20)), 3))},
	{"reserved flags", "sub", guard.ReasonFlags, concat(rawHello("PUB"), []byte("\xf8\x00"))},
	{"command with MORE", "pull", guard.ReasonFlags, concat(rawHello("PUSH"), []byte("\x05\x00"))},
	{"commands inside a multipart", "pull", guard.ReasonCommand, concat(rawHello("PUSH"), []byte("\x01\x00"), bytes.Repeat(rawCommand("PONG", ""), 1000))},
	{"empty command", "pub", guard.ReasonCommand, concat(rawHello("SUB"), []byte("\x04\x00"))},
	{"PING without a ttl", "pull", guard.ReasonPing, concat(rawHello("PUSH"), rawCommand("PING", ""))},
	{"PING flood", "pub", guard.ReasonPingFlood, concat(rawHello("SUB"), bytes.Repeat(rawCommand("PING", "\x00\x00"), 3000))},
	{"heartbeat promised and not kept", "pull", guard.ReasonHeartbeat, concat(rawHello("PUSH"), rawCommand("PING", "\x00\x01"))},
	{"topic of 1 MiB", "pub", guard.ReasonFrameSize, concat(rawHello("SUB"), longFrame(0, 1<<20), make([]byte, 1<<20))},
	{"SUBSCRIBE of 300 bytes", "pub", guard.ReasonTopic, concat(rawHello("SUB"), rawCommand("SUBSCRIBE", strings.Repeat("t", 300)))},
}

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

func TestHostilePeers(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort, Sub: anyPort, HandshakeTimeout: time.Second})
	o := newOthers(t, h, b)
	returned := footprint(t)
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			h.mu.Lock()
			before, pubs := h.counts[c.reason], len(h.pubs)
			h.mu.Unlock()
			bad := rawDial(t, b.Addr(c.endpoint))
			_, _ = bad.Write(c.input) // it may be closed while we write
			o.served(t, c.name)
			waitClosed(t, bad)
			_ = bad.Close() // who has been told why is given time to close
			h.waitCount(t, c.reason, before+1)
			if h.mu.Lock(); len(h.pubs) != pubs+2 {
				t.Errorf("%d publications from the hostile peer", len(h.pubs)-pubs-2)
			}
			h.mu.Unlock()
		})
	}
	returned()
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
