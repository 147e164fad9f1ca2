package coop

import (
	"slices"
	"testing"
	"time"
)

func TestRingShrinksWithItsContent(t *testing.T) {
	var r ring[int]
	const most = 100_000
	for i := range most {
		r.push(i)
	}
	for i := range most - 10 {
		if v := r.removeAt(0); v != i {
			t.Fatalf("%d came in place of %d", v, i)
		}
		if len(r.buf) > keptRing && len(r.buf) > 4*r.n+4 {
			t.Fatalf("room for %d while %d are in it", len(r.buf), r.n)
		}
	}
	for i := most - 10; i < most; i++ { // never empty, and still small
		r.push(0)
		if v := r.removeAt(0); v != i {
			t.Fatalf("%d came in place of %d", v, i)
		}
	}
	if len(r.buf) > keptRing {
		t.Errorf("room for %d is kept for 10", len(r.buf))
	}
}

// TestRingModel compares a ring with a slice.
func TestRingModel(t *testing.T) {
	var r ring[int]
	var model []int
	seed := uint64(1)
	next := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	for i := range 200_000 {
		growing := i/5000%2 == 0
		if len(model) == 0 || next(10) < 5 == growing {
			r.push(i)
			model = append(model, i)
			continue
		}
		at := 0
		if next(4) == 0 {
			at = next(len(model))
		}
		if got, want := r.removeAt(at), model[at]; got != want {
			t.Fatalf("removal %d: got %d, want %d", i, got, want)
		}
		model = slices.Delete(model, at, at+1)
		if r.n != len(model) {
			t.Fatalf("%d and %d are in it", r.n, len(model))
		}
	}
}

func TestFewCoroutinesAreKeptAfterABurst(t *testing.T) {
	err := RunWith(LoopOptions{Clock: NewFakeClock()}, func(g *Greenlet) error {
		for range 3 {
			gs := make([]*Greenlet, 2000)
			for i := range gs {
				gs[i] = g.Spawn(func(g *Greenlet) error { return g.Sleep(time.Second) })
			}
			if err := JoinAll(g, gs...); err != nil {
				return err
			}
			if n := len(g.Loop().idle); n > keptCoros {
				t.Errorf("%d coroutines are kept", n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTimerHeapShrinksWithItsContent(t *testing.T) {
	l, err := NewLoop(LoopOptions{Clock: NewFakeClock()})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	timers := make([]*Timer, 50_000)
	for i := range timers {
		timers[i] = l.AfterFunc(time.Duration(i*7919%1000)*time.Hour, func() {})
	}
	for i, timer := range timers[1:] {
		if !timer.Stop() {
			t.Fatalf("timer %d is not armed", i)
		}
		if h := l.timers; cap(h) > 2*keptTimers && cap(h) > 5*(len(h)+1) {
			t.Fatalf("room for %d while %d are armed", cap(h), len(h))
		}
	}
	if len(l.timers) != 1 || !timers[0].Active() {
		t.Errorf("%d timers are left", len(l.timers))
	}
}

// With all goroutines stuck, those who waited for one and gave up leave nothing behind.
func TestAwaitsGivenUpLeaveTheBacklog(t *testing.T) {
	stuck := make(chan struct{})
	ran := 0
	err := RunWith(LoopOptions{MaxAwait: 1}, func(g *Greenlet) error {
		l := g.Loop()
		busy := g.Spawn(func(g *Greenlet) error {
			_, err := Await(g, func() (int, error) { <-stuck; return 0, nil })
			return err
		})
		behind := func(g *Greenlet) error {
			_, err := Await(g, func() (int, error) { ran++; return 0, nil })
			return err
		}
		var patient []*Greenlet
		most := 0
		for range 30 {
			patient = append(patient, g.Spawn(behind))
			var hasty []*Greenlet
			for range 100 {
				hasty = append(hasty, g.Spawn(behind))
			}
			if err := g.Yield(); err != nil {
				return err
			}
			if err := KillAll(g, hasty...); err != nil {
				return err
			}
			most = max(most, l.backlog.n)
		}
		if most > 2*keptRing+len(patient)+100 {
			t.Errorf("the backlog grew to %d", most)
		}
		close(stuck)
		if err := JoinAll(g, append(patient, busy)...); err != nil {
			return err
		}
		if ran != len(patient) || l.backlog.n != 0 || l.unwanted != 0 {
			t.Errorf("%d ran, %d are in the backlog, %d of them unwanted", ran, l.backlog.n, l.unwanted)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
