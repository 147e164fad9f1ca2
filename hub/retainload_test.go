package hub

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// partial is an adapter of a node to which not all comes, and whose answers wait until they are let go.
type partial struct {
	*clusterMember
	mu   sync.Mutex
	held []func()
	hold bool
}

func (a *partial) ReadRetained(namespace string, q RetainedQuery, done func([]RetainedRoom, error)) {
	list := a.cluster.rooms.retained(namespace, q)
	a.mu.Lock()
	if a.hold {
		a.held = append(a.held, func() { done(list, nil) })
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	done(list, nil)
}

// deaf hears nothing of others.
type deaf struct{ Node }

func (deaf) Serve(r *NodeRequest, reply func(NodeReply)) {
	if reply != nil {
		reply(NodeReply{Done: true})
	}
}

func (a *partial) Join(n Node) error { return a.clusterMember.Join(deaf{n}) }

// retainedIn are the rooms of the publications in an answer.
func retainedIn(t *testing.T, answer string) (rooms []string) {
	t.Helper()
	var list []struct {
		Retained []struct{ Meta struct{ Room string } }
	}
	if err := json.Unmarshal([]byte(answer), &list); err != nil || len(list) != 1 {
		t.Fatalf("answer %s, %v", answer, err)
	}
	for _, m := range list[0].Retained {
		rooms = append(rooms, m.Meta.Room)
	}
	return rooms
}

// What was retained before a node was there is known there once somebody asks, and from then on by what comes.
func TestWhatOthersHaveRetainedIsLoaded(t *testing.T) {
	hubs, cluster := sharing(t, 1, Options{}, nil)
	retain(t, hubs[0], "p.b", 1)
	retain(t, hubs[0], "p.a", 2)
	retain(t, hubs[0], "q", 3)
	retain(t, hubs[0], "p.c", 4)
	retain(t, hubs[0], "p.c")
	late := newTestHub(t, Options{Adapter: cluster.Adapter(), Node: "late"})
	mustHandle(t, late, "/", Relay(RelayOptions{MinPrefix: 1, MayJoinPrefix: func(*Session, string) error { return nil }}).Serve)
	wantRetained(t, late)
	c := connect(t, late, 0, "/", "{}")
	if got, want := retainedIn(t, c.call(t, 1, "join", "p.*", with("prefix", true, "retained", true))), []string{"p.a", "p.b"}; !slices.Equal(got, want) {
		t.Errorf("joined with %q", got)
	}
	wantRetained(t, late, "p.a=2", "p.b=1") // the others nobody has asked for
	retain(t, hubs[0], "p.a", 5)
	retain(t, hubs[0], "q", nil)
	wantRetained(t, late, "p.a=5", "p.b=1")
	if got := c.waitEvents(t, 1); !strings.HasPrefix(got[0], `["e",5,`) {
		t.Errorf("then came %s", got)
	}
	late.LoadRetained("/", "", "", 10)
	late.LoadRetained("/no such namespace", "", "", 10)
	wantRetained(t, late, "p.a=5", "p.b=1")
	if k := &late.retained; len(k.loads) > 0 {
		t.Errorf("%d are under way", len(k.loads))
	}
}

// Where not everything comes to a node, what nodes share replaces what it has heard, each time that it is asked for.
func TestWhatANodeHasNotHeardIsLoadedEachTime(t *testing.T) {
	var a *partial
	hubs, _ := sharing(t, 2, Options{}, func(x Adapter) Adapter {
		if a == nil {
			a = &partial{clusterMember: x.(*clusterMember)}
			return a
		}
		return x
	})
	h, other := hubs[0], hubs[1]
	for i := range 3 {
		retain(t, other, "r", i)
		retain(t, other, fmt.Sprint("s", i), i)
		h.LoadRetained("/", "r", "", 10)
		wantRetained(t, h, fmt.Sprintf("r=%d", i))
	}
	h.LoadRetained("/", "", "s0", 1)
	wantRetained(t, h, "r=2", "s1=1")
	retain(t, other, "r")
	h.LoadRetained("/", "r", "", 10)
	wantRetained(t, h, "s1=1")

	// What comes while it is read is newer.
	a.mu.Lock()
	a.hold = true
	a.mu.Unlock()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		h.LoadRetained("/", "", "", 10)
	}()
	eventually(t, "the question", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.held) == 1 })
	retain(t, h, "s1", "own")
	retain(t, h, "s2", "own")
	retain(t, h, "s2", nil)
	a.held[0]()
	<-loaded
	wantRetained(t, h, "s0=0", `s1="own"`)
	a.held[0]() // twice
	wantRetained(t, h, "s0=0", `s1="own"`)

	// A room counts once, however often it is in an answer.
	retain(t, other, "s3", 3)
	list := a.cluster.rooms.retained("/", RetainedQuery{Prefix: "s3", Limit: 1})
	h.loaded(h.retained.begin("/", RetainedQuery{}), append(list, list...))
	wantRetained(t, h, "s0=0", `s1="own"`, "s3=3")
	if n := h.retained.order.Len(); n != 3 {
		t.Errorf("%d are in order of age", n)
	}
}

// What nodes share takes the place of what a node has heard, unless it has not been kept yet, or is lost.
func TestWhichRetainedPublicationIsNewer(t *testing.T) {
	h := newTestHub(t, Options{})
	foreign := func(epoch string, seq uint64) *Message {
		return &Message{ID: "x", Foreign: true, epoch: epoch, count: seq}
	}
	kept := &KeptPublication{ID: "kept"}
	for _, c := range []struct {
		own  *Message
		room RetainedRoom
		want bool
	}{
		{foreign("e", 3), RetainedRoom{Retained: kept, Last: map[string]uint64{"e": 3}}, true},
		{foreign("e", 4), RetainedRoom{Retained: kept, Last: map[string]uint64{"e": 3}}, false}, // not kept yet
		{foreign("f", 4), RetainedRoom{Retained: kept, Last: map[string]uint64{"e": 3}}, true},  // long ago
		{foreign("e", 3), RetainedRoom{Retained: kept}, true},
		{foreign("e", 3), RetainedRoom{Ended: true, Last: map[string]uint64{"e": 3}}, true}, // it was ended
		{foreign("e", 4), RetainedRoom{Ended: true, Last: map[string]uint64{"e": 3}}, false},
		{foreign("e", 3), RetainedRoom{Ended: true}, true},
		{foreign("e", 3), RetainedRoom{Last: map[string]uint64{"f": 1}}, false},
		{foreign("e", 3), RetainedRoom{}, false},                                                         // all is lost there
		{&Message{ID: "kept", Foreign: true, epoch: "e", count: 3}, RetainedRoom{Retained: kept}, false}, // the same
		{&Message{ID: "x", Seq: 3}, RetainedRoom{Retained: kept, Last: map[string]uint64{h.epoch: 2}}, false},
	} {
		if got := h.outdated(c.own, &c.room); got != c.want {
			t.Errorf("%+v of %+v: %v", c.own, c.room, got)
		}
	}
}

// The ages of what was loaded stay in order, so that the oldest goes first; and a message that comes behind its successor
// changes nothing.
func TestLoadedPublicationsHaveTheirAge(t *testing.T) {
	h := newTestHub(t, Options{MaxRetained: 3})
	now := h.now()
	at := func(room string, seq uint64, age time.Duration) *Message {
		return &Message{Namespace: "/", Room: room, ID: fmt.Sprint("e-", seq), Event: "e", Foreign: true, epoch: "e", count: seq, At: now.Add(-age), Payload: Payload{JSON: []byte(`["e",{}]`)}}
	}
	k := &h.retained
	order := func() (rooms []string) {
		k.mu.Lock()
		defer k.mu.Unlock()
		for e := k.order.Front(); e != nil; e = e.Next() {
			rooms = append(rooms, e.Value.(*Message).Room)
		}
		return rooms
	}
	k.mu.Lock()
	for room, age := range map[string]time.Duration{"old": 3 * time.Hour, "new": time.Hour, "middle": 2 * time.Hour} {
		k.insert([]*Message{at(room, 5, age)})
	}
	k.insert([]*Message{at("old", 6, 3*time.Hour), at("new", 6, time.Minute), at("middle", 6, 2*time.Hour)})
	k.put(at("new", 5, 0), false, h)
	if got := k.get("/", "new"); got.count != 6 {
		t.Errorf("number %d, where 6 had come before", got.count)
	}
	k.mu.Unlock()
	if got := order(); !slices.Equal(got, []string{"old", "middle", "new"}) {
		t.Errorf("order %q", got)
	}
	k.mu.Lock()
	k.put(at("another", 1, 0), false, h)
	k.mu.Unlock()
	if got := order(); !slices.Equal(got, []string{"middle", "new", "another"}) {
		t.Errorf("order %q", got)
	}
}

// An answer that never comes costs no more than a bounded number of names.
func TestALoadThatNeverEnds(t *testing.T) {
	var k retained
	k.begin("/", RetainedQuery{Limit: 1, Prefix: "nobody's"}) // nothing comes, and it stays
	l := k.begin("/", RetainedQuery{Limit: 1})
	for i := range maxTouched + 2 {
		if len(k.loads) > 1 {
			k.came(&Message{Namespace: "/", Room: fmt.Sprint(i)})
		}
	}
	if len(k.loads) != 1 || !l.over || len(l.touched) > maxTouched+1 {
		t.Errorf("%d under way, %d names", len(k.loads), len(l.touched))
	}
}

// What is retained for one node alone stays there until something is retained that comes after it, however far the room's
// numbers are.
func TestWhatIsRetainedForOneNodeAlone(t *testing.T) {
	hubs, _ := sharing(t, 2, Options{}, nil)
	h, other := hubs[0], hubs[1]
	c := connect(t, h, 0, "/", "{}")
	calls := int64(0)
	joined := func(want string) {
		t.Helper()
		calls++
		h.LoadRetained("/", "", "", 10)
		wantRetained(t, h, "r="+want)
		a := answerOf(t, c.call(t, calls, "join", "r", with("retained", true)))
		kept, _ := a["retained"].(map[string]any)
		if fmt.Sprint(kept["data"]) != want {
			t.Errorf("joined with %v, want %s", a["retained"], want)
		}
	}
	alone := func(n int) {
		t.Helper()
		if _, err := h.Publish(Publication{Room: "r", Event: "e", Args: []any{n}, Retain: true, Local: true}); err != nil {
			t.Fatal(err)
		}
	}
	alone(1)
	joined("1")
	publish(t, h, "r", "x") // its number is above
	joined("1")
	retain(t, other, "r", 2)
	joined("2")
	alone(3)
	joined("3")
	publish(t, h, "r", "x")
	joined("3")
	wantRetained(t, other, "r=2")
}
