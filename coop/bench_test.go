package coop_test

import (
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

func benchRun(b *testing.B, fn func(g *coop.Greenlet)) {
	b.Helper()
	b.ReportAllocs()
	err := coop.Run(func(g *coop.Greenlet) error {
		b.ResetTimer()
		fn(g)
		b.StopTimer()
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkYield: two greenlets take turns; an operation is one switch to a greenlet and back.
func BenchmarkYield(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		turns := func(g *coop.Greenlet) error {
			for range b.N / 2 {
				if err := g.Yield(); err != nil {
					return err
				}
			}
			return nil
		}
		coop.JoinAll(g, g.Spawn(turns), g.Spawn(turns))
	})
}

// BenchmarkYieldManyWithTimer has a thousand greenlets and an armed timer, so that each tick reads the clock.
func BenchmarkYieldManyWithTimer(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		g.Loop().AfterFunc(time.Hour, func() {})
		gs := make([]*coop.Greenlet, 1000)
		for i := range gs {
			gs[i] = g.Spawn(func(g *coop.Greenlet) error {
				for range b.N / len(gs) {
					g.Yield()
				}
				return nil
			})
		}
		coop.JoinAll(g, gs...)
	})
}

func BenchmarkSpawnJoin(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		nothing := func(*coop.Greenlet) error { return nil }
		for range b.N {
			g.Spawn(nothing).Join(g)
		}
	})
}

// BenchmarkQueueRoundTrip: a value goes to another greenlet and an answer comes back.
func BenchmarkQueueRoundTrip(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		there, back := coop.NewQueue[int](0), coop.NewQueue[int](0)
		g.Spawn(func(g *coop.Greenlet) error {
			for v := range there.All(g) {
				back.Put(g, v)
			}
			return nil
		})
		for i := range b.N {
			there.Put(g, i)
			back.Get(g)
		}
		there.Close()
	})
}

// BenchmarkPost: one goroutine posts as fast as the loop runs.
func BenchmarkPost(b *testing.B) {
	b.ReportAllocs()
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		b.Fatal(err)
	}
	l.Start()
	nothing := func() {}
	for b.Loop() {
		l.Post(nothing)
	}
	l.Close()
}

// BenchmarkPostWake: a round trip to a loop that sleeps.
func BenchmarkPostWake(b *testing.B) {
	b.ReportAllocs()
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		b.Fatal(err)
	}
	l.Start()
	var wg sync.WaitGroup
	for b.Loop() {
		wg.Add(1)
		l.Post(wg.Done)
		wg.Wait()
	}
	l.Close()
}

func BenchmarkTimerReset(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		timers := make([]coop.Timer, 10_000)
		for i := range timers {
			timers[i].Init(g.Loop(), func() {})
			timers[i].Reset(time.Hour + time.Duration(i))
		}
		for i := range b.N {
			timers[i%len(timers)].Reset(2 * time.Hour)
		}
	})
}
