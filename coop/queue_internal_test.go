package coop

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRingAtBothEnds compares a ring that grows at both ends with a slice.
func TestRingAtBothEnds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var r ring[int]
		var model []int
		for i, step := range rapid.SliceOfN(rapid.IntRange(0, 3), 0, 400).Draw(rt, "steps") {
			switch {
			case step == 0:
				r.push(i)
				model = append(model, i)
			case step == 1:
				r.pushFront(i)
				model = slices.Insert(model, 0, i)
			case len(model) > 0:
				at := i % len(model)
				if got := r.removeAt(at); got != model[at] {
					rt.Fatalf("got %d, want %d", got, model[at])
				}
				model = slices.Delete(model, at, at+1)
			}
			for i, want := range model {
				if got := *r.at(i); got != want {
					rt.Fatalf("at %d: got %d, want %d", i, got, want)
				}
			}
		}
	})
}

func TestHeapShrinksWithItsContent(t *testing.T) {
	h := valueHeap[int]{before: func(a, b int) bool { return a < b }}
	const most = 100_000
	for i := range most {
		h.push(most-i, false)
	}
	for i := range most {
		if v := h.pop(); v != i+1 {
			t.Fatalf("%d came in place of %d", v, i+1)
		}
		if c := cap(h.items); c > 2*keptRing && c > 8*len(h.items)+8 {
			t.Fatalf("room for %d while %d are in it", c, len(h.items))
		}
	}
}
