package zeromq

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
)

// numbered is n messages for room "count", each of them a number and a body.
func numbered(n int, body string) (wire []byte) {
	for i := range n {
		wire = append(wire, rawMessage("count", "n", fmt.Sprint(i), body)...)
	}
	return wire
}

// inOrder checks that the hub got exactly the messages of numbered(n, …).
func (h *fakeHub) inOrder(t testing.TB, n int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pubs) != n {
		t.Fatalf("%d publications, want %d", len(h.pubs), n)
	}
	for i, p := range h.pubs {
		if p.Args[0] != fmt.Sprint(i) {
			t.Fatalf("publication %d is %v", i, p.Args[0])
		}
	}
}

// TestPullStopsReadingWhileTheHubIsSaturated: TCP holds the publisher back, nothing of what it sends is
// held in memory, and nothing of it is lost.
func TestPullStopsReadingWhileTheHubIsSaturated(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort})
	c := rawDial(t, b.Addr("pull"))
	if _, err := c.Write(concat(rawHello("PUSH"), rawMessage("before", "x"))); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "before", "x")
	h.change(func() { h.saturated, h.pubs = true, nil })

	const n = 8000 // 32 MB: more than the system's buffers hold
	wire := numbered(n, strings.Repeat("x", 4000))
	heap := heapBytes()
	if err := c.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	sent, err := c.Write(wire)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the publisher is not held back: %d bytes sent, %v", sent, err)
	}
	if grown := heapBytes() - heap; grown > 8<<20 {
		t.Errorf("%d bytes are held for it", grown)
	}
	h.waitCount(t, reasonPaused, 1)
	h.mu.Lock()
	if taken := len(h.pubs); taken > 1 { // the one that was being awaited when the hub was saturated
		t.Errorf("%d messages taken", taken)
	}
	h.mu.Unlock()

	h.change(func() { h.saturated = false })
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(wire[sent:]); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "the rest", func() bool { return len(h.pubs) >= n })
	h.inOrder(t, n)
}

// TestSubDropsWhileTheHubIsSaturated: not reading would make the publisher drop where nobody counts.
func TestSubDropsWhileTheHubIsSaturated(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Sub: anyPort})
	c := rawDial(t, b.Addr("sub"))
	if _, err := c.Write(concat(rawHello("PUB"), rawMessage("room", "before"))); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "room", "before")
	h.change(func() { h.saturated = true })
	if _, err := c.Write(numbered(1000, "")); err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, reasonSaturated, 1000)
	h.change(func() { h.saturated = false })
	if _, err := c.Write(rawMessage("room", "after")); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "room", "after")
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pubs) != 2 || h.counts[reasonSaturated] != 1000 {
		t.Errorf("%d publications, counted %v", len(h.pubs), h.counts)
	}
}

// TestSubSubscribes: a publisher is told the prefixes, and what it sends beside them is dropped.
func TestSubSubscribes(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Sub: anyPort, SubTopics: []string{"eur", "usd"}})
	c := rawDial(t, b.Addr("sub"))
	if _, err := c.Write(rawHello("PUB")); err != nil {
		t.Fatal(err)
	}
	want := concat(rawMessage("\x01eur"), rawMessage("\x01usd"))
	if got := afterHandshake(t, c, len(want)); !bytes.Equal(got, want) {
		t.Errorf("subscribed with %q", got)
	}
	if _, err := c.Write(concat(rawMessage("secret", "x"), rawMessage("eu", "x"), rawMessage("eurofighter", "x"), rawMessage("usd", "y"))); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "usd", "y")
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.pubs) != 2 || h.pubs[0].Room != "eurofighter" || h.counts[reasonUnwanted] != 2 {
		t.Errorf("published %v, counted %v", h.pubs, h.counts)
	}
}

// TestHubRefuses: the publisher keeps its connection; a duplicate is no refusal.
func TestHubRefuses(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort})
	p := push(t, b.Addr("pull"))
	h.change(func() { h.refuse = hub.ErrClosed })
	send(t, p, "room", "x")
	h.waitCount(t, reasonPublish, 1)
	h.change(func() { h.refuse = hub.ErrDuplicate })
	send(t, p, "room", "x")
	send(t, p, "only one frame")
	h.waitCount(t, reasonShape, 1)
	h.change(func() { h.refuse = nil })
	send(t, p, "room", "taken")
	h.waitPub(t, "room", "taken")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts[reasonPublish] != 1 {
		t.Errorf("counted %v", h.counts)
	}
}

// TestCloseIngressReadsWhatWasSent: what publishers had sent when they were told is published; subscribers
// stay until Close.
func TestCloseIngressReadsWhatWasSent(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Sub: anyPort, Pub: anyPort})
	s := subscribe(t, b, "room")
	const n = 1000
	for _, e := range []struct{ name, typ string }{{"pull", "PUSH"}, {"sub", "PUB"}} {
		h.change(func() { h.pubs = nil })
		c := rawDial(t, b.Addr(e.name))
		if _, err := c.Write(rawHello(e.typ)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the publisher", func() bool { return b.Peers(e.name) == 1 })
		if _, err := c.Write(numbered(n, "x")); err != nil {
			t.Fatal(err)
		}
		b.endpoints[e.name].parting = patience
		closed := make(chan error, 1)
		go func() { closed <- b.close(e.name) }()
		waitHalfClosed(t, c)
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		h.inOrder(t, n)
	}
	if err := b.CloseIngress(); err != nil {
		t.Fatal(err)
	}
	h.emit(t, "room", "still", "here")
	if got := receive(t, s); got != "room|still|here" {
		t.Fatal(got)
	}
}

// waitHalfClosed reads until the other side says that it sends no more, and closes then, as libzmq does.
func waitHalfClosed(t testing.TB, c net.Conn) {
	t.Helper()
	waitClosed(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseGivesUpOnWhoDoesNotPart: a publisher that stays, a hub that stays saturated, and a subscriber that
// does not read hold Close up for no longer than its second.
func TestCloseGivesUpOnWhoDoesNotPart(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort, SlowAfter: time.Minute})
	stays, stalled := rawDial(t, b.Addr("pull")), rawDial(t, b.Addr("pub"))
	if _, err := stays.Write(concat(rawHello("PUSH"), rawMessage("room", "x"))); err != nil {
		t.Fatal(err)
	}
	h.waitPub(t, "room", "x")
	h.change(func() { h.saturated = true })
	if _, err := stays.Write(numbered(2, "x")); err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, reasonPaused, 1)
	if _, err := stalled.Write(concat(rawHello("SUB"), rawMessage("\x01"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the subscriber", func() bool { return b.egress.topics.size() == 1 })
	body := strings.Repeat("x", 100_000)
	eventually(t, "a full queue", func() bool {
		for range 20 {
			h.emit(t, "room", "e", body)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.counts[reasonDropped] > 0
	})
	start := time.Now()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("closing took %v", took)
	}
	waitClosed(t, stays)
}
