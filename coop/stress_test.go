package coop_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// shared is what the greenlets of one loop have in common in TestEverythingAtOnce.
type shared struct {
	ev    coop.Event
	q     *coop.Queue[int]
	put   int
	taken int
}

// TestEverythingAtOnce has goroutines spawn greenlets on several loops that wait in every way, with short
// timeouts, and has others kill them and join them from other loops. Nobody may hang, nothing that was put
// into a queue may be lost, and every greenlet ends for a reason that was given.
func TestEverythingAtOnce(t *testing.T) {
	hangs(t)
	const workers, each = 4, 600
	loops, err := coop.NewLoops(3, coop.LoopOptions{OnFailure: quiet, MaxAwait: 4})
	if err != nil {
		t.Fatal(err)
	}
	all := loops.All()
	states := make([]shared, len(all))
	for i := range states {
		states[i].q = coop.NewQueue[int](i - 1) // unlimited, a hand-off, a limit of one
	}
	var mu sync.Mutex
	var born []*coop.Greenlet
	var bad atomic.Int32
	someone := func(n int) *coop.Greenlet {
		mu.Lock()
		defer mu.Unlock()
		if len(born) == 0 {
			return nil
		}
		return born[n%len(born)]
	}

	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			slots := make(chan struct{}, 100) // alive at once
			for range each {
				slots <- struct{}{}
				at, what, n := rng.IntN(len(all)), rng.IntN(9), rng.IntN(1<<20)
				ok := all[at].Go(func(g *coop.Greenlet) error {
					defer func() { <-slots }()
					mu.Lock()
					born = append(born, g)
					mu.Unlock()
					return g.WithTimeout(time.Duration(1+n%3000)*time.Microsecond, func() error {
						return waitSomehow(g, &states[at], what, n, someone(n))
					})
				})
				if !ok {
					bad.Add(1)
					<-slots
				}
				if g := someone(rng.IntN(1 << 20)); g != nil && rng.IntN(4) == 0 {
					g.Kill()
				}
			}
			for range cap(slots) { // all are over
				slots <- struct{}{}
			}
		})
	}
	wg.Wait()
	for i, l := range all {
		s := &states[i]
		onLoop(t, l, func() {
			for {
				if _, ok := s.q.TryGet(); !ok {
					break
				}
				s.taken++
			}
			if s.put != s.taken {
				t.Errorf("loop %d: %d were put, %d taken", i, s.put, s.taken)
			}
		})
	}
	if err := loops.Close(); err != nil {
		t.Error(err)
	}
	if len(born) != workers*each || bad.Load() != 0 {
		t.Errorf("%d born, %d refused", len(born), bad.Load())
	}
	reasons := map[string]int{}
	for _, g := range born {
		err := g.Result()
		switch {
		case !g.Ended():
			t.Error("one has not ended")
		case err == nil:
			reasons["done"]++
		case errors.Is(err, coop.ErrTimeout):
			reasons["timeout"]++
		case errors.Is(err, coop.ErrKilled):
			reasons["killed"]++
		case errors.Is(err, coop.ErrSelfJoin):
		default:
			t.Errorf("ended with %v", err)
		}
	}
	for _, reason := range []string{"done", "timeout", "killed"} {
		if reasons[reason] == 0 {
			t.Errorf("none ended like this: %s; of the others %v", reason, reasons)
		}
	}
	for i, l := range all {
		if n := l.Stats().Greenlets; n != 0 {
			t.Errorf("loop %d: %d alive", i, n)
		}
	}
}

// waitSomehow is one way to wait.
func waitSomehow(g *coop.Greenlet, s *shared, what, n int, other *coop.Greenlet) error {
	switch what {
	case 0:
		return g.Yield()
	case 1:
		return g.Sleep(time.Duration(n%4000) * time.Microsecond)
	case 2:
		s.ev.Set()
		s.ev.Clear()
		return nil
	case 3:
		return s.ev.Wait(g)
	case 4:
		err := s.q.Put(g, n)
		if err == nil {
			s.put++
		}
		return err
	case 5:
		_, err := s.q.Get(g)
		if err == nil {
			s.taken++
		}
		return err
	case 6:
		_, err := coop.Await(g, func() (int, error) { time.Sleep(time.Duration(n%500) * time.Microsecond); return n, nil })
		return err
	case 7:
		if err := other.Join(g); err != nil && g.Err() != nil {
			return g.Err()
		} else if errors.Is(err, coop.ErrSelfJoin) {
			return err
		}
		return nil // or the other's failure
	default:
		child := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Duration(n%2000) * time.Microsecond) })
		defer child.Kill()
		return child.Join(g)
	}
}
