package zeromq

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
)

// bridgedNodes are nodes of one cluster, each with its own endpoints and a member of room.
func bridgedNodes(t *testing.T, n int, fanout Fanout) (nodes []*crowd, bridges []*Bridge) {
	t.Helper()
	var cluster hub.Cluster
	for i := range n {
		c := newCrowd(t, hub.Options{Adapter: cluster.Adapter(), Node: fmt.Sprint("n", i)})
		c.join(t, "/", "room")
		nodes = append(nodes, c)
		bridges = append(bridges, listen(t, c.hub, Options{Pull: anyPort, PullFormat: Format{Fanout: fanout}, Pub: anyPort}))
	}
	return nodes, bridges
}

// A publication that comes in at one node goes out at all, once at each, and is the same everywhere; a local one at its
// own node alone.
func TestEgressOfACluster(t *testing.T) {
	_, bridges := bridgedNodes(t, 2, Cluster)
	p := push(t, bridges[0].Addr("pull"))
	subs := []*Subscription{subscribe(t, bridges[0], "room"), subscribe(t, bridges[1], "room")}
	const n = 5
	for i := range n {
		send(t, p, "room", "e", fmt.Sprint(i))
	}
	var got [2][]string
	for k, s := range subs {
		for range n {
			got[k] = append(got[k], receive(t, s))
		}
	}
	for i := range n {
		if got[0][i] != got[1][i] || strings.Count(got[0][i], `"epoch"`) != 1 {
			t.Errorf("at the first node %s, at the second %s", got[0][i], got[1][i])
		}
	}
	_, bridges = bridgedNodes(t, 2, Local)
	first, second := push(t, bridges[0].Addr("pull")), push(t, bridges[1].Addr("pull"))
	s := subscribe(t, bridges[1], "room")
	send(t, first, "room", "e", "elsewhere")
	if err := first.Close(); err != nil { // it has been read
		t.Fatal(err)
	}
	send(t, second, "room", "e", "here")
	if text := receive(t, s); !strings.HasPrefix(text, "room|e|here|") {
		t.Errorf("heard %s", text)
	}
}

// Two publishers send the same, each to its node, for one of them may fail: with an id of the publication's it counts
// once. Fed to each node locally it counts at each.
func TestTheSamePublicationAtTwoNodes(t *testing.T) {
	for _, fanout := range []Fanout{Cluster, Local} {
		nodes, bridges := bridgedNodes(t, 2, fanout)
		for i := range 10 {
			for _, b := range bridges {
				p := push(t, b.Addr("pull"))
				send(t, p, fmt.Sprintf(`{"room":"room","event":"e","data":1,"id":"p%d"}`, i))
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, c := range nodes {
			eventually(t, "the messages", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.heard["room"] >= 10 })
			if _, err := c.hub.Publish(hub.Publication{Room: "room", Event: "last", Local: true}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the last", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.heard["room"] >= 11 })
			c.mu.Lock()
			if c.heard["room"] != 11 {
				t.Errorf("fan-out %d: node %d has heard %d messages, want 11", fanout, i, c.heard["room"])
			}
			c.mu.Unlock()
		}
	}
}

// controlledCluster is nodes a, b, … with endpoints, whose clients are the users that they say to be.
func controlledCluster(t *testing.T, n int) (hubs []*hub.Hub, asks []*asker) {
	t.Helper()
	var cluster hub.Cluster
	for i := range n {
		h := newHub(t, hub.Options{Loops: 2, Adapter: cluster.Adapter(), Node: string(rune('a' + i))})
		h.Of("/").Use(func(s *hub.Session) error { return s.Identify(strings.Trim(string(s.Handshake().Auth), `"`)) })
		if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
			t.Fatal(err)
		}
		hubs = append(hubs, h)
		asks = append(asks, ask(t, listen(t, h, Options{Control: anyPort}).Addr("control"), zmq4.Dealer))
	}
	return hubs, asks
}

// What is asked at one node is answered for all, and what is done there is done on all.
func TestControlKnowsTheCluster(t *testing.T) {
	hubs, asks := controlledCluster(t, 3)
	alice, again, bob := comeIn(t, hubs[0], "/", `"alice"`), comeIn(t, hubs[1], "/", `"alice"`), comeIn(t, hubs[2], "/", `"bob"`)
	view := func(c *browser, user, rooms, node string) string {
		return fmt.Sprintf(`{"id":"%s","user":"%s","rooms":[%s],"node":"%s"}`, c.session.ID(), user, rooms, node)
	}
	list := func(views ...string) string {
		slices.Sort(views)
		return `{"sessions":[` + strings.Join(views, ",") + `]`
	}
	bob.emit(1, "join", "room")
	bob.want(t, "ack 1 ")
	eventually(t, "bob to be announced", func() bool { _, n := hubs[0].Of("/").Present("room", 1); return n == 1 })
	if _, err := hubs[1].Publish(hub.Publication{Room: "room", Event: "e", Args: []any{1}}); err != nil {
		t.Fatal(err)
	}
	const nodes = `"nodes":["a","b","c"]`
	for i, c := range []struct {
		method string
		params map[string]any
		want   string // begins so
	}{
		{"join", map[string]any{"user": "alice", "room": "room"}, `{"sessions":2}`},
		{"join", map[string]any{"session": bob.session.ID(), "room": "own"}, `{"sessions":1}`},
		{"rooms", nil, `{"rooms":[{"room":"own","members":1},{"room":"room","members":3}],` + nodes + `}`},
		{"rooms", map[string]any{"limit": 1}, `{"rooms":[{"room":"own","members":1}],"next":"own",` + nodes + `}`},
		{"rooms", map[string]any{"limit": 1, "after": "own"}, `{"rooms":[{"room":"room","members":3}],` + nodes + `}`},
		{"members", map[string]any{"room": "own"}, list(view(bob, "bob", `"room","own"`, "c")) + `,` + nodes + `}`},
		{"members", map[string]any{"room": "room"}, list(view(alice, "alice", `"room"`, "a"), view(again, "alice", `"room"`, "b"), view(bob, "bob", `"room","own"`, "c")) + `,` + nodes + `}`},
		{"sessions", map[string]any{"user": "alice"}, list(view(alice, "alice", `"room"`, "a"), view(again, "alice", `"room"`, "b")) + `}`},
		{"sessions", map[string]any{"user": "alice", "limit": 1}, `{"sessions":[{`},
		{"presence", map[string]any{"room": "room"}, `{"count":1,"members":[{"id":"` + bob.session.ID() + `","user":"bob","node":"c"}]}`},
		{"history", map[string]any{"room": "room"}, `{"messages":[{"id":"`},
		{"leave", map[string]any{"user": "alice", "room": "room"}, `{"sessions":2}`},
		{"kick", map[string]any{"user": "alice", "reason": "enough"}, `{"sessions":2}`},
		{"sessions", nil, list(view(bob, "bob", `"room","own"`, "c")) + `,` + nodes + `}`},
		{"kick", map[string]any{"session": bob.session.ID()}, `{"sessions":1}`},
		{"sessions", nil, `{"sessions":[],` + nodes + `}`},
	} {
		if got := asks[0].must(c.method, c.params); !strings.HasPrefix(got, c.want) {
			t.Errorf("%d: %s %v: %s, want %s", i, c.method, c.params, got, c.want)
		}
	}
	if reason := again.session.Reason(); reason != "enough" {
		t.Errorf("on the other node, alice was kicked for %q", reason)
	}
}

// A node that does not answer is named, and not waited for for long.
func TestControlNamesWhoIsSilent(t *testing.T) {
	hubs, asks := controlledCluster(t, 2)
	c := comeIn(t, hubs[0], "/", `"alice"`)
	free := make(chan struct{})
	defer close(free)
	for _, l := range hubs[1].Loops().All() {
		l.Post(func() { <-free })
	}
	for method, params := range map[string]map[string]any{
		"rooms": nil, "sessions": nil, "join": {"user": "alice", "room": "r"}, "kick": {"session": c.session.ID()},
	} {
		began := time.Now()
		got := asks[0].must(method, params)
		if !strings.Contains(got, `"missing":"no answer of 1 node (b): `) {
			t.Errorf("%s: %s", method, got)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("%s took %v", method, took)
		}
	}
	c.want(t, "left") // it was done here all the same
}

// Who may read some rooms alone gets full pages of those, and no word of the others.
func TestControlRoomsOfAClusterForSome(t *testing.T) {
	hubs, _ := controlledCluster(t, 2)
	b := listen(t, hubs[0], Options{Control: anyPort})
	who := &Principal{User: "feed", Read: Patterns{"out.*"}}
	p := &peer{endpoint: b.endpoints["control"], principal: who}
	for i := range 20 {
		for k, name := range []string{"a", "out.", "z"} {
			if _, err := hubs[(i+k)%2].Publish(hub.Publication{Room: fmt.Sprint(name, 10+i), Event: "e"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var found []string
	for after := ""; ; {
		got, err := b.control.rooms(&controlCall{params: json.RawMessage(fmt.Sprintf(`{"limit":3,"after":%q}`, after)), peer: p})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(got)
		var page struct {
			Rooms []struct{ Room string }
			Next  string
		}
		if err = errors.Join(err, json.Unmarshal(raw, &page)); err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rooms {
			found = append(found, r.Room)
		}
		if after = page.Next; after == "" {
			break
		}
		if len(page.Rooms) != 3 || !strings.HasPrefix(after, "out.") {
			t.Fatalf("page %s", raw)
		}
	}
	if len(found) != 20 || !slices.IsSorted(found) || found[0] != "out.10" || found[19] != "out.29" {
		t.Errorf("found %q", found)
	}
}

// What was published on another node, before this one was there, is what a new subscriber gets first, and what a
// snapshot has.
func TestRetainedOfAnotherNode(t *testing.T) {
	var cluster hub.Cluster
	first := realHub(t, hub.Options{Adapter: cluster.Adapter(), Node: "a"})
	for _, room := range []string{"p.a", "p.b", "q"} {
		publish(t, first, hub.Publication{Room: room, Args: []any{room}, Retain: true})
	}
	publish(t, first, hub.Publication{Namespace: "/chat", Room: "p.c", Args: []any{"chat"}, Retain: true})
	later := realHub(t, hub.Options{Adapter: cluster.Adapter(), Node: "b"})
	b := listen(t, later, Options{Pub: anyPort, Control: anyPort})
	got := ask(t, b.Addr("control"), zmq4.Dealer).must("snapshot", map[string]any{"prefix": "p."})
	if !strings.Contains(got, `{"room":"p.a","seq":0,"members":0,"retained":{`) || !strings.Contains(got, `"p.b"`) || strings.Contains(got, `"q"`) {
		t.Errorf("snapshot %s", got)
	}
	s := subscribe(t, b, "")
	for _, want := range []string{"p.a|e|p.a|", "p.b|e|p.b|", "q|e|q|", "/chat#p.c|e|chat|"} {
		if text := receive(t, s); !strings.HasPrefix(text, want) {
			t.Errorf("got %s, want %s", text, want)
		}
	}
	publish(t, first, hub.Publication{Room: "p.a", Args: []any{"live"}})
	if text := receive(t, s); !strings.HasPrefix(text, "p.a|e|live|") {
		t.Errorf("then came %s", text)
	}
}

// slowly is an adapter whose claims wait until they are let go.
type slowly struct {
	hub.SharedRooms
	mu    sync.Mutex
	asked []func()
}

func (a *slowly) Claim(namespace, room, id string, window time.Duration, done func(string, bool, error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, func() { a.SharedRooms.Claim(namespace, room, id, window, done) })
}

func (a *slowly) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// Other nodes are asked about the ids of many messages at once, and the messages keep their order, also those without an
// id and when the answers come in another one.
func TestIDsAreAskedForAtOnce(t *testing.T) {
	var cluster hub.Cluster
	a := &slowly{SharedRooms: cluster.Adapter().(hub.SharedRooms)}
	c := newCrowd(t, hub.Options{Adapter: a, Node: "a"})
	b := listen(t, c.hub, Options{Pull: anyPort, Sub: anyPort, Pub: anyPort})
	s := subscribe(t, b, "room")
	p := push(t, b.Addr("pull"))
	send(t, p, `{"room":"room","event":"e","data":"first"}`)
	const n = 20
	for i := range n {
		id := ""
		if i%2 == 0 {
			id = fmt.Sprintf(`,"id":"%d"`, i/4) // the second one with it is left out
		}
		send(t, p, fmt.Sprintf(`{"room":"room","event":"e","data":"%d"%s}`, i, id))
	}
	eventually(t, "the questions", func() bool { return a.waiting() == n/4 })
	if text := receive(t, s); !strings.HasPrefix(text, "room|e|first|") {
		t.Errorf("heard %s", text)
	}
	a.mu.Lock()
	asked := a.asked
	a.mu.Unlock()
	for _, answer := range slices.Backward(asked) {
		answer()
	}
	for i := range n {
		if i%4 == 2 {
			continue
		}
		if text := receive(t, s); !strings.HasPrefix(text, fmt.Sprintf("room|e|%d|", i)) {
			t.Fatalf("heard %s, want %d", text, i)
		}
	}
	// What was sent before the end is published.
	send(t, p, `{"room":"room","event":"e","data":"last","id":"last"}`)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the question", func() bool { return a.waiting() == n/4+1 })
	a.asked[n/4]()
	if text := receive(t, s); !strings.HasPrefix(text, "room|e|last|") {
		t.Errorf("heard %s", text)
	}
}
