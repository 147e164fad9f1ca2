package coop_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"greenroom/coop"
)

func TestCurrentIsTheCallingGreenletAndNobodyElse(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	other := started(t, coop.LoopOptions{})
	on(t, l, func(g *coop.Greenlet) error {
		check := func(who string, want *coop.Greenlet) {
			if got := l.Current(); got != want {
				t.Errorf("%s: %v", who, got)
			}
		}
		check("the greenlet", g)
		g.OnLoop(func() { check("its errand", nil) })
		child := g.Spawn(func(h *coop.Greenlet) error { check("a child", h); return nil })
		if err := child.Join(g); err != nil {
			return err
		}
		check("the greenlet, resumed", g)
		fired := coop.NewEvent()
		l.AfterFunc(0, func() { check("a timer", nil); fired.Set() })
		if err := fired.Wait(g); err != nil {
			return err
		}
		_, err := coop.Await(g, func() (int, error) { check("a goroutine", nil); return 0, nil })
		if other.Current() != nil {
			t.Error("current on a loop that it is not on")
		}
		return err
	})
	if l.Current() != nil {
		t.Error("current in a test")
	}
}

// A goroutine may get the descriptor of a coroutine that has just ended.
func TestCurrentKnowsEndedCoroutines(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	var wg sync.WaitGroup
	for range 50 {
		for range 100 { // more than the loop keeps
			l.Go(func(g *coop.Greenlet) error { return g.Yield() })
		}
		for range 100 {
			wg.Go(func() {
				if l.Current() != nil {
					t.Error("a goroutine is taken for a greenlet")
				}
			})
		}
	}
	wg.Wait()
}

func TestCall(t *testing.T) {
	l := started(t, coop.LoopOptions{OnFailure: quiet})
	wantErr(t, l.Call(func(g *coop.Greenlet) error { return g.Yield() }), nil)
	wantErr(t, l.Call(func(g *coop.Greenlet) error { return errBoom }), errBoom)
	wantErr(t, l.Call(func(g *coop.Greenlet) error { g.Kill(); return g.Yield() }), coop.ErrKilled)
	var p *coop.PanicError
	if err := l.Call(func(*coop.Greenlet) error { panic("oh") }); !errors.As(err, &p) {
		t.Errorf("a panic: %v", err)
	}
	on(t, l, func(g *coop.Greenlet) error {
		return l.Call(func(h *coop.Greenlet) error {
			if h != g {
				t.Error("a greenlet's call is run by another")
			}
			return h.Yield()
		})
	})
	onLoop(t, l, func() {
		wantErr(t, l.Call(func(*coop.Greenlet) error { return nil }), coop.ErrNotRunning)
	})
	other := started(t, coop.LoopOptions{})
	on(t, other, func(g *coop.Greenlet) error {
		wantErr(t, l.Call(func(*coop.Greenlet) error { return nil }), coop.ErrOtherLoop)
		_, err := coop.Await(g, func() (int, error) {
			return 0, l.Call(func(g *coop.Greenlet) error { return g.Yield() })
		})
		return err
	})
}

// Whoever waits for a closing loop gets an answer, whatever became of the greenlet.
func TestCallOfAClosingLoop(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	var wg sync.WaitGroup
	var waiting atomic.Int64
	for range 100 {
		wg.Go(func() {
			err := l.Call(func(g *coop.Greenlet) error {
				waiting.Add(1)
				return new(coop.Event).Wait(g)
			})
			wantErr(t, err, coop.ErrKilled)
		})
		wg.Go(func() {
			for {
				if err := l.Call(func(g *coop.Greenlet) error { return nil }); err != nil {
					if !errors.Is(err, coop.ErrClosed) && !errors.Is(err, coop.ErrKilled) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	await(t, "they wait", func() bool { return waiting.Load() == 100 })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}
