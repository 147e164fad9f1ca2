//go:build unix

package redis

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The queue is a list: whatever is done with it, order, count and bytes are those of a slice.
func TestQueueIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []command
		next := 0
		start := time.Now()
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 1200}).Draw(t, "n") {
					c := command{key: strconv.Itoa(next), size: next % 7, until: start.Add(time.Duration(next%5) * time.Second)}
					next++
					q.push(c)
					model = append(model, c)
				}
			},
			"take": func(t *rapid.T) {
				n := rapid.SampledFrom([]int{1, 2, 600}).Draw(t, "n")
				got, _ := q.take(nil, n, 1<<20, start)
				want := model[:min(n, len(model))]
				model = model[len(want):]
				if !slices.EqualFunc(got, want, func(a, b command) bool { return a.key == b.key }) {
					t.Fatalf("took %d, want %d", len(got), len(want))
				}
				if rapid.Bool().Draw(t, "back") {
					q.back(got)
					model = append(slices.Clone(want), model...)
				}
			},
			"expire": func(t *rapid.T) {
				now := start.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "now")) * time.Second)
				old := q.expire(now)
				n := len(model)
				model = slices.DeleteFunc(slices.Clone(model), func(c command) bool { return now.After(c.until) })
				if len(old) != n-len(model) {
					t.Fatalf("%d were too old, want %d", len(old), n-len(model))
				}
			},
			"": func(t *rapid.T) {
				bytes := 0
				for _, c := range model {
					bytes += c.size + overhead
				}
				if q.len() != len(model) || q.bytes != bytes {
					t.Fatalf("%d of %d bytes, want %d of %d", q.len(), q.bytes, len(model), bytes)
				}
				if !slices.EqualFunc(q.list[q.head:], model, func(a, b command) bool { return a.key == b.key }) {
					t.Fatal("another order")
				}
			},
		})
	})
}

func TestTakeRespectsBytes(t *testing.T) {
	var q queue
	for _, size := range []int{100, 10, 10, 10} {
		q.push(command{size: size})
	}
	for _, want := range []int{1, 2, 1} { // one that is too big goes alone
		if got, _ := q.take(nil, 10, 20, time.Time{}); len(got) != want {
			t.Errorf("took %d, want %d", len(got), want)
		}
	}
	now := time.Now()
	for _, until := range []time.Duration{-1, 1, -1, 1, -1} {
		q.push(command{size: 1, until: now.Add(until)})
	}
	if got, old := q.take(nil, 10, 20, now); len(got) != 2 || len(old) != 3 || q.len() != 0 || q.bytes != 0 {
		t.Errorf("took %d, %d too old; %d of %d bytes are left", len(got), len(old), q.len(), q.bytes)
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	var b backoff
	for i := range 20 {
		full := min(firstWait<<i, longWait)
		if d := b.next(); d < full/2 || d > full {
			t.Fatalf("wait %d is %v, want %v to %v", i, d, full/2, full)
		}
	}
	if b.reset(); b.next() > firstWait {
		t.Error("after a success the waits begin anew")
	}
}
