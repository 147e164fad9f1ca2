package hub

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Pages of any length make up what all nodes have, each once.
func TestPagesOfAllNodes(t *testing.T) {
	var cluster Cluster
	var hubs []*Hub
	var clients []*fakeConn
	for i := range 3 {
		h := newTestHub(t, Options{Loops: 2, Adapter: cluster.Adapter(), Node: fmt.Sprint("n", i)})
		mustHandle(t, h, "/", serveNothing)
		hubs = append(hubs, h)
		for k := range 4 {
			clients = append(clients, connect(t, h, k%2, "/", "{}"))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		members := make(map[string]int)
		for _, c := range clients {
			rooms := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab][a-e]`), 0, 5, rapid.ID[string]).Draw(t, "rooms")
			c.on(func(s *Session) {
				for _, room := range s.Rooms() {
					s.Leave(room)
				}
				for _, room := range rooms {
					if err := s.Join(room); err != nil {
						t.Error(err)
					}
				}
			})
			for _, room := range rooms {
				members[room]++
			}
		}
		ns := hubs[rapid.IntRange(0, 2).Draw(t, "node")].Of("/")
		q := PageQuery{Prefix: rapid.SampledFrom([]string{"", "a", "b", "ba"}).Draw(t, "prefix"), Limit: rapid.IntRange(1, 7).Draw(t, "limit")}
		for after := "-"; after != ""; {
			list, end, err := ns.AllRoomPage(q)
			if err != nil || len(end.Nodes) != 3 || len(list) > q.Limit {
				t.Fatalf("%+v, %+v, %v", list, end, err)
			}
			for _, r := range list {
				if members[r.Name] != r.Members || r.Members == 0 || r.Name <= q.After || !strings.HasPrefix(r.Name, q.Prefix) {
					t.Fatalf("%+v behind %q, want %d members", r, q.After, members[r.Name])
				}
				delete(members, r.Name)
			}
			if after = ""; end.More {
				after = list[len(list)-1].Name
			}
			q.After = after
		}
		for room := range members {
			if strings.HasPrefix(room, q.Prefix) {
				t.Fatalf("room %q was left out", room)
			}
		}
		var found []string
		sq := PageQuery{Limit: q.Limit}
		for more := true; more; {
			list, end, err := ns.AllSessionPage(sq)
			if err != nil || len(list) > sq.Limit || end.More && len(list) == 0 {
				t.Fatalf("%+v, %+v, %v", list, end, err)
			}
			for _, s := range list {
				found = append(found, s.ID)
			}
			if more = end.More; more {
				sq.After = found[len(found)-1]
			}
		}
		var want []string
		for _, c := range clients {
			want = append(want, c.session.ID())
		}
		if slices.Sort(want); !slices.Equal(found, want) {
			t.Fatalf("sessions %q, want %q", found, want)
		}
	})
}

// What other nodes say is not believed beyond what was asked for, nor is more told to one that asks than there may be.
func TestPagesOfStrangers(t *testing.T) {
	for text, ok := range map[string]bool{
		`[{"list":[{"room":"r","members":1}]}]`: true, `[{"list":[]}]`: true,
		`[{"list":[{"room":"a"},{"room":"b"},{"room":"c"}]}]`: false, // three, where two were asked for
		`[{"list":[{"room":"b"},{"room":"a"}]}]`:              false, // a page behind b would bring a again
		`[{"list":[{"room":"a"},{"room":"a"}]}]`:              false,
		`[{"list":[{"room":"A"},{"room":"a"}]}]`:              false, // A was not asked for
		`[{"list":[null]}]`:                                   false,
		`[{"ok":false,"error":{"code":"x"}}]`:                 false, `[]`: false, `[7]`: false, `[{},{}]`: false, `{`: false, `[{"list":7}]`: false,
	} {
		if _, is := readPart[roomPart](Payload{JSON: []byte(text)}, &PageQuery{After: "Z", Limit: 2}); is != ok {
			t.Errorf("%s: %v", text, is)
		}
	}
	h := newTestHub(t, Options{})
	mustHandle(t, h, "/", serveNothing)
	for _, args := range []string{`{"limit":0}`, `{"limit":1001}`, `{"limit":-1}`, `7`, `{"limit":1},2`, ``} {
		text := fmt.Sprintf(`[%q,%s]`, askRooms, args)
		got := make(chan NodeReply, 1)
		h.Of("/").serve(Payload{JSON: []byte(strings.Replace(text, ",]", "]", 1))}, func(r NodeReply) { got <- r })
		if r := <-got; len(r.Answers) != 1 || !strings.Contains(string(r.Answers[0].Payload.JSON), "bad_arguments") {
			t.Errorf("%s: %+v", text, r)
		}
	}
	if err := h.Of("/").OnServer(askRooms, func() {}); !errors.Is(err, ErrReservedEvent) {
		t.Error(err)
	}
	if err := h.Of("/").ServerEmit(askRooms); !errors.Is(err, ErrReservedEvent) {
		t.Error(err)
	}
	many := sessionPart{Rooms: slices.Repeat([]string{strings.Repeat("r", 250)}, 1000)}
	if n := fittingParts(slices.Repeat([]sessionPart{many}, 10)); n < 1 || n > 5 {
		t.Errorf("%d of them make an answer", n)
	}
	if n := fittingParts([]sessionPart{{Rooms: slices.Repeat(many.Rooms, 10)}, many}); n != 1 {
		t.Errorf("%d, where one is too large", n)
	}
}

// A node that answers less than it was asked for, because that would be too large, ends the page there.
func TestPagesEndWhereANodeDoes(t *testing.T) {
	list := func(names ...string) (out []roomPart) {
		for _, n := range names {
			out = append(out, roomPart{n, 1})
		}
		return out
	}
	name := func(r roomPart) string { return r.Name }
	all := list("a", "b", "c", "d")
	for _, c := range []struct {
		parts []portion[roomPart]
		limit int
		want  int
		more  bool
	}{
		{[]portion[roomPart]{{List: list("a", "c")}, {List: list("b", "d")}}, 9, 4, false},
		{[]portion[roomPart]{{List: list("a", "c"), More: true}, {List: list("b", "d")}}, 9, 3, true},
		{[]portion[roomPart]{{List: list("a", "c"), More: true}, {List: list("b"), More: true}, {List: list("d")}}, 9, 2, true},
		{[]portion[roomPart]{{List: list("a", "c"), More: true}, {List: list("b", "d")}}, 2, 2, true},
		{[]portion[roomPart]{{List: list("a", "c", "d")}, {More: true}, {List: list("b")}}, 9, 4, false},
	} {
		if got, more := cutPage(c.parts, all, c.limit, name); len(got) != c.want || more != c.more {
			t.Errorf("%+v: %+v, %v", c.parts, got, more)
		}
	}
}

func TestAPageDoesNotWaitForEver(t *testing.T) {
	var cluster Cluster
	h := newTestHub(t, Options{Adapter: cluster.Adapter(), Node: "a"})
	mustHandle(t, h, "/", serveNothing)
	other := newTestHub(t, Options{Loops: 2, Adapter: cluster.Adapter(), Node: "b"})
	mustHandle(t, other, "/", serveNothing)
	connect(t, h, 0, "/", "{}").on(func(s *Session) {
		if err := s.Join("r"); err != nil {
			t.Error(err)
		}
	})
	free := make(chan struct{})
	for _, l := range other.Loops().All() {
		l.Post(func() { <-free })
	}
	defer close(free)
	list, end, err := h.Of("/").AllRoomPage(PageQuery{Limit: 10, Within: 20 * time.Millisecond})
	missing := (*MissingError)(nil)
	if !errors.As(err, &missing) || !slices.Equal(missing.Nodes, []string{"b"}) || len(list) != 1 || !slices.Equal(end.Nodes, []string{"a"}) {
		t.Errorf("%+v, %+v, %v", list, end, err)
	}
}
