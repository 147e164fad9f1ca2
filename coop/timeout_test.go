package coop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"greenroom/coop"
)

// #40
func TestTimeoutEndsEveryWait(t *testing.T) {
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{}, func(g *coop.Greenlet) error {
				var inside error
				err := g.WithTimeout(2*time.Millisecond, func() error {
					err := wait(g)
					inside = g.Err()
					return err
				})
				var te *coop.TimeoutError
				if !errors.As(err, &te) || te.D != 2*time.Millisecond {
					t.Errorf("got %v", err)
				}
				wantErr(t, err, coop.ErrTimeout)
				wantErr(t, inside, context.DeadlineExceeded)
				if err := g.Err(); err != nil {
					t.Errorf("after the scope: %v", err)
				}
				return g.Sleep(1)
			})
		})
	}
}

// #41
func TestTimeoutsNest(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		// The outer one passes through the inner.
		var innerErr error
		err := g.WithTimeout(1*time.Second, func() error {
			innerErr = g.WithTimeout(2*time.Second, func() error { return g.Sleep(time.Hour) })
			return innerErr
		})
		var te *coop.TimeoutError
		if !errors.As(err, &te) || te.D != time.Second || err != innerErr {
			t.Errorf("outer first: %v, inner saw %v", err, innerErr)
		}
		// The inner one is over within the outer.
		err = g.WithTimeout(2*time.Second, func() error {
			err := g.WithTimeout(1*time.Second, func() error { return g.Sleep(time.Hour) })
			if !errors.As(err, &te) || te.D != time.Second {
				t.Errorf("inner first: %v", err)
			}
			return g.Sleep(time.Hour)
		})
		if !errors.As(err, &te) || te.D != 2*time.Second {
			t.Errorf("then outer: %v", err)
		}
		return nil
	})
}

// #46
func TestEqualTimeoutsAreDeliveredOneAPark(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var first, second, third error
		outer := g.WithTimeout(time.Second, func() error {
			return g.WithTimeout(time.Second, func() error {
				first, second, third = g.Sleep(time.Hour), g.Sleep(time.Hour), g.Yield()
				return first
			})
		})
		wantErr(t, first, coop.ErrTimeout)
		wantErr(t, second, coop.ErrTimeout)
		if first == second || third != nil || outer != first {
			t.Errorf("got %p, %p, %v", first, second, third)
		}
		return nil
	})
}

// #42
func TestTimeoutHasNoEffectAfterItsScope(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		if err := g.WithTimeout(time.Second, func() error { return nil }); err != nil {
			return err
		}
		if err := g.Sleep(2 * time.Second); err != nil {
			return err
		}
		// Expired, but never delivered.
		if err := g.WithTimeout(0, func() error { return nil }); err != nil {
			return err
		}
		return g.Yield()
	})
}

// #43
func TestZeroTimeoutFiresAtTheFirstPark(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		parks := 0
		err := g.WithTimeout(0, func() error { parks++; return g.Yield() })
		wantErr(t, err, coop.ErrTimeout)
		return nil
	})
}

func TestPanicLeavesTheScope(t *testing.T) {
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
		func() {
			defer func() { recover() }()
			g.WithTimeout(time.Second, func() error { panic(errBoom) })
		}()
		return g.Sleep(time.Hour)
	})
}

func TestContextsDerivedInAScopeEndWithIt(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		life, stopLife := context.WithCancel(g)
		defer stopLife()
		var expired, left, snapshot context.Context
		g.WithTimeout(time.Second, func() error {
			var stop context.CancelFunc
			expired, stop = context.WithCancel(g)
			t.Cleanup(stop)
			snapshot = g.Context()
			return g.Sleep(time.Hour)
		})
		wantErr(t, expired.Err(), context.DeadlineExceeded)
		wantErr(t, snapshot.Err(), coop.ErrTimeout)
		g.WithTimeout(time.Second, func() error {
			var stop context.CancelFunc
			left, stop = context.WithCancel(g)
			t.Cleanup(stop)
			return nil
		})
		wantErr(t, left.Err(), context.Canceled)
		wantErr(t, life.Err(), nil)
		select {
		case <-snapshot.Done():
		default:
			t.Error("snapshot is not done")
		}
		select {
		case <-g.Done():
			t.Error("greenlet is done")
		default:
		}
		return nil
	})
}

func TestContextOfAKilledGreenlet(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	born := make(chan *coop.Greenlet)
	l.Go(func(g *coop.Greenlet) error {
		return g.WithTimeout(time.Hour, func() error {
			born <- g
			return g.Sleep(time.Hour)
		})
	})
	g := <-born
	if at, ok := g.Deadline(); !ok || time.Until(at) > time.Hour || time.Until(at) < 50*time.Minute {
		t.Errorf("deadline %v %v", at, ok)
	}
	done := g.Done()
	ctx, stop := context.WithCancel(g)
	defer stop()
	fired := make(chan struct{})
	context.AfterFunc(g, func() { close(fired) })
	take := g.AfterFunc(func() { t.Error("was taken back") })
	if !take() || take() {
		t.Error("stop")
	}
	g.Kill()
	<-done
	<-ctx.Done()
	<-fired
	wantErr(t, g.Err(), coop.ErrKilled)
}

func TestContextOfAnEndedGreenlet(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		other := g.Spawn(func(*coop.Greenlet) error { return nil })
		done := other.Done()
		if err := other.Join(g); err != nil {
			return err
		}
		<-done
		wantErr(t, other.Err(), context.Canceled)
		return nil
	})
}
