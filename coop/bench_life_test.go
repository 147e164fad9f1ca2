package coop_test

import (
	"testing"

	"greenroom/coop"
)

// BenchmarkSpawnManyJoinAll: an operation is one greenlet of a thousand that are joined together.
func BenchmarkSpawnManyJoinAll(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		nothing := func(*coop.Greenlet) error { return nil }
		gs := make([]*coop.Greenlet, 1000)
		for n := b.N; n > 0; n -= len(gs) {
			gs = gs[:min(n, len(gs))]
			for i := range gs {
				gs[i] = g.Spawn(nothing)
			}
			coop.JoinAll(g, gs...)
		}
	})
}

func BenchmarkTask(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		one := func(*coop.Greenlet) (int, error) { return 1, nil }
		for range b.N {
			coop.SpawnTask(g, one).Get(g)
		}
	})
}

// BenchmarkFuture: a greenlet is spawned that sets a future another waits for.
func BenchmarkFuture(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		for range b.N {
			f := coop.NewFuture[int]()
			g.Spawn(func(*coop.Greenlet) error { f.Set(1); return nil })
			f.Get(g)
		}
	})
}

func BenchmarkLink(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		nothing := func(*coop.Greenlet) error { return nil }
		for range b.N {
			c := g.Spawn(nothing)
			c.Link(func(*coop.Greenlet) {})
			c.Join(g)
		}
	})
}

// BenchmarkWaitAny: two events, of which the other greenlet sets one.
func BenchmarkWaitAny(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		var x, y coop.Event
		stop := false
		setter := g.Spawn(func(g *coop.Greenlet) error {
			for !stop {
				y.Set()
				g.Yield()
			}
			return nil
		})
		for range b.N {
			coop.WaitAny(g, &x, &y)
			y.Clear()
		}
		stop = true
		setter.Join(g)
	})
}

func BenchmarkScope(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		nothing := func(*coop.Greenlet) error { return nil }
		for range b.N {
			g.Scope(func(s *coop.Scope) error { s.Spawn(nothing); return nil })
		}
	})
}

func BenchmarkTimeout(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		nothing := func() error { return nil }
		for range b.N {
			g.WithTimeout(1<<40, nothing)
		}
	})
}

func BenchmarkLocal(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		var v coop.Local[int]
		for range b.N {
			*v.Ptr(g)++
		}
	})
}

func BenchmarkIdle(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		for range b.N {
			g.Idle()
		}
	})
}
