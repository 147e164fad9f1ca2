package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// A waitable is one way to wait for something, made ready to be waited for. Whatever parks greenlets is
// registered in waitables and has to pass the cases below.
type waitable struct {
	wait func(g *coop.Greenlet) error // parks, until it is given something
	give func()                       // gives one waiter, or the next that comes, what it waits for
	try  func() bool                  // takes what was given and nobody has, if there is something

	// pass is called by one who was woken and is done; nil if that is nobody's business.
	pass func(g *coop.Greenlet)

	// flag: what is given is for everyone, and stays.
	flag bool

	// close ends the thing under the waiters, who then get ErrClosed; nil if it cannot be closed.
	close func()
}

// waitables make a fresh one for each case. The given greenlet runs the case and does not wait itself.
var waitables = map[string]func(g *coop.Greenlet) waitable{}

func eachWaitable(t *testing.T, fn func(t *testing.T, g *coop.Greenlet, w waitable)) {
	names := make([]string, 0, len(waitables))
	for name := range waitables {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
				fn(t, g, waitables[name](g))
				return nil
			})
		})
	}
}

// outcome is how a wait in a greenlet of its own ended.
type outcome struct {
	g    *coop.Greenlet
	err  error
	over bool
}

func (w *waitable) start(g *coop.Greenlet) *outcome {
	o := new(outcome)
	o.g = g.Spawn(func(g *coop.Greenlet) error {
		o.err = w.wait(g)
		o.over = true
		if o.err == nil && w.pass != nil {
			w.pass(g)
		}
		return nil
	})
	return o
}

// settle lets everything happen that can happen now.
func settle(g *coop.Greenlet) {
	for range 8 {
		g.Yield()
	}
}

func (o *outcome) want(t *testing.T, err error) {
	t.Helper()
	if !o.over {
		t.Errorf("still waits, want %v", err)
		return
	}
	if !errors.Is(o.err, err) {
		t.Errorf("got %v, want %v", o.err, err)
	}
}

// #47, #53, #57, #61, #62, #63, #66, #67, #68
func TestWaitingIsWoken(t *testing.T) {
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		o := w.start(g)
		settle(g)
		if o.over {
			t.Fatalf("did not wait: %v", o.err)
		}
		w.give()
		settle(g)
		o.want(t, nil)
		if !w.flag && w.pass == nil && w.try() {
			t.Error("got it twice")
		}
	})
}

func TestWaitingDoesNotParkForWhatIsThere(t *testing.T) {
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		w.give()
		o := w.start(g)
		g.Yield()
		o.want(t, nil)
	})
}

// leaving are the ways in which a waiter leaves before it is given anything.
var leaving = map[string]struct {
	err error
	go_ func(g *coop.Greenlet, w *waitable) *outcome
}{
	"killed": {coop.ErrKilled, func(g *coop.Greenlet, w *waitable) *outcome {
		o := w.start(g)
		settle(g)
		o.g.Kill()
		settle(g)
		return o
	}},
	"timed out": {coop.ErrTimeout, func(g *coop.Greenlet, w *waitable) *outcome {
		inner := *w
		inner.wait = func(g *coop.Greenlet) error {
			return g.WithTimeout(time.Second, func() error { return w.wait(g) })
		}
		o := inner.start(g)
		g.Sleep(2 * time.Second)
		return o
	}},
}

// #48, #55, #56, #64: one that is killed or times out leaves no waiter behind.
func TestWaitingOneThatGoesLosesNothing(t *testing.T) {
	for how, c := range leaving {
		t.Run(how, func(t *testing.T) {
			eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
				o := c.go_(g, &w)
				o.want(t, c.err)
				w.give()
				if !w.try() {
					t.Error("what came later is lost")
				}
			})
		})
	}
}

// #55: two waiters, and one dies.
func TestWaitingOneThatGoesLetsTheNextHaveIt(t *testing.T) {
	for how, c := range leaving {
		t.Run(how, func(t *testing.T) {
			eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
				first := c.go_(g, &w)
				second := w.start(g)
				settle(g)
				w.give()
				settle(g)
				first.want(t, c.err)
				second.want(t, nil)
			})
		})
	}
}

// TestWaitingWokenAndKilledAtOnce: the kill and the gift come in one tick, in both orders. What was given
// is either returned or still there.
func TestWaitingWokenAndKilledAtOnce(t *testing.T) {
	for _, killFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill first %v", killFirst), func(t *testing.T) {
			eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
				o := w.start(g)
				settle(g)
				want := error(nil)
				if killFirst {
					o.g.Kill()
					want = coop.ErrKilled
				}
				g.Loop().Post(w.give)
				if !killFirst {
					o.g.Kill()
				}
				settle(g)
				o.want(t, want)
				if kept := w.try(); !w.flag && w.pass == nil && kept != killFirst {
					t.Errorf("kept: %v", kept)
				}
			})
		})
	}
}

// TestWaitingWokenAndTimedOutAtOnce, #56: both come due in one phase of timers, in both orders.
func TestWaitingWokenAndTimedOutAtOnce(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("timeout first %v", late), func(t *testing.T) {
			eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
				inner, want := w, error(nil)
				inner.wait = func(g *coop.Greenlet) error {
					return g.WithTimeout(time.Second, func() error { return w.wait(g) })
				}
				if late {
					want = coop.ErrTimeout
				} else {
					g.Loop().AfterFunc(time.Second, w.give)
				}
				o := inner.start(g)
				g.Yield()
				if late {
					g.Loop().AfterFunc(time.Second, w.give)
				}
				g.Sleep(2 * time.Second)
				o.want(t, want)
				if kept := w.try(); !w.flag && w.pass == nil && kept != late {
					t.Errorf("kept: %v", kept)
				}
			})
		})
	}
}

// #55, #63
func TestWaitingIsServedInOrder(t *testing.T) {
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		var j journal
		var gs []*coop.Greenlet
		for i := range 6 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				err := w.wait(g)
				j.add(fmt.Sprint(i))
				if err == nil && w.pass != nil {
					w.pass(g)
				}
				return err
			}))
		}
		settle(g)
		gs[2].Kill()
		gs[5].Kill()
		settle(g)
		for range 4 {
			w.give()
			if w.flag || w.pass != nil {
				break
			}
		}
		settle(g)
		j.want(t, "2", "5", "0", "1", "3", "4")
	})
}

func TestWaitingOnlyTheRunningOneMayPark(t *testing.T) {
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		other := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		g.Yield()
		wantErr(t, w.wait(other), coop.ErrNotRunning)
		var job error
		g.Loop().Post(func() { job = w.wait(other) })
		settle(g)
		wantErr(t, job, coop.ErrNotRunning)
		w.give()
		if !w.try() {
			t.Error("something was left behind")
		}
	})
}

// #59
func TestWaitingEndsWhenTheThingIsClosed(t *testing.T) {
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		if w.close == nil {
			return
		}
		first, second := w.start(g), w.start(g)
		settle(g)
		w.close()
		settle(g)
		first.want(t, coop.ErrClosed)
		second.want(t, coop.ErrClosed)
		wantErr(t, w.wait(g), coop.ErrClosed)
	})
}

func TestWaitingEndsWithTheLoop(t *testing.T) {
	var all []*outcome
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		all = append(all, w.start(g), w.start(g))
		settle(g)
	})
	for _, o := range all {
		o.want(t, coop.ErrKilled)
	}
}

func TestWaitingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	eachWaitable(t, func(t *testing.T, g *coop.Greenlet, w waitable) {
		if w.flag || w.pass != nil || w.close == nil { // those that can be used again and do not spawn
			return
		}
		stop := false
		g.Spawn(func(g *coop.Greenlet) error {
			for !stop && w.wait(g) == nil {
			}
			return nil
		})
		settle(g)
		if n := testing.AllocsPerRun(100, func() { w.give(); g.Yield(); g.Yield() }); n != 0 {
			t.Errorf("%v allocations", n)
		}
		stop = true
	})
}
