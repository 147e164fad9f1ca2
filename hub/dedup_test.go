package hub

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

func TestDedupWindow(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()})
	done := make(chan struct{})
	mustHandle(t, h, "/", func(s *Session) error {
		defer close(done)
		p := Publication{Room: "r", Event: "e", ID: "x"}
		first, err := h.Publish(p)
		if err != nil {
			t.Error(err)
		}
		for range 2 { // the repetition does not prolong the memory
			_ = s.Sleep(30 * time.Second)
			if id, err := h.Publish(p); !errors.Is(err, ErrDuplicate) || id != first {
				t.Errorf("within a minute: %q, %v; want %q", id, err, first)
			}
		}
		_ = s.Sleep(time.Millisecond)
		if id, err := h.Publish(p); err != nil || id == first {
			t.Errorf("after a minute: %q, %v", id, err)
		}
		return nil
	})
	connect(t, h, 0, "/", "{}")
	<-done
	if n := h.Counters()["publication_duplicate"]; n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
}

func TestDedupIsByNamespaceRoomAndID(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	mustHandle(t, h, "/other", chatter)
	for _, p := range []Publication{
		{Room: "r", ID: "x"}, {Room: "r", ID: "y"}, {Room: "r2", ID: "x"}, {Room: "r", Namespace: "/other", ID: "x"},
		{Room: "r", ID: ""}, {Room: "r", ID: ""},
	} {
		p.Event = "e"
		if _, err := h.Publish(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	// What was refused is not remembered.
	bad := Publication{Room: "r", Event: "connect", ID: "z"}
	if _, err := h.Publish(bad); err == nil {
		t.Error("a reserved event was published")
	}
	bad.Event = "e"
	if _, err := h.Publish(bad); err != nil {
		t.Errorf("the corrected publication: %v", err)
	}
}

func TestDedupBoundsItsMemory(t *testing.T) {
	var d dedup
	d.init(time.Minute, 100)
	start := time.Now()
	for i := range 10_000 {
		if _, fresh := d.claim(fmt.Sprint(i), start); !fresh {
			t.Fatalf("%d was taken for a duplicate", i)
		}
	}
	if len(d.seen) != 100 || len(d.queue) != 100 {
		t.Errorf("%d ids are remembered, %d queued, want 100", len(d.seen), len(d.queue))
	}
	if _, fresh := d.claim("9950", start); fresh {
		t.Error("one of the last hundred is forgotten")
	}
	if _, fresh := d.claim("new", start.Add(2*time.Minute)); !fresh || len(d.seen) != 1 || len(d.queue) != 1 {
		t.Errorf("after the window %d ids are remembered", len(d.seen))
	}
	d.settle("forgotten", "id")
	if len(d.seen) != 1 {
		t.Error("settling brought a forgotten id back")
	}
}

// TestDedupAmongPublishers: of many that publish the same id at once, one gets through.
func TestDedupAmongPublishers(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.call(t, 1, "join", "r")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				_, err := h.Publish(Publication{Room: "r", Event: "e", Args: []any{i}, ID: fmt.Sprint(i)})
				if err != nil && !errors.Is(err, ErrDuplicate) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c.call(t, 2, "presence", "r")
	c.on(func(*Session) {})
	if n := len(c.events()); n != 100 {
		t.Errorf("%d events, want 100", n)
	}
	if n := h.Counters()["publication_duplicate"]; n != 700 {
		t.Errorf("%d duplicates counted, want 700", n)
	}
}

// TestRelayIDsAreTheClientsOwn: a client cannot take another's id away.
func TestRelayIDsAreTheClientsOwn(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	opts := map[string]any{"id": "same"}
	first := answerOf(t, a.call(t, 1, "publish", "r", "e", 1, opts))
	if second := answerOf(t, b.call(t, 1, "publish", "r", "e", 2, opts)); second["id"] == first["id"] {
		t.Errorf("another client's publication counts as a repetition: %v", second)
	}
}
