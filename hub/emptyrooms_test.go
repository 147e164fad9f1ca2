package hub

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

func publish(t testing.TB, h *Hub, room string, args ...any) string {
	t.Helper()
	id, err := h.Publish(Publication{Room: room, Event: "e", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func hasRoom(h *Hub, name string) bool { return h.Of("/").lookupRoom(name) != nil }

// checkEmptyRooms compares the books of the kept rooms with the rooms.
func checkEmptyRooms(t testing.TB, h *Hub) {
	t.Helper()
	ns := h.Of("/")
	ns.mu.Lock()
	defer ns.mu.Unlock()
	kept, bytes := 0, 0
	for name, r := range ns.rooms {
		r.mu.Lock()
		empty := r.members == 0
		if empty {
			kept++
			bytes += r.history.bytes
		}
		if listed := ns.empty.has(r); listed != empty {
			t.Errorf("room %q: without members %v, in the list %v", name, empty, listed)
		}
		if empty && r.history.len() == 0 {
			t.Errorf("room %q has neither members nor history", name)
		}
		r.mu.Unlock()
	}
	if n := ns.empty.list.Len(); n != kept || ns.empty.bytes != bytes {
		t.Errorf("%d rooms of %d bytes are listed, want %d of %d", n, ns.empty.bytes, kept, bytes)
	}
}

// TestBusyRoomWithoutMembersKeepsItsHistory: many publications to one room count as one room.
func TestBusyRoomWithoutMembersKeepsItsHistory(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, MaxEmptyRooms: 10}, RelayOptions{})
	publish(t, h, "quiet")
	first := publish(t, h, "busy")
	for range 50 {
		publish(t, h, "busy")
	}
	c := connect(t, h, 0, "/", "{}")
	got := answerOf(t, c.call(t, 1, "history", "busy", map[string]any{"after": first, "limit": 1}))
	if got["complete"] != true || !hasRoom(h, "quiet") {
		t.Errorf("history of the busy room complete: %v; the quiet one is there: %v", got["complete"], hasRoom(h, "quiet"))
	}
	checkEmptyRooms(t, h)
}

func TestEmptyRoomsLongestEmptyGoesFirst(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, MaxEmptyRooms: 2}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.call(t, 1, "join", "a")
	publish(t, h, "a")
	publish(t, h, "b")
	publish(t, h, "c")
	if !hasRoom(h, "a") || !hasRoom(h, "b") || !hasRoom(h, "c") {
		t.Fatal("two may be kept beside the one with a member")
	}
	c.call(t, 2, "leave", "a") // now a is the one that was emptied last
	waitFor(t, func() bool { return !hasRoom(h, "b") })
	if !hasRoom(h, "a") || !hasRoom(h, "c") {
		t.Error("the wrong room was dropped")
	}
	publish(t, h, "c") // and now c
	publish(t, h, "d")
	if hasRoom(h, "a") || !hasRoom(h, "c") || !hasRoom(h, "d") {
		t.Error("a publication did not count as life")
	}
	// A room that has a member again is in no danger.
	c.call(t, 3, "join", "c")
	checkEmptyRooms(t, h)
	for i := range 5 {
		publish(t, h, fmt.Sprint("other", i))
	}
	if !hasRoom(h, "c") {
		t.Error("a room with a member was dropped")
	}
	if got := answerOf(t, c.call(t, 4, "history", "c")); len(got["messages"].([]any)) != 2 {
		t.Errorf("its history: %v", got)
	}
	checkEmptyRooms(t, h)
}

// TestDroppingIsTooLate: between the decision to drop a room and the act somebody may publish or come.
func TestDroppingIsTooLate(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	ns := h.Of("/")
	publish(t, h, "published")
	c := connect(t, h, 0, "/", "{}")
	c.call(t, 1, "join", "joined")
	for _, name := range []string{"published", "joined"} {
		ns.drop([]*Room{ns.lookupRoom(name)})
		if !hasRoom(h, name) {
			t.Errorf("the room %q was dropped", name)
		}
	}
	gone := newRoom(ns, "published") // an earlier life of it
	gone.dead = true
	ns.drop([]*Room{gone})
	if !hasRoom(h, "published") {
		t.Error("a room was dropped for its predecessor")
	}
}

func TestEmptyRoomsAreBoundedInBytes(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, EmptyRoomBytes: 10_000}, RelayOptions{})
	for i := range 100 {
		publish(t, h, fmt.Sprint("r", i), strings.Repeat("x", 900))
	}
	if n := h.Of("/").RoomCount(); n < 5 || n > 10 {
		t.Errorf("%d rooms of about 1 000 bytes within 10 000", n)
	}
	if !hasRoom(h, "r99") {
		t.Error("the latest is not among them")
	}
	checkEmptyRooms(t, h)
}

func TestEmptyRoomsAreBoundedInTime(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, Clock: coop.NewFakeClock(), HistoryTTL: time.Hour})
	done := make(chan struct{})
	mustHandle(t, h, "/", func(s *Session) error {
		defer close(done)
		publish(t, h, "a")
		_ = s.Sleep(59 * time.Minute)
		publish(t, h, "b")
		_ = s.Sleep(time.Minute)
		publish(t, h, "c")
		if !hasRoom(h, "a") {
			t.Error("dropped within the hour")
		}
		_ = s.Sleep(time.Second)
		publish(t, h, "d")
		if hasRoom(h, "a") || !hasRoom(h, "b") {
			t.Error("kept for longer than an hour, or another one was dropped")
		}
		return nil
	})
	connect(t, h, 0, "/", "{}")
	<-done
	checkEmptyRooms(t, h)
}

// TestRoomsWithNothingToKeepGoAtOnce: neither volatile messages nor refused ones make a room.
func TestRoomsWithNothingToKeepGoAtOnce(t *testing.T) {
	h := relayHub(t, Options{Loops: 2, HistoryBytes: 100}, RelayOptions{})
	if _, err := h.Publish(Publication{Room: "volatile", Event: "e", Volatile: true}); err != nil {
		t.Fatal(err)
	}
	publish(t, h, "large", strings.Repeat("x", 1000))
	if err := h.To("nobody").Emit("e"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publish(Publication{Room: "refused", Event: "connect"}); err == nil {
		t.Error("a reserved event was published")
	}
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	a.call(t, 1, "join", "r")
	b.call(t, 1, "join", "r")
	a.call(t, 2, "leave", "r")
	if n := h.Of("/").RoomCount(); n != 1 {
		t.Errorf("%d rooms, want 1", n)
	}
	b.leave("transport close")
	if n := h.Of("/").RoomCount(); n != 0 {
		t.Errorf("%d rooms, want none", n)
	}
}

// TestRoomsComeAndGo has sessions on two loops enter and leave a few rooms while others publish: what a
// publisher was told is kept is there, and the books are right at the end.
func TestRoomsComeAndGo(t *testing.T) {
	h := relayHub(t, Options{Loops: 2, MaxEmptyRooms: 3}, RelayOptions{Rate: -1, MaxRooms: 1})
	var conns []*fakeConn
	for i := range 4 {
		conns = append(conns, connect(t, h, i%2, "/", "{}"))
	}
	const rounds = 300
	finished := make(chan struct{}, len(conns))
	for i, c := range conns {
		go func() {
			defer func() { finished <- struct{}{} }()
			for n := range rounds {
				room := fmt.Sprint("r", (n+i)%7)
				for _, call := range []string{"join", "publish", "leave"} {
					p, err := EncodeArgs(call, room, "m", n)
					if call != "publish" {
						p, err = EncodeArgs(call, room)
					}
					if err != nil {
						t.Error(err)
						return
					}
					c.on(func(s *Session) {
						if err := s.Deliver(NewEvent(call, p, int64(n))); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}()
	}
	for range conns {
		<-finished
	}
	for _, c := range conns {
		c.call(t, rounds, "presence", "r0")
		if got := c.acks[rounds-1]; got != `[{"ok":true}]` {
			t.Errorf("the last leave: %s", got)
		}
		c.on(func(s *Session) {
			if rooms := s.Rooms(); len(rooms) != 0 {
				t.Errorf("still in %q", rooms)
			}
		})
	}
	if n := h.Counters()["event_refused"]; n != 0 {
		t.Errorf("%d calls were refused", n)
	}
	checkEmptyRooms(t, h)
	for _, c := range conns {
		c.leave("transport close")
	}
	if n := h.Of("/").RoomCount(); n > 3 {
		t.Errorf("%d rooms are kept, want at most 3", n)
	}
	checkEmptyRooms(t, h)
}
