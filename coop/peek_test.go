package coop_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"greenroom/coop"
)

// looker is a PeekHandler that tells a test what it sees, and does on the loop what the test says.
type looker struct {
	peek   *coop.Peek
	seen   chan string
	closed chan error
}

func newLooker() *looker { return &looker{seen: make(chan string, 64), closed: make(chan error, 1)} }

func (k *looker) OnPeek(p *coop.Peek, head []byte, over bool) {
	k.peek = p
	k.seen <- fmt.Sprintf("%s %v", head, over)
}

func (k *looker) OnPeekClose(_ *coop.Peek, err error) { k.closed <- err }

func (k *looker) want(t *testing.T, what string) {
	t.Helper()
	for got := range k.seen {
		if got == what {
			return
		}
		if strings.LastIndexByte(got, ' ') > strings.LastIndexByte(what, ' ') { // more bytes than that
			t.Fatalf("seen %q, want %q", got, what)
		}
	}
}

// reader is a StreamHandler that passes on what it reads.
type reader struct {
	read chan string
	end  chan error
}

func newReader() *reader { return &reader{make(chan string, 64), make(chan error, 1)} }

func (r *reader) OnRead(_ *coop.Stream, p []byte)   { r.read <- string(p) }
func (r *reader) OnWritable(*coop.Stream)           {}
func (r *reader) OnClose(_ *coop.Stream, err error) { r.end <- err }

// peeked is a connection that a loop looks at, and the client's end of it.
func peeked(t *testing.T, l *coop.Loop, h coop.PeekHandler) (client *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Peek(s, h); err != nil {
		s.Close()
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("no descriptors here")
		}
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func onLoopOf(t *testing.T, l *coop.Loop, fn func()) {
	t.Helper()
	done := make(chan struct{})
	if !l.Post(func() { defer close(done); fn() }) {
		t.Fatal("the loop is closed")
	}
	<-done
}

func TestPeekThenTake(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	k, r := newLooker(), newReader()
	c := peeked(t, l, k)
	k.want(t, " false")
	io.WriteString(c, "head")
	k.want(t, "head false")
	io.WriteString(c, "body")
	k.want(t, "headbody false")
	onLoopOf(t, l, func() {
		s, err := k.peek.Take(4, r)
		if err != nil {
			t.Error(err)
			return
		}
		s.Write([]byte("answer"))
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
		if k.peek.Return() != nil {
			t.Error("what was taken is returned")
		}
	})
	if got := <-r.read; got != "body" {
		t.Errorf("read %q", got)
	}
	if got, err := io.ReadAll(c); string(got) != "answer" || err != nil {
		t.Errorf("the client got %q, %v", got, err)
	}
	c.Close()
	if err := <-r.end; err != io.EOF {
		t.Errorf("ended with %v", err)
	}
	if n := l.Stats().Streams; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// What is returned is as it came, also for the runtime's own poller.
func TestPeekThenReturn(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	k := newLooker()
	c := peeked(t, l, k)
	io.WriteString(c, "head")
	k.want(t, "head false")
	var back net.Conn
	onLoopOf(t, l, func() {
		back = k.peek.Return()
		if k.peek.Return() != nil {
			t.Error("returned twice")
		}
		if _, err := k.peek.Take(1, newReader()); err != coop.ErrClosed {
			t.Errorf("taken: %v", err)
		}
	})
	defer back.Close()
	io.WriteString(c, "more")
	c.CloseWrite()
	if got, err := io.ReadAll(back); string(got) != "headmore" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	onLoopOf(t, l, func() {}) // an event for what is gone would be served by now
	if n := l.Stats().Streams; n != 0 || len(k.seen) > 0 {
		t.Errorf("%d streams are left, %d looks more", n, len(k.seen))
	}
}

func TestPeekEnds(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	for name, c := range map[string]struct {
		end  func(*looker, *net.TCPConn)
		want error
	}{
		"by the client":     {func(_ *looker, c *net.TCPConn) { c.Close() }, io.EOF},
		"by us":             {func(k *looker, _ *net.TCPConn) { l.Post(k.peek.Close) }, coop.ErrClosed},
		"by a reset":        {func(_ *looker, c *net.TCPConn) { c.SetLinger(0); c.Close() }, nil},
		"with bytes unread": {func(_ *looker, c *net.TCPConn) { io.WriteString(c, "x"); c.SetLinger(0); c.Close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			k := newLooker()
			client := peeked(t, l, k)
			k.want(t, " false")
			c.end(k, client)
			if err := <-k.closed; err == nil || c.want != nil && err != c.want {
				t.Errorf("closed with %v, want %v", err, c.want)
			}
			if name == "by us" {
				if _, err := client.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("the client reads %v", err)
				}
			}
		})
	}
}

// The end behind some bytes is told with them: whoever waits for more must know.
func TestPeekSeesTheEndBehindBytes(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	k, r := newLooker(), newReader()
	c := peeked(t, l, k)
	io.WriteString(c, "last")
	c.CloseWrite()
	k.want(t, "last true")
	onLoopOf(t, l, func() { k.peek.Take(4, r) })
	if err := <-r.end; err != io.EOF {
		t.Errorf("ended with %v", err)
	}
}

func TestPeekEndsWithItsLoop(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	k := newLooker()
	c := peeked(t, l, k)
	k.want(t, " false")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-k.closed; err != coop.ErrClosed {
		t.Errorf("closed with %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %v", err)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := l.Peek(near, k); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a connection in memory: %v", err)
	}
}
