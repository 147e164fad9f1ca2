//go:build unix

package redis

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// A node that comes later knows what rooms retain, of each prefix that it is asked for; what ends, ends everywhere.
func TestANodeThatComesLaterKnowsWhatIsRetained(t *testing.T) {
	r := testenv.StartRedis(t)
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			o := Options{URL: r.URL(), Adapter: kind, Prefix: "retained-" + string(kind)}
			first, a := relayNode(t, "a", o)
			const n = retainedChunk + 50
			retain := func(room string, args ...any) {
				t.Helper()
				if _, err := first.Publish(hub.Publication{Room: room, Event: "e", Args: args, Retain: true}); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for i := range n {
				room := fmt.Sprintf("p.%03d", i)
				want = append(want, room)
				retain(room, i)
			}
			retain("q", 1)
			retain("p.over", 1)
			retain("p.over", nil)
			retain("other", 1)
			client, ctx := a.link.client(), context.Background()
			names := a.rooms.namesKey("/")
			within(t, "the names", func() bool {
				return client.ZCard(ctx, names).Val() == n+2 && client.ZScore(ctx, names, "other").Err() == nil
			})
			if ttl := client.PTTL(ctx, names).Val(); ttl <= 0 {
				t.Error("the names stay for ever")
			}
			later, _ := relayNode(t, "b", o)
			rooms := func(prefix string) (list []string) {
				for _, m := range later.Retained("/", prefix, 1000) {
					list = append(list, m.Room)
				}
				return list
			}
			within(t, "what is retained", func() bool {
				later.LoadRetained("/", "p.", "", 1000)
				return slices.Equal(rooms("p."), want)
			})
			client.Do(ctx, "ZADD", names, 0, "p.gone") // its value has gone by itself
			later.LoadRetained("/", "p.", "", 1000)
			within(t, "the name of what has gone to go", func() bool { return client.ZScore(ctx, names, "p.gone").Err() != nil })
			later.LoadRetained("/", "", "p.249", 1)
			if got := rooms("q"); !slices.Equal(got, []string{"q"}) {
				t.Errorf("behind: %q", got)
			}
			retain("q")
			retain("p.000", "again")
			within(t, "the changes", func() bool {
				later.LoadRetained("/", "", "", 1000)
				m := later.Retained("/", "p.000", 1)
				return len(rooms("q")) == 0 && len(m) == 1 && m[0].Payload.JSON[5] == '"'
			})
		})
	}
}

// Names that somebody else has written, and a key of another type, harm nobody; and the names are bounded.
func TestHostileNamesOfRetainedRooms(t *testing.T) {
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL(), Adapter: Sharded})
	client, ctx := a.link.client(), context.Background()
	key := a.rooms.namesKey("/")
	for _, name := range []string{"", "$user:x", "\xff", "nothing"} {
		client.Do(ctx, "ZADD", key, 0, name)
	}
	client.Set(ctx, a.rooms.key("r", "/", "bad"), "\x01garbage", 0)
	client.Do(ctx, "ZADD", key, 0, "bad")
	h.LoadRetained("/", "", "", 10)
	if got := h.Retained("/", "", 10); len(got) > 0 {
		t.Errorf("retained %v", got)
	}
	within(t, "a name without anything to go", func() bool { return client.ZScore(ctx, key, "nothing").Err() != nil })
	client.Del(ctx, key)
	client.Set(ctx, key, "of another type", 0)
	h.LoadRetained("/", "", "", 10)
	if _, err := h.Publish(hub.Publication{Room: "r", Event: "e", Retain: true, Args: []any{1}}); err != nil {
		t.Fatal(err)
	}
	within(t, "it to be counted", func() bool { c := h.Counters(); return c["shared_read_failed"] > 0 && c[reasonUnkept] > 0 })
	client.Del(ctx, key)
	for i := range 5 {
		all, err := client.Eval(ctx, luaName, []string{key}, fmt.Sprint(i), 0, 3).Int()
		if err != nil || all == 1 != (i < 3) {
			t.Fatal(i, all, err)
		}
	}
	if got := client.ZRange(ctx, key, 0, -1).Val(); len(got) != 3 || got[2] != "4" {
		t.Errorf("names %q", got)
	}
	// A name that is taken out, and has a value by then, comes back, and the others are kept as long as they were.
	for _, left := range []time.Duration{-1, 48 * time.Hour} {
		if left > 0 {
			client.PExpire(ctx, key, left)
		}
		client.Do(ctx, "ZADD", key, 5, "r")
		a.rooms.unname("/", "r")
		within(t, "the name to come back", func() bool { n, err := client.ZScore(ctx, key, "r").Result(); return err == nil && n == 0 })
		if ttl := client.PTTL(ctx, key).Val(); left < 0 && ttl != left || left > 0 && ttl <= left/2 {
			t.Errorf("the names are kept for %v", ttl)
		}
	}
}

// Whoever asks for what is retained, again and again, leaves the queue to others.
func TestManyAskWhatIsRetained(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := Options{URL: r.URL(), QueueCommands: (retainedAtOnce + 2) * retainedChunk}
	h, a := relayNode(t, "a", o)
	for i := range retainedChunk {
		if _, err := h.Publish(hub.Publication{Room: fmt.Sprint("r", i), Event: "e", Args: []any{i}, Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	client := a.link.client()
	within(t, "the names", func() bool { return client.ZCard(t.Context(), a.rooms.namesKey("/")).Val() == retainedChunk })
	const times = 10 * retainedAtOnce
	answers := make(chan error, times)
	ask := func() {
		for range times {
			a.ReadRetained("/", hub.RetainedQuery{Limit: 1000, Bytes: 1 << 20}, func(found []hub.RetainedRoom, err error) {
				if err == nil && len(found) != retainedChunk {
					err = fmt.Errorf("%d rooms", len(found))
				}
				answers <- err
			})
		}
	}
	ask()
	for range times {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := h.Counters()[reasonQueueFull]; n > 0 {
		t.Errorf("%d commands had no place", n)
	}
	r.Freeze() // each has an answer, also when Redis has none
	ask()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	for range times {
		if err := <-answers; err == nil {
			t.Error("an answer without Redis")
		}
	}
}
