package coop_test

import (
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// A function of AfterFunc may panic. Whoever waits for the greenlet, and the greenlet itself, hear what
// they have to hear all the same, and so do the other functions.
func TestPanicInAfterFuncHoldsNobodyUp(t *testing.T) {
	hangs(t)
	var panics, called atomic.Int32
	o := coop.LoopOptions{OnFailure: quiet, OnPanic: func(*coop.Loop, *coop.PanicError) { panics.Add(1) }}
	l, other := started(t, o), started(t, o)
	trap := func(g *coop.Greenlet) {
		for range 3 {
			g.AfterFunc(func() { called.Add(1); panic("in AfterFunc") })
		}
	}
	check := func(what string, wantCalled int32) {
		t.Helper()
		if n := called.Swap(0); n != wantCalled {
			t.Errorf("%s: %d functions were called", what, n)
		}
	}

	// At the end of a greenlet, for joiners here and on another loop.
	born, leave := make(chan *coop.Greenlet), make(chan struct{})
	l.Go(func(g *coop.Greenlet) error {
		trap(g)
		born <- g
		_, err := coop.Await(g, func() (int, error) { <-leave; return 0, nil })
		return err
	})
	target := <-born
	joined := make(chan error, 2)
	for _, where := range []*coop.Loop{l, other} {
		where.Go(func(g *coop.Greenlet) error { joined <- target.Join(g); return nil })
	}
	await(t, "both join", func() bool { return l.Stats().Greenlets == 2 && other.Stats().Greenlets == 1 })
	onLoop(t, other, func() {})
	onLoop(t, l, func() {})
	close(leave)
	for range 2 {
		if err := <-joined; err != nil {
			t.Error(err)
		}
	}
	check("end", 3)

	// At a timeout, and when a scope is left.
	on(t, l, func(g *coop.Greenlet) error {
		err := g.WithTimeout(time.Millisecond, func() error { trap(g); return g.Sleep(time.Hour) })
		wantErr(t, err, coop.ErrTimeout)
		func() {
			defer func() { recover() }()
			g.WithTimeout(time.Hour, func() error { trap(g); return nil })
		}()
		wantErr(t, g.Err(), nil)
		return g.Sleep(1)
	})
	check("timeouts", 6)

	// At a kill, whose caller gets the panic.
	slept := make(chan error, 3)
	l.Go(func(g *coop.Greenlet) error {
		trap(g)
		born <- g
		slept <- g.Sleep(time.Hour)
		return nil
	})
	victim := <-born
	onLoop(t, l, func() {})
	func() {
		defer func() { recover() }()
		victim.Kill()
	}()
	wantErr(t, <-slept, coop.ErrKilled)
	check("kill", 3)

	// At the loop's end nobody has to be ended by force.
	for range cap(slept) {
		l.Go(func(g *coop.Greenlet) error {
			trap(g)
			err := g.Sleep(time.Hour)
			slept <- err
			return err
		})
	}
	onLoop(t, l, func() {})
	onLoop(t, l, func() {})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range cap(slept) {
		wantErr(t, <-slept, coop.ErrKilled)
	}
	check("close", 9)
	if panics.Load() == 0 {
		t.Error("no panic was reported")
	}
}
