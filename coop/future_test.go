package coop_test

import (
	"fmt"
	"testing"
	"time"

	"greenroom/coop"
)

// #50: the first outcome counts; it wakes all who wait, in order, and serves all who come later.
func TestFutureFirstOutcomeWins(t *testing.T) {
	for name, c := range map[string]struct {
		first, second func(*coop.Future[int]) bool
		v             int
		err           error
	}{
		"value, value": {setTo(1), setTo(2), 1, nil},
		"value, error": {setTo(1), failWith(errBoom), 1, nil},
		"error, value": {failWith(errBoom), setTo(2), 0, errBoom},
		"nil error":    {failWith(nil), setTo(2), 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			run(t, func(g *coop.Greenlet) error {
				f := coop.NewFuture[int]()
				get := func(name string) *coop.Greenlet {
					return g.Spawn(func(g *coop.Greenlet) error {
						v, err := f.Get(g)
						wantErr(t, err, c.err)
						j.add(fmt.Sprint(name, v))
						return nil
					})
				}
				a, b := get("a"), get("b")
				g.Yield()
				if _, err := f.TryGet(); err != coop.ErrNotReady || f.Ready() {
					t.Errorf("before: %v, ready %v", err, f.Ready())
				}
				if !c.first(f) || c.second(f) {
					t.Error("which of the two counted")
				}
				j.add("set")
				later := get("c")
				if v, err := f.TryGet(); v != c.v || err != c.err || !f.Ready() {
					t.Errorf("after: %d, %v, ready %v", v, err, f.Ready())
				}
				return coop.JoinAll(g, a, b, later)
			})
			v := fmt.Sprint(c.v)
			j.want(t, "set", "a"+v, "b"+v, "c"+v)
		})
	}
}

func setTo(v int) func(*coop.Future[int]) bool {
	return func(f *coop.Future[int]) bool { return f.Set(v) }
}

func failWith(err error) func(*coop.Future[int]) bool {
	return func(f *coop.Future[int]) bool { return f.Fail(err) }
}

// #51: links of a future run after the outcome, soon but not at once, in order; a link of one that has its
// outcome does too.
func TestFutureLinks(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var f coop.Future[string]
		link := func(name string) *coop.Link {
			return f.Link(g.Loop(), func(f *coop.Future[string]) {
				v, _ := f.TryGet()
				j.add(name + " " + v)
			})
		}
		link("a")
		gone := link("gone")
		link("b")
		if !gone.Unlink() || gone.Unlink() {
			t.Error("unlink")
		}
		f.Set("value")
		j.add("set")
		link("late")
		j.add("linked")
		return g.Sleep(time.Second)
	})
	j.want(t, "set", "linked", "a value", "b value", "late value")
}
