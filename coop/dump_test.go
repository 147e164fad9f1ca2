package coop_test

import (
	"bytes"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

func dump(t *testing.T, o coop.DumpOptions, loops ...*coop.Loop) string {
	t.Helper()
	var b bytes.Buffer
	if err := coop.Dump(&b, o, loops...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// waitForever is looked for in stacks.
func waitForever(g *coop.Greenlet, e *coop.Event) error { return e.Wait(g) }

func TestDumpTellsWhatEveryoneDoes(t *testing.T) {
	l := started(t, coop.LoopOptions{Name: "main"})
	on(t, l, func(g *coop.Greenlet) error {
		e, q := coop.NewEvent(), coop.NewQueue[int](0)
		g.Spawn(func(g *coop.Greenlet) error { return waitForever(g, e) }).SetName("waits")
		g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) }).SetName("sleeps")
		g.Spawn(func(g *coop.Greenlet) error { _, err := q.Get(g); return err }).SetName("gets")
		return g.Yield()
	})
	got := dump(t, coop.DumpOptions{Stacks: true}, l)
	for _, want := range []string{
		`(?m)^main: 3 greenlets, 0 ready, 0 streams, \d+ switches, \d+ ticks$`,
		`(?m)^  #\d+ waits: parked: event, for \S+, spawned by #\d+ at dump_test.go:\d+$`,
		`(?m)^  #\d+ sleeps: parked: sleep, for \S+, spawned by #\d+ at dump_test.go:\d+$`,
		`(?m)^  #\d+ gets: parked: queue get, for \S+, spawned by #\d+ at dump_test.go:\d+$`,
		`waits: parked(?s:.*)waitForever(?s:.*)sleeps: parked`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if got := dump(t, coop.DumpOptions{Max: 2}, l); !strings.Contains(got, "waits") || strings.Contains(got, "gets") || !strings.Contains(got, "  and 1 more\n") {
		t.Errorf("two of three:\n%s", got)
	}
}

func TestDumpOfLoopsThatDoNotAnswer(t *testing.T) {
	held := started(t, coop.LoopOptions{Name: "held"})
	var stop atomic.Bool
	begun := make(chan struct{})
	held.Post(func() {
		close(begun)
		holdTheLoop(&stop)
	})
	<-begun
	closed, err := coop.NewLoop(coop.LoopOptions{Name: "closed"})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	fresh, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	got := dump(t, coop.DumpOptions{Wait: 20 * time.Millisecond}, held, closed, fresh)
	stop.Store(true)
	for _, want := range []string{
		"held: 0 greenlets", "  is held: no answer within 20ms\n", "holdTheLoop",
		"closed: 0 greenlets", "  has been closed\n",
		"loop 0: 0 greenlets", "  has not been started\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// Every state that a greenlet can be in when somebody looks.
func TestDumpOfEveryState_75(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{Clock: coop.NewFakeClock()})
	e, begun, goOn := coop.NewEvent(), make(chan struct{}), make(chan struct{})
	defer func() { onLoop(t, l, e.Set) }()
	onLoop(t, l, func() {
		l.Spawn(e.Wait).SetName("woken")
		l.Spawn(func(g *coop.Greenlet) error {
			for !e.IsSet() {
				if err := g.Yield(); err != nil {
					return err
				}
			}
			return nil
		}).SetName("yields")
		l.SpawnLater(time.Hour, e.Wait).SetName("later")
		l.SpawnLater(coop.Forever, e.Wait).SetName("never")
		l.Spawn(func(g *coop.Greenlet) error {
			return g.Scope(func(s *coop.Scope) error {
				s.Spawn(func(g *coop.Greenlet) error { // takes its time to clean up
					g.Sleep(coop.Forever)
					g.Revive()
					return g.Sleep(coop.Forever)
				}).SetName("child")
				g.Kill()
				return g.Sleep(coop.Forever)
			})
		}).SetName("deaf")
	})
	for range 5 {
		onLoop(t, l, func() {})
	}
	// All of this in one tick: whoever becomes ready is seen before it runs.
	l.Post(func() { close(begun); <-goOn })
	<-begun
	l.Post(func() {
		e.Set()
		e.Clear()
		l.Spawn(e.Wait).SetName("fresh")
	})
	posts := l.Stats().Posts
	dumped := make(chan string)
	go func() { dumped <- dump(t, coop.DumpOptions{}, l) }()
	waitUntil(t, func() bool { return l.Stats().Posts > posts })
	close(goOn)
	got := <-dumped
	for _, want := range []string{
		"woken: ready, after event, ", "yields: ready, after yield, ", "later: begins in 1h0m0s, ", "never: never begins, ",
		"deaf: parked: join, ", "child: parked: sleep, ", "fresh: ready to begin, ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
