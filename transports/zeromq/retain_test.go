package zeromq

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"greenroom/hub"
)

// realHub is a hub that ends with the test. Its sessions do as they are told.
func realHub(t testing.TB, o hub.Options) *hub.Hub {
	t.Helper()
	o.Logger = quiet
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, ns := range []string{"/", "/chat"} {
		err = h.Handle(ns, func(s *hub.Session) error {
			for range s.Events() {
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func publish(t testing.TB, h *hub.Hub, p hub.Publication) {
	t.Helper()
	if p.Event == "" {
		p.Event = "e"
	}
	if _, err := h.Publish(p); err != nil {
		t.Error(err)
	}
}

// heard is a publication as a subscriber gets it.
type heard struct {
	topic, event, data string
	meta               struct {
		Room     string
		Seq      uint64
		Epoch    string
		Retained bool
	}
}

// parseHeard reads topic|event|data|meta.
func parseHeard(t testing.TB, line string) (h heard) {
	t.Helper()
	parts := strings.SplitN(line, "|", 4)
	if len(parts) != 4 {
		t.Fatalf("heard %q", line)
	}
	h.topic, h.event, h.data = parts[0], parts[1], parts[2]
	if err := json.Unmarshal([]byte(parts[3]), &h.meta); err != nil {
		t.Fatalf("heard %q: %v", line, err)
	}
	return h
}

// noGaps fails unless the publications of each room are numbered without gap up to last, with a retained one at most
// at their beginning. Behind that only such may be missing as were not retained: they came before the subscription.
func noGaps(t testing.TB, who string, list []heard, last uint64, retains func(seq uint64) bool) {
	t.Helper()
	at := make(map[string]heard)
	for _, h := range list {
		before, known := at[h.topic]
		gap := known && (h.meta.Seq <= before.meta.Seq || h.meta.Retained)
		for seq := before.meta.Seq + 1; known && seq < h.meta.Seq; seq++ {
			gap = gap || !before.meta.Retained || retains(seq)
		}
		if gap {
			t.Fatalf("%s, %s: %d (retained %v) follows %d (retained %v)",
				who, h.topic, h.meta.Seq, h.meta.Retained, before.meta.Seq, before.meta.Retained)
		}
		at[h.topic] = h
	}
	for topic, h := range at {
		if h.meta.Seq != last {
			t.Errorf("%s, %s ends at %d, want %d", who, topic, h.meta.Seq, last)
		}
	}
}

// TestRetainedComesToTheNewSubscriberAlone, in front of what is published from then on, while publishers do not stop.
func TestRetainedComesToTheNewSubscriberAlone(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort})
	const rooms, last = 3, 3000
	retains := func(seq uint64) bool { return seq%3 != 2 }
	early := subscribe(t, b, "price.")
	late := make(chan []heard, 8)
	var publishers, listeners sync.WaitGroup
	quarter := make(chan struct{})
	for room := range rooms {
		publishers.Go(func() {
			for n := range last {
				publish(t, h, hub.Publication{Room: fmt.Sprint("price.", room), Args: []any{n + 1}, Retain: retains(uint64(n + 1))})
				if room == 0 && n == last/4 {
					close(quarter)
				}
			}
		})
	}
	<-quarter
	hear := func(s *Subscription) (list []heard) {
		for done := 0; done < rooms; {
			h := parseHeard(t, receive(t, s))
			list = append(list, h)
			if h.meta.Seq == last {
				done++
			}
		}
		return list
	}
	for range cap(late) {
		s := subscribe(t, b, "price.")
		listeners.Go(func() { late <- hear(s) })
	}
	publishers.Wait()
	list := hear(early)
	noGaps(t, "the early one", list, last, retains)
	if len(list) != rooms*last {
		t.Errorf("the early one heard %d of %d", len(list), rooms*last)
	}
	listeners.Wait()
	for i := range cap(late) {
		list := <-late
		noGaps(t, fmt.Sprint("late ", i), list, last, retains)
		if !list[0].meta.Retained || list[0].meta.Epoch != h.Epoch() {
			t.Errorf("the first of late %d: %+v", i, list[0])
		}
	}
}

func TestPyzmqGetsRetainedFirst(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort, MaxRetained: 2})
	before := subscribe(t, b, "price.")
	for i, room := range []string{"price.b", "price.a", "other", "price.c"} {
		publish(t, h, hub.Publication{Room: room, Args: []any{i}, Retain: true})
	}
	publish(t, h, hub.Publication{Room: "price.a", Args: []any{"not retained"}})
	p := python(t, "listen.py", b.Addr("pub"), "price.", "price.a")
	eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 4 })
	publish(t, h, hub.Publication{Room: "price.a", Args: []any{"live"}})
	publish(t, h, hub.Publication{Room: "ctl", Event: "end"})
	var got []string
	for line := range strings.Lines(finished(t, p)) {
		h := parseHeard(t, strings.TrimSpace(line))
		got = append(got, fmt.Sprint(h.topic, " ", h.data, " ", h.meta.Seq, " ", h.meta.Retained))
	}
	want := []string{"price.a 1 1 true", "price.b 0 1 true", "price.a live 3 false"}
	if !slices.Equal(got, want) { // libzmq may send the two subscriptions in either order: price.a comes once all the same
		t.Errorf("heard %q, want %q", got, want)
	}
	if n := h.Counters()[reasonRetained]; n != 1 {
		t.Errorf("the third retained value was left out %d times", n)
	}
	for i, want := range []string{"price.b", "price.a", "price.c", "price.a", "price.a"} {
		if got := parseHeard(t, receive(t, before)); got.topic != want || got.meta.Retained {
			t.Errorf("who was there before heard as message %d %+v", i, got)
		}
	}
}

// TestRetainedIsNotForEveryone: a subscriber gets what it may read.
func TestRetainedIsNotForEveryone(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort})
	b.anyone = &Principal{Read: Patterns{"open.*"}}
	for _, room := range []string{"open.a", "closed.b", "open.c"} {
		publish(t, h, hub.Publication{Room: room, Args: []any{1}, Retain: true})
	}
	s := subscribe(t, b, "")
	publish(t, h, hub.Publication{Room: "closed.b", Args: []any{2}})
	publish(t, h, hub.Publication{Room: "open.end", Args: []any{3}})
	for _, want := range []string{"open.a", "open.c", "open.end"} {
		if got := parseHeard(t, receive(t, s)); got.topic != want {
			t.Errorf("heard %+v, want %s", got, want)
		}
	}
}

// TestEachRetainedModel: what a subscription brings are the retained publications whose topics start with it.
func TestEachRetainedModel(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	h.Of("/c")
	var all []string
	for _, ns := range []string{"/", "/c", "/chat"} {
		for _, room := range []string{"a", "ab", "/a", "/chat", "/chat#a", "/#a", "/#/#a", "#", "c", "größe", "/c#"} {
			publish(t, h, hub.Publication{Namespace: ns, Room: room, Args: []any{1}, Retain: true})
			all = append(all, topicOf(ns, room))
		}
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("two rooms have one topic: %q", all)
	}
	rapid.Check(t, func(rt *rapid.T) {
		topic := rapid.SampledFrom(all).Draw(rt, "topic")
		prefix := topic[:rapid.IntRange(0, len(topic)).Draw(rt, "length")]
		var got, want []string
		h.WithRetained(func(v hub.RetainedView) {
			eachRetained(v, prefix, func(topic string, _ *hub.Message) bool {
				got = append(got, topic)
				return true
			})
		})
		for _, topic := range all {
			if strings.HasPrefix(topic, prefix) {
				want = append(want, topic)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("%q brings %q, want %q", prefix, got, want)
		}
	})
}
