package coop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

// checkStory sees to it that a trace is whole: nobody runs who was not spawned, woken or has yielded, nobody
// is woken who is ready, it is always said by whom, and everybody ends.
func checkStory(t *testing.T, events []coop.TraceEvent) {
	t.Helper()
	type stage uint8
	const (
		unborn stage = iota
		born
		ready
		parked
		over
	)
	type key struct {
		loop     int
		greenlet uint64
	}
	stages := map[key]stage{}
	seq := map[int]uint64{}
	for _, e := range events {
		k := key{e.Loop, e.Greenlet}
		is := stages[k]
		if e.Seq != seq[e.Loop] {
			t.Fatalf("loop %d: event %d follows %d", e.Loop, e.Seq, seq[e.Loop])
		}
		seq[e.Loop]++
		ok := true
		switch e.Kind {
		case coop.TraceSpawn:
			ok = is == unborn
			stages[k] = born
		case coop.TraceWake:
			ok = is == parked || is == born // to begin later
			stages[k] = ready
		case coop.TraceRun:
			ok = is == born || is == ready
			switch {
			case e.Ended:
				stages[k] = over
			case e.Why == coop.ParkedYield:
				stages[k] = ready
			default:
				stages[k] = parked
			}
		}
		if !ok {
			t.Fatalf("greenlet in stage %d: %+v", is, e)
		}
		if e.Kind != coop.TraceRun && e.By == 0 && e.Cause == "" {
			t.Fatalf("nobody did it: %+v", e)
		}
	}
	for k, s := range stages {
		if s != over {
			t.Errorf("greenlet %d of loop %d stays in stage %d", k.greenlet, k.loop, s)
		}
	}
}

// Every way of becoming ready leaves its mark, and every switch, those at the very end too.
func TestTraceMissesNothing(t *testing.T) {
	hangs(t)
	trace := coop.NewTrace(coop.TraceOptions{})
	loops, err := coop.NewLoops(2, coop.LoopOptions{Trace: trace, OnFailure: func(*coop.Greenlet, error) {}, OnPanic: func(*coop.Loop, *coop.PanicError) {}})
	if err != nil {
		t.Fatal(err)
	}
	home, away := loops.All()[0], loops.All()[1]
	q, e, s := coop.NewQueue[int](0), coop.NewEvent(), coop.NewSemaphore(0)
	qp, ep, sp := q.Port(home), e.Port(home), s.Port(home)
	spawned := make(chan *coop.Greenlet, 1)
	away.Go(func(g *coop.Greenlet) error {
		g.SetName("stranger")
		spawned <- g
		if _, err := qp.Get(g); err != nil {
			return err
		}
		if err := ep.Wait(g); err != nil {
			return err
		}
		sp.Release()
		return g.WithTimeout(time.Millisecond, func() error { return sp.Acquire(g) })
	})
	stranger := <-spawned
	names := map[string]bool{}
	on(t, home, func(g *coop.Greenlet) error {
		if err := q.Put(g, 1); err != nil {
			return err
		}
		e.Set()
		if err := s.Acquire(g); err != nil {
			return err
		}
		if err := stranger.Join(g); !errors.Is(err, coop.ErrTimeout) {
			t.Error(err)
		}
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		client := g.Spawn(func(g *coop.Greenlet) error {
			c, err := coop.Dial(g, "tcp", ln.Addr().String())
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Write(make([]byte, 4<<20))
			return err
		})
		c, err := ln.Accept(g)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{c}); err != nil {
			return err
		}
		if err := errors.Join(client.Join(g), ln.Close()); err != nil {
			return err
		}
		woken := coop.NewEvent()
		g.SpawnLater(time.Millisecond, func(*coop.Greenlet) error { return nil }).Link(func(*coop.Greenlet) { woken.Set() })
		if err := errors.Join(woken.Wait(g), g.Idle()); err != nil {
			return err
		}
		victim := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
		unborn := g.Spawn(func(g *coop.Greenlet) error { return nil })
		unborn.SetName("unborn")
		unborn.Kill()
		if err := g.Yield(); err != nil {
			return err
		}
		names[g.Name()] = true
		if err := victim.Stop(g); err != nil {
			return err
		}
		err = g.Scope(func(sc *coop.Scope) error {
			sc.Spawn(func(g *coop.Greenlet) error { return errors.New("oh") })
			return g.Sleep(coop.Forever)
		})
		if err == nil || err.Error() != "oh" {
			t.Error(err)
		}
		g.Spawn(func(g *coop.Greenlet) error { // its hook panics out of the switch
			defer g.AfterFunc(func() { panic("hook") })
			return nil
		})
		g.Spawn(func(g *coop.Greenlet) error { // hears of nothing, to the end
			g.SetName("deaf")
			defer g.Yield()
			for {
				g.Sleep(time.Hour)
			}
		})
		if v, err := coop.Await(g, func() (int, error) { return 1, nil }); v != 1 || err != nil {
			t.Error(err)
		}
		return g.Yield()
	})
	// A goroutine's call in the middle of it all.
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := qp.GetContext(ctx); err == nil {
		t.Error("a value from nowhere")
	}
	if err := loops.Close(); err != nil {
		t.Fatal(err)
	}
	events := trace.Events()
	checkStory(t, events)
	causes := map[string]int{}
	for _, e := range events {
		if e.Kind == coop.TraceWake {
			causes[e.Cause]++
		}
	}
	for _, want := range []string{"a port", "a link", "a timer", "I/O", "the end of an Await", "a new connection", "the end of a greenlet elsewhere", "a kill by "} {
		found := false
		for cause := range causes {
			found = found || strings.HasPrefix(cause, want)
		}
		if !found {
			t.Errorf("nobody was woken by %s, but by %v", want, causes)
		}
	}
	var json strings.Builder
	if err := trace.WriteJSON(&json); err != nil || !strings.Contains(json.String(), `"unborn"`) {
		t.Errorf("the name of one who never ran is lost, or %v", err)
	}
}

// Everything that waits says for what.
func TestParkReasonsAreTold_75(t *testing.T) {
	hangs(t)
	quiet := coop.LoopOptions{OnFailure: func(*coop.Greenlet, error) {}}
	home, away := started(t, quiet), started(t, quiet)
	block := make(chan struct{})
	defer close(block)
	remote := func(l *coop.Loop) *coop.Greenlet {
		var g *coop.Greenlet
		onLoop(t, l, func() { g = l.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) }) })
		return g
	}
	sleeper, neighbour := remote(away), remote(home)
	q, full, e, s := coop.NewQueue[int](-1), coop.NewQueue[int](0), coop.NewEvent(), coop.NewSemaphore(0)
	lock, f, group := new(coop.RLock), coop.NewFuture[int](), new(coop.Group)
	pool, signals := coop.NewPool(1), coop.NewSignals(home, os.Interrupt)
	a, b := net.Pipe()
	defer b.Close()
	conn, err := coop.NewConn(home, a)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]*coop.Loop{}
	waits := map[string]func(g *coop.Greenlet) error{
		"sleep":          func(g *coop.Greenlet) error { return g.Sleep(time.Hour) },
		"event":          e.Wait,
		"queue get":      func(g *coop.Greenlet) error { _, err := q.Get(g); return err },
		"queue put":      func(g *coop.Greenlet) error { return full.Put(g, 1) },
		"join":           neighbour.Join,
		"join elsewhere": sleeper.Join,
		"join group":     group.Join,
		"await": func(g *coop.Greenlet) error {
			_, err := coop.Await(g, func() (int, error) { <-block; return 0, nil })
			return err
		},
		"lock":           s.Acquire,
		"lock r":         lock.Acquire,
		"result":         func(g *coop.Greenlet) error { _, err := f.Get(g); return err },
		"pool":           func(g *coop.Greenlet) error { _, err := pool.Spawn(g, nil); return err },
		"pool room":      pool.WaitAvailable,
		"read":           func(g *coop.Greenlet) error { _, err := conn.Read(make([]byte, 1)); return err },
		"write":          func(g *coop.Greenlet) error { _, err := conn.Write(make([]byte, 1<<20)); return err },
		"signal":         func(g *coop.Greenlet) error { _, err := signals.Wait(g); return err },
		"wait":           func(g *coop.Greenlet) error { _, err := coop.WaitAny(g, e); return err },
		"rest":           func(g *coop.Greenlet) error { return coop.NewQueue[int](-1).Rest(g, guest{}) },
		"event port":     e.Port(home).Wait,
		"queue get port": func(g *coop.Greenlet) error { _, err := q.Port(home).Get(g); return err },
		"queue put port": func(g *coop.Greenlet) error { return full.Port(home).Put(g, 1) },
		"lock port":      s.Port(home).Acquire,
		"result port":    func(g *coop.Greenlet) error { _, err := f.Port(home).Get(g); return err },
	}
	for name := range waits {
		at[name] = home
		if strings.HasSuffix(name, "port") {
			at[name] = away
		}
	}
	onLoop(t, home, func() {
		stay := func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) }
		owner := home.Spawn(stay)
		group.Add(owner)
		lock.TryAcquire(owner)
		pool.TryAdd(owner)
	})
	for name, wait := range waits {
		if name == "queue put" || name == "queue put port" {
			continue // the getters of the same queue would take it
		}
		onLoop(t, at[name], func() { at[name].Spawn(wait).SetName(name) })
	}
	for _, name := range []string{"queue put", "queue put port"} {
		onLoop(t, at[name], func() { at[name].Spawn(waits[name]).SetName(name) })
	}
	waitUntil(t, func() bool {
		return !strings.Contains(dump(t, coop.DumpOptions{}, home, away), ": ready")
	})
	got := dump(t, coop.DumpOptions{}, home, away)
	for name := range waits {
		reason := name
		for _, tail := range []string{" elsewhere", " group", " r", " room", " port"} {
			reason = strings.TrimSuffix(reason, tail)
		}
		if !strings.Contains(got, " "+name+": parked: "+reason+", for ") {
			t.Errorf("%s is not told in\n%s", name, got)
		}
	}
	onLoop(t, home, signals.Stop)
}
