package zeromq

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"greenroom/transports/zeromq/internal/guard"
)

// The socket layer of zmq4 v0.17.0 can be brought down or blocked by one peer that nobody has let in. This
// file holds what does it, one test a row: the process must live, other peers must be served meanwhile, and
// descriptors, goroutines and memory must return to where they were.

// killer is a peer that ends or blocks a process with a bound zmq4 socket.
type killer struct {
	row      string // what the peer sends
	there    string // what it does to a bound zmq4 socket
	endpoint string
	reason   string // what it is counted as here
	input    []byte
}

var killers = []killer{
	{"a frame header of 2^62 behind the greeting", "panic: makeslice", "pull", guard.ReasonReady, concat(rawGreeting(), longFrame(4, 1<<62))},
	{"a frame header of 2^62 behind the handshake", "panic: makeslice", "pull", guard.ReasonFrameSize, concat(rawHello("PUSH"), longFrame(0, 1<<62))},
	{"a frame header of 2^62 to XPUB", "panic: makeslice", "pub", guard.ReasonFrameSize, concat(rawHello("SUB"), longFrame(0, 1<<62))},
	{"a frame header of 1 TiB behind the greeting", "out of memory, fatal", "sub", guard.ReasonReady, concat(rawGreeting(), longFrame(4, 1<<40))},
	{"a frame header of 1 TiB behind the handshake", "out of memory, fatal", "sub", guard.ReasonFrameSize, concat(rawHello("PUB"), longFrame(0, 1<<40))},
	{"a frame header of 8 GiB, then silence", "the heap grows by 8 GiB", "pull", guard.ReasonFrameSize, concat(rawHello("PUSH"), longFrame(0, 8<<30))},
	{"READY that ends inside a length", "panic: slice bounds", "pull", guard.ReasonReady, concat(rawGreeting(), rawCommand("READY", "\x0bSocket-Type\x00\x00"))},
	{"READY with Socket-Type FOO", "panic: unknown socket type", "pub", guard.ReasonSocketType, rawHello("FOO")},
	{"nothing", "no later peer is accepted", "pull", reasonHandshake, nil},
	{"half a greeting", "no later peer is accepted", "pull", reasonHandshake, rawGreeting()[:32]},
	{"a greeting without READY", "no later peer is accepted", "pub", reasonHandshake, rawGreeting()},
	{"64 bytes of noise", "the descriptor stays open", "pull", guard.ReasonGreeting, bytes.Repeat([]byte{0x5a}, 64)},
	{"an HTTP GET", "the descriptor stays open", "sub", guard.ReasonGreeting, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
	{"PLAIN with a user and a password", "accepted, whatever they are", "pull", guard.ReasonMechanism,
		concat(bytes.Replace(rawGreeting(), []byte("NULL\x00"), []byte("PLAIN"), 1), rawCommand("HELLO", "\x04user\x08password"))},
}

// TestKillers has all rows at the same time, each at a bridge of its own: they wait most of the time.
func TestKillers(t *testing.T) {
	returned, heap := footprint(t), heapBytes()
	var all together
	for _, k := range killers {
		all.run(t, k.row, func(t *testing.T) {
			t.Logf("a bound zmq4 socket: %s", k.there)
			h := newFakeHub()
			b := listen(t, h, Options{Pull: anyPort, Pub: anyPort, Sub: anyPort, HandshakeTimeout: time.Second})
			o := newOthers(t, h, b)
			const peers = 20
			bad := make([]net.Conn, peers)
			for i := range bad {
				bad[i] = rawDial(t, b.Addr(k.endpoint))
				_, _ = bad[i].Write(k.input) // it may be closed while we write
			}
			o.served(t, k.row)
			for _, c := range bad {
				waitClosed(t, c)
			}
			h.waitCount(t, k.reason, peers)
			o.served(t, "after "+k.row)
			h.mu.Lock()
			defer h.mu.Unlock()
			if got := len(h.pubs); got != 4 {
				t.Errorf("%d publications from the hostile peers", got-4)
			}
		})
	}
	all.Wait()
	returned()
	if grown := heapBytes() - heap; grown > 32<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// heapBytes is what is allocated now and in use.
func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestKillerSameIdentityTwice: with zmq4 what is meant for one peer reaches every peer that claims its
// identity. Here an identity is never used as an address.
func TestKillerSameIdentityTwice(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	hello := concat(rawGreeting(), rawCommand("READY", "\x0bSocket-Type\x00\x00\x00\x03SUB\x08Identity\x00\x00\x00\x04same"))
	var peers []net.Conn
	for _, topic := range []string{"mine", "yours"} {
		c := rawDial(t, b.Addr("pub"))
		if _, err := c.Write(concat(hello, rawMessage("\x01"+topic))); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, c)
	}
	eventually(t, "both", func() bool { return b.Peers("pub") == 2 && b.egress.topics.size() == 2 })
	h.emit(t, "mine", "e", "secret")
	h.emit(t, "yours", "e", "other")
	for i, want := range [][]byte{rawMessage("mine", "e", "secret"), rawMessage("yours", "e", "other")} {
		if got := afterHandshake(t, peers[i], len(want)); !bytes.Equal(got, want) {
			t.Errorf("peer %d was sent %q", i, got)
		}
	}
}

// TestKillerPingsToPub: a dozen PINGs fill a queue in zmq4 that nobody empties; the peer's subscriptions are
// never seen again. Here each is answered, and the subscription behind them counts.
func TestKillerPingsToPub(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	returned := footprint(t)
	c := rawDial(t, b.Addr("pub"))
	const n = 200
	if _, err := c.Write(concat(rawHello("SUB"), bytes.Repeat(rawCommand("PING", "\x00\x00ctx"), n), rawMessage("\x01room"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the subscription", func() bool { return b.egress.topics.size() == 1 })
	h.emit(t, "room", "e", "x")
	want := concat(bytes.Repeat(rawCommand("PONG", "ctx"), n), rawMessage("room", "e", "x"))
	if got := afterHandshake(t, c, len(want)); !bytes.Equal(got, want) {
		t.Errorf("sent %q", got)
	}
	_ = c.Close()
	returned()
}

// TestKillerNotReading: one subscriber that does not read stops all of zmq4's. Here the others get every
// message in order, what waits for the stalled one is bounded, what it misses is counted, and in the end
// it is disconnected.
func TestKillerNotReading(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort, QueueBytes: 64 << 10, SlowAfter: 3 * time.Second})
	returned := footprint(t)
	c := rawDial(t, b.Addr("pub"))
	if _, err := c.Write(concat(rawHello("SUB"), rawMessage("\x01"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stalled subscriber", func() bool { return b.egress.topics.size() == 1 })
	heap := heapBytes()
	healthy := []*Subscription{subscribe(t, b, "room"), subscribe(t, b, "room"), subscribe(t, b, "")}
	body := strings.Repeat("x", 1024)
	const n = 20_000
	for i := range n {
		h.emit(t, "room", "e", i, body)
		want := fmt.Sprintf("room|e|%d|", i)
		for _, s := range healthy {
			if got := receive(t, s); !strings.HasPrefix(got, want) {
				t.Fatalf("message %d: heard %.40q", i, got)
			}
		}
		if i == n/2 {
			if grown := heapBytes() - heap; grown > 16<<20 {
				t.Errorf("%d bytes more are held after %d messages", grown, i)
			}
		}
	}
	h.waitCount(t, reasonDropped, 1)
	h.wait(t, "the stalled subscriber's end", func() bool {
		return h.counts[guard.ReasonWriteTimeout]+h.counts[guard.ReasonLate]+h.counts[reasonSlow] == 1
	})
	eventually(t, "the healthy ones alone", func() bool { return b.Peers("pub") == 3 && b.egress.topics.size() == 3 })
	h.emit(t, "room", "after")
	for _, s := range healthy {
		if got := receive(t, s); got != "room|after" {
			t.Fatal(got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	returned()
}

// TestKillerSilentPeers: with zmq4 a single one keeps everybody out. Here ten times as many as may be
// pending are held to the bound, the newest are let in, and all of the others end at the deadline.
func TestKillerSilentPeers(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort, MaxPending: 8, HandshakeTimeout: 2 * time.Second})
	o := newOthers(t, h, b)
	returned := footprint(t)
	var silent []net.Conn
	for range 80 {
		silent = append(silent, rawDial(t, b.Addr("pull")))
	}
	ended := func() int { return h.counts[reasonEvicted] + h.counts[reasonHandshake] }
	h.wait(t, "the end of those beyond the bound", func() bool { return ended() >= 72 })
	o.served(t, "beside them")
	if n := b.endpoints["pull"].waiting(); n > 8 {
		t.Errorf("%d connections are pending", n)
	}
	for _, c := range silent {
		waitClosed(t, c)
		_ = c.Close()
	}
	h.wait(t, "the rest", func() bool { return ended() >= 80 })
	returned()
}

// waiting is the number of connections that have not shaken hands.
func (e *endpoint) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pending.Len()
}

// afterHandshake reads n bytes behind the greeting and READY of the bridge.
func afterHandshake(t testing.TB, c net.Conn, n int) []byte {
	t.Helper()
	got, err := readHandshake(c, n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func readHandshake(c net.Conn, n int) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	head := make([]byte, 64+2)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	got := make([]byte, int(head[65])+n)
	_, err := io.ReadFull(c, got)
	return got[head[65]:], err
}
