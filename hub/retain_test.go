package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// retain publishes v into a room, to be retained.
func retain(t testing.TB, h *Hub, room string, args ...any) {
	t.Helper()
	if _, err := h.Publish(Publication{Room: room, Event: "e", Args: args, Retain: true}); err != nil {
		t.Fatal(err)
	}
}

// values are the rooms of a list, with the first argument of each.
func values(t testing.TB, list []*Message) (out []string) {
	t.Helper()
	for _, m := range list {
		e, err := entry(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s=%s", m.Room, e.Args[0]))
	}
	return out
}

func wantRetained(t testing.TB, h *Hub, want ...string) {
	t.Helper()
	if got := values(t, h.Retained("/", "", 1000)); !slices.Equal(got, want) {
		t.Errorf("retained %q, want %q", got, want)
	}
}

func TestRetainedIsTheNewestThatAskedForIt(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	h.Of("/")
	wantRetained(t, h)
	retain(t, h, "b", 1)
	retain(t, h, "a", 2)
	publish(t, h, "b", 3)
	wantRetained(t, h, "a=2", "b=1")
	retain(t, h, "b", 4)
	wantRetained(t, h, "a=2", "b=4")
	retain(t, h, "a", nil)
	retain(t, h, "never", nil)
	wantRetained(t, h, "b=4")
	retain(t, h, "b")
	wantRetained(t, h)
	if k := &h.retained; k.bytes != 0 || k.order.Len() != 0 || len(k.namespaces) != 0 {
		t.Errorf("left: %d bytes, %d messages, %d namespaces", k.bytes, k.order.Len(), len(k.namespaces))
	}
}

// TestRetainedOutlivesTheRoom: neither members nor history are needed, and the room's numbers go on.
func TestRetainedOutlivesTheRoom(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, HistoryMessages: -1}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.call(t, 1, "join", "r")
	retain(t, h, "r", 1)
	publish(t, h, "r", 2)
	c.call(t, 2, "leave", "r")
	waitFor(t, func() bool { return !hasRoom(h, "r") })
	wantRetained(t, h, "r=1")
	rooms, more := h.SnapshotRooms("/", "", 10)
	if len(rooms) != 1 || more || rooms[0].Seq != 1 || rooms[0].Retained == nil || rooms[0].Epoch != h.Epoch() {
		t.Errorf("the snapshot of a room that is gone: %+v %v", rooms, more)
	}
	retain(t, h, "r", 3)
	if got := h.Retained("/", "r", 1); len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("the third publication: %+v", got)
	}
}

func TestRetainedIsBounded(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		h := newTestHub(t, Options{Loops: 1, MaxRetained: 2})
		h.Of("/")
		retain(t, h, "a", 1)
		retain(t, h, "b", 2)
		retain(t, h, "a", 3) // b is now the oldest
		retain(t, h, "c", 4)
		wantRetained(t, h, "a=3", "c=4")
		if n := h.Counters()["retained_full"]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("in bytes", func(t *testing.T) {
		h := newTestHub(t, Options{Loops: 1, RetainedBytes: 3000})
		h.Of("/")
		retain(t, h, "a", strings.Repeat("x", 1000))
		retain(t, h, "b", strings.Repeat("x", 1000))
		retain(t, h, "c", strings.Repeat("x", 1000))
		if got := h.Retained("/", "", 10); len(got) != 2 || got[0].Room != "b" {
			t.Errorf("%d are retained", len(got))
		}
		retain(t, h, "huge", strings.Repeat("x", 4000))
		if got := h.Retained("/", "", 10); len(got) != 0 {
			t.Errorf("%d are retained beside what is too large", len(got))
		}
		if n := h.Counters()["retained_bytes_full"]; n != 4 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("in time", func(t *testing.T) {
		h := newTestHub(t, Options{Loops: 1, Clock: coop.NewFakeClock(), RetainedTTL: time.Hour})
		done := make(chan struct{})
		mustHandle(t, h, "/", func(s *Session) error {
			defer close(done)
			retain(t, h, "a", 1)
			_ = s.Sleep(59 * time.Minute)
			retain(t, h, "b", 2)
			wantRetained(t, h, "a=1", "b=2")
			_ = s.Sleep(2 * time.Minute)
			wantRetained(t, h, "b=2")
			return nil
		})
		connect(t, h, 0, "/", "{}")
		<-done
		if n := h.Counters()["retained_expired"]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
}

// TestRetainedModel compares the store with a list.
func TestRetainedModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(rt, "most")
		h := &Hub{opts: Options{MaxRetained: most, RetainedBytes: 2000, RetainedTTL: -1}, now: time.Now}
		type value struct {
			room string
			seq  uint64
			size int
		}
		var model []value // the longest ago first
		for seq := range uint64(rapid.IntRange(0, 60).Draw(rt, "steps")) {
			room := rapid.StringMatching("[ab]{1,3}").Draw(rt, "room")
			n := rapid.IntRange(0, 1200).Draw(rt, "size")
			nothing := rapid.IntRange(0, 4).Draw(rt, "nothing") == 0
			h.retained.put(&Message{Namespace: "/", Room: room, Seq: seq, Payload: Payload{JSON: make([]byte, n)}}, nothing, h)
			model = slices.DeleteFunc(model, func(v value) bool { return v.room == room })
			if !nothing {
				model = append(model, value{room, seq, n + retainedOverhead})
			}
			sum := 0
			for _, v := range model {
				sum += v.size
			}
			for len(model) > most || sum > 2000 {
				sum -= model[0].size
				model = model[1:]
			}
			if h.retained.bytes != sum {
				rt.Fatalf("%d bytes, want %d", h.retained.bytes, sum)
			}
			prefix := rapid.StringMatching("[ab]{0,2}").Draw(rt, "prefix")
			want := make(map[string]uint64)
			for _, v := range model {
				if strings.HasPrefix(v.room, prefix) {
					want[v.room] = v.seq
				}
			}
			var rooms []string
			for _, m := range h.Retained("/", prefix, 100) {
				rooms = append(rooms, m.Room)
				if want[m.Room] != m.Seq {
					rt.Fatalf("%s has %d, want %d", m.Room, m.Seq, want[m.Room])
				}
			}
			if !slices.Equal(rooms, slices.Sorted(maps.Keys(want))) {
				rt.Fatalf("rooms %q, want %v", rooms, want)
			}
		}
	})
}

// TestRelayJoinRetained: the retained value comes with the join, and what is published meanwhile comes once.
func TestRelayJoinRetained(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	if got := answerOf(t, c.call(t, 1, "join", "r", map[string]any{"retained": true})); got["retained"] != nil || got["ok"] != true {
		t.Errorf("of a room that retains nothing: %v", got)
	}
	c.call(t, 2, "publish", "r", "price", 7, map[string]any{"retain": true})
	c.call(t, 3, "publish", "r", "price", 8)
	d := connect(t, h, 0, "/", "{}")
	got := answerOf(t, d.call(t, 1, "join", "r", map[string]any{"retained": true, "history": 5}))
	kept := got["retained"].(map[string]any)
	if kept["event"] != "price" || kept["data"] != 7.0 || kept["meta"].(map[string]any)["seq"] != 1.0 {
		t.Errorf("retained: %v", kept)
	}
	if list := got["messages"].([]any); len(list) != 2 || list[1].(map[string]any)["meta"].(map[string]any)["seq"] != 2.0 {
		t.Errorf("history: %v", list)
	}
	c.call(t, 4, "publish", "r", "price", nil, map[string]any{"retain": true})
	if got := answerOf(t, d.call(t, 2, "join", "r", map[string]any{"retained": true})); got["retained"] != nil {
		t.Errorf("after null was retained: %v", got)
	}
}

// TestRetainedAndLiveHaveNoGap: whoever takes the view and begins to listen in one act has each value of a room
// once and in order, whatever is published meanwhile.
func TestRetainedAndLiveHaveNoGap(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	h.Of("/")
	const rooms, rounds, last = 3, 40, 2000
	var mu sync.Mutex
	listening := make(map[int]map[string][]uint64) // by listener, what it got of each room
	defer h.Tap(func(m *Message) {
		mu.Lock()
		defer mu.Unlock()
		for _, got := range listening {
			got[m.Room] = append(got[m.Room], m.Seq)
		}
	})()
	var wg sync.WaitGroup
	for room := range rooms {
		wg.Go(func() {
			for n := range last {
				retain(t, h, fmt.Sprint("r", room), n)
			}
		})
	}
	for i := range rounds {
		h.WithRetained(func(v RetainedView) {
			got := make(map[string][]uint64)
			for m := range v.Messages("/", "r") {
				got[m.Room] = append(got[m.Room], m.Seq)
			}
			mu.Lock()
			listening[i] = got
			mu.Unlock()
		})
	}
	wg.Wait()
	for i, got := range listening {
		for room, seqs := range got {
			for n := 1; n < len(seqs); n++ {
				if seqs[n] != seqs[n-1]+1 {
					t.Fatalf("listener %d, room %s: %d follows %d", i, room, seqs[n], seqs[n-1])
				}
			}
			if seqs[len(seqs)-1] != last {
				t.Fatalf("listener %d, room %s ends at %d", i, room, seqs[len(seqs)-1])
			}
		}
	}
}

// TestSnapshotRoomsIsTheClonePattern: listen, then ask, then leave out what the snapshot has: what is applied that
// way ends at the same values, with every publication counted once.
func TestSnapshotRoomsIsTheClonePattern(t *testing.T) {
	// The numbers of half of MaxEmptyRooms are known exactly: more than there are rooms, which would have gaps otherwise.
	h := newTestHub(t, Options{Loops: 1, HistoryMessages: -1, MaxEmptyRooms: 16})
	h.Of("/")
	const last = 500
	var wg sync.WaitGroup
	for room := range 4 {
		wg.Go(func() {
			for n := range last {
				retain(t, h, fmt.Sprint("r", room), n+1)
			}
		})
	}
	type update struct {
		room string
		seq  uint64
	}
	for range 20 {
		var mu sync.Mutex
		var queue []update
		cancel := h.Tap(func(m *Message) {
			mu.Lock()
			defer mu.Unlock()
			queue = append(queue, update{m.Room, m.Seq})
		})
		state := make(map[string]uint64)
		rooms, _ := h.SnapshotRooms("/", "r", 100)
		for _, r := range rooms {
			if r.Retained != nil && r.Retained.Seq != r.Seq {
				t.Errorf("%s is at %d and retains %d", r.Room, r.Seq, r.Retained.Seq)
			}
			state[r.Room] = r.Seq
		}
		cancel()
		mu.Lock()
		for _, u := range queue {
			if u.seq <= state[u.room] {
				continue
			}
			if at, ok := state[u.room]; ok && u.seq != at+1 {
				t.Errorf("%s: %d follows %d", u.room, u.seq, at)
			}
			state[u.room] = u.seq
		}
		mu.Unlock()
	}
	wg.Wait()
	rooms, more := h.SnapshotRooms("/", "r", 3)
	if len(rooms) != 3 || !more {
		t.Errorf("%d rooms, more %v", len(rooms), more)
	}
}

// TestSeqGoesOn: a room's publications are numbered without gap, whatever else is sent to it and however often it
// is forgotten; when it is long forgotten, they still do not go back.
func TestSeqGoesOn(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, HistoryMessages: -1, MaxEmptyRooms: 4})
	h.Of("/")
	var got []uint64
	defer h.Tap(func(m *Message) {
		if m.Room != "r" || m.ID == "" {
			return
		}
		var own struct{ Seq uint64 }
		parts, err := m.Payload.Split()
		if err == nil {
			err = json.Unmarshal(parts[len(parts)-1], &own)
		}
		if err != nil || own.Seq != m.Seq {
			t.Errorf("meta says %d of %d: %v", own.Seq, m.Seq, err)
		}
		got = append(got, m.Seq)
	})()
	for range 3 {
		publish(t, h, "r") // the room goes again at once
		if err := h.To("r").Emit("e"); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("numbers %v", got)
	}
	for i := range 100 {
		publish(t, h, fmt.Sprint("other", i))
	}
	publish(t, h, "r")
	if last := got[len(got)-1]; last < 4 {
		t.Errorf("number %d is not behind those before", last)
	}
	if n := len(h.Of("/").seqs.newer) + len(h.Of("/").seqs.older); n > 4 {
		t.Errorf("%d forgotten rooms are remembered, want 4 at most", n)
	}
}

// TestSeqsModel: a room goes on where it was, or further.
func TestSeqsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var q seqs
		most := rapid.IntRange(1, 8).Draw(rt, "most")
		at := make(map[string]uint64)
		for range rapid.IntRange(0, 100).Draw(rt, "steps") {
			room := rapid.StringMatching("[a-h]").Draw(rt, "room")
			seq := q.resume(room)
			if seq < at[room] {
				rt.Fatalf("%s goes on at %d, it was at %d", room, seq, at[room])
			}
			at[room] = seq + uint64(rapid.IntRange(0, 3).Draw(rt, "published"))
			q.forget(room, at[room], most)
			if q.resume(room) != at[room] && at[room] > 0 {
				rt.Fatalf("%s is forgotten at once", room)
			}
			if n := len(q.newer) + len(q.older); n > max(most, 2) {
				rt.Fatalf("%d are remembered, at most %d may be", n, most)
			}
			if top := q.highest(); top < at[room] {
				rt.Fatalf("highest is %d, a room was at %d", top, at[room])
			}
		}
	})
}
