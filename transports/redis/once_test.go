//go:build unix

package redis

import (
	"errors"
	"strings"
	"testing"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// A publisher that sends the same to another node, since the first one was cut off from Redis: who is at neither gets it
// once, although both nodes have taken it.
func TestPublishedByTwoNodes(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := newProxy(t, r.Addr)
			a, adapter := relayNode(t, "a", Options{URL: p.url(), Adapter: kind, Timeout: hasty.timeout, MessageAge: patience})
			b, _ := relayNode(t, "b", Options{URL: r.URL(), Adapter: kind})
			c, _ := relayNode(t, "c", Options{URL: r.URL(), Adapter: kind})
			ann, bo, cy := relayClient(t, a, `{}`), relayClient(t, b, `{}`), relayClient(t, c, `{}`)
			for _, client := range []*memoryClient{ann, bo, cy} {
				client.call(t, "join", "r")
			}
			publish := func(h *hub.Hub, what, id string) (string, error) {
				return h.Publish(hub.Publication{Room: "r", Event: "said", Args: []any{what}, ID: id})
			}
			must := func(h *hub.Hub, what, id string) {
				t.Helper()
				if _, err := publish(h, what, id); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			heard := func(c *memoryClient, what string) int { return strings.Count(c.heard(), `"`+what+`"`) }
			await := func(c *memoryClient, what string) {
				t.Helper()
				within(t, what, func() bool { return heard(c, what) > 0 })
			}
			must(a, "before", "0")
			for _, c := range []*memoryClient{ann, bo, cy} {
				await(c, "before")
			}
			p.cut()
			within(t, "noticed", func() bool { return adapter.Ready() != nil })
			must(a, "twice", "1")
			await(ann, "twice")
			must(b, "twice", "1")
			must(b, "there", "2")
			await(cy, "there")
			p.heal()
			within(t, "ready", func() bool { return adapter.Ready() == nil })
			must(a, "after", "3")
			for _, c := range []*memoryClient{ann, bo, cy} {
				await(c, "after")
			}
			for name, client := range map[string]*memoryClient{"b": bo, "c": cy} {
				for _, what := range []string{"before", "twice", "there", "after"} {
					if n := heard(client, what); n != 1 {
						t.Errorf("%s: %q came %d times", name, what, n)
					}
				}
			}
			if a.Counters()[reasonPublished] != 1 {
				t.Errorf("counted: %v", a.Counters())
			}
			// From now on all know it.
			within(t, "the id is known", func() bool {
				_, err := publish(c, "twice", "1")
				return errors.Is(err, hub.ErrDuplicate)
			})
			if n := heard(cy, "twice"); n != 1 {
				t.Errorf("in the end it came %d times", n)
			}
		})
	}
}
