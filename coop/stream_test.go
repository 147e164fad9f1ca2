package coop_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"greenroom/coop"
)

// noise returns n bytes that do not repeat.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// fill writes p again and again until a write is short, and returns how much was taken.
func fill(t *testing.T, s *coop.Stream, p []byte) (taken int) {
	t.Helper()
	for {
		n, err := s.Write(p)
		if err != nil {
			t.Error(err)
			return taken
		}
		if taken += n; n < len(p) {
			return taken
		}
	}
}

// repeated is what fill has written.
func repeated(p []byte, n int) []byte {
	return bytes.Repeat(p, n/len(p)+1)[:n]
}

func TestStreamEchoesEverythingInOrder(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		var rest []byte // what did not fit; the stream is paused meanwhile
		h.read = func(s *coop.Stream, p []byte) {
			n, err := s.Write(p)
			if err != nil {
				t.Error(err)
			}
			if rest = append(rest, p[n:]...); len(rest) > 0 {
				s.PauseRead()
			}
		}
		h.writable = func(s *coop.Stream) {
			n, err := s.Write(rest)
			if err != nil {
				t.Error(err)
			}
			if rest = rest[n:]; len(rest) == 0 {
				s.ResumeRead()
			}
		}
		attach(t, l, local, h)
		data := noise(8 << 20)
		go func() {
			if _, err := remote.Write(data); err != nil {
				t.Error(err)
			}
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(remote, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Error("what came back differs")
		}
		remote.Close()
		if err := h.end(t); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestStreamShortWriteIsFollowedByOneOnWritable(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		woken := 0 // the loop's
		first := make(chan struct{})
		h.writable = func(*coop.Stream) {
			if woken++; woken == 1 {
				close(first)
			}
		}
		read := make(chan struct{})
		h.read = func(*coop.Stream, []byte) { close(read) }
		s := attach(t, l, local, h)
		data := noise(100_003)
		taken := 0
		onLoop(t, l, func() {
			taken = fill(t, s, data)
			if n, err := s.Write(data); n != 0 || err != nil {
				t.Errorf("a write behind a short one: %d, %v", n, err)
			}
			if n, err := s.Writev([][]byte{data}); n != 0 || err != nil {
				t.Errorf("a writev behind a short write: %d, %v", n, err)
			}
		})
		got := make([]byte, taken)
		if _, err := io.ReadFull(remote, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, repeated(data, taken)) {
			t.Error("what arrived differs from what was accepted")
		}
		<-first
		if _, err := remote.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-read
		onLoop(t, l, func() {
			if woken != 1 {
				t.Errorf("OnWritable came %d times", woken)
			}
			if n, err := s.Write(data[:5]); n != 5 || err != nil {
				t.Errorf("a write when there is room: %d, %v", n, err)
			}
		})
		if _, err := io.ReadFull(remote, got[:5]); err != nil || !bytes.Equal(got[:5], data[:5]) {
			t.Errorf("then arrived %q, %v", got[:5], err)
		}
	})
}

func TestStreamWritev(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		// More buffers than the kernel takes at once, some of them empty, some large.
		data := noise(9 << 20)
		var bufs [][]byte
		for cut, i := data, 0; len(cut) > 0; i++ {
			n := min(len(cut), i*7919%4999)
			if i%1000 == 999 {
				n = min(len(cut), 1<<20)
			}
			bufs, cut = append(bufs, cut[:n:n]), cut[n:]
		}
		if len(bufs) < 2000 {
			t.Fatalf("only %d buffers", len(bufs))
		}
		given := append([][]byte(nil), bufs...)
		h := newHandler()
		short := 0
		send := func(s *coop.Stream) {
			want := 0
			for _, b := range bufs {
				want += len(b)
			}
			n, err := s.Writev(bufs)
			if err != nil {
				t.Error(err)
			}
			if n < want {
				short++
			}
			for ; len(bufs) > 0 && n >= len(bufs[0]); bufs = bufs[1:] {
				n -= len(bufs[0])
			}
			if n > 0 {
				bufs = append([][]byte{bufs[0][n:]}, bufs[1:]...)
			}
		}
		h.writable = send
		s := attach(t, l, local, h)
		onLoop(t, l, func() { send(s) })
		got := make([]byte, len(data))
		if _, err := io.ReadFull(remote, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, data) {
			t.Error("what arrived differs")
		}
		onLoop(t, l, func() {
			if short == 0 {
				t.Error("never short: the test has not tested that")
			}
			if at := bytes.Compare(bytes.Join(given, nil), data); at != 0 {
				t.Error("Writev changed its arguments")
			}
			for _, empty := range [][][]byte{nil, {}, {nil}, {{}, {}}} {
				if n, err := s.Writev(empty); n != 0 || err != nil {
					t.Errorf("Writev of %v: %d, %v", empty, n, err)
				}
			}
		})
	})
}

func TestStreamPauseAndResume(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		var got []byte // the loop's
		paused := false
		arrived := make(chan struct{}, 1)
		h.read = func(s *coop.Stream, p []byte) {
			if paused {
				t.Error("OnRead while paused")
			}
			if got = append(got, p...); bytes.HasSuffix(got, []byte(".")) {
				s.PauseRead() // from within
				paused = true
				arrived <- struct{}{}
			}
		}
		s := attach(t, l, local, h)
		other := newEcho(t, l, k)
		var want []byte
		for i, word := range []string{"one.", "two.", "three."} {
			want = append(want, word...)
			if _, err := remote.Write([]byte(word)); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				other.rounds(t, 10)
				onLoop(t, l, func() { paused = false; s.ResumeRead(); s.ResumeRead() })
			}
			<-arrived
		}
		// The peer's end waits behind what was not read yet.
		remote.Write([]byte("last"))
		remote.Close()
		other.rounds(t, 20)
		if n := h.calls.Load(); n != 0 {
			t.Fatalf("the end came while paused: %v", h.end(t))
		}
		onLoop(t, l, func() { paused = false; s.ResumeRead() })
		if err := h.end(t); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
		onLoop(t, l, func() {
			if want = append(want, "last"...); !bytes.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	})
}

func TestStreamPausedBeforeStart(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		read := make(chan string, 1)
		h.read = func(_ *coop.Stream, p []byte) { read <- string(p) }
		s, err := l.Attach(local, h)
		if err != nil {
			t.Fatal(err)
		}
		onLoop(t, l, func() { s.PauseRead(); s.Start(); s.Start() })
		remote.Write([]byte("x"))
		newEcho(t, l, k).rounds(t, 10)
		if len(read) != 0 {
			t.Error("OnRead while paused")
		}
		onLoop(t, l, s.ResumeRead)
		if got := <-read; got != "x" {
			t.Errorf("read %q", got)
		}
	})
}

func TestStreamPeersHalfClose(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		var got []byte
		h.read = func(s *coop.Stream, p []byte) {
			got = append(got, p...)
			if bytes.HasSuffix(p, []byte("?")) {
				s.Write([]byte("answer"))
			}
		}
		attach(t, l, local, h)
		remote.Write([]byte("question?"))
		if err := remote.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(remote)
		if err != nil || string(answer) != "answer" {
			t.Errorf("the peer read %q, %v", answer, err)
		}
		if err := h.end(t); !errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
		onLoop(t, l, func() {
			if string(got) != "question?" {
				t.Errorf("got %q", got)
			}
		})
	})
}

// reset ends a connection without an orderly end.
func reset(t *testing.T, c net.Conn) {
	t.Helper()
	tcp := bare(c).(*net.TCPConn)
	if err := tcp.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	tcp.Close()
}

func TestStreamReset(t *testing.T) {
	for name, paused := range map[string]bool{"reading": false, "paused": true} {
		t.Run(name, func(t *testing.T) {
			forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
				if k.name == "unix" {
					t.Skip("has no resets")
				}
				local, remote := k.pair(t)
				h := newHandler()
				s := attach(t, l, local, h)
				if paused {
					onLoop(t, l, s.PauseRead)
				}
				reset(t, remote)
				if paused { // the error may wait for ResumeRead
					newEcho(t, l, k).rounds(t, 10)
					onLoop(t, l, s.ResumeRead)
				}
				err := h.end(t)
				var op *net.OpError
				if !errors.As(err, &op) || errors.Is(err, io.EOF) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestStreamCloseSendsWhatWasAccepted(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, remote := k.pair(t)
		h := newHandler()
		s := attach(t, l, local, h)
		data := noise(200_000)
		taken := 0
		onLoop(t, l, func() {
			var err error
			if taken, err = s.Write(data); err != nil {
				t.Error(err)
			}
			s.Close()
		})
		wantErr(t, h.end(t), coop.ErrClosed)
		got, err := io.ReadAll(remote)
		if err != nil || !bytes.Equal(got, data[:taken]) {
			t.Errorf("%d of %d bytes arrived, %v", len(got), taken, err)
		}
	})
}

func TestStreamCloseWithUnreadBytesIsNoReset(t *testing.T) {
	if !onDescriptors {
		t.Skip("a goroutine cannot see whether there is more to read")
	}
	for _, k := range kinds[:2] {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{})
			local, remote := k.pair(t)
			for _, c := range []net.Conn{local, remote} { // elsewhere than on Linux they are small
				b := c.(interface {
					SetReadBuffer(int) error
					SetWriteBuffer(int) error
				})
				if err := errors.Join(b.SetReadBuffer(200_000), b.SetWriteBuffer(200_000)); err != nil {
					t.Fatal(err)
				}
			}
			h := newHandler()
			h.read = func(s *coop.Stream, p []byte) {
				data := bytes.Clone(p)
				s.Write([]byte("bye"))
				s.Close()
				if !bytes.Equal(p, data) {
					t.Error("Close changed what is being read")
				}
			}
			s, err := l.Attach(local, h)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := remote.Write(noise(100_000)); err != nil { // more than one read takes
				t.Fatal(err)
			}
			onLoop(t, l, s.Start)
			if got, err := io.ReadAll(remote); string(got) != "bye" || err != nil {
				t.Errorf("the peer read %q, %v", got, err)
			}
		})
	}
}

func TestStreamOfAStalledPeerDoesNotHoldUpTheLoopsClose(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		t.Parallel() // the kinds linger at the same time
		local, remote := k.pair(t)
		smallBuffers(t, local)
		smallBuffers(t, remote)
		h := newHandler()
		s := attach(t, l, local, h)
		onLoop(t, l, func() {
			fill(t, s, noise(100_000))
			s.Close()
		})
		wantErr(t, h.end(t), coop.ErrClosed)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamOnCloseComesOnceAndFromTheLoop(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		inside := false // a call of a method
		check := func(s *coop.Stream) {
			if inside {
				t.Error("OnClose from within a call")
			}
			s.Close()
			if n, err := s.Write([]byte("x")); n != 0 || err != coop.ErrClosed {
				t.Errorf("write after the end: %d, %v", n, err)
			}
			if n, err := s.Writev([][]byte{{'x'}}); n != 0 || err != coop.ErrClosed {
				t.Errorf("writev after the end: %d, %v", n, err)
			}
			s.Start()
			s.ResumeRead()
		}

		local, _ := k.pair(t)
		h := newHandler()
		h.over = check
		s := attach(t, l, local, h)
		onLoop(t, l, func() {
			inside = true
			s.Close()
			s.Close()
			inside = false
		})
		wantErr(t, h.end(t), coop.ErrClosed)

		// A write that fails.
		local, remote := k.pair(t)
		failing := newHandler()
		failing.over = check
		s = attach(t, l, local, failing)
		remote.Close()
		await(t, "the stream ends", func() bool {
			onLoop(t, l, func() {
				inside = true
				s.Write(make([]byte, 1000))
				inside = false
			})
			return failing.calls.Load() > 0
		})

		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if a, b := h.calls.Load(), failing.calls.Load(); a != 1 || b != 1 {
			t.Errorf("OnClose came %d and %d times", a, b)
		}
	})
}
