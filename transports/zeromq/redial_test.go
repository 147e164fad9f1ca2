package zeromq

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/internal/guard"
)

// startPublisher starts a libzmq XPUB bound to endpoint.
func startPublisher(t *testing.T, endpoint string, topics ...string) *testenv.Process {
	t.Helper()
	p := python(t, "publisher.py", append([]string{endpoint}, topics...)...)
	waitOutput(t, p, "bound\n")
	return p
}

func waitOutput(t *testing.T, p *testenv.Process, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, text); err != nil {
		t.Fatal(err, p.Output())
	}
}

// subscriptions are what a publisher was told, in order.
func subscriptions(p *testenv.Process) []string {
	return strings.Fields(strings.TrimPrefix(p.Output(), "bound\n"))
}

// quick are options for publishers that come and go.
func quick(o Options) Options {
	o.RedialMin, o.RedialMax = 5*time.Millisecond, 100*time.Millisecond
	return o
}

func (b *Bridge) connected(n int) bool {
	for _, p := range b.Publishers() {
		if p.Connected {
			n--
		}
	}
	return n == 0
}

// TestPublishersThatAreKilledAndComeBack: each is subscribed to anew, everything once, and heard again.
func TestPublishersThatAreKilledAndComeBack(t *testing.T) {
	h := newFakeHub()
	var at []string
	for range 2 {
		at = append(at, "tcp://"+testenv.FreeAddr(t))
	}
	at = append(at, "ipc://"+t.TempDir()+"/s")
	topics := []string{"a", "b", "c"}
	b := listen(t, h, quick(Options{Connect: at, SubTopics: topics[:2]}))
	var all []*testenv.Process
	for _, e := range at {
		all = append(all, startPublisher(t, e, topics...))
	}
	for round := range 3 {
		for i, p := range all {
			waitOutput(t, p, "+a\n")
			waitOutput(t, p, "+b\n")
			eventually(t, "the connections", func() bool { return b.connected(len(at)) })
			if round < 2 {
				p.Kill()
				h.change(func() { h.pubs = nil })
				all[i] = startPublisher(t, at[i], topics...)
			}
		}
	}
	h.wait(t, "messages", func() bool { return len(h.pubs) > 100 })
	for i, p := range all {
		if got := subscriptions(p); len(got) != 2 {
			t.Errorf("publisher %d was told %q", i, got)
		}
		if s := b.Publishers()[i]; s.Endpoint != at[i] || s.Connects < 3 || s.Messages == 0 || s.Err != nil || s.Since.IsZero() {
			t.Errorf("publisher %d: %+v", i, s)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.IndexFunc(h.pubs, func(p hub.Publication) bool { return p.Room == "c" }); i >= 0 {
		t.Errorf("heard %v, which was not subscribed to", h.pubs[i])
	}
}

// TestWhoNeverAnsweredAPingIsLeftAlone, for it may not know them; who has answered must go on.
func TestWhoNeverAnsweredAPingIsLeftAlone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	h := newFakeHub()
	o := quick(Options{Connect: []string{endpointOf(ln.Addr())}})
	o.Heartbeat, o.HeartbeatTimeout = 10*time.Millisecond, 50*time.Millisecond
	b := listen(t, h, o)
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(rawHello("PUB")); err != nil {
		t.Fatal(err)
	}
	ping := "\x04\x07\x04PING\x00\x01"
	read := func(pings int) {
		t.Helper()
		var got strings.Builder
		buf := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for strings.Count(got.String(), ping) < pings {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%v after %d PINGs", err, strings.Count(got.String(), ping))
			}
			got.Write(buf[:n])
		}
	}
	read(20) // four times the timeout
	if s := b.Publishers()[0]; !s.Connected || s.Connects != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := c.Write([]byte("\x04\x05\x04PONG")); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, c)
	h.waitCount(t, guard.ReasonHeartbeat, 1)
}

// TestAPublisherThatIsNoneIsTriedAtItsPace: what ends each connection at once must not make the redialling spin, and is
// logged once.
func TestAPublisherThatIsNoneIsTriedAtItsPace(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var dials []time.Time
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			dials = append(dials, time.Now())
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	h := newFakeHub()
	b, err := Listen(h, Options{Connect: []string{endpointOf(ln.Addr())}, RedialMin: 10 * time.Millisecond, RedialMax: 80 * time.Millisecond, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, guard.ReasonGreeting, 8)
	if s := b.Publishers()[0]; s.Connected || s.Connects != 0 || s.Err == nil {
		t.Errorf("%+v", s)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	_ = ln.Close()
	<-done
	// The pauses are at least 5, 10, 20, 40, 40, 40, 40 ms.
	if took := dials[7].Sub(dials[0]); took < 195*time.Millisecond {
		t.Errorf("8 attempts within %v", took)
	}
}

func TestConnectIsChecked(t *testing.T) {
	for _, o := range []Options{
		{Connect: []string{"localhost:5556"}},
		{Connect: []string{"tcp://127.0.0.1:1", "tcp://127.0.0.1:1"}},
		{Connect: []string{"tcp://127.0.0.1:1"}, Demand: true}, // the fake hub cannot tell
		{SubFormat: Format{Layout: Raw}},
		{SubFormat: Format{Event: "connect"}},
		{SubFormat: Format{Namespace: "chat"}},
		{PullFormat: Format{Room: "$x"}},
		{SubTopics: []string{"a"}, Demand: true},
		{SubFormat: Format{Layout: JSONType, Room: "r"}, Demand: true},
		{SubFormat: Format{Fanout: Cluster}, Demand: true},
	} {
		b, err := Listen(newFakeHub(), o)
		if err == nil {
			t.Errorf("%+v was taken", o)
			_ = b.Close()
		}
	}
}

// TestCloseEndsThePublishers also while they are dialled, or shaking hands.
func TestCloseEndsThePublishers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	at := []string{endpointOf(silent.Addr()), "tcp://127.0.0.1:1", "ipc:///does/not/exist"}
	b := listen(t, newFakeHub(), Options{Connect: at})
	c, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	eventually(t, "the refusals", func() bool { return b.Publishers()[1].Err != nil && b.Publishers()[2].Err != nil })
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	waitClosed(t, c)
}
