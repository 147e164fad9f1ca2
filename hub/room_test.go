package hub

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// chatter is a handler for tests: it lets the test act on the session from its loop.
func chatter(s *Session) error {
	for range s.Events() {
	}
	return nil
}

func TestEverybodySeesOneOrder(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	var members []*fakeConn
	for i := range 6 {
		c := connect(t, h, i%2, "/", "{}")
		c.on(func(s *Session) { s.Join("r") })
		members = append(members, c)
	}
	const publishers, each = 4, 200
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if err := h.To("r").Emit("m", p, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	first := members[0].waitEvents(t, publishers*each)
	for _, c := range members[1:] {
		if got := c.waitEvents(t, publishers*each); !slices.Equal(got, first) {
			t.Fatal("two members saw different orders")
		}
	}
	next := make([]int, publishers)
	for _, e := range first {
		var m []any
		if err := json.Unmarshal([]byte(e), &m); err != nil {
			t.Fatal(err)
		}
		p, i := int(m[1].(float64)), int(m[2].(float64))
		if i != next[p] {
			t.Fatalf("publisher %d: got %d, want %d", p, i, next[p])
		}
		next[p]++
	}
}

func TestJoinGetsExactlyWhatFollows(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	a.on(func(s *Session) { s.Join("r") })
	b.on(func(s *Session) {
		// The first message is sequenced and still in the loop's inbox when b joins.
		h.To("r").Emit("before")
		s.Join("r")
		h.To("r").Emit("after")
		s.Leave("r")
		h.To("r").Emit("left")
		s.Emit("end")
	})
	a.waitEvents(t, 3)
	// What is addressed to one client may overtake what is on its way to a room.
	if got := b.waitEvents(t, 2); !slices.Equal(got, []string{`["end"]`, `["after"]`}) {
		t.Errorf("got %q", got)
	}
}

func TestJoinIsBehindWhatIsOnItsWay(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	a.on(func(s *Session) { s.Join("r") })
	b.on(func(s *Session) {
		h.To("r").Emit("before")
		h.To("r", "other").Emit("before too")
		s.Join("r")
		h.To("r").Emit("after")
		h.To("r", "other").Emit("after too")
	})
	a.waitEvents(t, 4)
	if got := b.waitEvents(t, 2); !slices.Equal(got, []string{`["after"]`, `["after too"]`}) {
		t.Errorf("got %q", got)
	}
}

func TestTargets(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	mustHandle(t, h, "/other", chatter)
	conns := map[string]*fakeConn{}
	for i, name := range []string{"a", "b", "c", "d"} {
		conns[name] = connect(t, h, i%2, "/", "{}")
	}
	conns["x"] = connect(t, h, 0, "/other", "{}")
	join := func(name string, rooms ...string) {
		conns[name].on(func(s *Session) {
			for _, r := range rooms {
				s.Join(r)
			}
		})
	}
	join("a", "r1", "r2")
	join("b", "r1")
	join("c", "r2")
	join("x", "r1")
	id := func(name string) string { return conns[name].session.ID() }
	for i, tc := range []struct {
		to   Target
		want string
	}{
		{h.To("r1"), "ab"},
		{h.To("r1", "r2"), "abc"},
		{h.To("r1").To("r2").Except("r2"), "b"},
		{h.To("r1", "r2").Except(id("a")), "bc"},
		{h.To(), "abcd"},
		{h.To().Except("r1"), "cd"},
		{h.To(id("d")), "d"},
		{h.To(id("d"), "r2", id("c")), "acd"},
		{h.To(id("d")).Except(id("d")), ""},
		{h.To("nobody"), ""},
		{h.Of("/other").To("r1"), "x"},
		{conns["a"].session.To("r1"), "b"},
		{conns["a"].session.To(), "bcd"},
		{conns["a"].session.To("r1", "r2", id("a")), "bc"},
	} {
		event := fmt.Sprint("case", i)
		if err := tc.to.Emit(event); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, name := range []string{"a", "b", "c", "d", "x"} {
			c := conns[name]
			c.on(func(*Session) {}) // what was posted before has run
			if n := count(c.events(), `["`+event+`"]`); n > 1 {
				t.Errorf("case %d: %s got it %d times", i, name, n)
			} else if n == 1 {
				got.WriteString(name)
			}
		}
		if got.String() != tc.want {
			t.Errorf("case %d: got %q, want %q", i, got.String(), tc.want)
		}
	}
	if err := h.To("r1").Emit("connect"); err != ErrReservedEvent {
		t.Errorf("a reserved event: %v", err)
	}
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}

func TestTargetsMoveAndDisconnect(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	a.on(func(s *Session) { s.Join("r") })
	if err := h.In("r").Join("r2"); err != nil {
		t.Fatal(err)
	}
	if err := h.In("r").Join(""); err == nil {
		t.Error("a room without a name")
	}
	a.on(func(s *Session) {
		if !s.In("r2") {
			t.Error("not moved")
		}
	})
	h.In("r2").Leave("r")
	a.on(func(s *Session) {
		if s.In("r") {
			t.Error("still there")
		}
	})
	h.In("r2").Disconnect("closing")
	a.wait(t, "the disconnect", func() bool { return a.state == "left" })
	b.on(func(s *Session) {
		if !s.Connected() {
			t.Error("the wrong one was disconnected")
		}
	})
}

func TestVolatileIsMissedByTheBusy(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	a.on(func(*Session) { a.busy = true })
	h.To().Volatile().Emit("tick")
	b.waitEvents(t, 1)
	a.on(func(*Session) {}) // the delivery is over
	if got := a.events(); len(got) != 0 || h.Counters()["volatile_dropped"] != 1 {
		t.Errorf("got %q, counted %d", got, h.Counters()["volatile_dropped"])
	}
}

// TestMembershipModel compares joins, leaves and departures in random order with sets.
func TestMembershipModel(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	rapid.Check(t, func(rt *rapid.T) {
		var conns []*fakeConn
		model := map[int]map[string]bool{}
		for i := range 4 {
			conns = append(conns, connect(t, h, 0, "/", "{}"))
			model[i] = map[string]bool{}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			i := rapid.IntRange(0, 3).Draw(rt, "who")
			room := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "room")
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				conns[i].leave("transport close")
				conns[i] = connect(t, h, 0, "/", "{}")
				model[i] = map[string]bool{}
			case 1, 2, 3, 4:
				conns[i].on(func(s *Session) { s.Leave(room) })
				delete(model[i], room)
			default:
				conns[i].on(func(s *Session) { s.Join(room) })
				model[i][room] = true
			}
		}
		for _, room := range []string{"a", "b", "c"} {
			h.To(room).Emit(room)
			for i, c := range conns {
				c.on(func(s *Session) {
					if s.In(room) != model[i][room] {
						rt.Fatalf("session %d in %s: %v, want %v", i, room, s.In(room), model[i][room])
					}
				})
				if got := count(c.events(), `["`+room+`"]`) == 1; got != model[i][room] {
					rt.Fatalf("session %d got a message of %s: %v, want %v", i, room, got, model[i][room])
				}
			}
		}
		for _, c := range conns {
			c.leave("transport close")
		}
	})
	waitFor(t, func() bool { return h.SessionCount() == 0 && h.Of("/").RoomCount() == 0 })
}

func TestCheckRoom(t *testing.T) {
	for name, ok := range map[string]bool{
		"lobby": true, "r é 😀": true, strings.Repeat("x", 255): true, "a#b": true,
		"": false, "$x": false, strings.Repeat("x", 256): false, "a\nb": false, "\x80": false, "a\x7f": false, "a\u0085": false,
	} {
		if err := CheckRoom(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
