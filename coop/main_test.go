package coop_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/coop"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs fn on a fake clock and fails the test on an error or when it takes too long.
func run(t *testing.T, fn func(g *coop.Greenlet) error) {
	t.Helper()
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock()}, fn)
}

func runWith(t *testing.T, o coop.LoopOptions, fn func(g *coop.Greenlet) error) {
	t.Helper()
	watchdog := time.AfterFunc(2*patience, func() { panic("test hangs: " + t.Name()) })
	defer watchdog.Stop()
	if err := coop.RunWith(o, fn); err != nil {
		t.Fatal(err)
	}
}

// started returns a running loop that the test closes.
func started(t *testing.T, o coop.LoopOptions) *coop.Loop {
	t.Helper()
	l, err := coop.NewLoop(o)
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// on runs fn in a greenlet of l and waits for it.
func on(t *testing.T, l *coop.Loop, fn func(g *coop.Greenlet) error) {
	t.Helper()
	done := make(chan error, 1)
	if !l.Go(func(g *coop.Greenlet) error { done <- fn(g); return nil }) {
		t.Fatal("loop is closed")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// journal records what happened, in order.
type journal []string

func (j *journal) add(s string) { *j = append(*j, s) }

func (j *journal) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*j, want) {
		t.Errorf("order:\n got %q\nwant %q", *j, want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// quiet is a failure hook for tests in which greenlets fail on purpose.
func quiet(*coop.Greenlet, error) {}

var errBoom = errors.New("boom")

// waits are all the ways to park for ever, for tests of what ends a wait.
var waits = map[string]func(g *coop.Greenlet) error{
	"sleep": func(g *coop.Greenlet) error { return g.Sleep(1 << 62) },
	"event": func(g *coop.Greenlet) error { return new(coop.Event).Wait(g) },
	"get":   func(g *coop.Greenlet) error { _, err := coop.NewQueue[int](1).Get(g); return err },
	"put":   func(g *coop.Greenlet) error { return coop.NewQueue[int](0).Put(g, 1) },
	"join": func(g *coop.Greenlet) error {
		return g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(1 << 62) }).Join(g)
	},
	"yields": func(g *coop.Greenlet) error {
		for {
			if err := g.Yield(); err != nil {
				return err
			}
		}
	},
	"await": func(g *coop.Greenlet) error {
		_, err := coop.Await(g, func() (int, error) { <-g.Done(); return 0, nil })
		return err
	},
	"remote": func(g *coop.Greenlet) error {
		l, err := coop.NewLoop(coop.LoopOptions{})
		if err != nil {
			return err
		}
		other := l.Spawn(func(g *coop.Greenlet) error { return g.Sleep(1 << 62) })
		l.Start()
		err = other.Join(g)
		return errors.Join(err, l.Close())
	},
}
