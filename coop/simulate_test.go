package coop_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/coop"
)

// bazaar is a program with a bit of everything: servers and clients that talk over slow connections, a queue
// between greenlets, timeouts, kills, and chance in all of it. It returns what it saw.
func bazaar(seed uint64, trace *coop.Trace) (log []string, err error) {
	o := coop.SimOptions{Seed: seed, Shuffle: seed%2 == 1, Loop: coop.LoopOptions{Trace: trace}}
	err = coop.Simulate(o, func(g *coop.Greenlet, w *coop.World) error {
		say := func(format string, args ...any) {
			log = append(log, fmt.Sprintf(format, args...)+" at "+w.Time().Format("05.000000"))
		}
		ln, err := w.Listen("bazaar")
		if err != nil {
			return err
		}
		s := &coop.StreamServer{Handler: func(_ *coop.Greenlet, c net.Conn) error {
			_, err := io.Copy(c, c)
			return err
		}}
		server := g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		q := coop.NewQueue[int](2)
		counter := g.Spawn(func(g *coop.Greenlet) error {
			for n := range q.All(g) {
				say("counted %d", n)
			}
			return nil
		})
		var clients []*coop.Greenlet
		for i := range 5 {
			clients = append(clients, g.Spawn(func(g *coop.Greenlet) error {
				c, err := w.Dial(g, "bazaar")
				if err != nil {
					return err
				}
				defer c.Close()
				want := bytes.Repeat([]byte{byte(i)}, 1+w.Rand().IntN(100_000))
				writer := g.Spawn(func(*coop.Greenlet) error {
					_, err := c.Write(want)
					return err
				})
				if err := c.SetReadDeadline(w.Time().Add(time.Duration(w.Rand().IntN(400)) * time.Millisecond)); err != nil {
					return err
				}
				got := make([]byte, len(want))
				n, err := io.ReadFull(c, got)
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					say("%d was too slow: %d of %d", i, n, len(want))
					writer.Kill()
				case err != nil:
					return err
				case !bytes.Equal(got, want):
					return errors.New("other bytes came back")
				}
				if w.Rand().IntN(4) == 0 {
					g.Kill() // of itself: the next park ends it
				}
				return q.Put(g, n)
			}))
		}
		if err := coop.JoinAll(g, clients...); err != nil {
			return err
		}
		q.Close()
		if err := counter.Join(g); err != nil {
			return err
		}
		if err := s.Stop(g); err != nil {
			return err
		}
		return server.Join(g)
	})
	return log, err
}

func TestSimulationIsReproducible(t *testing.T) {
	different := map[string]bool{}
	for seed := range uint64(20) {
		var traces [2]*coop.Trace
		var logs [2][]string
		for i := range traces {
			traces[i] = coop.NewTrace(coop.TraceOptions{})
			var err error
			if logs[i], err = bazaar(seed, traces[i]); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if !slices.Equal(logs[0], logs[1]) {
			t.Fatalf("seed %d: two stories\n%q\n%q", seed, logs[0], logs[1])
		}
		if a, b := traces[0].Events(), traces[1].Events(); len(a) < 100 || !slices.Equal(a, b) {
			t.Fatalf("seed %d: two traces, of %d and %d events", seed, len(a), len(b))
		}
		different[strings.Join(logs[0], "\n")] = true
	}
	if len(different) < 15 {
		t.Errorf("twenty seeds tell %d stories", len(different))
	}
}

// Under FIFO the writer always comes first; only chance shows that nothing but luck makes it so.
func TestSimulationShufflesWhatIsReady(t *testing.T) {
	lucky := func(o coop.SimOptions) (ok bool) {
		err := coop.Simulate(o, func(g *coop.Greenlet, _ *coop.World) error {
			written := false
			return coop.JoinAll(g,
				g.Spawn(func(*coop.Greenlet) error { written = true; return nil }),
				g.Spawn(func(*coop.Greenlet) error { ok = written; return nil }))
		})
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	var fifo, shuffled int
	for seed := range uint64(40) {
		if lucky(coop.SimOptions{Seed: seed}) {
			fifo++
		}
		if lucky(coop.SimOptions{Seed: seed, Shuffle: true}) {
			shuffled++
		}
	}
	if fifo != 40 || shuffled == 0 || shuffled == 40 {
		t.Errorf("of 40 runs the writer came first in %d, and in %d shuffled ones", fifo, shuffled)
	}
}

func TestSimulationReportsADeadlock(t *testing.T) {
	cleaned := false
	err := coop.Simulate(coop.SimOptions{}, func(g *coop.Greenlet, _ *coop.World) error {
		defer func() { cleaned = true }()
		q := coop.NewQueue[int](0)
		g.SetName("main")
		other := g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, 1) })
		other.SetName("putter")
		return other.Join(g)
	})
	var d *coop.DeadlockError
	if !errors.As(err, &d) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"main: parked: join", "putter: parked: queue put"} {
		if !strings.Contains(d.Waiting, want) {
			t.Errorf("no %q in\n%s", want, err)
		}
	}
	if !cleaned {
		t.Error("deferred functions did not run")
	}
}

func TestSimulatedNetwork(t *testing.T) {
	err := coop.Simulate(coop.SimOptions{Delay: -1}, func(g *coop.Greenlet, w *coop.World) error {
		if _, err := w.Dial(g, "nowhere"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialing nobody: %v", err)
		}
		ln, err := w.Listen("here")
		if err != nil {
			return err
		}
		if _, err := w.Listen("here"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("listening twice: %v", err)
		}
		near, err := w.Dial(g, "here")
		if err != nil {
			return err
		}
		far, err := ln.Accept(g)
		if err != nil {
			return err
		}
		if near.RemoteAddr().String() != "here" || far.LocalAddr().String() != "here" {
			t.Errorf("addresses %v and %v", near.RemoteAddr(), far.LocalAddr())
		}
		// Half closed, it still hears the answer.
		if _, err := near.Write([]byte("question")); err != nil {
			return err
		}
		if err := near.CloseWrite(); err != nil {
			return err
		}
		if b, err := io.ReadAll(far); string(b) != "question" || err != nil {
			t.Errorf("heard %q, %v", b, err)
		}
		if _, err := far.Write([]byte("answer")); err != nil {
			return err
		}
		if err := far.Close(); err != nil {
			return err
		}
		if b, err := io.ReadAll(near); string(b) != "answer" || err != nil {
			t.Errorf("heard %q, %v", b, err)
		}
		if _, err := near.Write([]byte("?")); err == nil {
			t.Error("wrote to one who has closed")
		}
		if err := ln.Close(); err != nil {
			return err
		}
		_, err = w.Listen("here") // is free again
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSimulatedAwaitRunsInPlace(t *testing.T) {
	err := coop.Simulate(coop.SimOptions{}, func(g *coop.Greenlet, w *coop.World) error {
		if g.ID() != 1 {
			t.Errorf("the first greenlet is number %d", g.ID())
		}
		v, err := coop.Await(g, func() (int, error) { return 7, nil })
		if v != 7 || err != nil {
			t.Errorf("got %d, %v", v, err)
		}
		_, err = coop.Await(g, func() (int, error) { panic("oh") })
		var p *coop.PanicError
		if !errors.As(err, &p) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
