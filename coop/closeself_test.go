package coop_test

import (
	"iter"
	"runtime"
	"testing"
	"time"

	"greenroom/coop"
)

// A loop that is told to close by one of its own says so at once, and goes on.
func TestCloseFromWithin(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{OnFailure: quiet})
	refused := func(where string) {
		if err := l.Close(); err != coop.ErrOnLoop {
			t.Errorf("%s: %v", where, err)
		}
	}
	everywhere := func(how string) {
		t.Helper()
		onLoop(t, l, func() { refused(how + "job") })
		on(t, l, func(g *coop.Greenlet) error {
			refused(how + "greenlet")
			g.OnLoop(func() { refused(how + "errand") })
			done := make(chan struct{})
			g.Loop().AfterFunc(1, func() { refused(how + "timer"); close(done) })
			if err := g.Sleep(time.Millisecond); err != nil {
				return err
			}
			<-done
			return deep(200, func() error { refused(how + "deep in a greenlet"); return nil })
		})
	}
	everywhere("")
	old := make(chan struct{})
	l.Go(func(g *coop.Greenlet) error { // outlives the goroutine that made its coroutine
		g.Sleep(time.Hour)
		refused("greenlet of an earlier goroutine, while the loop closes")
		close(old)
		return nil
	})
	onLoop(t, l, func() {})
	l.Post(runtime.Goexit)
	everywhere("after Goexit: ")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-old
}

func deep(n int, fn func() error) error {
	if n == 0 {
		return fn()
	}
	return deep(n-1, fn)
}

// Others are let in: a goroutine that a greenlet has started, a coroutine of nobody's, another loop's
// greenlet.
func TestCloseFromElsewhere(t *testing.T) {
	hangs(t)
	closers := map[string]func(here, l *coop.Loop) error{
		"goroutine of the loop's": func(_, l *coop.Loop) error {
			err := make(chan error, 1)
			l.Go(func(g *coop.Greenlet) error {
				go func() { err <- l.Close() }()
				return g.Sleep(time.Hour)
			})
			return <-err
		},
		"coroutine of nobody's": func(_, l *coop.Loop) error {
			next, stop := iter.Pull(func(yield func(error) bool) { yield(l.Close()) })
			defer stop()
			err, _ := next()
			return err
		},
		"another loop's greenlet": func(here, l *coop.Loop) (err error) {
			done := make(chan error)
			here.Go(func(*coop.Greenlet) error { done <- l.Close(); return nil })
			return <-done
		},
	}
	here := started(t, coop.LoopOptions{})
	for name, closer := range closers {
		l, err := coop.NewLoop(coop.LoopOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l.Start()
		if err := closer(here, l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if l.Post(func() {}) {
			t.Errorf("%s: not closed", name)
		}
	}
}

// Run closes its loop when its greenlet has ended, not when that asks for it.
func TestCloseWithinRun(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		wantErr(t, g.Loop().Close(), coop.ErrOnLoop)
		return g.Sleep(time.Second)
	})
}

func TestLoopsCloseFromWithin(t *testing.T) {
	hangs(t)
	ls, err := coop.NewLoops(2, coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ls.Here() != nil {
		t.Error("the test runs on a loop")
	}
	for _, l := range ls.All() {
		on(t, l, func(g *coop.Greenlet) error {
			if ls.Here() != l {
				t.Error("a greenlet does not know its loop")
			}
			wantErr(t, ls.Close(), coop.ErrOnLoop)
			return g.Yield()
		})
	}
	if err := ls.Close(); err != nil {
		t.Error(err)
	}
}
