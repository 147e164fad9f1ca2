package coop_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// after makes something of each kind that becomes ready after d.
var afters = map[string]func(g *coop.Greenlet, d time.Duration) coop.Waitable{
	"greenlet": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		return g.SpawnLater(d, func(*coop.Greenlet) error { return nil })
	},
	"killed greenlet": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		c := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
		g.Loop().AfterFunc(d, c.Kill)
		return c
	},
	"task": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		return coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return 1, g.Sleep(d) })
	},
	"event": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		var ev coop.Event
		g.Loop().AfterFunc(d, ev.Set)
		return &ev
	},
	"event that is cleared again": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		var ev coop.Event
		g.Loop().AfterFunc(d, func() { ev.Set(); ev.Clear() })
		return &ev
	},
	"future": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		var f coop.Future[string]
		g.Loop().AfterFunc(d, func() { f.Set("") })
		return &f
	},
	"failing future": func(g *coop.Greenlet, d time.Duration) coop.Waitable {
		var f coop.Future[string]
		g.Loop().AfterFunc(d, func() { f.Fail(errBoom) })
		return &f
	},
}

// #13, for each kind of thing: as they become ready, by call and by iteration; count; timeout.
func TestWaitYieldsInOrderOfReadiness(t *testing.T) {
	for name, after := range afters {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				three := func() []coop.Waitable {
					return []coop.Waitable{after(g, 3*time.Second), after(g, 1*time.Second), after(g, 2*time.Second)}
				}
				check := func(what string, objs, got []coop.Waitable, at time.Duration, want ...int) {
					t.Helper()
					var w []coop.Waitable
					for _, i := range want {
						w = append(w, objs[i])
					}
					if !slices.Equal(got, w) || g.Loop().Now() != at {
						t.Errorf("%s: %v at %v, want %v at %v", what, got, g.Loop().Now(), w, at)
					}
				}
				objs := three()
				got, err := coop.Wait(g, 0, objs...)
				wantErr(t, err, nil)
				check("all", objs, got, 3*time.Second, 1, 2, 0)

				objs = three()
				got, err = coop.Wait(g, 2, objs...)
				wantErr(t, err, nil)
				check("two", objs, got, 5*time.Second, 1, 2)

				objs = three()
				first, err := coop.WaitAny(g, objs...)
				wantErr(t, err, nil)
				check("any", objs, []coop.Waitable{first}, 6*time.Second, 1)

				objs = three()
				err = g.WithTimeout(2500*time.Millisecond, func() (err error) { got, err = coop.Wait(g, 0, objs...); return err })
				wantErr(t, err, coop.ErrTimeout)
				check("timeout", objs, got, 8500*time.Millisecond, 1, 2)

				objs, got = three(), nil
				for o := range coop.WaitEach(g, objs...) {
					got = append(got, o)
				}
				check("each", objs, got, 11500*time.Millisecond, 1, 2, 0)

				objs, got = three(), nil
				for o := range coop.WaitEach(g, objs...) {
					if got = append(got, o); len(got) == 2 {
						break
					}
				}
				check("each, left", objs, got, 13500*time.Millisecond, 1, 2)

				objs, got = three(), nil
				err = g.WithTimeout(1500*time.Millisecond, func() error {
					for o := range coop.WaitEach(g, objs...) {
						got = append(got, o)
					}
					return g.Err()
				})
				wantErr(t, err, coop.ErrTimeout)
				check("each, timeout", objs, got, 15*time.Second, 1)
				return g.Sleep(time.Minute)
			})
		})
	}
}

// #13: what is ready comes first, in the order given, without a switch, even if more become ready.
func TestWaitTakesReadyOnesFirst(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var set, unset coop.Event
		set.Set()
		over := g.Spawn(func(*coop.Greenlet) error { return nil })
		if err := over.Join(g); err != nil {
			return err
		}
		switched := g.Spawn(func(*coop.Greenlet) error { unset.Set(); return nil })
		got, err := coop.Wait[coop.Waitable](g, 2, &unset, over, &set)
		if err != nil || len(got) != 2 || got[0] != over || got[1] != &set || switched.Ended() {
			t.Errorf("two: %v, %v", got, err)
		}
		got, err = coop.Wait[coop.Waitable](g, 0, &unset, over, &set)
		if err != nil || len(got) != 3 || got[0] != over || got[1] != &set || got[2] != &unset {
			t.Errorf("all: %v, %v", got, err)
		}
		return nil
	})
}

// #13: the same object twice, nothing at all, oneself.
func TestWaitOddLists(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var ev coop.Event
		g.SpawnLater(time.Second, func(*coop.Greenlet) error { ev.Set(); return nil })
		got, err := coop.Wait(g, 0, &ev, &ev)
		if err != nil || len(got) != 2 {
			t.Errorf("twice, unset: %v, %v", got, err)
		}
		if got, err = coop.Wait(g, 2, &ev, &ev, &ev); err != nil || len(got) != 2 {
			t.Errorf("twice, set: %v, %v", got, err)
		}
		if got, err := coop.Wait[*coop.Event](g, 0); err != nil || got != nil {
			t.Errorf("nothing: %v, %v", got, err)
		}
		if _, err := coop.WaitAny[*coop.Event](g); err == nil {
			t.Error("any of nothing")
		}
		for range coop.WaitEach[*coop.Event](g) {
			t.Error("each of nothing")
		}
		other := g.Spawn(func(*coop.Greenlet) error { return nil })
		ready, err := coop.Wait(g, 0, other, g)
		wantErr(t, err, coop.ErrSelfJoin)
		if len(ready) != 0 {
			t.Errorf("oneself: %v", ready)
		}
		return other.Join(g)
	})
}

// #13: several wait for the same; one that gives up takes nothing from the others, and is not woken later.
func TestWaitersOfTheSameThings(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var a, b coop.Event
		waiter := func(name string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				for range coop.WaitEach(g, &a, &b) {
					j.add(name)
				}
				if err := g.Err(); err != nil {
					j.add(name + " gives up")
					g.Revive()
					return g.Sleep(time.Minute) // undisturbed
				}
				return nil
			})
		}
		plain := g.Spawn(func(g *coop.Greenlet) error { err := a.Wait(g); j.add("plain"); return err })
		gs := []*coop.Greenlet{waiter("x"), waiter("y"), waiter("z"), plain}
		g.Yield()
		gs[1].Kill()
		g.Yield()
		a.Set()
		g.Yield()
		b.Set()
		err := coop.JoinAll(g, gs...)
		if now := g.Loop().Now(); now != time.Minute {
			t.Errorf("at %v", now)
		}
		return err
	})
	j.want(t, "y gives up", "plain", "x", "z", "x", "z")
}

// A kill and a wake-up in the same tick: whichever came first ends the park, and nothing is lost.
func TestWaitKilledAndWokenTogether(t *testing.T) {
	for _, killFirst := range []bool{false, true} {
		t.Run(fmt.Sprint("kill first ", killFirst), func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				var ev coop.Event
				var got []*coop.Event
				var err, next error
				c := g.Spawn(func(g *coop.Greenlet) error {
					got, err = coop.Wait(g, 1, &ev, new(coop.Event))
					next = g.Yield()
					return nil
				})
				g.Yield()
				acts := []func(){ev.Set, func() { c.Kill() }}
				if killFirst {
					slices.Reverse(acts)
				}
				for _, act := range acts {
					g.Loop().Post(act)
				}
				if err := c.Join(g); err != nil {
					return err
				}
				// A kill is a job of the next tick, so a wake-up posted just after it still comes before.
				if len(got) != 1 || err != nil {
					t.Errorf("got %v, %v", got, err)
				}
				wantErr(t, next, coop.ErrKilled)
				return nil
			})
		})
	}
}

func TestWaitForGreenletsOfAnotherLoop(t *testing.T) {
	ls, err := coop.NewLoops(2, coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	here, there := ls.All()[0], ls.All()[1]
	born := make(chan *coop.Greenlet)
	spawn := func(fn func(g *coop.Greenlet) error) *coop.Greenlet {
		there.Go(func(g *coop.Greenlet) error { born <- g; return fn(g) })
		return <-born
	}
	gate := make(chan struct{})
	a := spawn(func(g *coop.Greenlet) error { return g.Sleep(coop.Forever) })
	b := spawn(func(g *coop.Greenlet) error {
		_, err := coop.Await(g, func() (int, error) { <-gate; return 0, nil })
		return err
	})
	on(t, here, func(g *coop.Greenlet) error {
		err := g.WithTimeout(time.Millisecond, func() error { _, err := coop.Wait(g, 0, a, b); return err })
		wantErr(t, err, coop.ErrTimeout)
		left, err := coop.Await(g, func() (int, error) {
			n := make(chan int)
			there.Post(func() { n <- a.Remotes() + b.Remotes() }) // behind the jobs that give the places up
			return <-n, nil
		})
		if left != 0 || err != nil {
			t.Errorf("%d places left behind, %v", left, err)
		}
		close(gate)
		first, err := coop.WaitAny(g, a, b)
		if first != b || err != nil {
			t.Errorf("first %v, %v", first, err)
		}
		a.Kill()
		all, err := coop.JoinN(g, 0, a, b)
		if len(all) != 2 || err != nil {
			t.Errorf("all %v, %v", all, err)
		}
		if _, err := coop.Await(g, func() (int, error) { return 0, there.Close() }); err != nil {
			return err
		}
		_, err = coop.WaitAny(g, a)
		return err
	})
	if err := ls.Close(); err != nil {
		t.Fatal(err)
	}
}

// #10, #11, #12
func TestJoinN(t *testing.T) {
	late := fmt.Errorf("late")
	fail := func(g *coop.Greenlet, d time.Duration, err error) *coop.Greenlet {
		return g.Spawn(func(g *coop.Greenlet) error { g.Sleep(d); return err })
	}
	for name, c := range map[string]struct {
		n    int
		want []int
		err  error
		at   time.Duration
	}{
		"one":       {1, []int{2}, nil, 1},
		"two":       {2, []int{2, 1}, errBoom, 2},
		"all":       {0, []int{2, 1, 0, 3}, errBoom, 4},
		"too many":  {9, []int{2, 1, 0, 3}, errBoom, 4},
		"timed out": {-1, []int{2, 1, 0}, coop.ErrTimeout, 3},
	} {
		t.Run(name, func(t *testing.T) {
			o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(g *coop.Greenlet, err error) { t.Errorf("reported %v", err) }}
			runWith(t, o, func(g *coop.Greenlet) error {
				gs := []*coop.Greenlet{fail(g, 3, late), fail(g, 2, errBoom), fail(g, 1, nil), fail(g, 4, nil)}
				d := coop.Forever
				if c.err == coop.ErrTimeout {
					d = 3
				}
				var ended []*coop.Greenlet
				err := g.WithTimeout(d, func() (err error) {
					g.Spawn(func(*coop.Greenlet) error { return nil })
					ended, err = coop.JoinN(g, c.n, gs...)
					return err
				})
				wantErr(t, err, c.err)
				if g.Loop().Now() != c.at {
					t.Errorf("at %v", g.Loop().Now())
				}
				if c.err == coop.ErrTimeout && len(ended) == 2 {
					c.want = c.want[:2] // the timeout was set later than the sleep, but in the same instant
				}
				for i, e := range ended {
					if i >= len(c.want) || e != gs[c.want[i]] {
						t.Errorf("place %d", i)
					}
				}
				if len(ended) != len(c.want) {
					t.Errorf("%d ended, want %d", len(ended), len(c.want))
				}
				g.Sleep(10)
				return nil
			})
		})
	}
}

// #9, #8
func TestJoinNOfNothingAndOfOneself(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		ended, err := coop.JoinN(g, 3)
		if ended != nil || err != nil {
			t.Errorf("%v, %v", ended, err)
		}
		_, err = coop.JoinN(g, 1, g)
		wantErr(t, err, coop.ErrSelfJoin)
		return nil
	})
}

// The list may change while it is waited for.
func TestWaitForAChangingList(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		evs := []*coop.Event{new(coop.Event), new(coop.Event)}
		first := evs[0]
		change := func() {
			g.SpawnLater(time.Second, func(*coop.Greenlet) error {
				first.Set()
				evs[0] = nil
				return nil
			})
		}
		restore := func() { first.Clear(); evs[0] = first }
		change()
		got, err := coop.Wait(g, 1, evs...)
		if err != nil || got[0] != first {
			t.Errorf("Wait: %v, %v", got, err)
		}
		restore()
		change()
		if got, err := coop.WaitAny(g, evs...); err != nil || got != first {
			t.Errorf("WaitAny: %v, %v", got, err)
		}
		restore()
		change()
		for got := range coop.WaitEach(g, evs...) {
			if got != first {
				t.Errorf("WaitEach: %v", got)
			}
			break
		}
		return nil
	})
}
