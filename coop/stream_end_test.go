package coop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

func TestStreamHandlersPanicClosesThatStreamOnly(t *testing.T) {
	for _, method := range []string{"OnRead", "OnWritable", "OnClose"} {
		t.Run(method, func(t *testing.T) {
			for _, k := range kinds {
				t.Run(k.name, func(t *testing.T) {
					hangs(t)
					panics := make(chan any, 8)
					l := started(t, coop.LoopOptions{OnPanic: func(_ *coop.Loop, p *coop.PanicError) { panics <- p.Value }})
					other := newEcho(t, l, k)
					local, remote := k.pair(t)
					h := newHandler()
					h.read = func(s *coop.Stream, p []byte) {
						switch {
						case method == "OnRead":
							panic("OnRead")
						case method == "OnClose":
							s.Close()
						default:
							fill(t, s, noise(100_000))
						}
					}
					h.writable = func(*coop.Stream) { panic("OnWritable") }
					h.over = func(*coop.Stream) {
						if method == "OnClose" {
							panic("OnClose")
						}
					}
					attach(t, l, local, h)
					if _, err := remote.Write([]byte("x")); err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, remote) // makes room, and waits for the end

					if got := <-panics; got != method {
						t.Errorf("reported %v", got)
					}
					err := h.end(t)
					if method == "OnClose" {
						wantErr(t, err, coop.ErrClosed)
					} else {
						var p *coop.PanicError
						if !errors.As(err, &p) || p.Value != method {
							t.Errorf("ended with %v", err)
						}
					}
					other.rounds(t, 3)
					if len(panics) > 0 || h.calls.Load() != 1 || other.h.calls.Load() != 0 {
						t.Errorf("%d more panics, %d ends, %d of the other", len(panics), h.calls.Load(), other.h.calls.Load())
					}
				})
			}
		})
	}
}

func TestStreamsEndWithTheLoopStartedOrNot(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			l, err := coop.NewLoop(coop.LoopOptions{})
			if err != nil {
				t.Fatal(err)
			}
			l.Start()
			var handlers []*handler
			var remotes []net.Conn
			for i := range 6 {
				local, remote := k.pair(t)
				h := newHandler()
				h.read = func(*coop.Stream, []byte) { t.Error("OnRead") }
				s, err := l.Attach(local, h)
				if err != nil {
					t.Fatal(err)
				}
				if i%2 == 0 {
					onLoop(t, l, s.Start)
				}
				handlers, remotes = append(handlers, h), append(remotes, remote)
			}
			if n := l.Stats().Streams; n != 6 {
				t.Errorf("%d streams", n)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			for i, h := range handlers {
				wantErr(t, h.end(t), coop.ErrClosed)
				if n := h.calls.Load(); n != 1 {
					t.Errorf("stream %d: OnClose came %d times", i, n)
				}
				if _, err := remotes[i].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("stream %d: the peer read %v", i, err)
				}
			}
			if n := l.Stats().Streams; n != 0 {
				t.Errorf("%d streams left", n)
			}
		})
	}
}

// Connections that arrive while the loop closes are either refused, or are streams that end once.
func TestAttachWhileTheLoopCloses(t *testing.T) {
	for _, k := range kinds[:3] {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			for range 5 {
				l, err := coop.NewLoop(coop.LoopOptions{})
				if err != nil {
					t.Fatal(err)
				}
				l.Start()
				type attempt struct {
					c   net.Conn
					h   *handler
					err error
				}
				attempts := make([]attempt, 20)
				for i := range attempts {
					attempts[i].c, _ = k.pair(t)
					attempts[i].h = newHandler()
				}
				var wg sync.WaitGroup
				begun := make(chan struct{}, len(attempts))
				for i := range attempts {
					wg.Go(func() {
						a := &attempts[i]
						begun <- struct{}{}
						var s *coop.Stream
						if s, a.err = l.Attach(a.c, a.h); a.err == nil && i%2 == 0 {
							l.Post(s.Start)
						}
					})
				}
				for range len(attempts) / 2 {
					<-begun
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				wg.Wait()
				for _, a := range attempts {
					switch n := a.h.calls.Load(); {
					case a.err == nil && n != 1:
						t.Errorf("OnClose came %d times", n)
					case a.err != nil && n != 0:
						t.Error("OnClose came for a refused connection")
					case a.err != nil:
						wantErr(t, a.err, coop.ErrClosed)
						a.c.Close()
					}
				}
				if n := l.Stats().Streams; n != 0 {
					t.Errorf("%d streams left", n)
				}
			}
		})
	}
}

func TestStreamClosedBeforeItsStart(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		s, err := l.Attach(local, h)
		if err != nil {
			t.Fatal(err)
		}
		onLoop(t, l, func() {
			if n, err := s.Write([]byte("bye")); n != 3 || err != nil {
				t.Errorf("write before the start: %d, %v", n, err)
			}
			s.Close()
			s.Start()
		})
		wantErr(t, h.end(t), coop.ErrClosed)
		if got, err := io.ReadAll(remote); string(got) != "bye" || err != nil {
			t.Errorf("the peer read %q, %v", got, err)
		}
	})
}

func TestAttachAfterCloseLeavesTheConnectionToTheCaller(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			l, err := coop.NewLoop(coop.LoopOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			local, remote := k.pair(t)
			defer local.Close()
			s, err := l.Attach(local, newHandler())
			if s != nil {
				t.Error("got a stream")
			}
			wantErr(t, err, coop.ErrClosed)
			if _, err := local.Write([]byte("still mine")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 10)
			if _, err := io.ReadFull(remote, got); err != nil || string(got) != "still mine" {
				t.Errorf("the peer read %q, %v", got, err)
			}
		})
	}
}

func TestAttachOfAClosedConnection(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	local, _ := tcpPair(t)
	local.Close()
	h := newHandler()
	s, err := l.Attach(local, h)
	if err != nil { // a descriptor is missed at once, goroutines find out
		var op *net.OpError
		if !errors.As(err, &op) {
			t.Errorf("got %v", err)
		}
		return
	}
	onLoop(t, l, s.Start)
	if err := h.end(t); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("ended with %v", err)
	}
}

// shouting is a connection that promotes the methods of a *net.TCPConn and changes one.
type shouting struct{ *net.TCPConn }

func (c shouting) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

func TestAttachUsesTheReadOfAWrapper(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	local, remote := tcpPair(t)
	h := newHandler()
	read := make(chan string, 1)
	h.read = func(_ *coop.Stream, p []byte) { read <- string(p) }
	attach(t, l, shouting{local.(*net.TCPConn)}, h)
	remote.Write([]byte("x"))
	if got := <-read; got != "X" {
		t.Errorf("read %q", got)
	}
}

func TestStreamForgetsTheDeadlinesOfItsConnection(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		if err := local.SetDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		h := newHandler()
		h.read = func(s *coop.Stream, p []byte) { s.Write(p) }
		attach(t, l, local, h)
		remote.Write([]byte("x"))
		if _, err := remote.Read(make([]byte, 1)); err != nil {
			t.Errorf("%v; the stream ended with %v", err, h.end(t))
		}
	})
}

// openDescriptors counts this process' descriptors, where the system tells.
func openDescriptors(t *testing.T) int {
	t.Helper()
	n := openDescriptorsOrZero()
	if n == 0 {
		t.Skip("cannot count descriptors here")
	}
	return n
}

func openDescriptorsOrZero() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func TestStreamsAndLoopsReturnTheirDescriptors(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			k.pair(t) // the runtime's own descriptors come with the first connection
			before := openDescriptors(t)
			remotes := make([]net.Conn, 0, 40)
			for range 3 {
				l, err := coop.NewLoop(coop.LoopOptions{})
				if err != nil {
					t.Fatal(err)
				}
				l.Start()
				var handlers []*handler
				for i := range 12 {
					local, remote := k.pair(t)
					h := newHandler()
					h.read = func(s *coop.Stream, p []byte) { s.Write(p) }
					s, err := l.Attach(local, h)
					if err != nil {
						t.Fatal(err)
					}
					remotes = append(remotes, remote)
					switch i % 4 {
					case 0: // never started
						continue
					case 1: // closed here
						onLoop(t, l, func() { s.Start(); s.Close() })
						h.end(t)
					case 2: // closed there
						onLoop(t, l, s.Start)
						remote.Close()
						h.end(t)
					case 3: // closed with the loop
						onLoop(t, l, s.Start)
					}
					handlers = append(handlers, h)
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				for _, h := range handlers {
					if h.calls.Load() != 1 {
						t.Error("OnClose did not come")
					}
				}
			}
			for _, c := range remotes {
				c.Close()
			}
			await(t, fmt.Sprintf("back to %d descriptors", before), func() bool { return openDescriptors(t) <= before })
		})
	}
}

// TestStreamSlotsAreUsedAgain has many streams come and go, with events on their way when they do:
// none of them reaches another stream.
func TestStreamSlotsAreUsedAgain(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		const atOnce, rounds = 8, 15
		for round := range rounds {
			handlers := make([]*handler, atOnce)
			for i := range atOnce {
				local, remote := k.pair(t)
				h := newHandler()
				mine := fmt.Sprint(round, " ", i, ".")
				h.read = func(s *coop.Stream, p []byte) {
					if !bytes.HasPrefix([]byte(mine), p) {
						t.Errorf("%q read %q", mine, p)
					}
					if i%2 == 0 {
						s.Close()
					}
				}
				handlers[i] = h
				attach(t, l, local, h)
				remote.Write([]byte(mine))
				if i%2 == 1 || round%2 == 0 {
					remote.Close()
				}
			}
			for i, h := range handlers {
				err := h.end(t)
				if i%2 == 0 && err != coop.ErrClosed {
					t.Errorf("closed by itself: %v", err)
				}
				if i%2 == 1 && !errors.Is(err, io.EOF) {
					t.Errorf("closed by its peer: %v", err)
				}
			}
		}
		if n := l.Stats().Streams; n != 0 {
			t.Errorf("%d streams left", n)
		}
	})
}
