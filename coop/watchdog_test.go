package coop_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// holdTheLoop computes until it is told to stop: what a greenlet must not do.
func holdTheLoop(stop *atomic.Bool) {
	for !stop.Load() {
	}
}

// hogOf has a loop held until that is told. On a busy machine a loop may be held by nobody but the machine, and
// that may be all that is told of a block; then it is done again.
func hogOf(blocks <-chan coop.Block, hold func(stop *atomic.Bool, ended chan<- struct{})) coop.Block {
	for {
		var stop atomic.Bool
		ended := make(chan struct{})
		hold(&stop, ended)
		b := <-blocks
		stop.Store(true)
		<-ended
		if strings.Contains(b.Stack, "holdTheLoop") {
			return b
		}
	}
}

func TestWatchdogNamesWhoHoldsTheLoop(t *testing.T) {
	hangs(t)
	loops, err := coop.NewLoops(2, coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(chan coop.Block, 1000)
	w := coop.Watch(coop.WatchdogOptions{Limit: 20 * time.Millisecond, OnBlock: func(b coop.Block) { blocks <- b }}, loops.All()...)
	l := loops.All()[1]
	for round := range 2 {
		b := hogOf(blocks, func(stop *atomic.Bool, ended chan<- struct{}) {
			l.Go(func(g *coop.Greenlet) error {
				defer close(ended)
				g.SetName("glutton")
				if round == 0 {
					holdTheLoop(stop)
				} else {
					g.OnLoop(func() { holdTheLoop(stop) })
				}
				return nil
			})
		})
		if b.Loop != l || b.Who() != "glutton" || b.For < 20*time.Millisecond || !strings.Contains(b.Stack, "holdTheLoop") {
			t.Errorf("round %d: loop %v held by %q for %v at\n%s", round, b.Loop.ID(), b.Who(), b.For, b.Stack)
		}
	}
	waitUntil(t, func() bool { return w.Lag().Counts[len(coop.LagBounds)] > 0 || w.Lag().Sum > 40*time.Millisecond })
	if err := loops.Close(); err != nil {
		t.Error(err)
	}
	w.Stop()
	w.Stop()
	for len(blocks) > 0 { // a busy machine may hold a loop, too; but no offence of ours is told twice
		if b := <-blocks; b.Who() == "glutton" {
			t.Errorf("told again: held by %q", b.Who())
		}
	}
}

func TestWatchdogSeesCallbacks(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	blocks := make(chan coop.Block, 1000)
	w := coop.Watch(coop.WatchdogOptions{Limit: 20 * time.Millisecond, OnBlock: func(b coop.Block) { blocks <- b }}, l)
	defer w.Stop()
	b := hogOf(blocks, func(stop *atomic.Bool, ended chan<- struct{}) {
		l.Post(func() { defer close(ended); holdTheLoop(stop) })
	})
	if b.Greenlet != nil || b.Who() != "a callback of the loop" || !strings.Contains(b.Stack, "holdTheLoop") {
		t.Errorf("held by %q at\n%s", b.Who(), b.Stack)
	}
}

func TestWatchdogLetsGo(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	unstarted, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := coop.Watch(coop.WatchdogOptions{Limit: 2 * time.Millisecond, OnBlock: func(coop.Block) {}}, l, unstarted)
	waitUntil(t, func() bool { return w.Lag().Count > 3 })
	w.Stop()
	n := w.Lag().Count
	on(t, l, func(g *coop.Greenlet) error { return g.Sleep(10 * time.Millisecond) })
	if got := w.Lag().Count; got != n {
		t.Errorf("%d answers counted after Stop, %d before", got, n)
	}
	if err := unstarted.Close(); err != nil {
		t.Error(err)
	}
}
