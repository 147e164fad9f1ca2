package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// drain takes all that can be had without waiting.
func drain[T any](q *coop.Queue[T]) (all []T) {
	for {
		v, ok := q.TryGet()
		if !ok {
			return all
		}
		all = append(all, v)
	}
}

func wantValues[T comparable](t *testing.T, got []T, want ...T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// #54: the Try functions work where nothing can park: in a callback of the loop.
func TestQueueTryInACallback54(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		checked := false
		g.Loop().Post(func() {
			if _, ok := q.TryGet(); ok {
				t.Error("got from an empty queue")
			}
			if !q.TryPut(1) || q.TryPut(2) {
				t.Error("wrong about its room")
			}
			if v, ok := q.TryPeek(); !ok || v != 1 {
				t.Errorf("peeked %v %v", v, ok)
			}
			checked = true
		})
		g.Yield()
		if !checked {
			t.Error("not run")
		}
		wantValues(t, drain(q), 1)
		return nil
	})
}

// #53, #56: the item of a Put that timed out is not in the queue.
func TestQueuePutTimesOut56(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		for _, limit := range []int{0, 1, 2} {
			q := coop.NewQueue[int](limit)
			for q.TryPut(1) {
			}
			err := g.WithTimeout(time.Second, func() error { return q.Put(g, 2) })
			wantErr(t, err, coop.ErrTimeout)
			if got := drain(q); slices.Contains(got, 2) || len(got) != limit {
				t.Errorf("limit %d: %v is in the queue", limit, got)
			}
		}
		return nil
	})
}

// #57: several peek at one value, which stays; getters go first.
func TestQueuePeek57(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		peek := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				v, err := q.Peek(g)
				if again, ok := q.TryPeek(); !ok || again != v {
					t.Errorf("peeked %d, then %d %v", v, again, ok)
				}
				j.add(fmt.Sprint(name, " ", v))
				return err
			})
		}
		a := peek("a")
		getter := g.Spawn(func(g *coop.Greenlet) error {
			v, err := q.Get(g)
			j.add(fmt.Sprint("get ", v))
			return err
		})
		b := peek("b")
		g.Yield()
		q.TryPut(1)
		settle(g)
		j.add("put")
		q.TryPut(2)
		err := coop.JoinAll(g, a, b, getter)
		wantValues(t, drain(q), 2)
		return err
	})
	j.want(t, "get 1", "put", "a 2", "b 2")
}

// #57: one who wants to look at what a channel's putter holds out sees it, and the putter waits on.
func TestQueuePeekAtAChannel57(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var q coop.Queue[int]
		var seen int
		peeker := g.Spawn(func(g *coop.Greenlet) (err error) { seen, err = q.Peek(g); return err })
		g.Yield()
		putter := g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, 7) })
		if err := peeker.Join(g); err != nil {
			return err
		}
		if seen != 7 || putter.Ended() {
			t.Errorf("saw %d, putter ended: %v", seen, putter.Ended())
		}
		wantValues(t, drain(&q), 7)
		return putter.Join(g)
	})
}

// #57: a peeker whose value was taken before it ran waits for the next.
func TestQueuePeekerComesTooLate57(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		var seen int
		peeker := g.Spawn(func(g *coop.Greenlet) (err error) { seen, err = q.Peek(g); return err })
		g.Yield()
		q.TryPut(1)
		wantValues(t, drain(q), 1)
		settle(g)
		if peeker.Ended() {
			t.Error("saw what was gone")
		}
		q.TryPut(2)
		err := peeker.Join(g)
		if seen != 2 {
			t.Errorf("saw %d", seen)
		}
		return err
	})
}

// #58: an iteration ends at Close, after what was there.
func TestQueueAllEndsAtClose58(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		var got []int
		reader := g.Spawn(func(g *coop.Greenlet) error {
			for v := range q.All(g) {
				got = append(got, v)
			}
			return nil
		})
		for i := range 3 {
			q.TryPut(i)
			if err := g.Sleep(1); err != nil {
				return err
			}
		}
		q.TryPut(3)
		q.Close()
		err := reader.Join(g)
		wantValues(t, got, 0, 1, 2, 3)
		return err
	})
}

// #59: closing at once drops what is stored and counts it, but not what a woken getter was promised.
func TestQueueCloseNow59(t *testing.T) {
	less := func(a, b int) bool { return a < b }
	for name, c := range map[string]struct {
		q    *coop.Queue[int]
		want []int // of two getters that were woken before
	}{
		"queue":    {coop.NewQueue[int](4), []int{5, 4}},
		"lifo":     {coop.NewLIFOQueue[int](4), []int{1, 2}},
		"priority": {coop.NewPriorityQueue(4, less), []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
				q := c.q
				var got []int
				for range 2 {
					g.Spawn(func(g *coop.Greenlet) error {
						v, err := q.Get(g)
						got = append(got, v)
						return err
					})
				}
				g.Yield()
				for _, v := range []int{5, 4, 3, 2, 1} {
					if !q.TryPut(v) {
						t.Error("no room for", v)
					}
				}
				if n := q.CloseNow(); n != 3 {
					t.Errorf("dropped %d", n)
				}
				g.Yield()
				wantValues(t, got, c.want...)
				if q.Len() != 0 || !q.Closed() || q.TryPut(1) {
					t.Error("not closed")
				}
				_, err := q.Get(g)
				wantErr(t, err, coop.ErrClosed)
				if n := q.CloseNow(); n != 0 {
					t.Errorf("dropped %d the second time", n)
				}
				return nil
			})
		})
	}
}

// #59: the values of putters that wait are theirs, and not dropped.
func TestQueueCloseNowAndPutters59(t *testing.T) {
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		q.TryPut(1)
		putter := g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, 2) })
		g.Yield()
		if n := q.CloseNow(); n != 1 {
			t.Errorf("dropped %d", n)
		}
		wantErr(t, putter.Join(g), coop.ErrClosed)
		return nil
	})
}

// #60: by priority, and in the order of arrival among equals; last first.
func TestQueueOrders60(t *testing.T) {
	type job struct{ urgency, at int }
	byUrgency := func(a, b job) bool { return a.urgency < b.urgency }
	rapid.Check(t, func(rt *rapid.T) {
		urgencies := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 40).Draw(rt, "urgencies")
		sorted, lifo := coop.NewPriorityQueue(-1, byUrgency), coop.NewLIFOQueue[job](-1)
		var model []job
		for i, u := range urgencies {
			j := job{u, i}
			sorted.TryPut(j)
			lifo.TryPut(j)
			model = append(model, j)
			if u == 3 { // and take one out from time to time
				slices.SortStableFunc(model, func(a, b job) int { return a.urgency - b.urgency })
				if v, _ := sorted.TryGet(); v != model[0] {
					rt.Fatalf("got %v, want %v", v, model[0])
				}
				model = model[1:]
				if v, _ := lifo.TryGet(); v != j {
					rt.Fatalf("last first: got %v, want %v", v, j)
				}
			}
		}
		slices.SortStableFunc(model, func(a, b job) int { return a.urgency - b.urgency })
		if got := drain(sorted); !slices.Equal(got, model) {
			rt.Fatalf("got %v, want %v", got, model)
		}
		slices.SortFunc(model, func(a, b job) int { return b.at - a.at })
		var left []job
		for i := len(urgencies) - 1; i >= 0; i-- {
			if urgencies[i] != 3 {
				left = append(left, job{urgencies[i], i})
			}
		}
		if got := drain(lifo); !slices.Equal(got, left) {
			rt.Fatalf("last first: got %v, want %v", got, left)
		}
	})
}

// #60: a worker that was woken by a lesser job takes the most urgent one that has come until it runs.
func TestQueuePriorityIsDecidedLate60(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewPriorityQueue(2, func(a, b int) bool { return a < b })
		var got []int
		worker := g.Spawn(func(g *coop.Greenlet) error {
			for v := range q.All(g) {
				got = append(got, v)
			}
			return nil
		})
		g.Yield()
		for _, v := range []int{9, 5, 1} {
			if err := q.Put(g, v); err != nil {
				return err
			}
		}
		q.Close()
		err := worker.Join(g)
		wantValues(t, got, 1, 5, 9)
		return err
	})
}

// #61
func TestJoinableQueue61(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		inner := coop.NewQueue[int](1)
		inner.TryPut(0)
		q := coop.NewJoinableQueue(inner)
		if q.Unfinished() != 1 {
			t.Errorf("%d unfinished at first", q.Unfinished())
		}
		var done int
		joined := g.Spawn(func(g *coop.Greenlet) error {
			err := q.Join(g)
			if done != 4 {
				t.Errorf("joined after %d", done)
			}
			return err
		})
		worker := g.Spawn(func(g *coop.Greenlet) error {
			for range q.All(g) {
				if err := g.Sleep(time.Second); err != nil {
					return err
				}
				done++
				if err := q.TaskDone(); err != nil {
					return err
				}
			}
			return nil
		})
		for i := range 3 {
			if err := q.Put(g, i); err != nil {
				return err
			}
		}
		if err := joined.Join(g); err != nil {
			return err
		}
		wantErr(t, q.TaskDone(), coop.ErrTooManyDone)

		q.SetUnfinished(2)
		again := g.Spawn(q.Join)
		g.Yield()
		wantErr(t, q.TaskDone(), nil)
		q.SetUnfinished(0)
		if err := again.Join(g); err != nil {
			return err
		}
		q.Close()
		return worker.Join(g)
	})
}

// #61: what a close drops need not be done any more; a putter's value counts when it is in.
func TestJoinableQueueDropped61(t *testing.T) {
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
		q := coop.NewJoinableQueue(coop.NewQueue[int](2))
		q.TryPut(1)
		q.TryPut(2)
		putter := g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, 3) })
		g.Yield()
		if n := q.Unfinished(); n != 2 {
			t.Errorf("%d unfinished while one waits for room", n)
		}
		q.TryGet()
		if n := q.Unfinished(); n != 3 {
			t.Errorf("%d unfinished when it is in", n)
		}
		joined := g.Spawn(q.Join)
		g.Yield()
		if n := q.CloseNow(); n != 2 {
			t.Errorf("dropped %d", n)
		}
		wantErr(t, q.TaskDone(), nil)
		return coop.JoinAll(g, putter, joined)
	})
}

// #62
func TestQueueSetMax62(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		var gs []*coop.Greenlet
		for i := range 5 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, i) }))
		}
		ended := func() (n int) {
			settle(g)
			for _, x := range gs {
				if x.Ended() {
					n++
				}
			}
			return n
		}
		if n := ended(); n != 1 {
			t.Errorf("%d are in with limit 1", n)
		}
		q.SetMax(3)
		if n := ended(); n != 3 {
			t.Errorf("%d are in with limit 3", n)
		}
		q.SetMax(0)
		q.TryGet()
		q.TryGet()
		if n := ended(); n != 3 {
			t.Errorf("%d are in after the limit was lowered", n)
		}
		q.TryGet() // the last that was stored
		if n := ended(); n != 3 {
			t.Errorf("%d are in, none is taken from a putter yet", n)
		}
		if v, _ := q.TryGet(); v != 3 {
			t.Errorf("got %d", v)
		}
		if n := ended(); n != 4 {
			t.Errorf("%d are in after one was taken from a putter", n)
		}
		q.SetMax(-1)
		err := coop.JoinAll(g, gs...)
		wantValues(t, drain(q), 4)
		return err
	})
}

// #55, #53: order of values under waiters that come and go, for every kind of limit: whatever is got came
// out in the order in which it went in.
func TestQueueKeepsOrderWhenWaitersGo55(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(-1, 3).Draw(rt, "limit")
		steps := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 60).Draw(rt, "steps")
		err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
			q := coop.NewQueue[int](limit)
			var got []int
			refused := make(map[int]bool)
			var waiters []*coop.Greenlet
			next := 0
			for i, step := range steps {
				switch step {
				case 0, 1:
					v := next
					next++
					waiters = append(waiters, g.Spawn(func(g *coop.Greenlet) error {
						if q.Put(g, v) != nil {
							refused[v] = true
						}
						return nil
					}))
					g.Yield() // so that the putters come in the order of their values
				case 2, 3:
					waiters = append(waiters, g.Spawn(func(g *coop.Greenlet) error {
						v, err := q.Get(g)
						if err == nil {
							got = append(got, v)
						}
						return err
					}))
				case 4:
					if len(waiters) > 0 {
						waiters[i%len(waiters)].Kill()
					}
				case 5:
					g.Yield()
				case 6:
					q.SetMax(max(limit, i%4-1))
				}
			}
			settle(g)
			for q.Len() > 0 {
				v, _ := q.TryGet()
				got = append(got, v)
				settle(g)
			}
			if err := coop.KillAll(g, waiters...); err != nil && !errors.Is(err, coop.ErrKilled) {
				return err
			}
			var want []int
			for v := range next {
				if !refused[v] {
					want = append(want, v)
				}
			}
			if !slices.Equal(got, want) {
				rt.Fatalf("got %v, want %v", got, want)
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}
