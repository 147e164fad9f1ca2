package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// sharing are nodes that share what rooms have, each with Relay.
func sharing(t *testing.T, n int, o Options, adapter func(Adapter) Adapter) (hubs []*Hub, cluster *Cluster) {
	t.Helper()
	cluster = new(Cluster)
	for i := range n {
		o.Node, o.Adapter = fmt.Sprint("n", i), cluster.Adapter()
		if adapter != nil {
			o.Adapter = adapter(o.Adapter)
		}
		if o.Loops == 0 {
			o.Loops = 2
		}
		h := newTestHub(t, o)
		mustHandle(t, h, "/", Relay(RelayOptions{MaxMessages: 1000}))
		hubs = append(hubs, h)
	}
	return hubs, cluster
}

// idsIn are those of an answer's list of members or messages.
func idsIn(answer map[string]any, key string) (list []string) {
	for _, m := range answer[key].([]any) {
		list = append(list, m.(map[string]any)["id"].(string))
	}
	return list
}

func with(o ...any) map[string]any {
	m := make(map[string]any)
	for i := 0; i < len(o); i += 2 {
		m[o[i].(string)] = o[i+1]
	}
	return m
}

func TestWhoIsThereIsKnownOnAllNodes(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	watcher := connect(t, hubs[1], 0, "/", `{"name":"Eve"}`)
	if a := answerOf(t, watcher.call(t, 1, "join", "lobby", with("presence", true))); len(idsIn(a, "members")) != 1 || a["count"] != 1.0 {
		t.Fatalf("at first %v", a)
	}
	bob, ann := connect(t, hubs[0], 0, "/", `{"name":"Bob"}`), connect(t, hubs[0], 1, "/", `{"name":"Ann"}`)
	bob.call(t, 1, "join", "lobby")
	ann.call(t, 1, "join", "lobby")
	told := func(list, id string) func() bool {
		return func() bool {
			return slices.ContainsFunc(watcher.got, func(e string) bool {
				var p []json.RawMessage
				var u map[string]json.RawMessage
				_ = json.Unmarshal([]byte(e), &p)
				_ = json.Unmarshal(p[1], &u)
				return strings.Contains(string(u[list]), id)
			})
		}
	}
	watcher.wait(t, "Ann's coming", told("joined", ann.session.ID()))
	watcher.wait(t, "Bob's coming", told("joined", bob.session.ID()))
	for _, c := range []*fakeConn{watcher, bob} {
		a := answerOf(t, c.call(t, 2, "presence", "lobby"))
		if got, want := idsIn(a, "members"), []string{ann.session.ID(), bob.session.ID(), watcher.session.ID()}; !slices.Equal(got, want) || a["count"] != 3.0 {
			t.Errorf("got %v", a)
		}
	}
	for i, m := range answerOf(t, watcher.call(t, 3, "presence", "lobby"))["members"].([]any) {
		if got, want := m.(map[string]any)["node"], []string{"n0", "n0", "n1"}[i]; got != want {
			t.Errorf("member %d is on %v, want %v", i, got, want)
		}
	}
	if !told("joined", `"node":"n0"`)() {
		t.Errorf("updates without the node: %v", watcher.got)
	}
	if list, n := hubs[1].Of("/").Present("lobby", 2); n != 3 || len(list) != 2 || list[0].Name != "Ann" {
		t.Errorf("Present: %v of %d", list, n)
	}
	bob.call(t, 3, "leave", "lobby")
	watcher.wait(t, "Bob's leaving", told("left", bob.session.ID()))
	ann.leave("transport close")
	watcher.wait(t, "Ann's leaving", told("left", ann.session.ID()))
	if a := answerOf(t, watcher.call(t, 4, "presence", "lobby")); !slices.Equal(idsIn(a, "members"), []string{watcher.session.ID()}) {
		t.Errorf("in the end %v", a)
	}
}

func TestANodeThatIsGoneTakesItsMembersWithIt(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	ann := connect(t, hubs[0], 0, "/", `{"name":"Ann"}`)
	watcher := connect(t, hubs[1], 0, "/", `{"name":"Eve"}`)
	ann.call(t, 1, "join", "lobby")
	watcher.call(t, 1, "join", "lobby", with("presence", true))
	watcher.wait(t, "Ann", func() bool { return strings.Contains(strings.Join(watcher.got, ""), ann.session.ID()) })
	if err := hubs[0].Close(); err != nil {
		t.Fatal(err)
	}
	watcher.wait(t, "the update", func() bool {
		return strings.Contains(strings.Join(watcher.got, ""), `"joined":[],"left":[{"id":"`+ann.session.ID())
	})
	if a := answerOf(t, watcher.call(t, 2, "presence", "lobby")); len(idsIn(a, "members")) != 1 {
		t.Errorf("then %v", a)
	}
}

// Another node says that somebody has left who is here: it has cleared away what was announced before.
func TestNobodyWhoIsHereHasLeft(t *testing.T) {
	hubs, cluster := sharing(t, 2, Options{}, nil)
	ann := connect(t, hubs[0], 0, "/", `{"name":"Ann"}`)
	ann.call(t, 1, "join", "lobby", with("presence", true))
	eventually(t, "Ann is announced", func() bool { return len(cluster.rooms.read("/", "lobby", RoomQuery{Members: 9}).Members) == 1 })
	cluster.bury("n0")
	if err := hubs[1].To("lobby").Emit("behind"); err != nil {
		t.Fatal(err)
	}
	ann.wait(t, "the event behind", func() bool { return slices.Contains(ann.got, `["behind"]`) })
	if got := strings.Join(ann.events(), ""); strings.Contains(got, `"left":[{`) {
		t.Errorf("got %s", got)
	}
	node{hubs[0]}.Announce()
	if list, n := hubs[1].Of("/").Present("lobby", 5); n != 1 || list[0].ID != ann.session.ID() {
		t.Errorf("announced again: %v", list)
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestHistoryIsTheSameOnAllNodes(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{HistoryMessages: 4}, nil)
	var sent []string
	for i := range 6 {
		id, err := hubs[i%2].Publish(Publication{Room: "r", Event: "n", Args: []any{i}})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, id)
	}
	if _, err := hubs[0].Publish(Publication{Room: "r", Event: "volatile", Volatile: true}); err != nil {
		t.Fatal(err)
	}
	for i, h := range hubs {
		c := connect(t, h, 0, "/", "{}")
		a := answerOf(t, c.call(t, 1, "history", "r"))
		if got := idsIn(a, "messages"); !slices.Equal(got, sent[2:]) || a["complete"] != true {
			t.Errorf("node %d: %v, sent %q", i, a, sent)
		}
		a = answerOf(t, c.call(t, 2, "history", "r", with("after", sent[3], "limit", 1)))
		if got := idsIn(a, "messages"); !slices.Equal(got, sent[4:5]) || a["complete"] != true {
			t.Errorf("node %d, after: %v", i, a)
		}
		a = answerOf(t, c.call(t, 3, "history", "r", with("after", "none-1")))
		if got := idsIn(a, "messages"); !slices.Equal(got, sent[2:]) || a["complete"] != false {
			t.Errorf("node %d, lost: %v", i, a)
		}
		a = answerOf(t, c.call(t, 4, "join", "r", with("history", 2)))
		if got := idsIn(a, "messages"); !slices.Equal(got, sent[4:]) {
			t.Errorf("node %d, join: %v", i, a)
		}
		if list, complete := h.History("/", "r", 3, ""); len(list) != 3 || !complete || list[2].ID != sent[5] || list[2].Event != "n" {
			t.Errorf("node %d: History %v", i, list)
		}
	}
}

// Members of all nodes get the same meta.
func TestAPublicationIsTheSameOnAllNodes(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	var c [2]*fakeConn
	for i, h := range hubs {
		c[i] = connect(t, h, 0, "/", "{}")
		c[i].call(t, 1, "join", "r")
	}
	if _, err := hubs[0].Publish(Publication{Room: "r", Event: "n", Args: []any{`,{"room":"x","id":"y"`}, Via: "zeromq"}); err != nil {
		t.Fatal(err)
	}
	a, b := c[0].waitEvents(t, 1)[0], c[1].waitEvents(t, 1)[0]
	if a != b || !strings.Contains(a, `"epoch":"`+hubs[0].Epoch()+`"`) {
		t.Errorf("here %s, there %s", a, b)
	}
}

func TestAPublishersIDCountsOnceOnAllNodes(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	publish := func(h int, local bool) (string, error) {
		return hubs[h].Publish(Publication{Room: "r", Event: "n", ID: "once", Local: local})
	}
	first, err := publish(0, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range hubs {
		if again, err := publish(i, false); !errors.Is(err, ErrDuplicate) || again != first {
			t.Errorf("node %d: %q, %v; first %q", i, again, err, first)
		}
	}
	hubs, _ = sharing(t, 2, Options{}, nil)
	for i := range hubs { // each node is fed by itself
		if _, err := publish(i, true); err != nil {
			t.Errorf("local on node %d: %v", i, err)
		}
	}
	c := connect(t, hubs[0], 0, "/", "{}")
	a := c.call(t, 1, "publish", "r", "n", 1, with("id", "x"))
	if b := c.call(t, 2, "publish", "r", "n", 1, with("id", "x")); a != b || answerOf(t, a)["ok"] != true {
		t.Errorf("a client's: %s, %s", a, b)
	}
}

// Somewhere else a publication was claimed that is still under way, or never comes: who tries again is told what has
// become of it, and its id is not spent here.
func TestAnIDThatIsUnderWayElsewhereIsAskedForAgain(t *testing.T) {
	hubs, cluster := sharing(t, 2, Options{}, nil)
	publish := func(id string) (string, error) {
		return hubs[1].Publish(Publication{Room: "r", Event: "n", ID: id})
	}
	for _, id := range []string{"comes", "never comes"} {
		if _, fresh := cluster.rooms.claim("/", "r", id, time.Minute); !fresh {
			t.Fatal("not fresh")
		}
		if got, err := publish(id); got != "" || !errors.Is(err, ErrDuplicate) {
			t.Fatalf("%s: %q, %v", id, got, err)
		}
	}
	cluster.rooms.keep("n0", &NodeRequest{Namespace: "/", Keep: &Keep{Room: "r", ID: "first", Once: "comes", Window: time.Minute}})
	cluster.rooms.mu.Lock()
	delete(cluster.rooms.rooms[roomName{"/", "r"}].claims, "never comes") // its time is over
	cluster.rooms.mu.Unlock()
	if got, err := publish("comes"); got != "first" || !errors.Is(err, ErrDuplicate) {
		t.Errorf("it has come: %q, %v", got, err)
	}
	if got, err := publish("never comes"); got == "" || err != nil {
		t.Errorf("it has not: %q, %v", got, err)
	}
	if d := &hubs[1].dedup; len(d.queue) != 2 || len(d.seen) != 2 {
		t.Errorf("remembered: %v", d.queue)
	}
}

// unclaimed is an adapter that cannot say whether an id was used.
type unclaimed struct{ *clusterMember }

func (unclaimed) Claim(_, _, _ string, _ time.Duration, done func(string, bool, error)) {
	done("", false, errAway)
}

// Two nodes that cannot ask each other publish the same, and the others get one of them.
func TestOfTwoThatNobodyHasClaimedOneIsKept(t *testing.T) {
	hubs, cluster := sharing(t, 3, Options{}, func(a Adapter) Adapter { return unclaimed{a.(*clusterMember)} })
	c := connect(t, hubs[2], 0, "/", "{}")
	c.call(t, 1, "join", "r")
	var ids []string
	for _, h := range hubs[:2] {
		id, err := h.Publish(Publication{Room: "r", Event: "n", ID: "once"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	publish(t, hubs[0], "r", "behind")
	if got := c.waitEvents(t, 2); len(got) != 2 || !strings.Contains(got[0], `"id":"`+ids[0]+`"`) || !strings.Contains(got[1], "behind") {
		t.Errorf("heard %q", got)
	}
	if kept := cluster.rooms.read("/", "r", RoomQuery{History: 9}).History; len(kept) != 2 || kept[0].ID != ids[0] {
		t.Errorf("kept %+v, want %s first", kept, ids[0])
	}
}

// Publications that were begun have their places in the order in which they are finished.
func TestBegunPublications(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	h := hubs[0]
	begin := func(p Publication) func() (string, error) {
		p.Room, p.Event = "r", "e"
		return h.BeginPublish(p)
	}
	one, two, again := begin(Publication{ID: "one"}), begin(Publication{}), begin(Publication{ID: "one"})
	var ids []string
	for _, finish := range []func() (string, error){two, one} {
		id, err := finish()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if id, err := again(); id != "" || !errors.Is(err, ErrDuplicate) { // the first was under way when it was begun
		t.Errorf("again: %q, %v", id, err)
	}
	if id, err := hubs[1].BeginPublish(Publication{Room: "r", Event: "e", ID: "one"})(); id != ids[1] || !errors.Is(err, ErrDuplicate) {
		t.Errorf("elsewhere: %q, %v, want %s", id, err, ids[1])
	}
	if _, err := h.BeginPublish(Publication{Event: "e"})(); err == nil {
		t.Error("no room is a room")
	}
	messages, _ := h.History("/", "r", 9, "")
	if len(messages) != 2 || messages[0].ID != ids[0] || messages[1].ID != ids[1] {
		t.Errorf("history %+v, want %q", messages, ids)
	}
}

func TestWhatIsRetainedIsKnownOnAllNodes(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	retain := func(h int, v any) string {
		t.Helper()
		id, err := hubs[h].Publish(Publication{Room: "r", Event: "v", Args: []any{v}, Retain: true})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	retained := func(h int) any {
		a := answerOf(t, connect(t, hubs[h], 0, "/", "{}").call(t, 1, "join", "r", with("retained", true)))
		if v, ok := a["retained"].(map[string]any); ok {
			return v["id"]
		}
		return nil
	}
	for i, v := range []any{1, 2} {
		id := retain(i, v)
		for h := range hubs {
			if got := retained(h); got != id {
				t.Errorf("node %d: %v, want %s", h, got, id)
			}
			if list := hubs[h].Retained("/", "", 9); len(list) != 1 || list[0].ID != id {
				t.Errorf("node %d itself: %v", h, list)
			}
		}
	}
	retain(0, nil)
	for h := range hubs {
		if got := retained(h); got != nil {
			t.Errorf("node %d: %v", h, got)
		}
		if list := hubs[h].Retained("/", "", 9); len(list) != 0 {
			t.Errorf("node %d itself: %v", h, list)
		}
	}
}

// forgetful keeps nothing.
type forgetful struct {
	*clusterMember
	mu     sync.Mutex
	broken bool
}

var errAway = errors.New("away")

func (f *forgetful) away() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

func (f *forgetful) Send(r *NodeRequest, reply func(NodeReply)) (func() []string, error) {
	if k := r.Keep; k != nil && f.away() {
		if k.Done != nil {
			k.Done(errAway)
		}
		return nil, errAway
	}
	return f.clusterMember.Send(r, reply)
}

func (f *forgetful) ReadRoom(namespace, room string, q RoomQuery, done func(RoomView, error)) {
	if f.away() {
		done(RoomView{}, errAway)
		return
	}
	f.clusterMember.ReadRoom(namespace, room, q, done)
}

func (f *forgetful) Claim(namespace, room, id string, window time.Duration, done func(string, bool, error)) {
	if f.away() {
		done("", false, errAway)
		return
	}
	f.clusterMember.Claim(namespace, room, id, window, done)
}

func TestWithoutWhatNodesShareANodeAnswersFromItsOwn(t *testing.T) {
	var adapters []*forgetful
	hubs, _ := sharing(t, 2, Options{}, func(a Adapter) Adapter {
		f := &forgetful{clusterMember: a.(*clusterMember)}
		adapters = append(adapters, f)
		return f
	})
	breaks := func(v bool) {
		for _, a := range adapters {
			a.mu.Lock()
			a.broken = v
			a.mu.Unlock()
		}
	}
	member := connect(t, hubs[1], 0, "/", `{"name":"Eve"}`)
	member.call(t, 1, "join", "r", with("presence", true))
	id, err := hubs[0].Publish(Publication{Room: "r", Event: "n"})
	if err != nil {
		t.Fatal(err)
	}
	breaks(true)
	own, err := hubs[1].Publish(Publication{Room: "r", Event: "n", ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := hubs[1].Publish(Publication{Room: "r", Event: "n", ID: "x"}); !errors.Is(err, ErrDuplicate) || again != own {
		t.Errorf("the same node again: %q, %v", again, err)
	}
	a := answerOf(t, member.call(t, 2, "history", "r"))
	if got := idsIn(a, "messages"); !slices.Equal(got, []string{id, own}) || a["complete"] != false {
		t.Errorf("history: %v", a)
	}
	late := connect(t, hubs[1], 1, "/", `{"name":"Ann"}`)
	a = answerOf(t, late.call(t, 1, "join", "r", with("history", 5, "presence", true)))
	if len(idsIn(a, "messages")) != 2 || len(idsIn(a, "members")) != 2 {
		t.Errorf("join: %v", a)
	}
	eventually(t, "a failure", func() bool { return hubs[1].Counters()["presence_announce_failed"] > 0 })
	breaks(false)
	eventually(t, "what could not be announced is", func() bool {
		_, n := hubs[0].Of("/").Present("r", 5)
		return n == 2
	})
}

func TestMergedHistory(t *testing.T) {
	h := &Hub{epoch: "own"}
	list := func(text string) (out []*Message) { // node, or l: this one's for itself alone, and number
		for _, id := range strings.Fields(text) {
			m := &Message{ID: id, Foreign: id[0] != 'o' && id[0] != 'l', epoch: id[:1], alone: id[0] == 'l'}
			n := uint64(id[1] - '0')
			if m.Seq, m.count = n, n; m.Foreign {
				m.Seq = 0
			}
			out = append(out, m)
		}
		return out
	}
	for _, c := range []struct {
		what, kept, ring string
		last             map[string]uint64
		want             string
	}{
		{"nothing heard", "a1 b1 o1", "", map[string]uint64{"a": 1, "b": 1, "own": 1}, "a1 b1 o1"},
		{"nothing kept", "", "a1 o1", nil, "a1 o1"},
		{"all both", "a1 o1", "o1 a1", map[string]uint64{"a": 1, "own": 1}, "a1 o1"},
		{"kept for less long", "a3 a4", "a1 a2 a3", map[string]uint64{"a": 4}, "a3 a4"},
		{"what comes lags", "b8 b9", "a1 b3 a2", map[string]uint64{"a": 5, "b": 9}, "b8 b9"},
		{"local ones", "a1 b1 o3", "l1 a1 l2 b1 l4 a2 l5", map[string]uint64{"a": 1, "b": 1, "own": 3}, "l1 a1 l2 b1 l4 o3 a2 l5"},
		{"local ones alone", "", "l1 l2", nil, "l1 l2"},
		{"local ones in another order of the others", "a2 b1", "b1 l1 a2 l2", map[string]uint64{"a": 2, "b": 1}, "a2 b1 l1 l2"},
		{"some came meanwhile", "a1 b1", "b1 a2 o1 o2", map[string]uint64{"a": 1, "b": 1, "own": 1}, "a1 b1 a2 o2"},
	} {
		var got []string
		for _, m := range h.mergeHistory(list(c.kept), list(c.ring), c.last) {
			got = append(got, m.ID)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", c.what, s, c.want)
		}
	}
}

// What is published for one node alone is in the history that is read at that node, also when others have published since,
// and in no other.
func TestHistoryOfWhatIsForOneNodeAlone(t *testing.T) {
	hubs, cluster := sharing(t, 2, Options{}, nil)
	for _, h := range hubs {
		connect(t, h, 0, "/", "{}").call(t, 1, "join", "r")
	}
	var want [2][]string
	for i := range 6 {
		p := Publication{Room: "r", Event: "e", Local: i%3 == 1}
		id, err := hubs[i%2].Publish(p)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			if !p.Local || k == i%2 {
				want[k] = append(want[k], id)
			}
		}
	}
	for i, h := range hubs {
		var got []string
		messages, complete := h.History("/", "r", 100, "")
		for _, m := range messages {
			got = append(got, m.ID)
		}
		joined := idsIn(answerOf(t, connect(t, h, 1, "/", "{}").call(t, 1, "join", "r", with("history", 100))), "messages")
		if !slices.Equal(got, want[i]) || !complete || !slices.Equal(joined, want[i]) {
			t.Errorf("node %d: history %q, joined with %q, want %q, %v", i, got, joined, want[i], complete)
		}
	}
	if kept := cluster.rooms.read("/", "r", RoomQuery{History: 100}); len(kept.History) != 4 {
		t.Errorf("%d are kept for all", len(kept.History))
	}
	// Who was given a local one elsewhere gets no wrong promise: the second one was of the other node.
	if _, complete := hubs[0].History("/", "r", 100, want[1][1]); complete {
		t.Error("complete behind what this node has not seen")
	}
}

// What could not be kept leaves a mark, across which nothing is complete.
func TestHistoryWithAMark(t *testing.T) {
	all := []*Message{{ID: "a"}, {ID: "b"}, {}, {ID: "c"}, {ID: "d"}}
	for _, c := range []struct {
		after    string
		limit    int
		want     string
		complete bool
	}{
		{"", 9, "abcd", true}, {"", 2, "cd", true}, {"a", 1, "b", true}, {"a", 9, "bcd", false}, {"b", 9, "cd", false},
		{"c", 9, "d", true}, {"d", 9, "", true}, {"x", 2, "cd", false}, {"a", 0, "", true},
	} {
		found, complete := cutHistory(all, c.after, c.limit)
		got := ""
		for _, m := range found {
			got += m.ID
		}
		if got != c.want || complete != c.complete {
			t.Errorf("%d after %q: %q, %v", c.limit, c.after, got, complete)
		}
	}
}

// lagging is a network in which everything takes a random time, but keeps the order that a connection has: what a node
// writes, what the common memory brings to a node. Answers overtake messages, and each other.
type lagging struct {
	mu     sync.Mutex
	rng    *rand.Rand
	queues map[string][]func()
	wake   chan struct{}
}

func (l *lagging) put(queue string, fn func()) {
	l.mu.Lock()
	l.queues[queue] = append(l.queues[queue], fn)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lagging) step() bool {
	l.mu.Lock()
	var names []string
	for n, q := range l.queues {
		if len(q) > 0 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		l.mu.Unlock()
		return false
	}
	slices.Sort(names)
	n := names[l.rng.IntN(len(names))]
	fn := l.queues[n][0]
	l.queues[n] = l.queues[n][1:]
	l.mu.Unlock()
	fn()
	return true
}

func (l *lagging) run(quit chan struct{}) {
	for {
		for l.step() {
		}
		select {
		case <-l.wake:
		case <-quit:
			return
		}
	}
}

type laggingAdapter struct {
	*clusterMember
	net *lagging
	n   int
	mu  sync.Mutex
}

func (a *laggingAdapter) Send(r *NodeRequest, reply func(NodeReply)) (func() []string, error) {
	if reply != nil {
		return a.clusterMember.Send(r, reply)
	}
	me := a.node
	a.net.put("out "+me.Name(), func() {
		if r.Keep != nil {
			a.cluster.rooms.keep(me.Name(), r)
		}
		a.cluster.mu.RLock()
		all := a.cluster.nodes
		a.cluster.mu.RUnlock()
		for _, n := range all {
			if n != me {
				a.net.put("in "+n.Name(), func() { n.Serve(r, nil) })
			}
		}
		if r.Keep != nil && r.Keep.Done != nil {
			r.Keep.Done(nil)
		}
	})
	return nil, nil
}

func (a *laggingAdapter) ReadRoom(namespace, room string, q RoomQuery, done func(RoomView, error)) {
	a.net.put("out "+a.node.Name(), func() {
		v := a.cluster.rooms.read(namespace, room, q)
		a.mu.Lock()
		a.n++
		name := fmt.Sprint("answer ", a.node.Name(), a.n)
		a.mu.Unlock()
		a.net.put(name, func() { done(v, nil) })
	})
}

// Whoever joins with history, on whichever node and whatever is on its way, gets of each publisher all publications from
// the first one that it gets, in order, each once.
func TestAJoinWithHistoryHasNoGapAndNoDoubleInACluster(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { joinsAmidPublications(t, seed) })
	}
}

func joinsAmidPublications(t *testing.T, seed uint64) {
	const nodes, each, joins = 3, 60, 8
	net := &lagging{rng: rand.New(rand.NewPCG(seed, 1)), queues: make(map[string][]func()), wake: make(chan struct{}, 1)}
	hubs, _ := sharing(t, nodes, Options{HistoryMessages: 1000}, func(a Adapter) Adapter {
		return &laggingAdapter{clusterMember: a.(*clusterMember), net: net}
	})
	quit := make(chan struct{})
	ended := make(chan struct{})
	go func() { defer close(ended); net.run(quit) }()
	defer func() { close(quit); <-ended }()

	var wg sync.WaitGroup
	for n, h := range hubs {
		wg.Go(func() {
			for i := range each {
				if _, err := h.Publish(Publication{Room: "r", Event: "n", Args: []any{[]int{n, i}}, Retain: i%7 == 0}); err != nil {
					t.Error(err)
				}
				if i%4 == 0 {
					time.Sleep(50 * time.Microsecond) // lets joins come between; nothing depends on it
				}
			}
		})
	}
	type joiner struct {
		c   *fakeConn
		all bool
		ack map[string]any
	}
	var mu sync.Mutex
	var list []joiner
	rng := rand.New(rand.NewPCG(seed, 2))
	for range joins {
		n, limit := rng.IntN(nodes), []int{1, 3, 1000}[rng.IntN(3)]
		wg.Go(func() {
			c := connect(t, hubs[n], 0, "/", "{}")
			ack := answerOf(t, c.call(t, 1, "join", "r", with("history", limit, "presence", true)))
			mu.Lock()
			list = append(list, joiner{c, limit == 1000, ack})
			mu.Unlock()
		})
	}
	wg.Wait()
	for n, h := range hubs { // the end of each
		if _, err := h.Publish(Publication{Room: "r", Event: "n", Args: []any{[]int{n, each}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, j := range list {
		type item struct{ n, i int }
		var got []item
		read := func(raw []byte) {
			var v [2]int
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			got = append(got, item{v[0], v[1]})
		}
		ends := func() (n int) {
			for _, e := range j.c.got {
				for k := range nodes {
					if strings.HasPrefix(e, fmt.Sprintf(`["n",[%d,%d]`, k, each)) {
						n++
					}
				}
			}
			return n
		}
		inAck := 0
		for _, m := range j.ack["messages"].([]any) {
			raw, _ := json.Marshal(m.(map[string]any)["data"])
			read(raw)
			if got[len(got)-1].i == each {
				inAck++
			}
		}
		j.c.wait(t, "the end", func() bool { return ends()+inAck >= nodes })
		for _, e := range j.c.events() {
			var parts []json.RawMessage
			if err := json.Unmarshal([]byte(e), &parts); err != nil {
				t.Fatal(err)
			}
			if string(parts[0]) == `"n"` {
				read(parts[1])
			}
		}
		for k := range nodes {
			next := -1
			for _, it := range got {
				if it.n != k {
					continue
				}
				if next < 0 && (!j.all || it.i == 0) {
					next = it.i
				}
				if it.i != next {
					t.Fatalf("of node %d came %d, wanted %d; all %v: %v", k, it.i, next, j.all, got)
				}
				next++
			}
			if next != each+1 {
				t.Errorf("of node %d the last was %d", k, next-1)
			}
		}
	}
	eventually(t, "all are known everywhere", func() bool {
		for _, h := range hubs {
			if _, n := h.Of("/").Present("r", 100); n != joins {
				return false
			}
		}
		return true
	})
}

// holding keeps back the publications that it sends.
type holding struct {
	*clusterMember
	held []*NodeRequest
}

func (a *holding) Send(r *NodeRequest, reply func(NodeReply)) (func() []string, error) {
	if !r.Published {
		return a.clusterMember.Send(r, reply)
	}
	a.cluster.rooms.keep(a.node.Name(), r)
	a.held = append(a.held, r)
	return nil, nil
}

// A member that joins again, whatever for, or hears a room already, gets what is on its way all the same; who comes
// only now has had it.
func TestAMemberThatJoinsAgainMissesNothing(t *testing.T) {
	var adapters []*holding
	hubs, _ := sharing(t, 2, Options{}, func(a Adapter) Adapter {
		adapters = append(adapters, &holding{clusterMember: a.(*clusterMember)})
		return adapters[len(adapters)-1]
	})
	options := []map[string]any{with("presence", true), with("retained", true), with("history", 1), with("history", 9)}
	var members []*fakeConn
	for i := range options {
		members = append(members, connect(t, hubs[1], i%2, "/", "{}"))
		members[i].call(t, 1, "join", "room")
	}
	wide, late := connect(t, hubs[1], 0, "/", "{}"), connect(t, hubs[1], 1, "/", "{}")
	wide.on(func(s *Session) {
		if err := s.JoinPrefix("ro"); err != nil {
			t.Error(err)
		}
	})
	var sent []string
	for range 3 {
		id, err := hubs[0].Publish(Publication{Room: "room", Event: "n"})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, id)
	}
	for i, o := range options {
		members[i].call(t, 2, "join", "room", o)
	}
	wide.call(t, 1, "join", "room", with("presence", true))
	if got := idsIn(answerOf(t, late.call(t, 1, "join", "room", with("history", 9))), "messages"); !slices.Equal(got, sent) {
		t.Errorf("history: %q, sent %q", got, sent)
	}
	for _, r := range adapters[0].held {
		node{hubs[1]}.Serve(r, nil)
	}
	if err := hubs[1].To("room").Emit("end"); err != nil {
		t.Fatal(err)
	}
	published := func(c *fakeConn) (ids []string) {
		c.wait(t, "the end", func() bool { return slices.Contains(c.got, `["end"]`) })
		for _, e := range c.events() {
			for _, id := range sent {
				if strings.Contains(e, `"id":"`+id+`"`) {
					ids = append(ids, id)
				}
			}
		}
		return ids
	}
	for i, c := range append(members, wide) {
		if got := published(c); !slices.Equal(got, sent) {
			t.Errorf("member %d: %q, sent %q", i, got, sent)
		}
	}
	if got := published(late); len(got) > 0 {
		t.Errorf("twice: %q", got)
	}
}

// Nodes that are gone publish nothing any more: a room does not remember for ever who has had what of theirs.
func TestWhoWasGivenWhatIsForgottenInTime(t *testing.T) {
	at := time.Unix(1000, 0)
	h := &Hub{epoch: "own", now: func() time.Time { return at }}
	r := &Room{ns: &Namespace{hub: h}}
	last := map[string]uint64{"gone": 5, "quiet": 7, "own": 9}
	join := func(id string) { r.giveLocked(&Session{id: id}, last) }
	for i := range 3 * maxGiven {
		join(fmt.Sprint(i))
		if at = at.Add(10 * time.Millisecond); i > maxGiven {
			for epoch, g := range r.given {
				if len(g.list) > int(givenFor/(10*time.Millisecond))+1 {
					t.Fatalf("after %d joins %d of %q", i, len(g.list), epoch)
				}
			}
		}
	}
	at = at.Add(givenFor + time.Second)
	join("late")
	if len(r.given) > 0 {
		t.Errorf("in the end %v", r.given)
	}
	last["quiet"]++
	join("later")
	if m := (&Message{Foreign: true, epoch: "quiet", count: 8}); !slices.Equal(r.takeGivenLocked(m), []string{"later"}) {
		t.Error("what is new is not expected")
	}
}

// silent keeps what is announced until it is asked for, and counts how often all was to be forgotten.
type silent struct {
	*clusterMember
	kept    []*NodeRequest
	renewed int
}

func (a *silent) Send(r *NodeRequest, reply func(NodeReply)) (func() []string, error) {
	if r.Keep == nil {
		return a.clusterMember.Send(r, reply)
	}
	a.kept = append(a.kept, r)
	return nil, nil
}

func (a *silent) Renew() { a.renewed++ }

// However many are here, they can be announced; what begins anew is only what nobody could tell for too long.
func TestACrowdIsAnnouncedOnce(t *testing.T) {
	var adapter *silent
	hubs, cluster := sharing(t, 1, Options{}, func(a Adapter) Adapter {
		adapter = &silent{clusterMember: a.(*clusterMember)}
		return adapter
	})
	const most, crowd = 1000, 1000 + 3*maxAnnounced
	hubs[0].announce.most = most
	d := hubs[0].Of("/").hold("big")
	defer d.release()
	p := &presence{members: make(map[string]*Sender), changed: make(map[string]*Sender), told: make(map[string]bool)}
	for i := range crowd {
		p.add(&Sender{ID: fmt.Sprintf("%06d", i)})
	}
	d.room.mu.Lock()
	d.room.watch = p
	d.room.mu.Unlock()

	node{hubs[0]}.Announce()
	a := &hubs[0].announce
	a.change(roomName{"/", "small"}, map[Sender]bool{{ID: "came"}: true})
	if adapter.renewed > 0 {
		t.Fatal("the crowd itself was too much")
	}
	for sent := 0; sent < len(adapter.kept); sent++ {
		r := adapter.kept[sent]
		cluster.rooms.keep("n0", r)
		r.Keep.Over(nil)
	}
	if v := cluster.rooms.read("/", "big", RoomQuery{Members: 1}); v.Count != crowd {
		t.Errorf("%d announced, want %d", v.Count, crowd)
	}

	late := make(map[Sender]bool)
	for i := range most {
		late[Sender{ID: fmt.Sprint("x", i)}] = true
	}
	n := roomName{"/", "late"}
	a.change(n, map[Sender]bool{{ID: "under way"}: true})
	a.change(n, late)
	node{hubs[0]}.Announce() // nobody answers
	before := adapter.renewed
	for i := range most + 1 {
		late[Sender{ID: fmt.Sprint("y", i)}] = true
	}
	a.change(n, late)
	if before > 0 || adapter.renewed != 1 {
		t.Errorf("began anew %d times, then %d", before, adapter.renewed)
	}
}
