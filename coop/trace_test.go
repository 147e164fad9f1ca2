package coop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// traced runs fn with a trace on a fake clock.
func traced(t *testing.T, o coop.TraceOptions, fn func(*coop.Greenlet) error) *coop.Trace {
	t.Helper()
	trace := coop.NewTrace(o)
	if err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock(), Trace: trace}, fn); err != nil {
		t.Fatal(err)
	}
	return trace
}

func TestTraceTellsTheWholeStory(t *testing.T) {
	names := map[uint64]string{0: "nobody"}
	name := func(g *coop.Greenlet, s string) {
		g.SetName(s)
		names[g.ID()] = s
	}
	trace := traced(t, coop.TraceOptions{}, func(g *coop.Greenlet) error {
		name(g, "main")
		q := coop.NewQueue[int](0)
		getter := g.Spawn(func(g *coop.Greenlet) error {
			_, err := q.Get(g)
			return err
		})
		name(getter, "getter")
		sleeper := g.Spawn(func(g *coop.Greenlet) error {
			if err := g.Sleep(time.Second); err != nil {
				return err
			}
			q.TryPut(1)
			return nil
		})
		name(sleeper, "sleeper")
		return coop.JoinAll(g, getter, sleeper)
	})
	var got []string
	for i, e := range trace.Events() {
		if e.Seq != uint64(i) {
			t.Errorf("event %d has place %d", i, e.Seq)
		}
		by := e.Cause
		if e.By != 0 {
			by = names[e.By]
		}
		switch e.Kind {
		case coop.TraceSpawn:
			got = append(got, fmt.Sprintf("%s spawned by %s at %v", names[e.Greenlet], by, e.At))
		case coop.TraceWake:
			got = append(got, fmt.Sprintf("%s woken from %v by %s at %v", names[e.Greenlet], e.Why, by, e.At))
		case coop.TraceRun:
			then := e.Why.String()
			if e.Ended {
				then = "end"
			}
			got = append(got, fmt.Sprintf("%s ran at %v, then %s", names[e.Greenlet], e.At, then))
		}
	}
	want := []string{
		"main spawned by the start at 0s",
		"getter spawned by main at 0s",
		"sleeper spawned by main at 0s",
		"main ran at 0s, then join",
		"getter ran at 0s, then queue get",
		"sleeper ran at 0s, then sleep",
		"sleeper woken from sleep by a timer at 1s",
		"getter woken from queue get by sleeper at 1s",
		"sleeper ran at 1s, then end",
		"main woken from join by getter at 1s",
		"getter ran at 1s, then end",
		"main ran at 1s, then end",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Every arrow has a beginning within a slice of the waker and an end where a slice of the woken begins.
func TestTraceJSON(t *testing.T) {
	trace := traced(t, coop.TraceOptions{}, func(g *coop.Greenlet) error {
		e := coop.NewEvent()
		var all []*coop.Greenlet
		for range 3 {
			all = append(all, g.Spawn(e.Wait))
		}
		all[1].SetName(`"quoted" </script>`)
		if err := g.Sleep(time.Millisecond); err != nil {
			return err
		}
		e.Set()
		return coop.JoinAll(g, all...)
	})
	var b bytes.Buffer
	if err := trace.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var file struct {
		TraceEvents []struct {
			Name, Ph string
			PID, TID uint64
			TS, Dur  float64
			ID       uint64
			Args     map[string]any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	slice := func(tid uint64, ts float64, begins bool) bool {
		for _, e := range file.TraceEvents {
			if e.Ph == "X" && e.PID == 1 && e.TID == tid && (e.TS == ts || !begins && e.TS <= ts && ts <= e.TS+e.Dur) {
				return true
			}
		}
		return false
	}
	var named bool
	starts, ends := map[uint64]bool{}, 0
	for _, e := range file.TraceEvents {
		switch e.Ph {
		case "s":
			starts[e.ID] = true
			if !slice(e.TID, e.TS, false) {
				t.Errorf("arrow %d starts outside of any slice", e.ID)
			}
		case "f":
			ends++
			if !starts[e.ID] || !slice(e.TID, e.TS, true) {
				t.Errorf("arrow %d ends without start or slice", e.ID)
			}
		case "M":
			named = named || e.Args["name"] == `"quoted" </script>`
		}
	}
	if len(starts) != ends || ends < 6 || !named {
		t.Errorf("%d arrows start, %d end; named: %v", len(starts), ends, named)
	}

	b.Reset()
	if err := trace.WriteHTML(&b, "a </script> title"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "</script>"); n != 1 {
		t.Errorf("%d script ends in the page", n)
	}
	if strings.Contains(b.String(), "/*DATA*/null") || !strings.Contains(b.String(), `a \u003c/script\u003e title`) {
		t.Error("the data is not in the page")
	}
}

func TestTraceKeepsTheNewest(t *testing.T) {
	var told int
	trace := traced(t, coop.TraceOptions{MaxEvents: 10, OnEvent: func(coop.TraceEvent) { told++ }}, func(g *coop.Greenlet) error {
		for range 100 {
			if err := g.Spawn(func(*coop.Greenlet) error { return nil }).Join(g); err != nil {
				return err
			}
		}
		return nil
	})
	events := trace.Events()
	if len(events) != 10 || told < 300 {
		t.Fatalf("%d events kept, %d told", len(events), told)
	}
	for i, e := range events {
		if want := uint64(told - 10 + i); e.Seq != want {
			t.Errorf("event %d has place %d, want %d", i, e.Seq, want)
		}
	}
	var b bytes.Buffer
	if err := trace.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d older events were not kept", told-10); !strings.Contains(b.String(), want) {
		t.Errorf("the file does not say %q", want)
	}
}

func TestTraceHookPanics(t *testing.T) {
	told, panics := 0, 0
	trace := coop.NewTrace(coop.TraceOptions{OnEvent: func(coop.TraceEvent) {
		told++
		panic("hook")
	}})
	o := coop.LoopOptions{Trace: trace, OnPanic: func(*coop.Loop, *coop.PanicError) { panics++ }}
	if err := coop.RunWith(o, func(g *coop.Greenlet) error { return g.Yield() }); err != nil {
		t.Fatal(err)
	}
	if told != 1 || panics != 1 || len(trace.Events()) < 3 {
		t.Errorf("told %d times, %d panics, %d events", told, panics, len(trace.Events()))
	}
}

func TestTraceOfRunningLoops(t *testing.T) {
	loops, err := coop.NewLoops(2, coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var switches atomic.Int64
	for _, l := range loops.All() {
		l.Go(func(g *coop.Greenlet) error {
			for {
				if err := g.Yield(); err != nil {
					return err
				}
				switches.Add(1)
			}
		})
	}
	first, second := coop.NewTrace(coop.TraceOptions{}), coop.NewTrace(coop.TraceOptions{})
	first.Start(append(loops.All(), idle)...)
	second.Start(loops.All()...) // the loops are taken
	waitUntil(t, func() bool { return switches.Load() > 1000 })
	first.Stop()
	first.Stop()
	second.Stop()
	n := len(first.Events())
	if n == 0 || len(second.Events()) != 0 {
		t.Errorf("%d and %d events", n, len(second.Events()))
	}
	at := switches.Load()
	waitUntil(t, func() bool { return switches.Load() > at+1000 })
	third := coop.NewTrace(coop.TraceOptions{})
	third.Start(loops.All()...)
	if err := loops.Close(); err != nil {
		t.Fatal(err)
	}
	third.Stop()
	if got := len(first.Events()); got != n {
		t.Errorf("%d events after Stop, %d before", got, n)
	}
	seen := map[int]bool{}
	for _, e := range third.Events() {
		seen[e.Loop] = seen[e.Loop] || e.Ended
	}
	if !seen[0] || !seen[1] {
		t.Errorf("ends seen on loops: %v", seen)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	late := coop.NewTrace(coop.TraceOptions{})
	late.Start(idle)
	late.Stop()
	if len(late.Events()) != 0 {
		t.Error("a closed loop was recorded")
	}
}

// A loop that was given its trace when it was made can be left, as others.
func TestTraceStopsLoopsThatHadItFromTheBeginning(t *testing.T) {
	trace := coop.NewTrace(coop.TraceOptions{})
	l := started(t, coop.LoopOptions{Trace: trace})
	step := func() { on(t, l, func(g *coop.Greenlet) error { return g.Yield() }) }
	step()
	trace.Stop()
	n := len(trace.Events())
	step()
	trace.Stop()
	if got := len(trace.Events()); n < 3 || got != n {
		t.Errorf("%d events, later %d", n, got)
	}
}

// What a greenlet has the loop do for it, it does itself.
func TestTraceOfAnErrand(t *testing.T) {
	trace := traced(t, coop.TraceOptions{}, func(g *coop.Greenlet) error {
		e := coop.NewEvent()
		waiter := g.Spawn(e.Wait)
		if err := g.Yield(); err != nil {
			return err
		}
		g.OnLoop(e.Set)
		return waiter.Join(g)
	})
	for _, e := range trace.Events() {
		if e.Kind == coop.TraceWake && e.By == 0 {
			t.Errorf("woken by %s", e.Cause)
		}
	}
}

func BenchmarkYieldTraced(b *testing.B) {
	trace := coop.NewTrace(coop.TraceOptions{})
	err := coop.RunWith(coop.LoopOptions{Trace: trace}, func(g *coop.Greenlet) error {
		for b.Loop() {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// waitUntil waits for something that another goroutine brings about.
func waitUntil(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}
