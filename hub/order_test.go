package hub

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// idsOf lists the ids in the meta of the publications that a client got.
func idsOf(t testing.TB, events []string) (ids []string) {
	t.Helper()
	for _, e := range events {
		var parts []json.RawMessage
		var m struct{ ID string }
		if err := json.Unmarshal([]byte(e), &parts); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(parts[len(parts)-1], &m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	return ids
}

// TestOneOrderForMembersHistoryAndTaps: publishers on two loops and on goroutines of their own, members
// on both loops.
func TestOneOrderForMembersHistoryAndTaps(t *testing.T) {
	const each = 150
	h := relayHub(t, Options{Loops: 2, HistoryMessages: 10_000, HistoryBytes: 10 << 20}, RelayOptions{Rate: -1, MaxMessages: 10_000})
	var tapped []string // the room is locked while taps run
	defer h.Tap(func(m *Message) {
		if m.Room == "r" && m.ID != "" {
			tapped = append(tapped, m.ID)
		}
	})()
	var members []*fakeConn
	for i := range 4 {
		c := connect(t, h, i%2, "/", "{}")
		c.call(t, 10_000, "join", "r")
		members = append(members, c)
	}
	var wg sync.WaitGroup
	for _, c := range members[:2] {
		wg.Go(func() {
			for i := range each {
				c.emit(t, int64(i), "publish", "r", "e", i, map[string]any{"echo": true})
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for i := range each {
				publish(t, h, "r", i)
			}
		})
	}
	wg.Wait()
	first := idsOf(t, members[0].waitEvents(t, 4*each))
	for i, c := range members[1:] {
		if got := idsOf(t, c.waitEvents(t, 4*each)); !slices.Equal(got, first) {
			t.Fatalf("member %d saw another order", i+1)
		}
	}
	if !slices.Equal(tapped, first) {
		t.Error("the taps saw another order")
	}
	var kept []string
	for _, m := range answerOf(t, members[3].call(t, 20_000, "history", "r"))["messages"].([]any) {
		kept = append(kept, m.(map[string]any)["id"].(string))
	}
	if !slices.Equal(kept, first) {
		t.Error("history has another order")
	}
	// And each publisher's own order is part of it: its acks came in that order.
	for _, c := range members[:2] {
		last := -1
		for i := range each {
			at := slices.Index(first, answerOf(t, c.acks[int64(i)])["id"].(string))
			if at <= last {
				t.Fatalf("publication %d has place %d, the one before %d", i, at, last)
			}
			last = at
		}
	}
}

// TestAckMeansSequenced: whoever has the ack finds the publication in history, and the taps have had it.
func TestAckMeansSequenced(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	var mu sync.Mutex
	tapped := make(map[string]bool)
	defer h.Tap(func(m *Message) {
		mu.Lock()
		tapped[m.ID] = true
		mu.Unlock()
	})()
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	for i := range 50 {
		id := answerOf(t, a.call(t, int64(i), "publish", "r", "e", i))["id"].(string)
		messages := answerOf(t, b.call(t, int64(i), "history", "r", map[string]any{"limit": 1}))["messages"].([]any)
		if len(messages) != 1 || messages[0].(map[string]any)["id"] != id {
			t.Fatalf("publication %s is acked, history has %v", id, messages)
		}
		mu.Lock()
		if !tapped[id] {
			t.Errorf("publication %s is acked, the taps have not had it", id)
		}
		mu.Unlock()
	}
}

// TestWhatASessionDoesIsInItsOrder: join, publish and leave sent in one go, so that all of it is handled
// before anything is delivered.
func TestWhatASessionDoesIsInItsOrder(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	b.call(t, 1, "join", "r")
	echo := map[string]any{"echo": true}
	deliver := func(s *Session, ack int64, name string, args ...any) {
		p, err := EncodeArgs(name, args...)
		if err != nil {
			t.Error(err)
		}
		if err := s.Deliver(NewEvent(name, p, ack)); err != nil {
			t.Error(err)
		}
	}
	a.on(func(s *Session) {
		deliver(s, NoAck, "publish", "r", "before", 1, echo)
		deliver(s, NoAck, "join", "r")
		deliver(s, NoAck, "publish", "r", "inside", 2, echo)
		deliver(s, 5, "leave", "r")
		deliver(s, NoAck, "publish", "r", "after", 3, echo)
		deliver(s, NoAck, "join", "r")
		deliver(s, NoAck, "publish", "r", "again", 4, echo)
		deliver(s, 6, "leave", "r")
	})
	events := func(c *fakeConn, n int) (names []string) {
		for _, e := range c.waitEvents(t, n) {
			var parts []any
			if err := json.Unmarshal([]byte(e), &parts); err != nil {
				t.Fatal(err)
			}
			names = append(names, parts[0].(string))
		}
		return names
	}
	a.wait(t, "the ack of the last leave", func() bool { return a.acks[6] != "" })
	if got := events(a, 2); !slices.Equal(got, []string{"inside", "again"}) {
		t.Errorf("the session itself got %q", got)
	}
	if got := events(b, 4); !slices.Equal(got, []string{"before", "inside", "after", "again"}) {
		t.Errorf("the other member got %q", got)
	}
	a.on(func(s *Session) {
		for _, name := range []string{"r"} {
			sh := &h.Of("/").lookupRoom(name).shards[0]
			if len(sh.leavers) != 0 {
				t.Errorf("%d who left are remembered", len(sh.leavers))
			}
		}
	})
}

// TestNothingComesAfterTheAckOfLeave, whoever publishes meanwhile.
func TestNothingComesAfterTheAckOfLeave(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{Rate: -1})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				publish(t, h, "r", i)
			}
		}
	}()
	c := connect(t, h, 0, "/", "{}")
	for i := range int64(200) {
		c.call(t, 2*i, "join", "r")
		c.call(t, 2*i+1, "leave", "r")
		n := len(c.events())
		c.on(func(*Session) {})
		if more := c.events()[n:]; len(more) > 0 {
			t.Fatalf("after leaving came %q", more)
		}
	}
	close(stop)
	<-stopped
}

// TestMembersWhoComeAndGoGetAllInBetween: a member joins with history and leaves again while others
// publish from two sides. It must have every publication from the join on, without a gap and not twice.
func TestMembersWhoComeAndGoGetAllInBetween(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{Rate: -1})
	stay := connect(t, h, 1, "/", "{}")
	stay.call(t, 1, "join", "r")
	turns := []chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)} // as many messages as there is time for
	var wg sync.WaitGroup
	for _, turn := range turns {
		wg.Go(func() {
			for range turn {
				for i := range 20 {
					publish(t, h, "r", i)
				}
			}
		})
	}
	type visit struct{ kept, live []string }
	var visits []visit
	c := connect(t, h, 0, "/", "{}")
	for i := range int64(100) {
		for _, turn := range turns {
			turn <- struct{}{}
		}
		before := len(c.events())
		answer := answerOf(t, c.call(t, 2*i, "join", "r", map[string]any{"history": 3}))
		c.call(t, 2*i+1, "leave", "r")
		var v visit
		for _, m := range answer["messages"].([]any) {
			v.kept = append(v.kept, m.(map[string]any)["id"].(string))
		}
		v.live = idsOf(t, c.events()[before:])
		visits = append(visits, v)
	}
	for _, turn := range turns {
		close(turn)
	}
	wg.Wait()
	all := idsOf(t, stay.waitEvents(t, len(turns)*len(visits)*20))
	for i, v := range visits {
		got := slices.Concat(v.kept, v.live)
		if len(got) == 0 {
			continue
		}
		at := slices.Index(all, got[0])
		if at < 0 || at+len(got) > len(all) || !slices.Equal(all[at:at+len(got)], got) {
			t.Fatalf("visit %d: kept %q, live %q, which is no part of the room's order", i, v.kept, v.live)
		}
	}
}

// TestTargetsOfSeveralRoomsKeepTheOrderOfEach: messages for two rooms at once and for one of them, from
// several goroutines; the members of either room see one order of what they get.
func TestTargetsOfSeveralRoomsKeepTheOrderOfEach(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	rooms := [][]string{{"a"}, {"b"}, {"a", "b"}}
	var conns []*fakeConn
	for i := range 6 {
		c := connect(t, h, i%2, "/", "{}")
		c.on(func(s *Session) {
			for _, r := range rooms[i/2] {
				if err := s.Join(r); err != nil {
					t.Error(err)
				}
			}
		})
		conns = append(conns, c)
	}
	const each = 100
	var wg sync.WaitGroup
	for p, to := range [][]string{{"a"}, {"b"}, {"b", "a"}, {"a", "b"}} {
		wg.Go(func() {
			for i := range each {
				if err := h.To(to...).Emit("e", p, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, pair := range []struct{ first, n int }{{0, 3 * each}, {2, 3 * each}, {4, 4 * each}} {
		x, y := conns[pair.first].waitEvents(t, pair.n), conns[pair.first+1].waitEvents(t, pair.n)
		if len(x) != pair.n || len(y) != pair.n {
			t.Fatalf("got %d and %d events, want %d", len(x), len(y), pair.n)
		}
		if pair.first < 4 && !slices.Equal(x, y) {
			t.Errorf("two members of room %s saw different orders", rooms[pair.first/2])
		}
	}
}

// TestJoinsAndLeavesOnTwoLoops: the room is emptied, dropped and made anew while the other loop joins it.
func TestJoinsAndLeavesOnTwoLoops(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	conns := []*fakeConn{connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")}
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			for i := range 2000 {
				want := fmt.Sprintf(`["own",%d]`, i)
				c.on(func(s *Session) {
					if err := s.Join("r"); err != nil {
						t.Error(err)
					}
					if err := h.To("r").Emit("own", i); err != nil {
						t.Error(err)
					}
					s.Leave("r")
				})
				c.on(func(*Session) {})
				if got := c.events(); !slices.Contains(got, want) {
					t.Errorf("round %d: a member's own message is lost", i)
					return
				}
				c.change(func() { c.got = nil })
			}
		})
	}
	wg.Wait()
	if n := h.Of("/").RoomCount(); n != 0 {
		t.Errorf("%d rooms are left", n)
	}
	if n := h.inFlight.Load(); n != 0 {
		t.Errorf("%d deliveries are said to be on their way", n)
	}
}
