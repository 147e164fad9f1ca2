package zeromq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

func newSubscriber() *subscriber { return &subscriber{topics: make(map[string]int)} }

// dropAll ends all subscriptions of s, as its leaving does.
func dropAll(index *topics, s *subscriber) {
	for _, topic := range index.of(s) {
		index.remove(s, topic)
	}
}

// heardBy are the indices of those of subs that topic reaches, and fails if one of them is reached twice.
func heardBy(t testing.TB, index *topics, subs []*subscriber, topic string) (got []int) {
	t.Helper()
	for _, s := range index.match(nil, topic) {
		got = append(got, slices.Index(subs, s))
	}
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Fatalf("%q reaches somebody twice: %v", topic, got)
	}
	return got
}

// TestSubscriptionsArePrefixes, as ZeroMQ has them.
func TestSubscriptionsArePrefixes(t *testing.T) {
	long := strings.Repeat("t", maxTopic)
	subs := []*subscriber{newSubscriber(), newSubscriber(), newSubscriber(), newSubscriber()}
	index := newTopics()
	for i, list := range [][]string{{"room1"}, {""}, {"room", "room1", "ro"}, {long, "größe"}} {
		for _, topic := range list {
			if got := index.add(subs[i], topic, 100, nil); got != addedTopic && got != addedFirst {
				t.Fatal(topic, got)
			}
		}
	}
	for topic, want := range map[string][]int{
		"room1": {0, 1, 2}, "room10": {0, 1, 2}, "room": {1, 2}, "roo": {1, 2}, "r": {1}, "Room1": {1}, "xroom1": {1}, "": {1},
		long: {1, 3}, long + "t": {1, 3}, long[1:]: {1}, "größe": {1, 3}, "größer": {1, 3}, "gr": {1},
	} {
		if got := heardBy(t, index, subs, topic); !slices.Equal(got, want) {
			t.Errorf("%.20q reaches %v, want %v", topic, got, want)
		}
	}
}

// TestUnsubscribing: a topic is subscribed to or it is not, however often that was said; a cancelled one
// that was never subscribed to is nothing; the end of a peer ends all of its own.
func TestUnsubscribing(t *testing.T) {
	a, b := newSubscriber(), newSubscriber()
	subs := []*subscriber{a, b}
	index := newTopics()
	expect := func(topic string, want ...int) {
		t.Helper()
		if got := heardBy(t, index, subs, topic); !slices.Equal(got, want) {
			t.Errorf("%q reaches %v, want %v", topic, got, want)
		}
	}
	for _, s := range subs {
		index.add(s, "room", 100, nil)
		index.add(s, "room", 100, nil)
	}
	index.remove(a, "other")
	index.remove(a, "roo")
	index.remove(a, "room1")
	expect("room", 0, 1)
	index.remove(a, "room")
	expect("room", 1)
	index.remove(a, "room")
	expect("room", 1)
	index.add(a, "room", 100, nil)
	index.add(a, "", 100, nil)
	index.add(b, "x", 100, nil)
	dropAll(index, b)
	dropAll(index, b)
	expect("room", 0)
	expect("x", 0)
	dropAll(index, a)
	expect("room")
	if index.size() != 0 || index.len() != 0 {
		t.Errorf("left over: %d subscriptions, %d topics", index.size(), index.len())
	}
}

func TestTopicsOfOneSubscriberAreBounded(t *testing.T) {
	index, s := newTopics(), newSubscriber()
	for i := range 10 {
		if got := index.add(s, fmt.Sprint(i), 5, nil); (got == addedFirst) != (i < 5) || (got == addedTooMany) != (i >= 5) {
			t.Fatalf("topic %d: %v", i, got)
		}
	}
	if index.add(s, "0", 5, nil) != addedNothing {
		t.Error("one that it has already is refused")
	}
	index.remove(s, "0")
	if index.add(s, "new", 5, nil) != addedFirst {
		t.Error("no room after one was cancelled")
	}
}

// TestTopicsAgainstAModel holds long random runs against the obvious way to do it.
func TestTopicsAgainstAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"", "a", "ab", "abc", "b", "ba", "c", "abcd", "x"}
	subs := make([]*subscriber, 6)
	model := make([]map[string]bool, len(subs))
	for i := range subs {
		subs[i], model[i] = newSubscriber(), map[string]bool{}
	}
	index := newTopics()
	for step := range 20_000 {
		i, name := r.IntN(len(subs)), names[r.IntN(len(names))]
		switch r.IntN(20) {
		case 0:
			dropAll(index, subs[i])
			clear(model[i])
		case 1, 2, 3, 4, 5, 6, 7:
			had, last := index.remove(subs[i], name)
			had2 := model[i][name]
			delete(model[i], name)
			if left := slices.ContainsFunc(model, func(m map[string]bool) bool { return m[name] }); had != had2 || last != (had && !left) {
				t.Fatalf("step %d: removing %q: %v, %v", step, name, had, last)
			}
		default:
			first := !slices.ContainsFunc(model, func(m map[string]bool) bool { return m[name] })
			want := addedTopic
			switch {
			case model[i][name]:
				want = addedNothing
			case len(model[i]) == 4:
				want = addedTooMany
			case first:
				want = addedFirst
			}
			called := false
			got := index.add(subs[i], name, 4, func() { called = true })
			if got != want || called != (want == addedTopic || want == addedFirst) {
				t.Fatalf("step %d: adding %q to %v: %v, want %v", step, name, model[i], got, want)
			}
			if called {
				model[i][name] = true
			}
		}
		topic := names[r.IntN(len(names))] + names[r.IntN(len(names))]
		var want []int
		for i := range model {
			for prefix := range model[i] {
				if strings.HasPrefix(topic, prefix) {
					want = append(want, i)
					break
				}
			}
		}
		if got := heardBy(t, index, subs, topic); !slices.Equal(got, want) {
			t.Fatalf("step %d: %q reaches %v, want %v", step, topic, got, want)
		}
	}
}

// TestTopicsFromManyGoroutines is for the race detector: publishers match while peers come and go.
func TestTopicsFromManyGoroutines(t *testing.T) {
	index := newTopics()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s := newSubscriber()
			for i := range 500 {
				index.add(s, fmt.Sprint(i%7), 100, nil)
				index.add(s, "", 100, nil)
				index.remove(s, fmt.Sprint(i%5))
				if i%50 == 0 {
					dropAll(index, s)
				}
			}
			dropAll(index, s)
		})
		wg.Go(func() {
			for i := range 500 {
				index.match(nil, fmt.Sprint(i%9))
			}
		})
	}
	wg.Wait()
	if index.size() != 0 {
		t.Errorf("%d subscriptions are left", index.size())
	}
}

// BenchmarkMatch: what it costs to find a message's subscriber does not depend on the number of topics. That a tree
// is as good as a look-up for each length in use, and better where there are many lengths, is measured in
// internal/prefix.
func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			index := newTopics()
			for i := range n {
				index.add(newSubscriber(), fmt.Sprintf("room-%d", i), 100, nil)
			}
			var dst []*subscriber
			for b.Loop() {
				dst = index.match(dst[:0], "room-7")
			}
		})
	}
}
