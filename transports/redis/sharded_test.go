//go:build unix

package redis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// What each mode does between two Greenroom nodes and one of Node.js, and on which channels.
func TestSharded(t *testing.T) {
	for _, mode := range []Mode{Static, Dynamic, DynamicPrivate} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			testSharded(t, mode)
		})
	}
}

func testSharded(t *testing.T, mode Mode) {
	r := testenv.StartRedis(t)
	peer := peerNode(t, r, "sharded", map[string]any{"subscriptionMode": string(mode)})
	o := Options{URL: r.URL(), Adapter: Sharded, Mode: mode}
	a, b := newGoNode(t, "a", o), newGoNode(t, "b", o)
	auth := func(rooms ...string) map[string]any {
		return map[string]any{"auth": map[string]any{"rooms": rooms, "data": map[string]any{"n": 1}}}
	}
	const twenty = "twenty characters ok"
	rooms := []string{"room", twenty, "ünï 🎈", "42"}
	ids := make(map[string]string)
	for name, url := range map[string]string{"n": peer.URL, "a": a.url, "b": b.url} {
		got := peer.Client(testenv.PeerClient{Name: name, URL: url, Options: auth(rooms...), Answer: `(event, x) => [event, x]`})
		ids[name] = got
	}
	b.waitReady(t)
	a.waitReady(t)
	heard := 0
	all := func(what, want string) {
		t.Helper()
		heard++
		for _, client := range []string{"n", "a", "b"} {
			got := peer.WaitHeard(client, heard)
			if len(got) < heard || got[heard-1] != want {
				t.Fatalf("%s: client %s got %q, want %s", what, client, got, want)
			}
		}
	}
	for i, room := range rooms {
		q, _ := json.Marshal(room)
		peer.Run(fmt.Sprintf(`io.to(%s).emit("of-node", %d)`, q, i))
		all("Node.js to "+room, fmt.Sprintf(`["of-node",%d]`, i))
		if err := a.hub.To(room).Emit("of-go", i, []byte{1, 2}); err != nil {
			t.Fatal(err)
		}
		all("Go to "+room, fmt.Sprintf(`["of-go",%d,{"$bin":"AQI="}]`, i))
	}
	peer.Run(`io.to("room").to("other").emit("two", args[0])`, map[string]any{"$bin": "AQI="})
	all("two rooms", `["two",{"$bin":"AQI="}]`)
	_ = b.hub.To().Emit("everybody")
	all("everybody", `["everybody"]`)
	// To single clients, everywhere.
	for from, emit := range map[string]func(id string){
		"Node.js": func(id string) { peer.Run(`io.to(args[0]).emit("alone")`, id) },
		"Go":      func(id string) { _ = a.hub.To(id).Emit("alone") },
	} {
		for _, id := range ids {
			emit(id)
		}
		all(from+" to one", `["alone"]`)
	}
	// Questions.
	answers, err := a.hub.To("room").Within(5*time.Second).Ask("q", 7)
	if err != nil || len(answers) != 3 {
		t.Fatalf("asked: %v, %v", answers, err)
	}
	for _, x := range answers {
		if string(x.Payload.JSON) != `[["q",7]]` {
			t.Errorf("answer %s of %q", x.Payload.JSON, x.Node)
		}
	}
	all("a question", `["q",7]`)
	got := peer.Run(`(await io.to("room").timeout(5000).emitWithAck("q", args[0])).length`, map[string]any{"$bin": "AQI="})
	if string(got) != "3" {
		t.Errorf("Node.js got %s answers", got)
	}
	all("a question of Node.js", `["q",{"$bin":"AQI="}]`)
	sessions, err := b.hub.To("room").Sessions()
	if err != nil || len(sessions) != 3 {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
	got = peer.Run(`(await io.in("room").fetchSockets()).map(s => [s.id, s.data.n, s.handshake.query.EIO, s.rooms.has("room")]).sort()`)
	var want [][]any
	for _, id := range ids {
		want = append(want, []any{id, 1, "4", true})
	}
	slices.SortFunc(want, func(x, y []any) int { return strings.Compare(x[0].(string), y[0].(string)) })
	if w, _ := json.Marshal(want); string(got) != string(w) {
		t.Errorf("fetchSockets: %s, want %s", got, w)
	}
	if list, err := a.hub.Of("/").AllRooms(patience); err != nil || !slices.Contains(list, "room") {
		t.Errorf("all rooms: %q, %v", list, err)
	}
	if said, err := a.hub.Of("/").ServerAsk(5*time.Second, "sse", 5); err != nil || len(said) != 2 {
		t.Errorf("servers said %v, %v", said, err)
	}
	if got := peer.Run(`(await io.serverSideEmitWithAck("sse", 5)).length`); string(got) != "2" {
		t.Errorf("Node.js heard %s servers", got)
	}
	// Moving others about.
	peer.Run(`io.in(args[0]).socketsJoin("moved")`, ids["a"])
	if err := b.hub.To(ids["n"]).Join("moved"); err != nil {
		t.Fatal(err)
	}
	_ = a.hub.To(ids["b"]).Join("moved")
	eventually(t, func() bool {
		list, err := a.hub.To("moved").Sessions()
		return err == nil && len(list) == 3
	})
	a.waitReady(t)
	b.waitReady(t)
	peer.Run(`io.to("moved").emit("moved")`)
	all("moved", `["moved"]`)
	peer.Run(`io.in("moved").socketsLeave("room")`)
	eventually(t, func() bool {
		list, err := a.hub.To("room").Sessions()
		return err == nil && len(list) == 0
	})
	b.hub.To("moved").Disconnect("bye")
	eventually(t, func() bool {
		list, err := a.hub.To().Sessions()
		return err == nil && len(list) == 0
	})
}

func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that")
		}
	}
}

// A node without members of a room hears nothing of it, one command publishes, and prefixes are heard all the same.
func TestShardedDemand(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), Adapter: Sharded}
	a, b := newGoNode(t, "a", o), newGoNode(t, "b", o)
	for range 100 {
		_ = a.hub.To("nobody there").Emit("x")
	}
	_ = a.hub.To().Emit("end") // in order behind them: on another channel of the same connection
	eventually(t, func() bool {
		return strings.Contains(r.Do("INFO", "commandstats"), fmt.Sprintf("cmdstat_spublish:calls=%d,", 100+1+2)) // and two questions for demand
	})
	// Each node hears both questions, if it was there, and what is for all: what is for the room, no one.
	if n, most := b.adapter.link.received.Load(), uint64(4+2); n > most { // and hellos, of itself
		t.Errorf("received %d messages, most for a room that nobody is in", n)
	}

	heard := make(chan string, 10)
	untap := b.hub.TapWanted(func(m *hub.Message) { heard <- m.Room })
	defer untap()
	forget := b.hub.Want("/", "lob")
	as := a.adapter.driver.(*sharded)
	eventually(t, func() bool { return as.space("/").foreign.covers("lobby") })
	_ = a.hub.To("lobby").Emit("x")
	if room := <-heard; room != "lobby" {
		t.Errorf("heard %q", room)
	}
	// A room that is called like the prefix has its channel too, for what Node.js sends.
	b.waitReady(t)
	if n := r.Do("PUBSUB", "SHARDNUMSUB", "socket.io#/#lob#"); !strings.HasSuffix(strings.TrimSpace(n), "1") {
		t.Errorf("subscribers: %s", n)
	}
	forget()
	eventually(t, func() bool { return !as.space("/").foreign.covers("lobby") })

	// A newcomer asks for what is wanted.
	again := b.hub.Want("", "")
	defer again()
	c := newGoNode(t, "c", o)
	eventually(t, func() bool { return c.adapter.driver.(*sharded).space("/").foreign.covers("anything") })
}

// A room that is entered and left again and again is subscribed once.
func TestShardedFlapping(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	a := newGoNode(t, "a", Options{URL: r.URL(), Adapter: Sharded})
	s := a.adapter.driver.(*sharded)
	for range 100 {
		s.roomLive("/", "room", true)
		s.roomLive("/", "room", false)
	}
	s.mu.Lock()
	if len(s.routes) != 3 || s.idle != 1 || len(s.leaving) != 100 {
		t.Errorf("%d routes, %d idle, %d leaving", len(s.routes), s.idle, len(s.leaving))
	}
	s.depart(time.Now().Add(s.linger - time.Second))
	if len(s.routes) != 3 {
		t.Error("given up early")
	}
	s.depart(time.Now().Add(s.linger))
	if len(s.routes) != 2 || s.idle != 0 || s.leaving != nil {
		t.Errorf("%d routes, %d idle, %d leaving", len(s.routes), s.idle, len(s.leaving))
	}
	s.mu.Unlock()
	for i := range maxLeaving + 10 {
		room := fmt.Sprint("room ", i)
		s.roomLive("/", room, true)
		s.roomLive("/", room, false)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.routes) != 2+maxLeaving || s.idle != maxLeaving {
		t.Errorf("%d routes, %d idle", len(s.routes), s.idle)
	}
}

// Who has waited to be heard misses nothing.
func TestShardedHear(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), Adapter: Sharded}
	a, b := newGoNode(t, "a", o), newGoNode(t, "b", o)
	for i := range 50 {
		room := fmt.Sprint("room ", i)
		heard := make(chan struct{})
		b.adapter.Hear("/", room, func() { close(heard) })
		<-heard
		got := make(chan string, 1)
		untap := b.hub.TapWanted(func(m *hub.Message) {
			if m.Room == room {
				got <- m.Event
			}
		})
		forget := b.hub.Want("/", room)
		_ = a.hub.To(room).Emit("x")
		select {
		case <-got:
		case <-time.After(patience):
			t.Fatal("missed")
		}
		forget()
		untap()
	}
}
