// Package adaptertest is the test of what every [hub.Adapter] owes to its hubs: those of one process and those of a
// network pass it alike.
package adaptertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

// Cluster is what joins the hubs of one test.
type Cluster struct {
	// Adapter makes the adapter of one more hub.
	Adapter func() hub.Adapter
	// Ready reports whether all that a hub does reaches the one of this adapter. nil: always.
	Ready func(hub.Adapter) bool
	// Unnamed: nodes that do not answer are not known by their names.
	Unnamed bool
}

// patience bounds each wait. Nothing is decided by its length.
const patience = time.Minute

// long is for questions that are answered.
const long = 30 * time.Second

// Run tests adapters. Each test has a cluster of its own.
func Run(t *testing.T, cluster func(t *testing.T) Cluster) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, c Cluster)
	}{
		{"emits", emits}, {"travel", travel}, {"order", order}, {"crowd", crowd}, {"publications", publications},
		{"outside", outside}, {"questions", questions}, {"silent client", silentClient}, {"silent node", silentNode},
		{"sessions", sessions}, {"pages", pages}, {"server events", serverEvents}, {"namespaces", namespaces}, {"closing", closing},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, cluster(t)) })
	}
}

// node is one hub with one client, which is in the rooms "a" and that of its node's name.
type node struct {
	*hub.Hub
	adapter hub.Adapter
	client  *client
}

// join makes n nodes, n0, n1, …
func join(t *testing.T, c Cluster, n int) []*node {
	t.Helper()
	var nodes []*node
	for i := range n {
		nodes = append(nodes, c.node(t, fmt.Sprintf("n%d", i), c.Adapter()))
	}
	for i, x := range nodes {
		c.wait(t, x.adapter)
		x.client = connect(t, x.Hub, "/", fmt.Sprintf(`{"n":%d}`, i))
		x.client.on(func(s *hub.Session) {
			s.Data = map[string]any{"n": i, "b": []byte{1}}
			if err := errors.Join(s.Join("a"), s.Join(fmt.Sprintf("n%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	for _, x := range nodes {
		c.wait(t, x.adapter) // rooms may be subscribed to as well
	}
	return nodes
}

func (c Cluster) node(t *testing.T, name string, a hub.Adapter) *node {
	t.Helper()
	h, err := hub.New(hub.Options{Loops: 2, Node: name, Adapter: a, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	x := &node{Hub: h, adapter: a}
	x.handle(t, "/")
	return x
}

func (x *node) handle(t *testing.T, namespace string) {
	t.Helper()
	err := x.Handle(namespace, func(s *hub.Session) error {
		for range s.Events() {
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c Cluster) wait(t *testing.T, a hub.Adapter) {
	t.Helper()
	if c.Ready != nil {
		eventually(t, "the adapter to be ready", func() bool { return c.Ready(a) })
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// client is a connection whose wire is a list.
type client struct {
	loop    *coop.Loop
	session *hub.Session
	answer  func(m *hub.Message) []byte // the JSON of an ack, nil for none

	mu       sync.Mutex
	got      []*hub.Message
	accepted bool
}

func connect(t *testing.T, h *hub.Hub, namespace, auth string) *client {
	t.Helper()
	c := &client{loop: h.Loops().All()[0]}
	accepted := make(chan error, 1)
	c.loop.Post(func() {
		r := (&hub.Request{RemoteAddr: "127.0.0.1:5", URL: "/?q=1", Issued: time.UnixMilli(1.5e12)}).WithHeader(map[string][]string{"X-A": {"b"}})
		s, err := h.Connect(c, namespace, &hub.Handshake{Request: r, Auth: json.RawMessage(auth)})
		c.session = s
		accepted <- err
	})
	must(t, <-accepted)
	eventually(t, "the client to be let in", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.accepted
	})
	return c
}

// on runs fn on the client's loop and waits for it.
func (c *client) on(fn func(*hub.Session)) {
	done := make(chan struct{})
	if c.loop.Post(func() { defer close(done); fn(c.session) }) {
		<-done
	}
}

func (c *client) Loop() *coop.Loop                     { return c.loop }
func (c *client) Writable() bool                       { return true }
func (c *client) Refused(*hub.Session, error)          {}
func (c *client) Ack(*hub.Session, int64, hub.Payload) {}
func (c *client) Leave(*hub.Session, bool)             {}

func (c *client) Accepted(*hub.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = true
}

func (c *client) Send(f *hub.Frame) {
	m := f.Message()
	c.mu.Lock()
	c.got = append(c.got, m)
	c.mu.Unlock()
	if m.Ack != hub.NoAck && c.answer != nil {
		if text := c.answer(m); text != nil {
			c.loop.Post(func() { c.session.DeliverAck(m.Ack, hub.Payload{JSON: text}) })
		}
	}
}

func (c *client) messages() []*hub.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// events lists what the client has got, but for the marks of settle.
func (c *client) events() (list []string) {
	for _, m := range c.messages() {
		if m.Event != "mark" {
			list = append(list, string(m.Payload.JSON))
		}
	}
	return list
}

var marks atomic.Int64

// settle waits until what x has sent has come to the clients of all nodes.
func settle(t *testing.T, x *node, nodes []*node) {
	t.Helper()
	mark := marks.Add(1)
	text := fmt.Sprintf(`["mark",%d]`, mark)
	// What is for everybody, and what is for a room, have no order among them.
	must(t, x.To().Emit("mark", mark), x.To("a").Emit("mark", mark))
	for _, y := range nodes {
		eventually(t, "the marks at "+y.Options().Node, func() bool {
			seen := 0
			for _, m := range y.client.messages() {
				if string(m.Payload.JSON) == text {
					seen++
				}
			}
			return seen == 2
		})
	}
}

// expect compares what the clients have got, in any order.
func expect(t *testing.T, nodes []*node, want ...[]string) {
	t.Helper()
	for i, x := range nodes {
		got := x.client.events()
		slices.Sort(got)
		slices.Sort(want[i])
		if !slices.Equal(got, want[i]) {
			t.Errorf("the client of %s got %q, want %q", x.Options().Node, got, want[i])
		}
	}
}

func emits(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	must(t,
		n[0].To("a").Emit("room", 1, "é", nil, []byte{255}, map[string]any{"b": []byte{0}}),
		n[0].To().Emit("all"),
		n[0].To("n1", "n2", "nobody").Emit("rooms"),
		n[0].To(n[2].client.session.ID()).Emit("one"),
		n[0].To().Except("n1").Emit("except"),
		n[0].To("a").Except(n[2].client.session.ID()).Emit("except one"),
		n[0].To("a").Local().Emit("local"),
	)
	n[0].client.on(func(s *hub.Session) { must(t, s.To("a").Emit("others")) })
	settle(t, n[0], n)
	room := `["room",1,"é",null,{"_placeholder":true,"num":0},{"b":{"_placeholder":true,"num":1}}]`
	expect(t, n,
		[]string{room, `["all"]`, `["except"]`, `["except one"]`, `["local"]`},
		[]string{room, `["all"]`, `["rooms"]`, `["except one"]`, `["others"]`},
		[]string{room, `["all"]`, `["rooms"]`, `["one"]`, `["except"]`, `["others"]`})
	for _, x := range n {
		for _, m := range x.client.messages() {
			if m.Event == "room" && (len(m.Payload.Attachments) != 2 || m.Payload.Attachments[0][0] != 255 || m.Payload.Attachments[1][0] != 0) {
				t.Errorf("%s got the binary values %v", x.Options().Node, m.Payload.Attachments)
			}
		}
	}
}

// travel: what is said about a message holds on the other nodes.
func travel(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	must(t, n[0].To("a").Emit("plain"), n[0].To("a").Volatile().Emit("volatile"), n[0].To("a").Compress(false).Emit("compress"))
	settle(t, n[0], n)
	for _, m := range n[1].client.messages() {
		if m.Event != "mark" && (m.Volatile != (m.Event == "volatile") || m.NoCompress != (m.Event == "compress")) {
			t.Errorf("%s came as %+v", m.Event, m)
		}
	}
}

// order: what one goroutine sends to a room keeps its order.
func order(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	const most = 500
	var want []string
	for i := range most {
		must(t, n[0].To("a").Emit("n", i))
		want = append(want, fmt.Sprintf(`["n",%d]`, i))
	}
	settle(t, n[0], n)
	for _, x := range n {
		if got := x.client.events(); !slices.Equal(got, want) {
			t.Errorf("%s got %q", x.Options().Node, got)
		}
	}
}

// crowd: many at once lose nothing.
func crowd(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	var wg sync.WaitGroup
	for _, x := range n {
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if err := x.To("a").Emit("n"); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, x := range n {
		eventually(t, "all events at "+x.Options().Node, func() bool { return len(x.client.events()) >= 600 })
	}
	for _, x := range n {
		settle(t, x, n)
	}
	for _, x := range n {
		if got := len(x.client.events()); got != 600 {
			t.Errorf("%s got %d events", x.Options().Node, got)
		}
	}
}

func publications(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	var seen sync.Map
	defer n[1].Tap(func(m *hub.Message) {
		if m.Event != "mark" {
			seen.Store(m.Event, m.Foreign)
		}
	})()
	n[1].client.on(func(s *hub.Session) { must(t, s.JoinPrefix("pre")) })
	c.wait(t, n[1].adapter)
	publish := func(room, event string, p hub.Publication) {
		t.Helper()
		p.Room, p.Event, p.Args = room, event, []any{1}
		_, err := n[0].Publish(p)
		must(t, err)
	}
	eventually(t, "the first event", func() bool { // the other node has to know first that somebody listens
		must(t, n[0].To("empty").Emit("first"))
		_, heard := seen.Load("first")
		return heard
	})
	publish("a", "published", hub.Publication{})
	publish("a", "local", hub.Publication{Local: true})
	publish("a", "without", hub.Publication{Except: []string{n[1].client.session.ID()}})
	publish("prefix", "prefixed", hub.Publication{})
	publish("empty", "unheard", hub.Publication{})
	must(t, n[0].To("prefix").Emit("emitted"))
	settle(t, n[0], n)
	var got []string
	for _, m := range n[1].client.messages() {
		if m.Event == "mark" {
			continue
		}
		got = append(got, m.Event)
		if m.Event != "emitted" && !strings.Contains(string(m.Payload.JSON), `"from":{"id":"server"}`) {
			t.Errorf("a publication came as %s", m.Payload.JSON)
		}
	}
	slices.Sort(got)
	if want := []string{"emitted", "prefixed", "published"}; !slices.Equal(got, want) {
		t.Errorf("the other node's client got %q", got)
	}
	for event, want := range map[string]any{"published": true, "without": true, "prefixed": true, "unheard": true, "emitted": false} {
		eventually(t, event+" at the tap", func() bool { _, ok := seen.Load(event); return ok })
		if got, _ := seen.Load(event); got != want {
			t.Errorf("%s is foreign: %v", event, got)
		}
	}
	if _, ok := seen.Load("local"); ok {
		t.Error("what is for its own node alone came to another")
	}
}

// outside: who listens outside of rooms hears what others send to rooms that nobody here is in.
func outside(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	var mu sync.Mutex
	var got []string
	defer n[1].Tap(func(m *hub.Message) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m.Room+":"+m.Event)
	})()
	// The other node has to know first that somebody listens.
	eventually(t, "the first event", func() bool {
		must(t, n[0].To("far").Emit("first"))
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(got, "far:first")
	})
	must(t, n[0].To("far").Emit("e"), n[0].To("far", "off").Emit("both"))
	settle(t, n[0], n)
	mu.Lock()
	defer mu.Unlock()
	got = slices.DeleteFunc(got, func(s string) bool { return strings.HasSuffix(s, ":mark") || s == "far:first" })
	slices.Sort(got)
	if want := []string{"far:both", "far:e", "off:both"}; !slices.Equal(got, want) {
		t.Errorf("the tap saw %q", got)
	}
}

func answers(list []hub.Answer) (out []string) {
	for _, a := range list {
		out = append(out, string(a.Payload.JSON))
	}
	slices.Sort(out)
	return out
}

func questions(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	for i, x := range n {
		x.client.on(func(*hub.Session) {
			x.client.answer = func(m *hub.Message) []byte { return fmt.Appendf(nil, `["n%d",%d]`, i, len(m.Payload.Attachments)) }
		})
	}
	for _, q := range []struct {
		target hub.Target
		want   []string
	}{
		{n[0].To(), []string{`["n0",1]`, `["n1",1]`, `["n2",1]`}},
		{n[0].To("n2", "n1"), []string{`["n1",1]`, `["n2",1]`}},
		{n[0].To("n0"), []string{`["n0",1]`}},
		{n[0].To(n[1].client.session.ID()), []string{`["n1",1]`}},
		{n[0].To("a").Except("n2"), []string{`["n0",1]`, `["n1",1]`}},
		{n[0].To("a").Local(), []string{`["n0",1]`}},
		{n[0].To("nobody"), nil},
	} {
		got, err := q.target.Within(long).Ask("q", []byte{1})
		if err != nil || !slices.Equal(answers(got), q.want) {
			t.Errorf("answers %q, %v, want %q", answers(got), err, q.want)
		}
	}
	var wg sync.WaitGroup
	for range 20 { // answers find their questions
		wg.Go(func() {
			if got, err := n[1].To("n2").Within(long).Ask("q"); err != nil || !slices.Equal(answers(got), []string{`["n2",0]`}) {
				t.Errorf("answers %q, %v", answers(got), err)
			}
		})
	}
	wg.Wait()
}

func silentClient(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	n[0].client.on(func(*hub.Session) { n[0].client.answer = func(*hub.Message) []byte { return []byte("[1]") } })
	got, err := n[0].To("a").Within(300 * time.Millisecond).Ask("q")
	var missing *hub.MissingError
	if len(got) != 1 || !errors.As(err, &missing) || !errors.Is(err, coop.ErrTimeout) || len(missing.Sessions)+len(missing.Nodes) == 0 {
		t.Errorf("%d answers, %v", len(got), err)
	}
	// One that leaves is not waited for, if its node can say so.
	n[1].client.on(func(s *hub.Session) { s.Closed("transport close") })
	eventually(t, "the session to be gone", func() bool { return n[1].SessionCount() == 0 })
	if got, err := n[0].To("a").Within(long).Ask("q"); err != nil || len(got) != 1 {
		t.Errorf("%d answers, %v", len(got), err)
	}
}

// mute is an adapter whose hub does nothing of what others ask.
type mute struct{ hub.Adapter }

func (m mute) Join(n hub.Node) error { return m.Adapter.Join(muteNode{n}) }

type muteNode struct{ hub.Node }

func (muteNode) Serve(*hub.NodeRequest, func(hub.NodeReply)) {}

func silentNode(t *testing.T, c Cluster) {
	n := join(t, c, 2)
	a := c.Adapter()
	c.node(t, "mute", mute{a})
	c.wait(t, a)
	for what, ask := range map[string]func(d time.Duration) (int, error){
		"clients": func(d time.Duration) (int, error) {
			n[0].client.on(func(*hub.Session) { n[0].client.answer = func(*hub.Message) []byte { return []byte("[1]") } })
			got, err := n[0].To("n0").Within(d).Ask("q")
			return len(got), err
		},
		"sessions": func(d time.Duration) (int, error) {
			got, err := n[0].To("n0").Within(d).Sessions()
			return len(got), err
		},
		"rooms": func(d time.Duration) (int, error) {
			got, err := n[0].Of("/").AllRooms(d)
			if !slices.Contains(got, "n1") {
				return 0, err
			}
			return 1, err
		},
		"a page of rooms": func(d time.Duration) (int, error) {
			got, _, err := n[0].Of("/").AllRoomPage(hub.PageQuery{Limit: 10, Within: d})
			return len(got), err
		},
		"a page of sessions": func(d time.Duration) (int, error) {
			got, _, err := n[0].Of("/").AllSessionPage(hub.PageQuery{Limit: 10, Within: d})
			return len(got), err
		},
	} {
		// The others may be slow here: what matters is that the silent one is missed in the end.
		got, err := ask(500 * time.Millisecond)
		var missing *hub.MissingError
		if !errors.As(err, &missing) || !errors.Is(err, coop.ErrTimeout) || len(missing.Nodes) == 0 {
			t.Errorf("%s: %d, %v", what, got, err)
			continue
		}
		want := "mute"
		if c.Unnamed {
			want = hub.Unnamed
		}
		if !slices.Contains(missing.Nodes, want) {
			t.Errorf("%s: missing are %q", what, missing.Nodes)
		}
	}
}

func pages(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	ns := n[0].Of("/")
	want := []hub.RoomInfo{{Name: "a", Members: 3}, {Name: "n0", Members: 1}, {Name: "n1", Members: 1}, {Name: "n2", Members: 1}}
	var rooms []hub.RoomInfo
	for q := (hub.PageQuery{Limit: 2, Within: long}); ; {
		list, end, err := ns.AllRoomPage(q)
		must(t, err)
		if rooms = append(rooms, list...); len(end.Nodes) != 3 || end.Nodes[0] != "n0" || end.More != (len(rooms) < len(want)) {
			t.Errorf("%+v behind %+v", end, rooms)
		}
		if !end.More || len(list) == 0 {
			break
		}
		q.After = list[len(list)-1].Name
	}
	if !slices.Equal(rooms, want) {
		t.Errorf("rooms %+v", rooms)
	}
	var ids []string
	for _, x := range n {
		ids = append(ids, x.client.session.ID())
	}
	slices.Sort(ids)
	var found []string
	for q := (hub.PageQuery{Room: "a", Limit: 1, Within: long}); len(found) < 3; {
		list, end, err := ns.AllSessionPage(q)
		must(t, err)
		if len(list) != 1 || !end.More && len(found) < 2 {
			t.Fatalf("%+v, %+v", list, end)
		}
		s := list[0]
		i := slices.IndexFunc(n, func(x *node) bool { return x.client.session.ID() == s.ID })
		if name := n[i].Options().Node; s.Node != name && (s.Node != "" || i > 0) || !slices.Contains(s.Rooms, name) || !strings.HasPrefix(s.Handshake.RemoteAddr, "127.0.0.1") {
			t.Errorf("%+v", s)
		}
		found = append(found, s.ID)
		q.After = s.ID
	}
	if !slices.Equal(found, ids) {
		t.Errorf("sessions %q, want %q", found, ids)
	}
}

func sessions(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	snaps, err := n[0].In("a").Within(long).Sessions()
	must(t, err)
	if len(snaps) != 3 {
		t.Fatalf("%d sessions", len(snaps))
	}
	for _, s := range snaps {
		if s.Node == "" {
			continue
		}
		i := slices.IndexFunc(n, func(x *node) bool { return x.client.session.ID() == s.ID })
		name := n[i].Options().Node
		if s.Node != name || s.Namespace != "/" || !slices.Equal(s.Rooms, []string{"a", name}) {
			t.Errorf("%+v", s)
		}
		data, _ := s.Data.(json.RawMessage)
		var object any
		if json.Unmarshal(data, &object); fmt.Sprint(object) != fmt.Sprintf("map[b:map[data:[1] type:Buffer] n:%d]", i) {
			t.Errorf("data %s", data)
		}
		h := s.Handshake
		if string(h.Auth) != fmt.Sprintf(`{"n":%d}`, i) || h.URL != "/?q=1" || h.Query().Get("q") != "1" || h.Header().Get("X-A") != "b" ||
			h.Issued.UnixMilli() != 1.5e12 || !strings.HasPrefix(h.RemoteAddr, "127.0.0.1") {
			t.Errorf("handshake %+v", h)
		}
	}
	one := snaps[slices.IndexFunc(snaps, func(s hub.Snapshot) bool { return s.Node == "n2" })]
	must(t, one.Emit("hi"), one.Join("b"))
	one.Leave("n2")
	eventually(t, "the session to be in b alone", func() bool {
		again, err := n[0].In("b").Within(long).Sessions()
		must(t, err)
		return len(again) == 1 && again[0].ID == one.ID && slices.Equal(again[0].Rooms, []string{"a", "b"})
	})
	rooms, err := n[0].Of("/").AllRooms(long)
	must(t, err)
	want := []string{"a", "b", "n0", "n1"}
	for _, x := range n {
		want = append(want, x.client.session.ID())
	}
	slices.Sort(want)
	if !slices.Equal(rooms, want) {
		t.Errorf("rooms %q, want %q", rooms, want)
	}
	must(t, n[0].In("a").Except("n0").Join("c"))
	n[0].In("c").Disconnect("enough")
	for i, x := range n {
		if i > 0 {
			eventually(t, "the end of a session", func() bool { return x.SessionCount() == 0 })
			if r := x.client.session.Reason(); r != "enough" {
				t.Errorf("reason %q", r)
			}
		}
	}
	if n[0].SessionCount() != 1 {
		t.Error("the session that was not addressed has ended")
	}
}

func serverEvents(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	heard := make(chan string, 10)
	for i, x := range n {
		if i < 2 { // the last knows nothing of it
			must(t, x.Of("/").OnServer("sse", func(s string) (string, int) {
				heard <- fmt.Sprintf("%s at %d", s, i)
				return s, i
			}))
		}
	}
	must(t, n[0].Of("/").ServerEmit("sse", "x"))
	if got := <-heard; got != "x at 1" {
		t.Errorf("heard %s", got)
	}
	got, err := n[0].Of("/").ServerAsk(long, "sse", "y")
	if err != nil || len(got) != 1 || string(got[0].Payload.JSON) != `["y",1]` || got[0].Node != "n1" {
		t.Errorf("answers %+v, %v", got, err)
	}
	if got := <-heard; got != "y at 1" || len(heard) != 0 {
		t.Errorf("heard %s and %d more", got, len(heard))
	}
}

// namespaces: one that is not on all nodes is complete without those.
func namespaces(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	for _, x := range n[:2] {
		x.handle(t, "/own")
	}
	for _, x := range n {
		c.wait(t, x.adapter)
	}
	own := connect(t, n[1].Hub, "/own", "{}")
	if snaps, err := n[0].Of("/own").To().Within(long).Sessions(); err != nil || len(snaps) != 1 || snaps[0].ID != own.session.ID() {
		t.Errorf("%v, %v", snaps, err)
	}
	must(t, n[0].Of("/own").To().Emit("e"))
	eventually(t, "the event", func() bool { return slices.Equal(own.events(), []string{`["e"]`}) })
	settle(t, n[0], n)
	expect(t, n, nil, nil, nil)
}

// closing: who has left is not waited for, and hears nothing.
func closing(t *testing.T, c Cluster) {
	n := join(t, c, 3)
	must(t, n[2].Close())
	eventually(t, "the node to be gone", func() bool {
		snaps, err := n[0].In("a").Within(time.Second).Sessions()
		return err == nil && len(snaps) == 2
	})
	must(t, n[0].To("a").Emit("e"))
	settle(t, n[0], n[:2])
	expect(t, n, []string{`["e"]`}, []string{`["e"]`}, nil)
	if cancel, err := n[2].adapter.Send(&hub.NodeRequest{Op: hub.OpSessions, Namespace: "/"}, func(hub.NodeReply) {}); cancel != nil {
		_ = cancel()
	} else if err != nil {
		t.Log("a closed adapter says:", err)
	}
	if err := n[0].adapter.Join(nil); err == nil {
		t.Error("an adapter has joined twice")
	}
}
