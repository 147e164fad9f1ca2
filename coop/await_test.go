package coop_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

func TestAwaitLetsOthersRun(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		gate := make(chan struct{})
		g.Spawn(func(g *coop.Greenlet) error { j.add("other"); close(gate); return nil })
		v, err := coop.Await(g, func() (string, error) { <-gate; return "value", errBoom })
		j.add(v)
		wantErr(t, err, errBoom)
		if g.Loop().Now() != 0 {
			t.Error("the fake clock ran on during the work")
		}
		return nil
	})
	j.want(t, "other", "value")
}

func TestAwaitCatchesPanicAndGoexit(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		_, err := coop.Await(g, func() (int, error) { panic(errBoom) })
		wantErr(t, err, errBoom)
		_, err = coop.Await(g, func() (int, error) { runtime.Goexit(); return 0, nil })
		wantErr(t, err, coop.ErrGoexit)
		return nil
	})
}

func TestAwaitGivenUp(t *testing.T) {
	runWith(t, coop.LoopOptions{}, func(g *coop.Greenlet) error {
		gate := make(chan struct{})
		finished := make(chan struct{})
		err := g.WithTimeout(time.Millisecond, func() error {
			v, err := coop.Await(g, func() (int, error) { <-gate; close(finished); return 1, nil })
			if v != 0 {
				t.Error("a value")
			}
			return err
		})
		wantErr(t, err, coop.ErrTimeout)
		close(gate)
		<-finished
		return g.Sleep(time.Millisecond)
	})
}

func TestAwaitIsBounded(t *testing.T) {
	const limit, calls = 3, 20
	var now, most atomic.Int32
	var mu sync.Mutex
	var order journal
	runWith(t, coop.LoopOptions{MaxAwait: limit}, func(g *coop.Greenlet) error {
		var gs []*coop.Greenlet
		for i := range calls {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				_, err := coop.Await(g, func() (int, error) {
					n := now.Add(1)
					mu.Lock()
					most.Store(max(n, most.Load()))
					order.add(fmt.Sprint(i))
					mu.Unlock()
					runtime.Gosched()
					now.Add(-1)
					return 0, nil
				})
				return err
			}))
		}
		g.Yield()
		gs[10].Kill() // while it waits for a goroutine: never called
		return coop.JoinAll(g, gs...)
	})
	if most.Load() > limit {
		t.Errorf("%d at once", most.Load())
	}
	if len(order) > calls {
		t.Errorf("%d calls", len(order))
	}
}
