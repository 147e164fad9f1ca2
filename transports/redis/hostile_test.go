//go:build unix

package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// hostileMessages are what nobody should send by the sharded adapter.
var hostileMessages = []string{
	"", "{", "{}", "\x80", "\xdf\xff\xff\xff\xff", "x", strings.Repeat("[", 100_000), strings.Repeat(`{"data":`, 100_000),
	`{"type":3,"data":{"packet":{"type":2,"data":["connect"]},"opts":{}},"uid":"x","nsp":"/"}`,
	`{"type":3,"data":{"packet":{"type":2,"data":[]},"opts":{"rooms":["room"]}},"uid":"x","nsp":"/"}`,
	`{"type":9,"data":{"packet":"a","requestId":"r"},"type":12,"uid":"x","nsp":"/"}`,
	`{"type":12,"data":{"requestId":"r","packet":1},"uid":"x","nsp":"/"}`,
	`{"type":8,"data":{"requestId":"r","sockets":[1,null,{"id":5},{"id":"a","rooms":5}]},"uid":"x","nsp":"/"}`,
	`{"type":200,"data":{},"uid":"x","nsp":"/"}`,
	`{"type":7,"data":{"opts":{},"requestId":"` + strings.Repeat("r", 1000) + `"},"uid":"x","nsp":"/"}`,
	`{"type":7,"data":{"opts":{},"requestId":"r"},"uid":"","nsp":"/"}`,
	`{"type":7,"data":{"opts":{},"requestId":"r"},"uid":"#","nsp":"/"}`,
}

// Messages that are not of the format, or not allowed, harm nobody; the questions of others are answered in measure.
func TestShardedHostile(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), Adapter: Sharded}
	a, b := newGoNode(t, "a", o), newGoNode(t, "b", o)
	peer := testenv.NewPeer(t)
	id := peer.Client(testenv.PeerClient{Name: "here", URL: a.url, Options: map[string]any{"auth": map[string]any{"rooms": []string{"room"}}}})
	a.waitReady(t)
	raw := goredis.NewClient(&goredis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = raw.Close() })
	ctx := context.Background()
	publish := func(channel, body string) {
		t.Helper()
		if err := raw.SPublish(ctx, channel, body).Err(); err != nil {
			t.Fatal(err)
		}
	}
	own := a.adapter.driver.(*sharded).space("/").personal
	for _, body := range hostileMessages {
		for _, channel := range []string{"socket.io#/#", "socket.io#/#room#", own} {
			publish(channel, body)
		}
	}
	before := a.hub.Counters()[reasonForbidden]
	for i, body := range []string{
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":["$user:root"]}},"uid":"x","nsp":"/"}`,
		`{"type":3,"data":{"packet":{"type":2,"data":["e"]},"opts":{"rooms":[],"except":["$user:root"]},"requestId":"r"},"uid":"x","nsp":"/"}`,
		`{"type":4,"data":{"opts":{"rooms":["room"]},"rooms":["$user:root"]},"uid":"x","nsp":"/"}`,
		`{"type":5,"data":{"opts":{"rooms":["room"]},"rooms":["$user:root"]},"uid":"x","nsp":"/"}`,
		`{"type":6,"data":{"opts":{"rooms":["$user:root"]}},"uid":"x","nsp":"/"}`,
		`{"type":7,"data":{"opts":{"rooms":["$user:root"]},"requestId":"r"},"uid":"x","nsp":"/"}`,
	} {
		publish("socket.io#/#", body)
		within(t, "it to be refused", func() bool { return a.hub.Counters()[reasonForbidden] == before+uint64(i)+1 })
	}
	// All is well still.
	if err := b.hub.To("room").Emit("last"); err != nil {
		t.Fatal(err)
	}
	if got := peer.WaitHeard("here", 1); !slices.Equal(got, []string{`["last"]`}) {
		t.Errorf("the client got %q", got)
	}
	if got, err := b.hub.To().Within(20 * time.Second).Sessions(); err != nil || len(got) != 1 || got[0].ID != id {
		t.Errorf("%v, %v", got, err)
	}

	// However often a node is asked what it wants, it says so once in a while.
	defer a.hub.Want("/", "lob")()
	eventually(t, func() bool { return b.adapter.driver.(*sharded).space("/").foreign.covers("lobby") })
	published := a.adapter.link.stats().Published
	pipe := raw.Pipeline()
	for i := range 2000 {
		pipe.SPublish(ctx, "socket.io#/#", fmt.Sprintf(`{"type":101,"data":{},"uid":"%d","nsp":"/"}`, i))
	}
	began := time.Now()
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	if err := b.hub.To("room").Emit("behind"); err != nil {
		t.Fatal(err)
	}
	peer.WaitHeard("here", 2)
	// Besides what it says each ten seconds, and each five to its twins.
	if n, most := a.adapter.link.stats().Published-published, uint64(time.Since(began)/demandGap)+5; n > most {
		t.Errorf("said %d times what it wants, %d would do", n, most)
	}
}

// A node answers once, whatever comes in its name or in those of others.
func TestShardedForgedAnswers(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), Adapter: Sharded}
	a, b := newGoNode(t, "a", o), newGoNode(t, "b", o)
	raw := goredis.NewClient(&goredis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = raw.Close() })
	s := a.adapter.driver.(*sharded)
	sp, other := s.space("/"), b.adapter.driver.(*sharded).space("/")
	var replies []hub.NodeReply
	q := s.questions.ask(&hub.NodeRequest{Op: hub.OpSessions, Namespace: "/"}, func(r hub.NodeReply) { replies = append(replies, r) }, uid16)
	q.confirm(true)
	q.expect(3)
	replies = nil
	for _, forged := range []struct {
		uid, id string
		times   int
	}{{other.uid, q.id, 1000}, {other.uid, "another", 10}, {sp.uid, q.id, 10}} {
		for range forged.times {
			body := fmt.Sprintf(`{"type":8,"data":{"requestId":%q,"sockets":[{"id":"x"}]},"uid":%q,"nsp":"/"}`, forged.id, forged.uid)
			if err := raw.SPublish(context.Background(), sp.personal, body).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	within(t, "all to be counted", func() bool { return a.hub.Counters()[reasonUnasked] == 999 })
	silent := q.cancel()
	if len(replies) != 1 || len(silent) != 2 {
		t.Errorf("got %+v, silent are %q", replies, silent)
	}
}

// More demand than can be noted is demand for everything, for as long as that of one that was not noted.
func TestForeignDemandIsBounded(t *testing.T) {
	var f foreignDemand
	now := time.Now()
	many := make([]string, maxAnnounced)
	for i := range many {
		many[i] = fmt.Sprint("prefix", i)
	}
	for i := range maxDemanding {
		f.set(fmt.Sprint(i), many, now.Add(time.Minute))
	}
	if f.count > maxDemanded || len(f.nodes) > maxDemanding || !f.covers("anything") {
		t.Errorf("%d prefixes of %d nodes are noted; everything is wanted: %v", f.count, len(f.nodes), f.covers("anything"))
	}
	f.expire(now.Add(time.Hour))
	if f.count != 0 || f.covers("prefix1") || f.some.Load() {
		t.Errorf("%d prefixes are noted", f.count)
	}
	f.set("a", []string{"pre"}, now.Add(time.Minute))
	if !f.covers("prefix") || f.covers("anything") {
		t.Error("what one node wants is not known")
	}
}

// A list of very many very small things does not become very many large ones, and one that is bad does not spoil the rest.
func TestSocketsOfOthers(t *testing.T) {
	text := `[` + strings.Repeat(`{},`, 10_000) + `null,5,{"id":7},{"id":"big","data":"` + strings.Repeat("x", maxSocket) + `"},{"id":"a","rooms":["a","r"]}]`
	var got []hub.Snapshot
	if !eachSocket([]byte(text), "/", func(s hub.Snapshot) { got = append(got, s) }) || len(got) != 1 || got[0].ID != "a" {
		t.Errorf("got %+v", got)
	}
	for _, bad := range []string{"", "{}", "[", "[1,]", "[1] 2"} {
		if eachSocket([]byte(bad), "/", func(hub.Snapshot) {}) {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzHello(f *testing.F) {
	f.Add(hello{"0123456789abcdef", 5}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := parseHello(b); ok {
			if again, ok := parseHello(h.append(nil)); !ok || again != h {
				t.Fatalf("%q is read as %+v", b, h)
			}
		}
	})
}

func FuzzSocket(f *testing.F) {
	f.Add([]byte(`[{"id":"a","handshake":{"headers":{"a":"b","set-cookie":["c"]},"issued":5,"auth":{},"url":"/?q=1"},"rooms":["a",5],"data":{"x":1}}]`))
	f.Add([]byte(`[{"id":"a","handshake":{"headers":[],"issued":1e999,"auth":1},"rooms":null,"data":[]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		eachSocket(b, "/", func(s hub.Snapshot) {
			if out := appendSocket(nil, &s, true); !json.Valid(out) {
				t.Fatalf("wrote %q", out)
			}
		})
	})
}
