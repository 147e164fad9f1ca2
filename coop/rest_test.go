package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// guest is a Rester that is made of functions.
type guest struct {
	got  func(g *coop.Greenlet, v int) error
	over func(g *coop.Greenlet, err error) error
}

func (r guest) Got(g *coop.Greenlet, v int) error { return r.got(g, v) }

func (r guest) Over(g *coop.Greenlet, err error) error {
	if r.over == nil {
		return err
	}
	return r.over(g, err)
}

// noting writes down what comes, and how it ends.
func noting(j *journal) guest {
	return guest{
		func(_ *coop.Greenlet, v int) error { j.add(fmt.Sprint(v)); return nil },
		func(_ *coop.Greenlet, err error) error { j.add(fmt.Sprint("over: ", err)); return err },
	}
}

func resting(g *coop.Greenlet, q *coop.Queue[int], r guest) *coop.Greenlet {
	c := g.Spawn(func(g *coop.Greenlet) error { return q.Rest(g, r) })
	g.Yield()
	return c
}

// outcomeOf waits for the end of a greenlet.
func outcomeOf(g, c *coop.Greenlet) error {
	if err := c.Join(g); err != nil {
		return err
	}
	return c.Result()
}

func TestRestTakesValuesUntilTheQueueIsClosed(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		q.TryPut(1)
		q.TryPut(2)
		c := resting(g, q, noting(&j))
		j.add("rests")
		q.TryPut(3)
		q.TryPut(4)
		j.add("put")
		g.Yield()
		q.TryPut(5)
		q.Close()
		err := c.Join(g)
		wantErr(t, err, coop.ErrClosed)
		return nil
	})
	j.want(t, "1", "2", "rests", "put", "3", "4", "5", "over: closed")
}

// TestRestingGreenletStaysTheSame: what is the greenlet's outlives the rest.
func TestRestingGreenletStaysTheSame(t *testing.T) {
	var seen coop.Local[string]
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		linked := false
		c := g.Spawn(func(g *coop.Greenlet) error {
			seen.Set(g, "mine")
			g.SetName("guest")
			return q.Rest(g, guest{got: func(me *coop.Greenlet, v int) error {
				if v, _ := seen.Get(me); v != "mine" || me != g || me.Loop().Current() != g || me.Name() != "guest" {
					t.Errorf("it is %v, %q", me.Name(), v)
				}
				return me.Sleep(time.Second)
			}})
		})
		c.Link(func(*coop.Greenlet) { linked = true })
		for i := range 3 {
			g.Yield()
			q.TryPut(i)
		}
		g.Sleep(time.Minute)
		if c.Ended() || g.Loop().Now() != time.Minute {
			t.Error("it is over")
		}
		c.Kill()
		wantErr(t, outcomeOf(g, c), coop.ErrKilled)
		g.Yield()
		if !linked {
			t.Error("the link was not called")
		}
		return nil
	})
}

func TestRestEnds(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		got  func(*coop.Greenlet, int) error
		end  func(c *coop.Greenlet, q *coop.Queue[int])
		over error // what Over is told
		want error
	}{
		"killed":        {end: func(c *coop.Greenlet, _ *coop.Queue[int]) { c.Kill() }, over: coop.ErrKilled, want: coop.ErrKilled},
		"killed with":   {end: func(c *coop.Greenlet, _ *coop.Queue[int]) { c.KillWith(boom) }, over: boom, want: boom},
		"closed":        {end: func(_ *coop.Greenlet, q *coop.Queue[int]) { q.Close() }, over: coop.ErrClosed, want: coop.ErrClosed},
		"an error":      {got: func(*coop.Greenlet, int) error { return boom }, over: boom, want: boom},
		"a panic":       {got: func(*coop.Greenlet, int) error { panic(boom) }, want: boom},
		"killed within": {got: func(g *coop.Greenlet, _ int) error { g.Kill(); g.Yield(); return nil }, over: coop.ErrKilled, want: coop.ErrKilled},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				q := coop.NewQueue[int](-1)
				told := 0
				r := guest{got: c.got, over: func(_ *coop.Greenlet, err error) error {
					told++
					if err != c.over {
						t.Errorf("over: %v, want %v", err, c.over)
					}
					return err
				}}
				x := resting(g, q, r)
				if c.end != nil {
					c.end(x, q)
				} else {
					q.TryPut(1)
				}
				err := outcomeOf(g, x)
				if !errors.Is(err, c.want) || told != 1 {
					var p *coop.PanicError
					if !errors.As(err, &p) || p.Value != any(c.want) || told != 1 {
						t.Errorf("%v, told %d times", err, told)
					}
				}
				return nil
			})
		})
	}
}

// TestRestAfterRest: a greenlet goes on with another queue, and the first one's values are left there.
func TestRestAfterRest(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		first, second := coop.NewQueue[int](-1), coop.NewQueue[int](-1)
		r := noting(&j)
		r.got = func(g *coop.Greenlet, v int) error { j.add("first"); return second.Rest(g, noting(&j)) }
		c := resting(g, first, r)
		first.TryPut(1)
		first.TryPut(2)
		second.TryPut(3)
		g.Yield()
		c.Kill()
		wantErr(t, outcomeOf(g, c), coop.ErrKilled)
		if v, ok := first.TryGet(); !ok || v != 2 {
			t.Error("a value is gone")
		}
		return nil
	})
	j.want(t, "first", "over: <nil>", "3", "over: "+coop.ErrKilled.Error())
}

// TestRestIsEndedByATimeoutAround: one that was started and not closed.
func TestRestIsEndedByATimeoutAround(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		c := g.Spawn(func(g *coop.Greenlet) error {
			g.StartTimeout(time.Second)
			return q.Rest(g, guest{got: func(*coop.Greenlet, int) error { return nil }})
		})
		wantErr(t, c.Join(g), coop.ErrTimeout)
		if now := g.Loop().Now(); now != time.Second {
			t.Errorf("at %v", now)
		}
		return nil
	})
}

func TestRestOnlyTheRunningOneMay(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		c := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		g.Yield()
		wantErr(t, q.Rest(c, guest{}), coop.ErrNotRunning)
		return nil
	})
}

// TestRestThatIsNotReturned has no effect: the greenlet ends with what its function returns.
func TestRestThatIsNotReturned(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		c := g.Spawn(func(g *coop.Greenlet) error {
			q.Rest(g, guest{got: func(*coop.Greenlet, int) error { t.Error("called"); return nil }})
			return nil
		})
		q.TryPut(1)
		return c.Join(g)
	})
}

// TestRestIsToldOfAForcedEnd: a loop that closes does not wait for ever for one that rests again after its kill.
func TestRestIsToldOfAForcedEnd(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	told, sleeps := 0, make(chan struct{})
	var c *coop.Greenlet
	l.Go(func(g *coop.Greenlet) error {
		c = g
		close(sleeps)
		g.Sleep(coop.Forever)
		if !g.Revive() {
			t.Error("not killed")
		}
		return coop.NewQueue[int](-1).Rest(g, guest{over: func(g *coop.Greenlet, err error) error {
			told++
			return err
		}})
	})
	l.Start()
	<-sleeps
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if told != 1 || !c.Ended() || !c.Successful() {
		t.Errorf("told %d times of the end, result %v", told, c.Result())
	}
}

func TestRestIsSeenInADump(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	defer l.Close()
	rests := make(chan struct{})
	l.Go(func(g *coop.Greenlet) error {
		resting(g, coop.NewQueue[int](-1), guest{}).SetName("guest")
		close(rests)
		return nil
	})
	<-rests
	var out strings.Builder
	if err := coop.Dump(&out, coop.DumpOptions{Stacks: true}, l); err != nil || !strings.Contains(out.String(), "guest: parked: rest, for") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestRestModel: greenlets that rest, and greenlets that loop over Get, cannot be told apart by who gets what, in
// which order, and how they end.
func TestRestModel(t *testing.T) {
	type step struct{ what, who int }
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(t, "greenlets")
		var steps []step
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			steps = append(steps, step{rapid.IntRange(0, 11).Draw(t, "what"), rapid.IntRange(0, n-1).Draw(t, "who")})
		}
		max := rapid.SampledFrom([]int{-1, 0, 2}).Draw(t, "max")
		program := func(rests bool) (log []string) {
			err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) {}}, func(g *coop.Greenlet) error {
				q := coop.NewQueue[int](max)
				var all []*coop.Greenlet
				for i := range n {
					got := func(g *coop.Greenlet, v int) error {
						log = append(log, fmt.Sprintf("%d got %d", i, v))
						switch v % 5 {
						case 0:
							return g.Sleep(time.Second)
						case 1:
							return g.Yield()
						case 2:
							if v%10 == 2 {
								return errBoom
							}
						case 3:
							if v%10 == 3 {
								g.StartTimeout(2 * time.Second)
							}
						}
						return nil
					}
					over := func(_ *coop.Greenlet, err error) error {
						log = append(log, fmt.Sprintf("%d over: %v", i, err))
						return err
					}
					c := g.Spawn(func(g *coop.Greenlet) error {
						if rests {
							return q.Rest(g, guest{got, over})
						}
						for {
							v, err := q.Get(g)
							if err == nil {
								err = got(g, v)
							}
							if err != nil {
								return over(g, err)
							}
						}
					})
					c.Link(func(c *coop.Greenlet) { log = append(log, fmt.Sprintf("%d ended: %v", i, c.Result())) })
					all = append(all, c)
				}
				for i, s := range steps {
					switch s.what {
					case 0:
						all[s.who].Kill()
					case 1:
						g.Yield()
					case 2:
						g.Sleep(time.Second)
					case 3:
						if s.who == 0 && i%4 == 0 {
							q.Close()
						}
					case 4:
						if v, ok := q.TryGet(); ok {
							log = append(log, fmt.Sprintf("took %d", v))
						}
					case 5:
						g.AtMost(time.Second, func() error { return all[s.who].Join(g) })
						log = append(log, fmt.Sprintf("%d joined %v", s.who, all[s.who].Ended()))
					case 6:
						all[s.who].KillWith(errBoom)
					default:
						if !q.TryPut(i) {
							log = append(log, fmt.Sprintf("%d not put", i))
						}
					}
				}
				if len(steps)%2 == 0 {
					q.Close()
					coop.JoinAll(g, all...)
				}
				for v, ok := q.TryGet(); ok; v, ok = q.TryGet() {
					log = append(log, fmt.Sprintf("left %d", v))
				}
				return nil
			})
			if err != nil {
				log = append(log, err.Error())
			}
			return log
		}
		if want, got := program(false), program(true); !slices.Equal(got, want) {
			t.Fatalf("resting:\n%v\nwith a stack:\n%v", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestRestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](-1)
		sum := 0
		resting(g, q, guest{got: func(_ *coop.Greenlet, v int) error { sum += v; return nil }})
		if n := testing.AllocsPerRun(100, func() { q.TryPut(1); g.Yield() }); n != 0 || sum == 0 {
			t.Errorf("%v allocations", n)
		}
		return nil
	})
}
