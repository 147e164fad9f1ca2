package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"greenroom/coop"
)

type presenceUpdate struct {
	Room         string
	Joined, Left []*Sender
}

// watcher replays the presence events that a client got onto the list that it got when it joined.
type watcher struct {
	c       *fakeConn
	room    string
	members map[string]string // id → name
}

func watch(t testing.TB, c *fakeConn, room string) *watcher {
	t.Helper()
	w := &watcher{c: c, room: room, members: make(map[string]string)}
	var answer []struct {
		OK      bool
		Members []*Sender
	}
	ack := c.call(t, 1000, "join", room, map[string]any{"presence": true})
	if err := json.Unmarshal([]byte(ack), &answer); err != nil || !answer[0].OK {
		t.Fatalf("%s: %v", ack, err)
	}
	for _, m := range answer[0].Members {
		w.members[m.ID] = m.Name
	}
	return w
}

// now is who is in the room as far as the client knows. An update may repeat what the list said.
func (w *watcher) now(t testing.TB) map[string]string {
	t.Helper()
	known := maps.Clone(w.members)
	for _, e := range w.c.events() {
		var parts []json.RawMessage
		if err := json.Unmarshal([]byte(e), &parts); err != nil {
			t.Fatal(err)
		}
		if string(parts[0]) != `"presence"` {
			continue
		}
		var u presenceUpdate
		if err := json.Unmarshal(parts[1], &u); err != nil {
			t.Fatal(err)
		}
		if u.Room != w.room || u.Joined == nil || u.Left == nil || len(u.Joined)+len(u.Left) == 0 {
			t.Errorf("an update that says nothing, or of another room: %s", e)
		}
		for _, m := range u.Joined {
			known[m.ID] = m.Name
		}
		for _, m := range u.Left {
			delete(known, m.ID)
		}
	}
	return known
}

// TestPresenceListsAndUpdatesAgree: who comes and goes between two updates is in the list of whoever asks
// in between, and must be in the update that follows; otherwise nobody needs to hear of it.
func TestPresenceListsAndUpdatesAgree(t *testing.T) {
	for _, listed := range []bool{true, false} {
		h := relayHub(t, Options{Loops: 1}, RelayOptions{})
		w := watch(t, connect(t, h, 0, "/", `{"name":"Ann"}`), "r")
		waitFor(t, func() bool { return len(w.c.events()) == 1 }) // its own join
		brief, back, then := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
		back.call(t, 1, "join", "r")
		waitFor(t, func() bool { return len(w.c.events()) == 2 })
		w.c.on(func(*Session) { // all in one tick, and so within one update
			call := func(c *fakeConn, name string) {
				r := relay{opts: &RelayOptions{Rate: -1, MaxRooms: 9}, s: c.session, who: &Sender{ID: c.session.ID()}}
				p, err := EncodeArgs(name, "r")
				if err != nil {
					t.Error(err)
				}
				ev := NewEvent(name, p, NoAck)
				ev.session = c.session
				if err := r.call(ev); err != nil {
					t.Error(err)
				}
			}
			call(brief, "join")
			call(back, "leave")
			if listed {
				call(w.c, "presence")
			}
			call(brief, "leave")
			call(back, "join")
			call(then, "join")
		})
		waitFor(t, func() bool { return len(w.c.events()) == 3 })
		var update []struct {
			Joined, Left []struct{ ID string }
		}
		if err := json.Unmarshal([]byte(strings.Replace(w.c.events()[2], `"presence",`, "", 1)), &update); err != nil {
			t.Fatal(err)
		}
		joined, left := len(update[0].Joined), len(update[0].Left)
		if listed && (joined != 2 || left != 1) || !listed && (joined != 1 || left != 0) {
			t.Errorf("a list in between %v: %+v", listed, update)
		}
	}
}

func TestPresenceOfTwoSessionsOfOneUser(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	w := watch(t, connect(t, h, 0, "/", `{"name":"Ann"}`), "r")
	tab1, tab2 := connect(t, h, 0, "/", `{"name":"Bob"}`), connect(t, h, 1, "/", `{"name":"Bob"}`)
	tab1.call(t, 1, "join", "r")
	tab2.call(t, 1, "join", "r")
	waitFor(t, func() bool { return len(w.now(t)) == 3 })
	tab1.leave("transport close")
	waitFor(t, func() bool { return len(w.now(t)) == 2 })
	if known := w.now(t); known[tab2.session.ID()] != "Bob" {
		t.Errorf("the other tab is gone: %v", known)
	}
}

// TestPresenceNames: the name is what the client claims when it connects, made fit to be shown.
func TestPresenceNames(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.call(t, 1, "join", "r")
	for i, tc := range []struct{ auth, want string }{
		{`{"name":"Ann"}`, "Ann"},
		{`{"name":" Ann\n\u0000\u202eB\ud800 "}`, "AnnB�"},
		{`{"name":"` + strings.Repeat("é", 100) + `"}`, strings.Repeat("é", 32)},
		{`{"name":"x` + strings.Repeat("é", 100) + `"}`, "x" + strings.Repeat("é", 31)},
		{`{"name":7}`, ""},
		{`{"name":null}`, ""},
		{`{"user":"root","id":"x"}`, ""},
		{`[]`, ""},
		{`"Ann"`, ""},
		{``, ""},
		{`{"name":"\u0007"}`, ""},
	} {
		d := connect(t, h, 0, "/", tc.auth)
		d.call(t, 1, "join", "r")
		var got []struct{ Members []Sender }
		if err := json.Unmarshal([]byte(c.call(t, int64(i+10), "presence", "r")), &got); err != nil {
			t.Fatal(err)
		}
		want := Sender{ID: d.session.ID(), Name: tc.want}
		if !slices.Contains(got[0].Members, want) {
			t.Errorf("%s: %+v are here, want %+v", tc.auth, got[0].Members, want)
		}
		d.leave("transport close")
	}
}

// TestPresenceListsAreBounded: the first by name are listed, all are counted.
func TestPresenceListsAreBounded(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{MaxMembers: 3})
	for _, name := range []string{"d", "b", "a", "c", "b"} {
		connect(t, h, 0, "/", `{"name":"`+name+`"}`).call(t, 1, "join", "r")
	}
	c := connect(t, h, 0, "/", "{}")
	var got []struct {
		Members []Sender
		Count   int
	}
	if err := json.Unmarshal([]byte(c.call(t, 1, "presence", "r")), &got); err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for _, m := range got[0].Members {
		names.WriteString(m.Name)
	}
	if names.String() != "abb" || got[0].Count != 5 {
		t.Errorf("%q of %d", names.String(), got[0].Count)
	}
}

// TestPresenceEndsWithTheRoom: who left a room, or was moved out of it, hears no more of it; and a room
// keeps no memory of a crowd.
func TestPresenceEndsWithTheRoom(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a, b, c := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}"), connect(t, h, 0, "/", "{}")
	watch(t, a, "r")
	watch(t, b, "r")
	wc := watch(t, c, "r")
	a.call(t, 1, "leave", "r")
	h.In(b.session.ID()).Leave("r")
	b.call(t, 1, "presence", "r")
	heard := func(c *fakeConn) int {
		c.on(func(*Session) {})
		return len(c.events())
	}
	na, nb := heard(a), heard(b)
	for _, x := range []*fakeConn{a, b} {
		x.on(func(s *Session) {
			if rooms := s.Rooms(); len(rooms) != 0 {
				t.Errorf("still in %q", rooms)
			}
		})
	}
	d := connect(t, h, 0, "/", "{}")
	d.call(t, 1, "join", "r")
	waitFor(t, func() bool { known := wc.now(t); return len(known) == 2 })
	if heard(a) != na || heard(b) != nb {
		t.Errorf("who left heard %q and %q", a.events()[na:], b.events()[nb:])
	}
	publish(t, h, "r") // so that the room stays
	c.call(t, 1, "leave", "r")
	d.call(t, 2, "leave", "r")
	waitFor(t, func() bool {
		r := h.Of("/").lookupRoom("r")
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.watch == nil
	})
}

// TestPresenceOfThoseMovedIn: the server may put a session into a room; it is here from its own join on.
func TestPresenceOfThoseMovedIn(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{MaxRooms: 1})
	w := watch(t, connect(t, h, 0, "/", "{}"), "r")
	c := connect(t, h, 0, "/", `{"name":"Cy"}`)
	if err := h.In(c.session.ID()).Join("r"); err != nil {
		t.Fatal(err)
	}
	if got := answerOf(t, c.call(t, 1, "join", "r")); got["ok"] != true { // no second room
		t.Errorf("joining where it is: %v", got)
	}
	waitFor(t, func() bool { return w.now(t)[c.session.ID()] == "Cy" })
}

// TestRelayCountsRoomsByMembership: moves by the server neither use up nor give away a client's rooms.
func TestRelayCountsRoomsByMembership(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{MaxRooms: 2})
	c := connect(t, h, 0, "/", "{}")
	in := h.In(c.session.ID())
	id := int64(0)
	join := func(room string) any {
		id++
		return answerOf(t, c.call(t, id, "join", room, map[string]any{"presence": true}))["ok"]
	}
	for range 5 {
		if join("a") != true {
			t.Fatal("a was refused")
		}
		in.Leave("a")
	}
	if err := in.Join("x"); err != nil {
		t.Fatal(err)
	}
	if join("a") != true || join("b") != false {
		t.Error("with the room it was put into, one more is allowed and not two")
	}
	id++
	c.call(t, id, "leave", "x")
	if join("b") != true || join("c") != false {
		t.Error("after leaving that, again one more")
	}
}

// TestPresenceModel: whatever the members do, those who watch know in the end who is here.
func TestPresenceModel(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, Clock: coop.NewFakeClock()}, RelayOptions{Rate: -1})
	rapid.Check(t, func(rt *rapid.T) {
		w := watch(t, connect(t, h, 0, "/", `{"name":"Ann"}`), "r")
		want := map[string]string{w.c.session.ID(): "Ann"}
		conns := make([]*fakeConn, 4)
		name := func(i int) string { return fmt.Sprint("m", i%2) }
		for i := range conns {
			conns[i] = connect(t, h, 0, "/", `{"name":"`+name(i)+`"}`)
		}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(conns)-1).Draw(rt, "who")
			c := conns[i]
			switch rapid.IntRange(0, 4).Draw(rt, "what") {
			case 0:
				c.leave("transport close")
				delete(want, c.session.ID())
				c = connect(t, h, 0, "/", `{"name":"`+name(i)+`"}`)
				conns[i] = c
			case 1, 2:
				c.emit(t, NoAck, "leave", "r")
				delete(want, c.session.ID())
			default:
				c.emit(t, NoAck, "join", "r")
				want[c.session.ID()] = name(i)
			}
			if rapid.Bool().Draw(rt, "wait") {
				c.call(t, 1, "presence", "r")
				c.mu.Lock()
				delete(c.acks, 1)
				c.mu.Unlock()
			}
		}
		waitFor(t, func() bool { return maps.Equal(w.now(t), want) })
		for _, c := range append(conns, w.c) {
			c.leave("transport close")
		}
	})
	waitFor(t, func() bool { return h.Of("/").RoomCount() == 0 })
}
