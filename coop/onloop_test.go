package coop_test

import (
	"errors"
	"runtime"
	"testing"

	"greenroom/coop"
)

func TestOnLoopRunsAtOnce(t *testing.T) {
	var order []string
	err := coop.Run(func(g *coop.Greenlet) error {
		other := g.Spawn(func(*coop.Greenlet) error {
			order = append(order, "other")
			return nil
		})
		g.OnLoop(func() {
			order = append(order, "errand")
			if err := g.Yield(); !errors.Is(err, coop.ErrNotRunning) {
				t.Errorf("parking in an errand: %v", err)
			}
			g.OnLoop(func() { order = append(order, "nested") })
		})
		order = append(order, "after")
		return other.Join(g)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(order); got != 4 || order[0] != "errand" || order[1] != "nested" || order[2] != "after" || order[3] != "other" {
		t.Errorf("order %q", order)
	}
}

func TestOnLoopPanics(t *testing.T) {
	err := coop.Run(func(g *coop.Greenlet) error {
		defer func() {
			p, ok := recover().(*coop.PanicError)
			if !ok || p.Value != "oh" {
				t.Errorf("recovered %v", p)
			}
			if err := g.Yield(); err != nil {
				t.Errorf("after the panic: %v", err)
			}
		}()
		g.OnLoop(func() { panic("oh") })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A greenlet that hands over nothing fails, and is not left behind for ever.
func TestOnLoopOfNil(t *testing.T) {
	err := coop.RunWith(coop.LoopOptions{OnFailure: quiet}, func(g *coop.Greenlet) error {
		g.OnLoop(nil)
		return nil
	})
	if p := (*coop.PanicError)(nil); !errors.As(err, &p) {
		t.Errorf("got %v", err)
	}
}

func TestOnLoopGoexit(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{OnFailure: func(*coop.Greenlet, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	ended := make(chan error, 1)
	cleaned := false
	l.Go(func(g *coop.Greenlet) error {
		victim := g.Spawn(func(g *coop.Greenlet) error {
			defer func() { cleaned = true }()
			g.OnLoop(runtime.Goexit)
			return nil
		})
		ended <- victim.Join(g)
		return nil
	})
	if err := <-ended; !errors.Is(err, coop.ErrGoexit) {
		t.Errorf("result %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if !cleaned {
		t.Error("deferred functions did not run")
	}
}

// A kill that comes while an errand runs is seen at the next park, as ever.
func TestOnLoopKilled(t *testing.T) {
	err := coop.Run(func(g *coop.Greenlet) error {
		victim := g.Spawn(func(g *coop.Greenlet) error {
			g.OnLoop(g.Kill)
			return g.Yield()
		})
		if err := victim.Join(g); err != nil {
			return err
		}
		if !errors.Is(victim.Result(), coop.ErrKilled) {
			t.Errorf("result %v", victim.Result())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkOnLoop(b *testing.B) {
	err := coop.Run(func(g *coop.Greenlet) error {
		n := 0
		fn := func() { n++ }
		for b.Loop() {
			g.OnLoop(fn)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
