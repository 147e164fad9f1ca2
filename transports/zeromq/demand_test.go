package zeromq

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/internal/testenv"
)

// crowd is a real hub whose one session joins and leaves rooms as the test says.
type crowd struct {
	hub      *hub.Hub
	loop     *coop.Loop
	sessions map[string]*hub.Session // by namespace

	mu    sync.Mutex
	heard map[string]int // messages of rooms, by topic
}

func newCrowd(t *testing.T, o hub.Options) *crowd {
	t.Helper()
	o.Loops, o.Logger = 1, quiet
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &crowd{hub: h, loop: h.Loops().All()[0], sessions: make(map[string]*hub.Session), heard: make(map[string]int)}
	h.Tap(func(m *hub.Message) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard[topicOf(m.Namespace, m.Room)]++
	})
	for _, ns := range []string{"/", "/chat"} {
		ready := make(chan *hub.Session)
		err := h.Handle(ns, func(s *hub.Session) error {
			ready <- s
			for range s.Events() {
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m := &deaf{loop: c.loop}
		c.loop.Post(func() {
			if _, err := h.Connect(m, ns, &hub.Handshake{}); err != nil {
				t.Error(err)
			}
		})
		c.sessions[ns] = <-ready
	}
	return c
}

// deaf is a client that takes everything and looks at nothing.
type deaf struct{ loop *coop.Loop }

func (d *deaf) Loop() *coop.Loop                     { return d.loop }
func (d *deaf) Writable() bool                       { return true }
func (d *deaf) Accepted(*hub.Session)                {}
func (d *deaf) Refused(*hub.Session, error)          {}
func (d *deaf) Ack(*hub.Session, int64, hub.Payload) {}
func (d *deaf) Leave(*hub.Session, bool)             {}
func (d *deaf) Send(*hub.Frame)                      {}

func (c *crowd) on(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan struct{})
	c.loop.Post(func() {
		defer close(done)
		fn()
	})
	<-done
}

func (c *crowd) join(t *testing.T, namespace string, rooms ...string) {
	t.Helper()
	c.on(t, func() {
		for _, r := range rooms {
			if err := c.sessions[namespace].Join(r); err != nil {
				t.Error(err)
			}
		}
	})
}

func (c *crowd) leave(t *testing.T, namespace, room string) {
	t.Helper()
	c.on(t, func() { c.sessions[namespace].Leave(room) })
}

func (c *crowd) joinPrefix(t *testing.T, namespace, prefix string) {
	t.Helper()
	c.on(t, func() {
		if err := c.sessions[namespace].JoinPrefix(prefix); err != nil {
			t.Error(err)
		}
	})
}

func (c *crowd) leavePrefix(t *testing.T, namespace, prefix string) {
	t.Helper()
	c.on(t, func() { c.sessions[namespace].LeavePrefix(prefix) })
}

func (c *crowd) waitHeard(t *testing.T, topic string) {
	t.Helper()
	c.mu.Lock()
	before := c.heard[topic]
	c.mu.Unlock()
	eventually(t, "messages of "+topic, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.heard[topic] > before
	})
}

func (c *crowd) hasHeard(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard[topic] > 0
}

// TestDemand: a room's first member subscribes, its last cancels when the linger time is over, what a prefix brings
// beside is dropped, and a publisher that has been restarted gets what is wanted then.
func TestDemand(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	c.join(t, "/", "early")
	c.join(t, "/chat", "elsewhere")
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at, "early", "room1", "room10", "room2", "nobody")
	b := listen(t, c.hub, quick(Options{Connect: []string{at}, Demand: true, Linger: time.Millisecond}))
	waitOutput(t, p, "+early\n")
	c.waitHeard(t, "early")
	c.join(t, "/", "room1", "$hidden")
	waitOutput(t, p, "+room1\n")
	c.waitHeard(t, "room1")
	eventually(t, "what the prefix brings beside", func() bool { return c.hub.Counters()[reasonUndemanded] > 0 })
	c.leave(t, "/", "room1")
	waitOutput(t, p, "-room1\n")
	c.join(t, "/", "room2")
	waitOutput(t, p, "+room2\n")
	if got, want := subscriptions(p), []string{"+early", "+room1", "-room1", "+room2"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	p.Kill()
	p = startPublisher(t, at, "early", "room1", "room2")
	waitOutput(t, p, "+room2\n")
	waitOutput(t, p, "+early\n")
	c.waitHeard(t, "room2")
	for _, topic := range []string{"room10", "nobody", "/chat#elsewhere"} {
		if c.hasHeard(topic) {
			t.Errorf("heard %s", topic)
		}
	}
	if got := subscriptions(p); len(got) != 2 {
		t.Errorf("the restarted publisher was told %q", got)
	}
	if n := b.up.size(); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
}

// TestDemandLingers: who comes back within the linger time costs publishers nothing.
func TestDemandLingers(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at, "a", "b")
	listen(t, c.hub, quick(Options{Connect: []string{at}, Demand: true, Linger: time.Hour}))
	for range 3 {
		c.join(t, "/", "a")
		waitOutput(t, p, "+a\n")
		c.leave(t, "/", "a")
	}
	c.waitHeard(t, "a") // nobody is here, but who was may come back
	c.join(t, "/", "b")
	waitOutput(t, p, "+b\n")
	if got, want := subscriptions(p), []string{"+a", "+b"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestDemandIsBounded: what is too much is subscribed to when there is space again.
func TestDemandIsBounded(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at)
	b := listen(t, c.hub, quick(Options{Connect: []string{at}, Demand: true, Linger: -1, MaxTopics: 2}))
	c.join(t, "/", "a", "b")
	waitOutput(t, p, "+b\n")
	c.join(t, "/", "c")
	eventually(t, "the refusal", func() bool { return c.hub.Counters()[reasonDemandFull] == 1 })
	c.leave(t, "/", "a")
	waitOutput(t, p, "-a\n")
	waitOutput(t, p, "+c\n")
	if n := b.up.size(); n != 2 {
		t.Errorf("%d subscriptions", n)
	}
}

// TestDemandOfSubscribers: what somebody subscribes to at our XPUB is asked for at publishers.
func TestDemandOfSubscribers(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at, "prices.a", "prices.b", "other")
	b := listen(t, c.hub, quick(Options{Connect: []string{at}, Pub: anyPort, Demand: true, Linger: time.Millisecond}))
	first, second := subscribe(t, b, "prices."), subscribe(t, b, "prices.")
	waitOutput(t, p, "+prices.\n")
	for _, s := range []*Subscription{first, second} {
		if got := receive(t, s); !strings.HasPrefix(got, "prices.") {
			t.Errorf("heard %q", got)
		}
	}
	_ = first.Close()
	c.waitHeard(t, "prices.b")
	_ = second.Close()
	waitOutput(t, p, "-prices.\n")
	if got, want := subscriptions(p), []string{"+prices.", "-prices."}; !slices.Equal(got, want) || c.hasHeard("other") {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestDemandOfPrefixes: the first session that joins a prefix subscribes to it, its messages are heard, and the last
// that leaves it cancels.
func TestDemandOfPrefixes(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at, "prices.a", "other")
	b := listen(t, c.hub, quick(Options{Connect: []string{at}, Pub: anyPort, Demand: true, Linger: time.Millisecond}))
	c.joinPrefix(t, "/", "prices.")
	waitOutput(t, p, "+prices.\n")
	c.waitHeard(t, "prices.a")
	s := subscribe(t, b, "prices.") // who wants the same takes nothing from the session when it goes
	if got := receive(t, s); !strings.HasPrefix(got, "prices.a") {
		t.Errorf("heard %q", got)
	}
	_ = s.Close()
	eventually(t, "the end of the subscription", func() bool { return b.Topics() == 0 })
	c.waitHeard(t, "prices.a")
	c.leavePrefix(t, "/", "prices.")
	waitOutput(t, p, "-prices.\n")
	if got, want := subscriptions(p), []string{"+prices.", "-prices."}; !slices.Equal(got, want) || c.hasHeard("other") {
		t.Errorf("told %q, want %q", got, want)
	}
	b.demand.mu.RLock()
	defer b.demand.mu.RUnlock()
	for n, wide := range b.demand.prefixes {
		if wide != 0 {
			t.Errorf("%d prefixes of %d bytes are left", wide, n)
		}
	}
}

// TestPrefixesLinger: what comes for a prefix while it lingers is retained, as it is for a room.
func TestPrefixesLinger(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at, "prices.a", "other")
	listen(t, c.hub, quick(Options{Connect: []string{at}, Demand: true, Linger: time.Hour, SubFormat: Format{Retain: true}}))
	c.joinPrefix(t, "/", "prices.")
	waitOutput(t, p, "+prices.\n")
	c.waitHeard(t, "prices.a")
	c.leavePrefix(t, "/", "prices.")
	for range 3 {
		c.waitHeard(t, "prices.a")
	}
	// A room of the same name is wanted now, and not what else begins so.
	c.join(t, "/", "prices.")
	eventually(t, "the prefix's end", func() bool { return c.hub.Counters()[reasonUndemanded] > 0 })
}

// TestOwnTopicsAreNotAskedFor: what the bridge makes itself is no business of publishers.
func TestOwnTopicsAreNotAskedFor(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at)
	b := listen(t, c.hub, quick(Options{Connect: []string{at}, Pub: anyPort, Demand: true}))
	subscribe(t, b, "$hb", "$room", "room")
	waitOutput(t, p, "+room\n")
	if got := subscriptions(p); !slices.Equal(got, []string{"+room"}) {
		t.Errorf("told %q", got)
	}
}

// TestTopicPrefixes: each room that a prefix covers has a topic that begins with what publishers are asked for.
func TestTopicPrefixes(t *testing.T) {
	long := strings.Repeat("n", maxNamespace-1)
	for _, tc := range []struct {
		format            Format
		namespace, prefix string
		want              []string
	}{
		{Format{}, "/", "pri", []string{"pri"}},
		{Format{}, "/chat", "pri", nil},
		{Format{Namespace: "/chat"}, "/chat", "pri", []string{"pri"}},
		{Format{Layout: TextSpace}, "/", "pri", []string{"pri"}},
		{Format{NamespaceInTopic: true}, "/", "pri", []string{"pri"}},
		{Format{NamespaceInTopic: true}, "/", "/ch", []string{"/ch", "/#/ch"}},
		{Format{NamespaceInTopic: true}, "/", "/ch#", []string{"/#/ch#"}},
		{Format{NamespaceInTopic: true}, "/chat", "pri", []string{"/chat#pri"}},
		{Format{NamespaceInTopic: true}, "/" + long, long, []string{"/" + long + "#" + long}},
	} {
		f := tc.format.withDefaults()
		got := f.topicPrefixes(tc.namespace, tc.prefix)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %s %s is %q, want %q", tc.format, tc.namespace, tc.prefix, got, tc.want)
		}
		d := newDemand(&Bridge{opts: Options{SubFormat: f}}, newUpstream(nil))
		d.joined(tc.namespace, tc.prefix, true)
		for _, rest := range []string{"", "x", "#x"} {
			if d.hears(tc.namespace, tc.prefix+rest) != (tc.want != nil) {
				t.Errorf("%+v: %s %s hears %s wrongly", tc.format, tc.namespace, tc.prefix, tc.prefix+rest)
			}
		}
	}
}

// TestDemandInOtherWords: what a publisher is asked for is what its messages begin with.
func TestDemandInOtherWords(t *testing.T) {
	for _, tc := range []struct {
		name            string
		format          Format
		namespace, room string
		topic, beside   string
		want            string
	}{
		{"a layout of text", Format{Layout: TextSpace}, "/", "10001", "10001 ", "100010 ", "+10001"},
		{"another namespace", Format{Namespace: "/chat"}, "/chat", "room", "room", "rooms", "+room"},
		{"the namespace in the topic", Format{NamespaceInTopic: true}, "/chat", "room", "/chat#room", "/chat#rooms", "+/chat#room"},
		{"channels of Pushpin", Format{Layout: Pushpin}, "/", "c", "c", "cc", "+c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCrowd(t, hub.Options{})
			c.join(t, tc.namespace, tc.room)
			at := "tcp://" + testenv.FreeAddr(t)
			p := startPublisher(t, at, tc.topic, tc.beside)
			listen(t, c.hub, quick(Options{Connect: []string{at}, Demand: true, SubFormat: tc.format}))
			waitOutput(t, p, tc.want)
			if tc.format.Layout != Pushpin { // its items are no items
				c.waitHeard(t, topicOf(tc.namespace, tc.room))
			}
			if got := subscriptions(p); !slices.Equal(got, []string{tc.want}) {
				t.Errorf("told %q", got)
			}
		})
	}
}

// TestDemandThatNeverBegan: an endpoint that cannot be bound is an error, also with what has not been started.
func TestDemandThatNeverBegan(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := "tcp://" + taken.Addr().String()
	for _, o := range []Options{{Pull: at}, {Pub: at}, {Workers: at}, {Pub: anyPort, Workers: anyPort, Control: at}} {
		o.Demand, o.Connect, o.Logger = true, []string{at}, quiet
		if _, err := Listen(c.hub, o); err == nil {
			t.Error("two listen at one port")
		}
	}
}

// TestDemandUnderChange: whatever comes and goes, in the end what is subscribed to is what is wanted.
func TestDemandUnderChange(t *testing.T) {
	c := newCrowd(t, hub.Options{})
	b := listen(t, c.hub, Options{Sub: anyPort, Demand: true, Linger: -1})
	for i := range 2000 {
		room := fmt.Sprint("r", i*7919%37)
		if i%3 > 0 {
			c.join(t, "/", room)
		} else {
			c.leave(t, "/", room)
		}
	}
	want := make(map[string]bool)
	c.on(t, func() {
		for _, r := range c.sessions["/"].Rooms() {
			want[r] = true
		}
	})
	eventually(t, "the balance", func() bool {
		b.up.mu.Lock()
		defer b.up.mu.Unlock()
		for topic := range b.up.topics {
			if !want[topic] {
				return false
			}
		}
		return len(b.up.topics) == len(want)
	})
	b.demand.mu.RLock()
	defer b.demand.mu.RUnlock()
	if len(b.demand.wants) != len(want) || b.demand.leaving.Len() > 0 || len(want) == 0 {
		t.Errorf("%d wants, %d leaving, want %d", len(b.demand.wants), b.demand.leaving.Len(), len(want))
	}
}

// TestPlainOfAnotherNode: a publication that came by another node has the frames that it would have there.
func TestPlainOfAnotherNode(t *testing.T) {
	var cluster hub.Cluster
	here := newCrowd(t, hub.Options{Adapter: cluster.Adapter(), Node: "here"})
	there := newCrowd(t, hub.Options{Adapter: cluster.Adapter(), Node: "there"})
	b := listen(t, here.hub, Options{Pub: anyPort, PubStyle: Plain})
	s := subscribe(t, b, "room")
	if _, err := there.hub.Publish(hub.Publication{Room: "room", Event: "e", Args: []any{"x"}}); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, s); got != "room|x" {
		t.Errorf("heard %q", got)
	}
}

// TestFanout: with Cluster a publisher reaches one node and each member hears it once; with Local it reaches all.
func TestFanout(t *testing.T) {
	for _, fanout := range []Fanout{Cluster, Local} {
		var cluster hub.Cluster
		var nodes [2]*crowd
		var pushers []*Pusher
		for i := range nodes {
			nodes[i] = newCrowd(t, hub.Options{Adapter: cluster.Adapter(), Node: fmt.Sprint("n", i)})
			nodes[i].join(t, "/", "room")
			b := listen(t, nodes[i].hub, Options{Pull: anyPort, PullFormat: Format{Fanout: fanout}})
			if i == 0 || fanout == Local {
				pushers = append(pushers, push(t, b.Addr("pull")))
			}
		}
		const n = 20
		for range n {
			for _, p := range pushers {
				send(t, p, "room", "x")
			}
		}
		for _, p := range pushers {
			if err := p.Close(); err != nil { // all has been read
				t.Error(err)
			}
		}
		for i, c := range nodes {
			eventually(t, "the messages", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.heard["room"] >= n
			})
			c.mu.Lock()
			if c.heard["room"] != n {
				t.Errorf("fan-out %d: node %d has heard %d messages, want %d", fanout, i, c.heard["room"], n)
			}
			c.mu.Unlock()
		}
	}
}
