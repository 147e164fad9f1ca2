//go:build unix

package redis

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// A Redis Cluster carries everything that one Redis does, also while a slot moves from one server to another. Its servers
// are shared by the tests, each of which has channels and keys of its own.
func TestOnACluster(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t, 3, false)
	t.Run("relay", func(t *testing.T) {
		for _, o := range []Options{
			{Adapter: Classic}, {Adapter: Sharded, Mode: Static}, {Adapter: Sharded, Mode: Dynamic}, {Adapter: Sharded, Mode: DynamicPrivate},
			{Adapter: Streams},
		} {
			o.URL, o.Prefix = c.URL(), "relay-"+string(o.Adapter)+string(o.Mode)
			t.Run(o.Prefix, func(t *testing.T) { relayOnACluster(t, c, o) })
		}
	})
	t.Run("a room half moved", func(t *testing.T) { halfMovedRoom(t, c) })
	for _, mode := range []Mode{Static, Dynamic, DynamicPrivate} {
		t.Run("sharded "+string(mode), func(t *testing.T) { shardedOnACluster(t, c, mode) })
	}
	for _, sharded := range []bool{false, true} {
		t.Run(fmt.Sprint("streams sharded=", sharded), func(t *testing.T) { streamsOnACluster(t, c, sharded) })
	}
	t.Run("documented users", func(t *testing.T) { documentedUsersOnACluster(t, c) })
}

// slowly calls f again and again until it is ended.
func slowly(f func(i int)) (end func() (n int)) {
	quit, n := make(chan struct{}), make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				n <- i
				return
			case <-time.After(2 * time.Millisecond): // some hundred, whatever happens
			}
			f(i)
		}
	}()
	return func() int { close(quit); return <-n }
}

// relayOnACluster has two nodes share rooms whose keys lie on all servers, and the slot of one room move meanwhile.
func relayOnACluster(t *testing.T, c *testenv.RedisCluster, o Options) {
	o.PresenceTTL = time.Second
	a, adapter := relayNodeWith(t, o, hub.Options{Node: "a", HistoryMessages: 10_000})
	b, _ := relayNodeWith(t, o, hub.Options{Node: "b", HistoryMessages: 10_000})
	ann, eve := relayClient(t, a, `{"name":"Ann"}`), relayClient(t, b, `{"name":"Eve"}`)
	rooms := []string{"r0", "r1", "r2", "r3", "odd{}r", "{", "a{b}c"}
	sent := make(map[string][]string)
	servers := make(map[string]bool)
	for _, room := range rooms {
		eve.call(t, "join", room, map[string]any{"presence": true})
		ann.call(t, "join", room)
		for i := range 3 {
			id, err := a.Publish(hub.Publication{Room: room, Event: "n", Args: []any{i}, Retain: true, ID: fmt.Sprint("own", i)})
			if err != nil {
				t.Fatal(err)
			}
			sent[room] = append(sent[room], id)
		}
		owner := ""
		for _, kind := range []string{"h", "b", "r", "l", "p", "o"} {
			if got := c.Owner(c.Masters[0], slotOf(adapter.rooms.key(kind, "/", room))); owner != "" && got != owner {
				t.Errorf("the keys of %q are on two servers", room)
			} else {
				owner = got
			}
		}
		servers[owner] = true
	}
	if together := o.Mode == Static || o.Adapter == Streams; together != (len(servers) == 1) {
		t.Errorf("the rooms are on %d servers", len(servers))
	}
	kept := func(room string) {
		t.Helper()
		ids := func() []string {
			list, _ := b.History("/", room, 10_000, "")
			var ids []string
			for _, m := range list {
				ids = append(ids, m.ID)
			}
			return ids
		}
		within(t, "all of "+room+" is kept", func() bool { return len(ids()) >= len(sent[room]) })
		if got := ids(); !slices.Equal(got, sent[room]) {
			t.Errorf("the history of %q has %d publications, %d were made; in another order, or with others", room, len(got), len(sent[room]))
		}
		answer := relayClient(t, b, `{}`).call(t, "join", room, map[string]any{"retained": true})
		if r, ok := answer["retained"].(map[string]any); !ok || r["id"] != sent[room][len(sent[room])-1] {
			t.Errorf("retained in %q: %v", room, answer["retained"])
		}
	}
	for _, room := range rooms {
		kept(room)
		within(t, "Ann is in "+room, func() bool { list, _ := b.Of("/").Present(room, 9); return len(list) >= 2 })
	}
	within(t, "the claim is settled", func() bool {
		id, err := b.Publish(hub.Publication{Room: "r1", Event: "n", ID: "own1"})
		return err != nil && id == sent["r1"][1]
	})

	// Its slot moves, with all keys, under way.
	slot := slotOf(adapter.rooms.key("h", "/", "r0"))
	var mu sync.Mutex
	publish := func(i int) {
		id, err := a.Publish(hub.Publication{Room: "r0", Event: "n", Args: []any{i}, Retain: true})
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		sent["r0"] = append(sent["r0"], id)
		mu.Unlock()
	}
	some := func() {
		mu.Lock()
		n := len(sent["r0"])
		mu.Unlock()
		within(t, "some publications", func() bool { mu.Lock(); defer mu.Unlock(); return len(sent["r0"]) > n+20 })
	}
	end := slowly(publish)
	some()
	to := c.Move(slot, some)
	some()
	end()
	kept("r0")
	if key := adapter.rooms.key("h", "/", "r0"); to.Do("EXISTS", key) != "1" {
		t.Errorf("%s is not with the new owner", key)
	}
	late := relayClient(t, b, `{"name":"Bo"}`)
	late.call(t, "join", "r0")
	within(t, "Bo is in r0", func() bool {
		list, _ := a.Of("/").Present("r0", 20)
		return slices.ContainsFunc(list, func(who *hub.Sender) bool { return who.Name == "Bo" })
	})
	if n := a.Counters()[reasonUnkept] + b.Counters()[reasonUnkept]; n > 0 {
		t.Errorf("%d were not kept", n)
	}
}

// halfMovedRoom: while a room's keys are on two servers, and that lasts, its publications go out without being kept.
func halfMovedRoom(t *testing.T, c *testenv.RedisCluster) {
	o := Options{URL: c.URL(), Prefix: "half", Adapter: Sharded, MessageAge: 500 * time.Millisecond}
	a, adapter := relayNodeWith(t, o, hub.Options{Node: "a"})
	b, _ := relayNodeWith(t, o, hub.Options{Node: "b"})
	eve := relayClient(t, b, `{"name":"Eve"}`)
	eve.call(t, "join", "r")
	publish := func() string {
		id, err := a.Publish(hub.Publication{Room: "r", Event: "n", Retain: true})
		if err != nil {
			t.Fatal(err)
		}
		within(t, "Eve to hear of it", func() bool { return strings.Contains(eve.heard(), id) })
		return id
	}
	publish()
	step := 0
	c.Move(slotOf(adapter.rooms.key("h", "/", "r")), func() {
		if step++; step == 2 {
			publish()
			within(t, "that to be counted", func() bool { return a.Counters()[reasonUnkept] == 1 })
		}
	})
	last := publish()
	first := ""
	within(t, "it to be kept again", func() bool {
		list, _ := b.History("/", "r", 9, "")
		if len(list) > 0 {
			first = list[0].ID
		}
		return len(list) > 0 && list[len(list)-1].ID == last
	})
	if list, complete := b.History("/", "r", 9, first); complete {
		t.Errorf("the history has %d publications behind its first, and says that it is complete", len(list))
	}
}

// clusterPeer starts a Node.js node on a Cluster.
func clusterPeer(t *testing.T, c *testenv.RedisCluster, adapter string, options, server map[string]any) *testenv.Peer {
	t.Helper()
	p := testenv.NewPeer(t)
	p.Serve(testenv.PeerNode{Redis: c.URL(), Adapter: adapter, Options: options, Server: server})
	return p
}

// three is a cluster of one Node.js node and two of Greenroom on a Redis Cluster, with a client on each: n, a and b.
type three struct {
	peer  *testenv.Peer
	nodes [2]*goNode
	ids   map[string]string
}

func newThree(t *testing.T, peer *testenv.Peer, o Options, ho hub.Options) *three {
	t.Helper()
	x := &three{peer: peer, ids: make(map[string]string)}
	urls := map[string]string{"n": peer.URL}
	for i, name := range []string{"a", "b"} {
		ho.Node = name
		x.nodes[i] = newGoNodeWith(t, o, ho)
		urls[name] = x.nodes[i].url
	}
	for name, url := range urls {
		x.ids[name] = peer.Client(testenv.PeerClient{
			Name: name, URL: url, Answer: fmt.Sprintf(`(event, ...args) => event === "ask" ? [%q, ...args] : undefined`, name),
			Options: map[string]any{"auth": map[string]any{"rooms": []string{"r0", "of-" + name}, "data": map[string]any{"name": name}}},
		})
	}
	return x
}

// exchanges has everybody emit to all, to rooms and to sessions until it is heard, and each kind of node ask.
func (x *three) exchanges(t *testing.T, what string) {
	t.Helper()
	emitters := map[string]func(room, text string){
		"n": func(room, text string) { x.peer.Run(`void io.to(args[0]).emit("say", args[1])`, room, text) },
		"a": func(room, text string) { emit(t, x.nodes[0].hub.To(room), "say", text) },
	}
	for from, say := range emitters {
		for _, to := range []string{"r0", "of-n", "of-a", "of-b", x.ids["n"], x.ids["a"], x.ids["b"]} {
			x.peer.Forget()
			wants := []string{"n", "a", "b"}
			for name := range x.ids {
				if to == "of-"+name || to == x.ids[name] {
					wants = []string{name}
				}
			}
			for try := 0; ; try++ { // what is said while channels move may be missed
				text := fmt.Sprint(what, " ", from, " to ", to, " ", try)
				say(to, text)
				heard := func() bool {
					for _, name := range wants {
						if !slices.ContainsFunc(x.peer.Heard(name), func(s string) bool { return strings.HasPrefix(s, fmt.Sprintf(`["say",%q`, text)) }) {
							return false
						}
					}
					return true
				}
				end := time.Now().Add(2 * time.Second)
				for !heard() && time.Now().Before(end) {
					time.Sleep(5 * time.Millisecond)
				}
				if heard() {
					break
				}
				if try == 20 {
					t.Fatalf("%s: heard by n %q, a %q, b %q", text, x.peer.Heard("n"), x.peer.Heard("a"), x.peer.Heard("b"))
				}
			}
			for name, heard := range map[string][]string{"n": x.peer.Heard("n"), "a": x.peer.Heard("a"), "b": x.peer.Heard("b")} {
				if unique := slices.Compact(slices.Sorted(slices.Values(heard))); len(unique) != len(heard) {
					t.Errorf("%s heard %q", name, heard)
				} else if len(heard) > 0 && !slices.Contains(wants, name) {
					t.Errorf("%s heard %q, for %q", name, heard, wants)
				}
			}
		}
	}
	const all = `[["a",1],["b",1],["n",1]]`
	if got := x.peer.Run(`(await io.timeout(20000).emitWithAck("ask", 1)).sort()`); got != all {
		t.Errorf("%s: a Node.js node has the answers %s", what, got)
	}
	answers, err := answersOf(x.nodes[0].hub.To().Within(20*time.Second).Ask("ask", 1))
	if text, _ := json.Marshal(answers); err != nil || string(text) != all {
		t.Errorf("%s: a Greenroom node has the answers %s, %v", what, text, err)
	}
	if got := x.peer.Run(`(await io.fetchSockets()).map((s) => s.data.name).sort()`); got != `["a","b","n"]` {
		t.Errorf("%s: a Node.js node sees %s", what, got)
	}
	list, err := x.nodes[1].hub.To().Sessions()
	if err != nil || len(list) != 3 {
		t.Errorf("%s: a Greenroom node sees %d sessions, %v", what, len(list), err)
	}
}

// shardedOnACluster: each channel is on the server that has its slot, and follows it, as Node.js nodes do.
func shardedOnACluster(t *testing.T, c *testenv.RedisCluster, mode Mode) {
	prefix := "sharded-" + string(mode)
	peer := clusterPeer(t, c, "sharded", map[string]any{"subscriptionMode": string(mode), "channelPrefix": prefix}, nil)
	x := newThree(t, peer, Options{URL: c.URL(), Prefix: prefix, Adapter: Sharded, Mode: mode}, hub.Options{})
	peer.Run(`ready()`)
	x.exchanges(t, "before")
	listeners := map[string]string{prefix + "#/#": "3"} // by channel
	if mode != Static {
		listeners[prefix+"#/#r0#"] = "3"
		for _, name := range []string{"n", "a", "b"} {
			listeners[prefix+"#/#of-"+name+"#"] = "1"
		}
	}
	if mode == DynamicPrivate {
		listeners[prefix+"#/#"+x.ids["b"]+"#"] = "1"
	}
	for channel, n := range listeners {
		to := c.Move(slotOf(channel))
		within(t, channel+" to be heard from its new owner", func() bool {
			return strings.HasSuffix(to.Do("PUBSUB", "SHARDNUMSUB", channel), n)
		})
	}
	x.exchanges(t, "after")
	for _, n := range x.nodes {
		n.waitReady(t)
	}
}

// streamsOnACluster: the stream lies on one server, and goes to another one with its slot. Nothing is lost or comes twice.
func streamsOnACluster(t *testing.T, c *testenv.RedisCluster, sharded bool) {
	prefix := fmt.Sprint("streams-", sharded)
	recovery := map[string]any{"connectionStateRecovery": map[string]any{}}
	peer := clusterPeer(t, c, "streams", map[string]any{
		"streamName": prefix, "channelPrefix": prefix, "useShardedPubSub": sharded,
	}, recovery)
	o := Options{URL: c.URL(), Prefix: prefix, Adapter: Streams, ShardedPubSub: sharded}
	x := newThree(t, peer, o, hub.Options{Recovery: &hub.Recovery{}})
	within(t, "the Node.js node to listen", func() bool {
		n, err := x.nodes[0].adapter.link.subscribers(t.Context(), sharded, prefix+"#/#")
		return err == nil && n == 3
	})
	x.exchanges(t, "before")
	peer.Forget()
	said := make([]int, 2)
	var mu sync.Mutex
	ends := make([]func() int, 2)
	for i, node := range x.nodes {
		ends[i] = slowly(func(n int) {
			if err := node.hub.To("r0").Emit("n", n, i); err != nil {
				t.Error(err)
			}
			mu.Lock()
			said[i] = n + 1
			mu.Unlock()
		})
	}
	some := func() {
		mu.Lock()
		was := slices.Clone(said)
		mu.Unlock()
		within(t, "some messages", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return said[0] > was[0]+20 && said[1] > was[1]+20
		})
	}
	some()
	c.Move(slotOf(prefix), some)
	some()
	all := 0
	for _, end := range ends {
		all += end()
	}
	heard := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(x.ids)) {
		peer.Wait(fmt.Sprint(all, " messages at ", name), func() bool { return len(peer.Heard(name)) >= all })
		for _, text := range peer.Heard(name) {
			var ev []any
			if err := json.Unmarshal([]byte(text), &ev); err != nil || len(ev) < 3 {
				t.Fatal(text, err)
			}
			heard[name] = append(heard[name], fmt.Sprint(ev[2], "-", ev[1])) // without the offset
		}
		for i := range ends {
			next := 0
			for _, m := range heard[name] {
				if m == fmt.Sprint(i, "-", next) {
					next++
				}
			}
			if len(heard[name]) != all || next != said[i] {
				t.Errorf("%s heard %d of %d, %d of them of node %d in order, of %d", name, len(heard[name]), all, next, i, said[i])
			}
		}
	}
	for _, n := range x.nodes {
		n.waitReady(t)
		if k := n.hub.Counters(); k[reasonStreamGap]+k[reasonStreamDouble]+k[reasonStreamMissing] > 0 {
			t.Errorf("counted %v", k)
		}
	}
	x.exchanges(t, "after")
}
