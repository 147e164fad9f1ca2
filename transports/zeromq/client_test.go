package zeromq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestPusherCloseLosesNothing: when it returns without an error the server has read everything.
func TestPusherCloseLosesNothing(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort})
	for round := range 20 {
		h.change(func() { h.pubs = nil })
		p := push(t, b.Addr("pull"))
		const n = 500
		for i := range n {
			send(t, p, "count", "n", fmt.Sprint(i), strings.Repeat("x", 300))
		}
		if err := p.Close(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := p.Close(); err != nil {
			t.Fatalf("closing again: %v", err)
		}
		if err := p.Send([]byte("room"), []byte("x")); err == nil {
			t.Fatal("sent after Close")
		}
		eventually(t, "the last one to be published", func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return len(h.pubs) >= n
		})
		h.inOrder(t, n)
	}
}

func TestPusherNeedsAFrame(t *testing.T) {
	b := listen(t, newFakeHub(), Options{Pull: anyPort})
	if err := push(t, b.Addr("pull")).Send(); err == nil {
		t.Error("a message without frames was sent")
	}
}

// fakeServer accepts one connection and answers it with bytes; then it closes if told to, or waits for the
// test's end.
func fakeServer(t *testing.T, answer []byte, hangUp bool) (endpoint string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = c.Write(answer)
		if !hangUp {
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return "tcp://" + ln.Addr().String()
}

// TestConnectingFails with a sentence that says why, within the context's time.
func TestConnectingFails(t *testing.T) {
	b := listen(t, newFakeHub(), Options{Pub: anyPort})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "tcp://" + ln.Addr().String()
	_ = ln.Close()
	for _, c := range []struct{ name, endpoint, says string }{
		{"nobody listens", nobody, "refused"},
		{"no endpoint", "127.0.0.1:5560", "want tcp://"},
		{"an XPUB", b.Addr("pub"), `the peer refused the connection: a "PUSH" peer on a XPUB endpoint`},
		{"a PUB, which says so", fakeServer(t, rawHello("PUB"), false), "bad_socket_type"},
		{"a web server", fakeServer(t, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), false), "bad_greeting"},
		{"hangs up", fakeServer(t, nil, true), "another security mechanism"},
		{"an old libzmq", fakeServer(t, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x08"), false), "older than 4.0"},
		{"refuses us", fakeServer(t, concat(rawGreeting(), rawCommand("ERROR", "\x07go away")), false), "go away"},
	} {
		if p, err := Push(context.Background(), c.endpoint); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		} else if p != nil {
			t.Errorf("%s: a Pusher beside the error", c.name)
		}
	}
	for name, c := range map[string]struct {
		answer []byte
		silent bool // no greeting came
	}{
		"a silent server":                         {nil, true},
		"a server that greets and then is silent": {rawGreeting(), false},
	} {
		var err error
		for within := 50 * time.Millisecond; within < patience; within *= 4 { // a slow machine takes longer to get that far
			ctx, cancel := context.WithTimeout(context.Background(), within)
			_, err = Subscribe(ctx, fakeServer(t, c.answer, false), "room")
			cancel()
			if errors.Is(err, ErrNoGreeting) == c.silent {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNoGreeting) != c.silent {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPusherSaysWhatMayBeLost: the server went away without reading.
func TestPusherSaysWhatMayBeLost(t *testing.T) {
	p := push(t, fakeServer(t, rawHello("PULL"), true))
	<-p.left
	if err := p.Send([]byte("room"), []byte("x")); err == nil {
		t.Error("sent to nobody")
	}
	if err := p.Close(); err == nil {
		t.Error("closing says that all was read")
	}
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	s := subscribe(t, b, "room")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := s.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := s.Receive(context.Background()); err == nil {
		t.Error("the connection lives on")
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	eventually(t, "its end", func() bool { return b.Peers("pub") == 0 })
}
