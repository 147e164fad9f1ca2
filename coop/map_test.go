package coop_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// square takes a time that has nothing to do with the order of the values.
func square(g *coop.Greenlet, n int) (int, error) {
	err := g.Sleep(time.Duration(n*7%5) * time.Second)
	return n * n, err
}

func upTo(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

// #69: order, and no more at a time than the pool allows.
func TestMap69(t *testing.T) {
	for _, size := range []int{0, 1, 3, 100} {
		run(t, func(g *coop.Greenlet) error {
			p := coop.NewPool(size)
			in := slices.Collect(upTo(20))
			running := 0
			got, err := coop.Map(g, p, in, func(g *coop.Greenlet, n int) (int, error) {
				running++
				if size > 0 && running > size {
					t.Errorf("%d at a time", running)
				}
				defer func() { running-- }()
				return square(g, n)
			})
			for i, v := range got {
				if v != i*i {
					t.Errorf("%d: %d", i, v)
				}
			}
			if len(got) != 20 || p.Len() != 0 {
				t.Errorf("%d results, %d members left", len(got), p.Len())
			}
			empty, err2 := coop.Map(g, p, nil, square)
			if len(empty) != 0 {
				t.Error("results of nothing")
			}
			return errors.Join(err, err2)
		})
	}
}

// #69: the first error in time ends the mapping; the others are killed.
func TestMapFirstError69(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(4)
		killed, begun := 0, 0
		_, err := coop.Map(g, p, slices.Collect(upTo(10)), func(g *coop.Greenlet, n int) (int, error) {
			begun++
			if n == 2 {
				return 0, fmt.Errorf("value %d: %w", n, errBoom)
			}
			err := g.Sleep(time.Hour)
			if errors.Is(err, coop.ErrKilled) {
				killed++
			}
			return 0, err
		})
		wantErr(t, err, errBoom)
		if begun < 4 || killed != begun-1 || p.Len() != 0 || g.Loop().Now() > time.Second {
			t.Errorf("%d begun, %d killed, %d left at %v", begun, killed, p.Len(), g.Loop().Now())
		}
		return nil
	})
}

// #69: lazily, in order, each as soon as it can be; bounded.
func TestIMapIsLazyAndOrdered69(t *testing.T) {
	for name, c := range map[string]struct {
		o    coop.MapOptions
		most int
	}{
		"twice the pool": {coop.MapOptions{}, 6},
		"bounded":        {coop.MapOptions{MaxPending: 4}, 4},
		"below the pool": {coop.MapOptions{MaxPending: 2}, 2},
		"unordered":      {coop.MapOptions{MaxPending: 4, Unordered: true}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(g *coop.Greenlet) error {
				p := coop.NewPool(3)
				asked, taken, next := 0, 0, 0
				in := func(yield func(int) bool) {
					for i := range 50 {
						if asked++; asked-taken > c.most {
							t.Errorf("asked for %d, taken %d", asked, taken)
						}
						if p.Full() {
							t.Error("asked for a value that there is no room for")
						}
						if !yield(i) {
							return
						}
					}
				}
				var got []int
				for r := range coop.IMapWith(g, p, c.o, in, square) {
					taken++
					if r.Err != nil || r.Value != r.In*r.In || r.In != r.Index {
						t.Errorf("%+v", r)
					}
					if !c.o.Unordered && r.Index != next {
						t.Errorf("result %d instead of %d", r.Index, next)
					}
					next++
					got = append(got, r.In)
					if err := g.Sleep(time.Duration(taken%3) * time.Second); err != nil {
						return err
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, slices.Collect(upTo(50))) {
					t.Errorf("got %v", got)
				}
				return nil
			})
		})
	}
}

// #69: while the first result takes its time, the other places of the pool are used.
func TestIMapDoesNotIdleBehindASlowOne69(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		work := func(g *coop.Greenlet, n int) (int, error) {
			d := time.Second
			if n == 0 {
				d = 10 * time.Second
			}
			err := g.Sleep(d)
			j.add(fmt.Sprint("done ", n, " at ", g.Loop().Now()))
			return n, err
		}
		for r := range coop.IMap(g, coop.NewPool(2), upTo(5), work) {
			j.add(fmt.Sprint("result ", r.Value))
		}
		return nil
	})
	j.want(t, "done 1 at 1s", "done 2 at 2s", "done 3 at 3s", "done 0 at 10s",
		"result 0", "result 1", "result 2", "result 3", "done 4 at 11s", "result 4")
}

// #69
func TestIMapUnorderedAsTheyCome69(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var got []int
		in := slices.Values([]int{3, 1, 2, 0})
		for r := range coop.IMapUnordered(g, new(coop.Pool), in, func(g *coop.Greenlet, n int) (int, error) {
			return n, g.Sleep(time.Duration(n) * time.Second)
		}) {
			got = append(got, r.Value)
		}
		wantValues(t, got, 0, 1, 2, 3)
		return nil
	})
}

// #69: an error, a panic and a kill of one worker are results, and end nothing.
func TestIMapErrorsOfTheHandler69(t *testing.T) {
	panics := 0
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(_ *coop.Greenlet, err error) {
		if !errors.As(err, new(*coop.PanicError)) {
			t.Errorf("reported %v", err)
		}
		panics++
	}}
	runWith(t, o, func(g *coop.Greenlet) error {
		i := 0
		for r := range coop.IMap(g, coop.NewPool(2), upTo(5), func(g *coop.Greenlet, n int) (int, error) {
			switch n {
			case 1:
				return 0, errBoom
			case 2:
				panic(fmt.Sprint(n))
			case 3:
				g.Kill()
				return 0, g.Yield()
			}
			return n, nil
		}) {
			if r.Index != i {
				t.Errorf("%d: index %d", i, r.Index)
			}
			switch i {
			case 1:
				wantErr(t, r.Err, errBoom)
			case 2:
				if !errors.As(r.Err, new(*coop.PanicError)) {
					t.Errorf("panic came out as %v", r.Err)
				}
			case 3:
				wantErr(t, r.Err, coop.ErrKilled)
			default:
				wantErr(t, r.Err, nil)
			}
			i++
		}
		if i != 5 {
			t.Errorf("%d results", i)
		}
		return nil
	})
	if panics != 1 {
		t.Errorf("%d panics were reported", panics)
	}
}

// #69: a panic of the iterator comes out of the range statement, and the workers end.
func TestIMapPanicOfTheIterator69(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(3)
		in := func(yield func(int) bool) {
			yield(1)
			panic(errBoom)
		}
		func() {
			defer func() {
				if v := recover(); v != errBoom {
					t.Errorf("recovered %v", v)
				}
			}()
			for range coop.IMap(g, p, in, func(g *coop.Greenlet, n int) (int, error) { return n, g.Sleep(time.Hour) }) {
				t.Error("a result")
			}
		}()
		err := p.Join(g)
		if now := g.Loop().Now(); now != 0 {
			t.Errorf("the worker lived for %v", now)
		}
		return err
	})
}

// #69: leaving early leaves no worker behind.
func TestIMapEarlyStop69(t *testing.T) {
	for _, unordered := range []bool{false, true} {
		run(t, func(g *coop.Greenlet) error {
			p := coop.NewPool(3)
			ended := 0
			work := func(g *coop.Greenlet, n int) (int, error) {
				defer func() { ended++ }()
				return n, g.Sleep(time.Duration(n) * time.Hour)
			}
			for r := range coop.IMapWith(g, p, coop.MapOptions{Unordered: unordered}, upTo(9), work) {
				if r.Index == 1 {
					break
				}
			}
			if p.Len() != 0 || p.Free() != 3 || g.Loop().Now() != time.Hour || ended < 3 {
				t.Errorf("%d left, %d ended at %v", p.Len(), ended, g.Loop().Now())
			}
			return nil
		})
	}
}

// #69: the one who maps is killed or times out.
func TestIMapBrokenOff69(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(2)
		forever := func(g *coop.Greenlet, n int) (int, error) { return n, g.Sleep(time.Hour) }
		err := g.WithTimeout(time.Second, func() (err error) {
			for r := range coop.IMap(g, p, upTo(9), forever) {
				if r.Index != -1 || err != nil {
					t.Errorf("result %+v after %v", r, err)
				}
				err = r.Err
			}
			return err
		})
		wantErr(t, err, coop.ErrTimeout)
		if p.Len() != 0 {
			t.Errorf("%d left after the timeout", p.Len())
		}

		var mapped error
		mapper := g.Spawn(func(g *coop.Greenlet) error {
			_, mapped = coop.Map(g, p, []int{1, 2, 3}, forever)
			return mapped
		})
		g.Yield()
		if err := coop.KillAll(g, mapper); err != nil {
			return err
		}
		wantErr(t, mapped, coop.ErrKilled)
		err = p.Join(g)
		if now := g.Loop().Now(); now != time.Second {
			t.Errorf("the workers lived until %v", now)
		}
		return err
	})
}

// #69: the values may come from something that parks.
func TestIMapOverAQueue69(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		q := coop.NewQueue[int](1)
		g.Spawn(func(g *coop.Greenlet) error {
			defer q.Close()
			for i := range 10 {
				if err := q.Put(g, i); err != nil {
					return err
				}
			}
			return nil
		})
		var got []int
		for r := range coop.IMap(g, coop.NewPool(3), q.All(g), square) {
			got = append(got, r.Value)
		}
		wantValues(t, got, 0, 1, 4, 9, 16, 25, 36, 49, 64, 81)
		return nil
	})
}

// #70
func TestApplyInAWorker70(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(1)
		var depth func(g *coop.Greenlet, n int) (int, error)
		depth = func(g *coop.Greenlet, n int) (int, error) {
			if n == 0 {
				return 0, g.Yield()
			}
			v, err := coop.Apply(g, p, func(g *coop.Greenlet) (int, error) { return depth(g, n-1) })
			return v + 1, err
		}
		v, err := depth(g, 5)
		if v != 5 {
			t.Errorf("got %d", v)
		}
		_, err2 := coop.Apply(g, p, func(*coop.Greenlet) (int, error) { return 0, errBoom })
		wantErr(t, err2, errBoom)
		return err
	})
}

// #70: and the mappings.
func TestMapInAWorker70(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(2)
		var tree func(g *coop.Greenlet, depth int) (int, error)
		tree = func(g *coop.Greenlet, depth int) (int, error) {
			if depth == 0 {
				return 1, g.Sleep(time.Second)
			}
			parts, err := coop.Map(g, p, []int{depth - 1, depth - 1, depth - 1}, tree)
			sum := 0
			for _, n := range parts {
				sum += n
			}
			return sum, err
		}
		leaves, err := tree(g, 4)
		if leaves != 81 {
			t.Errorf("%d leaves", leaves)
		}
		return err
	})
}

func TestApplyGivesUp70(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(1)
		err := g.WithTimeout(time.Second, func() error {
			_, err := coop.Apply(g, p, func(g *coop.Greenlet) (int, error) { return 0, g.Sleep(time.Hour) })
			return err
		})
		wantErr(t, err, coop.ErrTimeout)
		err = p.Join(g)
		if now := g.Loop().Now(); now != time.Second {
			t.Errorf("the worker lived until %v", now)
		}
		return err
	})
}

// #69: several mappings share a pool with others and each gets its results; nothing is left.
func TestMapModel69(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(0, 4).Draw(rt, "size")
		o := coop.MapOptions{
			Unordered:  rapid.Bool().Draw(rt, "unordered"),
			MaxPending: rapid.IntRange(0, 5).Draw(rt, "max"),
		}
		mappings := rapid.IntRange(1, 3).Draw(rt, "mappings")
		values := rapid.SliceOfN(rapid.IntRange(0, 4), 0, 20).Draw(rt, "values")
		stop := rapid.IntRange(-1, 20).Draw(rt, "stop")
		err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
			p := coop.NewPool(size)
			running := 0
			var gs []*coop.Greenlet
			for range mappings {
				gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
					var got []int
					for r := range coop.IMapWith(g, p, o, slices.Values(values), func(g *coop.Greenlet, n int) (int, error) {
						running++
						if size > 0 && running > size {
							rt.Errorf("%d at a time", running)
						}
						defer func() { running-- }()
						return n, g.Sleep(time.Duration(n))
					}) {
						got = append(got, r.Index)
						if r.Err != nil {
							rt.Error(r.Err)
						}
						if len(got) == stop {
							break
						}
					}
					if o.Unordered {
						slices.Sort(got)
						got = slices.Compact(got)
					} else if !slices.Equal(got, slices.Collect(upTo(len(got)))) {
						rt.Errorf("got %v", got)
					}
					want := len(values)
					if stop > 0 {
						want = min(want, stop)
					}
					if len(got) != want {
						rt.Errorf("%d results of %d", len(got), want)
					}
					return nil
				}))
			}
			err := coop.JoinAll(g, gs...)
			if p.Len() != 0 || running != 0 || p.Free() == 0 {
				rt.Errorf("%d left, %d run", p.Len(), running)
			}
			return err
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}
