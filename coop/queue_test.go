package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// #53: with limit zero Put returns when the value is taken.
func TestQueueZeroIsAHandOff53(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var q coop.Queue[int]
		putter := g.Spawn(func(g *coop.Greenlet) error {
			for i := range 2 {
				if err := q.Put(g, i); err != nil {
					return err
				}
				j.add(fmt.Sprint("put ", i))
			}
			return nil
		})
		g.Yield()
		j.add("get")
		for range 2 {
			if _, err := q.Get(g); err != nil {
				return err
			}
			g.Yield()
		}
		return putter.Join(g)
	})
	j.want(t, "get", "put 0", "put 1")
}

// #55
func TestQueueNewcomerDoesNotOvertake55(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[string](-1)
		var got string
		getter := g.Spawn(func(g *coop.Greenlet) (err error) { got, err = q.Get(g); return err })
		g.Yield()
		q.TryPut("a")
		q.TryPut("b")
		if v, ok := q.TryGet(); !ok || v != "b" {
			t.Errorf("newcomer got %q", v)
		}
		if _, ok := q.TryGet(); ok || q.Len() != 0 {
			t.Error("took what was promised")
		}
		err := getter.Join(g)
		if got != "a" {
			t.Errorf("waiter got %q", got)
		}
		return err
	})
}

// #55: senders that die.
func TestQueueKilledPutterTakesItsValueBack55(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		var gs []*coop.Greenlet
		for i := range 5 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, i) }))
		}
		g.Yield()
		gs[2].Kill()
		gs[4].Kill()
		g.Yield()
		g.Yield()
		var got []int
		for range 3 {
			v, err := q.Get(g)
			if err != nil {
				return err
			}
			got = append(got, v)
		}
		if !slices.Equal(got, []int{0, 1, 3}) || q.Len() != 0 {
			t.Errorf("got %v, %d left", got, q.Len())
		}
		return coop.JoinAll(g, gs...)
	})
}

// #59
func TestQueueClose59(t *testing.T) {
	runWith(t, coop.LoopOptions{OnFailure: quiet}, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		q.TryPut(1)
		putter := g.Spawn(func(g *coop.Greenlet) error { return q.Put(g, 2) })
		empty := coop.NewQueue[int](1)
		getter := g.Spawn(func(g *coop.Greenlet) error { _, err := empty.Get(g); return err })
		joiners := g.Spawn(func(g *coop.Greenlet) error {
			wantErr(t, putter.Join(g), coop.ErrClosed)
			wantErr(t, getter.Join(g), coop.ErrClosed)
			return nil
		})
		g.Yield()
		q.Close()
		q.Close()
		empty.Close()
		if q.TryPut(3) {
			t.Error("put into a closed queue")
		}
		wantErr(t, q.Put(g, 3), coop.ErrClosed)
		var rest []int
		for v := range q.All(g) {
			rest = append(rest, v)
		}
		if !slices.Equal(rest, []int{1}) {
			t.Errorf("drained %v", rest)
		}
		_, err := q.Get(g)
		wantErr(t, err, coop.ErrClosed)
		getter.Kill()
		return joiners.Join(g)
	})
}

// TestQueueModel53 compares a queue under random use with what must be true of any queue: every value
// that was put is got exactly once, in order; refused values never; limits hold.
func TestQueueModel53(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(-1, 3).Draw(rt, "limit")
		steps := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 60).Draw(rt, "steps")
		var accepted, got []int
		clock := coop.NewFakeClock()
		err := coop.RunWith(coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
			q := coop.NewQueue[int](limit)
			var waiting []*coop.Greenlet
			put := func(v int, give time.Duration) func(g *coop.Greenlet) error {
				return func(g *coop.Greenlet) error {
					err := g.WithTimeout(give, func() error { return q.Put(g, v) })
					if err == nil {
						accepted = append(accepted, v)
					} else if errors.Is(err, coop.ErrClosed) {
						rt.Fatal("closed too early")
					}
					return nil
				}
			}
			get := func(give time.Duration) func(g *coop.Greenlet) error {
				return func(g *coop.Greenlet) error {
					return ignore(g.WithTimeout(give, func() error {
						v, err := q.Get(g)
						if err == nil {
							got = append(got, v)
						}
						return err
					}))
				}
			}
			for i, step := range steps {
				switch step {
				case 0, 1:
					waiting = append(waiting, g.Spawn(put(i, time.Hour)))
				case 2:
					waiting = append(waiting, g.Spawn(put(i, 1)))
				case 3, 4:
					waiting = append(waiting, g.Spawn(get(time.Hour)))
				case 5:
					waiting = append(waiting, g.Spawn(get(1)))
				case 6:
					if q.TryPut(i) {
						accepted = append(accepted, i)
					}
				case 7:
					if len(waiting) > 0 {
						waiting[i%len(waiting)].Kill()
					}
				case 8:
					g.Sleep(time.Duration(i % 3))
				}
			}
			if err := g.Sleep(2); err != nil {
				return err
			}
			for q.Len() > 0 {
				v, _ := q.TryGet()
				got = append(got, v)
				g.Yield()
			}
			return coop.KillAll(g, waiting...)
		})
		if err != nil {
			rt.Fatal(err)
		}
		slices.Sort(accepted)
		sorted := slices.Clone(got)
		slices.Sort(sorted)
		if !slices.Equal(accepted, sorted) {
			rt.Fatalf("accepted %v, got %v", accepted, got)
		}
	})
}

func ignore(error) error { return nil }
