package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// flush returns when what was sent before has been delivered.
func flush(h *Hub) {
	for _, l := range h.Loops().All() {
		done := make(chan struct{})
		l.Post(func() { close(done) })
		<-done
	}
}

// TestPrefixRoomsModel draws joins, leaves, messages to one room or many, and ends at random, and compares what each
// client got with plain sets.
func TestPrefixRoomsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := newTestHub(t, Options{Loops: 2})
		defer h.Close()
		mustHandle(t, h, "/", chatter)
		type client struct {
			*fakeConn
			rooms, prefixes map[string]bool
			want            []string
			gone            bool
		}
		var clients []*client
		for i := range rapid.IntRange(1, 4).Draw(rt, "clients") {
			clients = append(clients, &client{
				fakeConn: connect(t, h, i%2, "/", "{}"), rooms: make(map[string]bool), prefixes: make(map[string]bool),
			})
		}
		word := rapid.StringMatching("[ab]{1,3}")
		for n := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			i := rapid.IntRange(0, len(clients)-1).Draw(rt, "client")
			c, name := clients[i], word.Draw(rt, "name")
			if c.gone {
				continue
			}
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1:
				c.on(func(s *Session) { _ = s.Join(name) })
				c.rooms[name] = true
			case 2:
				c.on(func(s *Session) { s.Leave(name) })
				delete(c.rooms, name)
			case 3, 4:
				c.on(func(s *Session) {
					if err := s.JoinPrefix(name); err != nil {
						t.Error(err)
					}
				})
				c.prefixes[name] = true
			case 5:
				c.on(func(s *Session) { s.LeavePrefix(name) })
				delete(c.prefixes, name)
			case 6:
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					c.leave("transport close")
					c.gone = true
				}
			default:
				rooms := rapid.SliceOfN(word, 1, 3).Draw(rt, "rooms")
				except := rapid.SliceOfN(word, 0, 1).Draw(rt, "except")
				event := fmt.Sprint("e", n)
				if err := h.To(rooms...).Except(except...).Emit(event); err != nil {
					rt.Fatal(err)
				}
				for _, c := range clients {
					if c.gone || slices.ContainsFunc(except, func(name string) bool { return c.rooms[name] }) {
						continue
					}
					for _, room := range rooms {
						hears := c.rooms[room]
						for p := range c.prefixes {
							hears = hears || strings.HasPrefix(room, p)
						}
						if hears {
							c.want = append(c.want, `["`+event+`"]`)
							break
						}
					}
				}
			}
			flush(h)
		}
		ns := h.Of("/")
		joined := make(map[string]bool)
		for i, c := range clients {
			if got := c.events(); !slices.Equal(got, c.want) {
				rt.Fatalf("%d got %q, want %q", i, got, c.want)
			}
			if c.gone {
				continue
			}
			c.on(func(s *Session) {
				if len(s.Prefixes()) != len(c.prefixes) || len(s.Rooms()) != len(c.rooms) {
					t.Errorf("rooms %q, prefixes %q; want %v, %v", s.Rooms(), s.Prefixes(), c.rooms, c.prefixes)
				}
			})
			for p := range c.prefixes {
				joined[p] = true
			}
		}
		if n := ns.prefixes.tree.Len(); n != len(joined) || ns.prefixes.used.Load() != int64(n) {
			rt.Fatalf("%d prefix rooms, said to be %d, want %d", n, ns.prefixes.used.Load(), len(joined))
		}
	})
}

// TestPrefixMembersGetEachRoomInOrder, once, without gap, while rooms come and go, publishers of three kinds race, and
// members come and go by prefixes and by rooms. That it ends says that no two locks are taken crosswise.
func TestPrefixMembersGetEachRoomInOrder(t *testing.T) {
	h := relayHub(t, Options{Loops: 2, HistoryMessages: -1}, RelayOptions{})
	const last = 400
	var members []*fakeConn
	for i := range 3 {
		c := connect(t, h, i%2, "/", "{}")
		c.on(func(s *Session) {
			err := errors.Join(s.JoinPrefix("room"), s.JoinPrefix("room.1"), s.JoinPrefix("r"))
			if i == 1 {
				err = errors.Join(err, s.Join("room.1"))
			}
			if err != nil {
				t.Error(err)
			}
		})
		members = append(members, c)
	}
	comer := connect(t, h, 1, "/", "{}")
	var wg sync.WaitGroup
	for room := range 3 {
		wg.Go(func() {
			for n := range last {
				p := Publication{Room: fmt.Sprint("room.", room), Event: "n", Args: []any{n}, Retain: room == 0}
				if _, err := h.Publish(p); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range last {
			if err := h.To("room.2", "room.1", "rx", "other").Emit("many"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for n := range last {
			comer.on(func(s *Session) {
				if err := errors.Join(s.JoinPrefix("room.2"), s.JoinPrefix("ro"), s.Join("room.0")); err != nil {
					t.Error(err)
				}
				if n%2 == 0 {
					s.LeavePrefix("room.2")
					s.LeavePrefix("ro")
					s.Leave("room.0")
				}
			})
		}
	})
	wg.Wait()
	flush(h)
	check := func(who int, events []string, all bool) {
		at, many := make(map[string]uint64), 0
		for _, e := range events {
			var parts []json.RawMessage
			var own struct {
				Room string
				Seq  uint64
			}
			if err := json.Unmarshal([]byte(e), &parts); err != nil {
				t.Fatal(err)
			}
			if len(parts) == 1 {
				many++
				continue
			}
			if err := json.Unmarshal(parts[2], &own); err != nil {
				t.Fatal(err)
			}
			if before := at[own.Room]; own.Seq <= before || all && own.Seq != before+1 {
				t.Fatalf("%d, %s: %d follows %d", who, own.Room, own.Seq, before)
			}
			at[own.Room] = own.Seq
		}
		if all && (len(at) != 3 || at["room.0"] != last || at["room.1"] != last || at["room.2"] != last || many != last) {
			t.Errorf("%d got up to %v, and %d to many rooms", who, at, many)
		}
	}
	for i, c := range members {
		check(i, c.events(), true)
	}
	check(len(members), comer.events(), false)
}

// TestPrefixMembersAreNotMembers: they are not counted, present or asked, and "$" rooms are not theirs.
func TestPrefixMembersAreNotMembers(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		if err := s.JoinPrefix("r"); err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"", "$x", "a\x00"} {
			if err := s.JoinPrefix(bad); err == nil {
				t.Errorf("the prefix %q was joined", bad)
			}
		}
	})
	d := connect(t, h, 0, "/", "{}")
	got := answerOf(t, d.call(t, 1, "join", "r1", map[string]any{"presence": true}))
	if got["count"] != 1.0 {
		t.Errorf("present: %v", got)
	}
	answers, err := h.To("r2").Ask("q")
	if len(answers) != 0 || err != nil {
		t.Errorf("asked: %v, %v", answers, err)
	}
	if sessions, err := h.In("r1").Sessions(); len(sessions) != 1 || err != nil {
		t.Errorf("in the room: %v %v", sessions, err)
	}
	h.In("r2").Disconnect("not you")
	if err := h.To(prefixMark + "r").Emit("addressed"); err != nil {
		t.Fatal(err)
	}
	publish(t, h, "r2", 7)
	flush(h)
	if got := c.events(); len(got) != 1 || !strings.HasPrefix(got[0], `["e",7,{"room":"r2",`) {
		t.Errorf("got %q", got)
	}
	if hasRoom(h, prefixMark+"r") {
		t.Error("a prefix room is among the rooms")
	}
}

// TestPrefixesComeBackWithTheSession: what a client misses of covered rooms while it is away is sent to it, once, and
// what comes then, too; of a prefix that it has left it gets what it was due.
func TestPrefixesComeBackWithTheSession(t *testing.T) {
	h := recoveryHub(t, Options{}, Recovery{}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) {
		_ = errors.Join(s.JoinPrefix("pri"), s.JoinPrefix("left"), s.Join("price"), s.Emit("hello"))
	})
	emit(t, h.To("left.1"), "before")
	settled(h)
	a.on(func(s *Session) { s.LeavePrefix("left") })
	emit(t, h.To("left.1"), "behind")
	pid, offset := a.ticketOf()
	a.leave("transport close")
	emit(t, h.To("price"), "both")
	emit(t, h.To("prices"), "missed")
	emit(t, h.To("left.1"), "not for it")
	emit(t, h.To("other", "pri.x"), "many")
	emit(t, h.To("other"), "other")
	b := come(t, h, 1, "/", pid, offset)
	emit(t, h.To("prices"), "live")
	b.wantGot(t, `["both"]`, `["missed"]`, `["many"]`, "accepted", `["live"]`)
	b.on(func(s *Session) {
		if got := s.Prefixes(); !slices.Equal(got, []string{"pri"}) {
			t.Errorf("prefixes %q", got)
		}
	})
}

func TestRelayPrefixes(t *testing.T) {
	var asked []string
	h := relayHub(t, Options{Loops: 1}, RelayOptions{MaxPrefixes: 2, MayJoinPrefix: func(_ *Session, prefix string) error {
		asked = append(asked, prefix)
		if strings.HasPrefix(prefix, "secret") {
			return errors.New("not yours")
		}
		return nil
	}})
	retain(t, h, "prices.b", 1)
	retain(t, h, "prices.a", 2)
	retain(t, h, "price", 3)
	c := connect(t, h, 0, "/", "{}")
	id := int64(0)
	call := func(event string, args ...any) map[string]any {
		t.Helper()
		id++
		return answerOf(t, c.call(t, id, event, args...))
	}
	code := func(got map[string]any) any {
		e, _ := got["error"].(map[string]any)
		return e["code"]
	}
	wide := map[string]any{"prefix": true, "retained": true}
	got := call("join", "prices.*", wide)
	list, _ := got["retained"].([]any)
	if got["ok"] != true || len(list) != 2 || list[0].(map[string]any)["data"] != 2.0 || list[1].(map[string]any)["data"] != 1.0 {
		t.Errorf("join: %v", got)
	}
	for _, tc := range []struct {
		name string
		opts map[string]any
		want string
	}{
		{"pr*", wide, "prefix_too_short"}, {"*", wide, "prefix_too_short"}, {"secrets.*", wide, "forbidden"},
		{"$presence:*", wide, "bad_room"}, {"prices.*", map[string]any{"prefix": true, "presence": true}, "bad_arguments"},
		{"prices.*", map[string]any{"prefix": true, "history": 1}, "bad_arguments"},
	} {
		if got := call("join", tc.name, tc.opts); code(got) != tc.want {
			t.Errorf("join %s %v: %v, want %s", tc.name, tc.opts, got, tc.want)
		}
	}
	call("join", "news", wide)
	if got := call("join", "more.*", wide); code(got) != "too_many_prefixes" {
		t.Errorf("a third one: %v", got)
	}
	if got := call("join", "prices.*", wide); got["ok"] != true {
		t.Errorf("again: %v", got)
	}
	publish(t, h, "prices.c", 9)
	publish(t, h, "newspaper", 10)
	call("leave", "prices.*", map[string]any{"prefix": true})
	publish(t, h, "prices.c", 11)
	publish(t, h, "news", 12)
	flush(h)
	var heard []string
	for _, e := range c.events() {
		heard = append(heard, e[:strings.Index(e, ",{")])
	}
	if want := []string{`["e",9`, `["e",10`, `["e",12`}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
	if want := []string{"prices.", "secrets.", "news", "more.", "prices."}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
	counts := h.Counters()
	if counts["relay_prefix_too_short"] != 2 || counts["relay_too_many_prefixes"] != 1 {
		t.Errorf("counted %v", counts)
	}
	plain := relayHub(t, Options{Loops: 1}, RelayOptions{})
	d := connect(t, plain, 0, "/", "{}")
	if got := answerOf(t, d.call(t, 1, "join", "prices.*", wide)); code(got) != "forbidden" {
		t.Errorf("where nobody may: %v", got)
	}
}

func TestSessionPrefixesAreBounded(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, MaxPrefixes: 2}, RelayOptions{})
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		err := errors.Join(s.JoinPrefix("a"), s.JoinPrefix("b"), s.JoinPrefix("a"))
		if third := s.JoinPrefix("c"); err != nil || !errors.Is(third, ErrTooManyPrefixes) {
			t.Errorf("%v, %v", err, third)
		}
	})
	if n := h.Counters()["session_prefixes_full"]; n != 1 {
		t.Errorf("counted %d", n)
	}
}

func TestWatchPrefixes(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	join := func(c *fakeConn, prefix string) {
		c.on(func(s *Session) {
			if err := s.JoinPrefix(prefix); err != nil {
				t.Error(err)
			}
		})
	}
	join(a, "early")
	var told []string
	cancel := h.WatchPrefixes(func(namespace, prefix string, live bool) {
		told = append(told, fmt.Sprint(namespace, " ", prefix, " ", live))
	})
	join(a, "p")
	join(b, "p")
	a.on(func(s *Session) { s.LeavePrefix("p") })
	b.leave("transport close")
	a.leave("transport close")
	cancel()
	c := connect(t, h, 0, "/", "{}")
	join(c, "late")
	if want := []string{"/ early true", "/ p true", "/ p false", "/ early false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
