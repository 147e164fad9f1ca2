package coop_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// piped joins two handlers on loops of their own, or on one.
func piped(t *testing.T, a, b *coop.Loop, o coop.PipeOptions) (sa, sb *coop.Stream, ha, hb *handler) {
	t.Helper()
	ha, hb = newHandler(), newHandler()
	sa, sb, err := coop.Pipe(a, b, ha, hb, o)
	if err != nil {
		t.Fatal(err)
	}
	return sa, sb, ha, hb
}

// pump writes all of data to s, going on whenever there is room, and then closes it.
func pump(h *handler, s *coop.Stream, data []byte) {
	rest := data
	more := func(s *coop.Stream) {
		n, _ := s.Write(rest) // an error ends the stream
		if rest = rest[n:]; len(rest) == 0 {
			s.Close()
		}
	}
	h.writable = more
	more(s)
}

// Whatever the loops, the size of pieces and the pauses of the reader: every byte arrives, in order, then
// the end.
func TestPipeCarriesEverything(t *testing.T) {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i >> 8 * i)
	}
	chop := func(l *coop.Loop) func(int) (time.Duration, int) {
		r := rand.New(rand.NewPCG(1, 2))
		return func(n int) (time.Duration, int) {
			return time.Duration(r.IntN(3)) * 10 * time.Microsecond, 1 + r.IntN(min(n, 20_000))
		}
	}
	for _, c := range []struct {
		name   string
		same   bool
		choppy bool
	}{{"one loop", true, false}, {"two loops", false, false}, {"one loop, in pieces", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			hangs(t)
			a := started(t, coop.LoopOptions{})
			b := a
			if !c.same {
				b = started(t, coop.LoopOptions{})
			}
			o := coop.PipeOptions{Addr: "there"}
			if c.choppy {
				o.Carry = chop(a)
			}
			sa, sb, ha, hb := piped(t, a, b, o)
			var got []byte
			reads := 0
			hb.read = func(s *coop.Stream, p []byte) {
				got = append(got, p...)
				if reads++; reads%3 == 0 {
					s.PauseRead()
					b.AfterFunc(100*time.Microsecond, s.ResumeRead)
				}
			}
			onLoop(t, b, sb.Start)
			onLoop(t, a, func() {
				sa.Start()
				pump(ha, sa, data)
			})
			if err := hb.end(t); err != io.EOF {
				t.Errorf("the reader's end: %v", err)
			}
			if err := ha.end(t); err != coop.ErrClosed {
				t.Errorf("the writer's end: %v", err)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived of %d, or others", len(got), len(data))
			}
			if sa.RemoteAddr().String() != "there" || sa.RemoteAddr().Network() != "memory" {
				t.Errorf("address %v", sa.RemoteAddr())
			}
		})
	}
}

// A writer whose peer does not read is held up, as a socket's is.
func TestPipeHoldsUpTheWriter(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	sa, sb, ha, hb := piped(t, l, l, coop.PipeOptions{})
	writable := make(chan struct{}, 1)
	ha.writable = func(*coop.Stream) { writable <- struct{}{} }
	onLoop(t, l, func() {
		sa.Start()
		sb.Start()
		sb.PauseRead()
		if n, err := sa.Write(make([]byte, 1<<20)); n == 0 || n >= 1<<20 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if n, err := sa.Write([]byte("x")); n != 0 || err != nil {
			t.Errorf("then wrote %d, %v", n, err)
		}
	})
	onLoop(t, l, func() {}) // what was sent has arrived
	onLoop(t, l, sb.ResumeRead)
	<-writable
	onLoop(t, l, sa.Close)
	if err := hb.end(t); err != io.EOF {
		t.Error(err)
	}
}

func TestPipeResets(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	sa, sb, ha, hb := piped(t, l, l, coop.PipeOptions{})
	onLoop(t, l, func() {
		sa.Start()
		sb.Start()
		sb.PauseRead()
		sa.Write([]byte("nobody reads this"))
	})
	onLoop(t, l, sb.Close) // with bytes unread
	if err := ha.end(t); err == io.EOF || err == coop.ErrClosed || err == nil {
		t.Errorf("the writer's end: %v", err)
	}
	if err := hb.end(t); err != coop.ErrClosed {
		t.Errorf("the closer's end: %v", err)
	}
}

func TestPipeEndsWithItsLoops(t *testing.T) {
	hangs(t)
	a, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	b := started(t, coop.LoopOptions{})
	sa, sb, ha, hb := piped(t, a, b, coop.PipeOptions{})
	onLoop(t, b, sb.Start)
	onLoop(t, a, sa.Start)
	_, _, h1, h2 := piped(t, a, b, coop.PipeOptions{}) // never started
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ha.end(t); err != coop.ErrClosed {
		t.Errorf("on the closed loop: %v", err)
	}
	if err := hb.end(t); err != io.EOF {
		t.Errorf("on the other: %v", err)
	}
	if err := h1.end(t); err != coop.ErrClosed {
		t.Errorf("never started: %v", err)
	}
	if h2.calls.Load() != 0 {
		t.Error("a stream that was never started heard of its end before its loop's")
	}
	if _, _, err := coop.Pipe(a, b, newHandler(), newHandler(), coop.PipeOptions{}); !errors.Is(err, coop.ErrClosed) {
		t.Errorf("piping a closed loop: %v", err)
	}
	if _, _, err := coop.Pipe(b, a, newHandler(), newHandler(), coop.PipeOptions{}); !errors.Is(err, coop.ErrClosed) {
		t.Errorf("piping to a closed loop: %v", err)
	}
}

// On a fake clock the same pieces arrive in the same order at the same times.
func TestPipeIsReproducible(t *testing.T) {
	once := func() (log []int) {
		run(t, func(g *coop.Greenlet) error {
			l, r := g.Loop(), rand.New(rand.NewPCG(7, 7))
			ha, hb := newHandler(), newHandler()
			over := coop.NewEvent()
			hb.read = func(_ *coop.Stream, p []byte) { log = append(log, int(l.Now()), len(p)) }
			hb.over = func(*coop.Stream) { over.Set() }
			sa, sb, err := coop.Pipe(l, l, ha, hb, coop.PipeOptions{
				Carry: func(n int) (time.Duration, int) { return time.Duration(r.IntN(1000)), 1 + r.IntN(n) },
			})
			if err != nil {
				return err
			}
			sa.Start()
			sb.Start()
			pump(ha, sa, make([]byte, 300_000))
			return over.Wait(g)
		})
		return log
	}
	if first := once(); len(first) < 10 || !slices.Equal(first, once()) {
		t.Errorf("two runs differ, or were too short: %d", len(first))
	}
}
