package coop_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// #13: random lists of things, some of them twice, that become ready at random times, compared with sorting.
func TestWaitAgreesWithSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 8).Draw(t, "seconds until each is ready")
		list := rapid.SliceOfN(rapid.IntRange(0, len(at)-1), 1, 12).Draw(t, "what is waited for")
		n := rapid.IntRange(0, len(list)+1).Draw(t, "how many")
		limit := rapid.IntRange(0, 8).Draw(t, "timeout, between two seconds")

		// The model: ready ones first, then by time; among equals the order in which they were armed, then the list's.
		want := make([]int, len(list))
		for i := range want {
			want[i] = i
		}
		slices.SortStableFunc(want, func(a, b int) int {
			x, y := list[a], list[b]
			if at[x] != at[y] || at[x] == 0 {
				return at[x] - at[y]
			}
			return x - y
		})
		need := n
		if n < 1 || n > len(list) {
			need = len(list)
		}
		want = want[:need]
		inTime := 0
		for inTime < need && at[list[want[inTime]]] <= limit {
			inTime++
		}
		timedOut := inTime < need
		want = want[:inTime]

		err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock()}, func(g *coop.Greenlet) error {
			objs := make([]coop.Waitable, len(at))
			for i, d := range at {
				var set func()
				if i%2 == 0 {
					ev := coop.NewEvent()
					objs[i], set = ev, ev.Set
				} else {
					f := coop.NewFuture[int]()
					objs[i], set = f, func() { f.Set(i) }
				}
				if d == 0 {
					set()
				} else {
					g.Loop().AfterFunc(time.Duration(d)*time.Second, set)
				}
			}
			var waited, wanted []coop.Waitable
			for _, i := range list {
				waited = append(waited, objs[i])
			}
			for _, i := range want {
				wanted = append(wanted, waited[i])
			}
			var got []coop.Waitable
			err := g.WithTimeout(time.Duration(limit)*time.Second+time.Second/2, func() (err error) {
				got, err = coop.Wait(g, n, waited...)
				return err
			})
			if errors.Is(err, coop.ErrTimeout) != timedOut || !slices.Equal(got, wanted) {
				t.Fatalf("got %v, %v; want %v, timeout %v", got, err, wanted, timedOut)
			}
			g.Sleep(time.Minute)
			for i, o := range objs {
				if ev, ok := o.(*coop.Event); ok && ev.Waiting() != 0 {
					t.Fatalf("a waiter was left at %d", i)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
