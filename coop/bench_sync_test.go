package coop_test

import (
	"context"
	"fmt"
	"testing"

	"greenroom/coop"
)

// BenchmarkQueueHandOff: a value goes from one greenlet to another, which waits for it; an operation is one
// value, with the switch there and the switch back.
func BenchmarkQueueHandOff(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		q := coop.NewQueue[int](0)
		g.Spawn(func(g *coop.Greenlet) error {
			for range q.All(g) {
			}
			return nil
		})
		for i := range b.N {
			q.Put(g, i)
			g.Yield()
		}
		q.Close()
	})
}

// BenchmarkQueueStream: one greenlet puts into a queue with room for 64, another gets; an operation is one value.
func BenchmarkQueueStream(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		q := coop.NewQueue[int](64)
		g.Spawn(func(g *coop.Greenlet) error {
			for range q.All(g) {
			}
			return nil
		})
		for i := range b.N {
			q.Put(g, i)
		}
		q.Close()
	})
}

// BenchmarkChannelHandOff is the same as BenchmarkQueueHandOff with goroutines, for comparison.
func BenchmarkChannelHandOff(b *testing.B) {
	b.ReportAllocs()
	c, done := make(chan int), make(chan struct{})
	go func() {
		for range c {
		}
		close(done)
	}()
	for i := range b.N {
		c <- i
	}
	close(c)
	<-done
}

// BenchmarkPriorityQueue: put and get with a thousand values in it.
func BenchmarkPriorityQueue(b *testing.B) {
	b.ReportAllocs()
	q := coop.NewPriorityQueue(-1, func(a, b int) bool { return a < b })
	for i := range 1000 {
		q.TryPut(i * 7919 % 1000)
	}
	for i := range b.N {
		q.TryPut(i * 7919 % 1000)
		q.TryGet()
	}
}

// BenchmarkEventHandOff: two greenlets wake each other by events; an operation is one Set, one Wait and the switch.
func BenchmarkEventHandOff(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		var ping, pong coop.Event
		x := g.Spawn(func(g *coop.Greenlet) error {
			for range b.N / 2 {
				ping.Wait(g)
				ping.Clear()
				pong.Set()
			}
			return nil
		})
		for range b.N / 2 {
			ping.Set()
			pong.Wait(g)
			pong.Clear()
		}
		x.Join(g)
	})
}

// BenchmarkEventSetMany: Set wakes 100 000 greenlets, which then wait again; an operation is one of them.
// Their stacks, 200 MB, fit into no cache, so most of it is memory.
func BenchmarkEventSetMany(b *testing.B) {
	const many = 100_000
	benchRun(b, func(g *coop.Greenlet) {
		var e coop.Event
		for range many {
			g.Spawn(func(g *coop.Greenlet) error {
				for {
					if err := e.Wait(g); err != nil {
						return err
					}
				}
			})
		}
		g.Yield()
		b.ResetTimer()
		for done := 0; done < b.N; done += many {
			e.Set()
			e.Clear()
			g.Yield()
		}
	})
}

func BenchmarkSemaphoreHandOff(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		s := coop.NewSemaphore(1)
		work := func(g *coop.Greenlet) error {
			for range b.N / 2 {
				s.Acquire(g)
				g.Yield()
				s.Release()
			}
			return nil
		}
		coop.JoinAll(g, g.Spawn(work), g.Spawn(work))
	})
}

func BenchmarkPoolSpawn(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		p := coop.NewPool(16)
		nothing := func(*coop.Greenlet) error { return nil }
		for range b.N {
			p.Spawn(g, nothing)
		}
		p.Join(g)
	})
}

func BenchmarkIMap(b *testing.B) {
	benchRun(b, func(g *coop.Greenlet) {
		for range coop.IMap(g, coop.NewPool(16), upTo(b.N), func(g *coop.Greenlet, n int) (int, error) {
			return n, g.Yield()
		}) {
		}
	})
}

// BenchmarkPortGet: a goroutine takes values from a queue of a loop; one post there and one answer each.
func BenchmarkPortGet(b *testing.B) {
	b.ReportAllocs()
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		b.Fatal(err)
	}
	l.Start()
	q := coop.NewQueue[int](-1)
	p := q.Port(l)
	l.Post(func() {
		for i := range b.N {
			q.TryPut(i)
		}
	})
	b.ResetTimer()
	for range b.N {
		p.GetContext(context.Background())
	}
	b.StopTimer()
	l.Close()
}

// BenchmarkPortRoundTrip: a greenlet of one loop waits, through ports, for one of another.
func BenchmarkPortRoundTrip(b *testing.B) {
	b.ReportAllocs()
	loops, err := coop.NewLoops(2, coop.LoopOptions{})
	if err != nil {
		b.Fatal(err)
	}
	home, other := loops.All()[0], loops.All()[1]
	there, back := coop.NewQueue[int](1), coop.NewQueue[int](1)
	get, put := there.Port(home), back.Port(home)
	other.Go(func(g *coop.Greenlet) error {
		for {
			v, err := get.Get(g)
			if err != nil || put.Put(g, v) != nil {
				return nil
			}
		}
	})
	done := make(chan struct{})
	b.ResetTimer()
	home.Go(func(g *coop.Greenlet) error {
		defer close(done)
		for i := range b.N {
			there.Put(g, i)
			back.Get(g)
		}
		there.Close()
		return nil
	})
	<-done
	b.StopTimer()
	loops.Close()
}

// BenchmarkQueueRest is BenchmarkQueueHandOff's counterpart: the getter waits on its stack, or rests, alone and as one of 10 000.
func BenchmarkQueueRest(b *testing.B) {
	for name, rests := range map[string]bool{"get": false, "rest": true} {
		for _, n := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				benchRun(b, func(g *coop.Greenlet) {
					var all []*coop.Queue[int]
					for range n {
						q := coop.NewQueue[int](-1)
						all = append(all, q)
						g.Spawn(func(g *coop.Greenlet) error {
							if rests {
								return q.Rest(g, sink{})
							}
							for range q.All(g) {
							}
							return nil
						})
					}
					g.Yield()
					b.ResetTimer()
					for i := range b.N {
						all[i%n].TryPut(i)
						g.Yield()
					}
					b.StopTimer()
					for _, q := range all {
						q.Close()
					}
				})
			})
		}
	}
}

type sink struct{}

func (sink) Got(*coop.Greenlet, int) error    { return nil }
func (sink) Over(*coop.Greenlet, error) error { return nil }
