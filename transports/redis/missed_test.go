//go:build unix

package redis

import (
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// Who has come and gone elsewhere while a node was cut off from Redis is told to those who watch, when it is back.
func TestWatchersAreToldWhatWasLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := newProxy(t, r.Addr)
			o := Options{URL: p.url(), Adapter: kind, Timeout: hasty.timeout, PresenceTTL: 3 * time.Second}
			a, adapter := relayNode(t, "a", o)
			o.URL = r.URL()
			b, other := relayNode(t, "b", o)
			eve := relayClient(t, a, `{"name":"Eve"}`)
			eve.call(t, "join", "r", map[string]any{"presence": true})
			ann, bob := relayClient(t, b, `{"name":"Ann"}`), relayClient(t, b, `{"name":"Bob"}`)
			ann.call(t, "join", "r")
			bob.call(t, "join", "r")
			told := func(list string, c *memoryClient) bool {
				for _, e := range strings.Split(eve.heard(), "\n") {
					if _, rest, ok := strings.Cut(e, `"`+list+`":[`); ok {
						if names, _, _ := strings.Cut(rest, "]"); strings.Contains(names, c.id()) {
							return true
						}
					}
				}
				return false
			}
			within(t, "Ann and Bob", func() bool { return told("joined", ann) && told("joined", bob) })

			p.cut()
			within(t, "noticed", func() bool { return adapter.Ready() != nil })
			cat := relayClient(t, b, `{"name":"Cat"}`)
			bob.call(t, "leave", "r")
			cat.call(t, "join", "r")
			within(t, "Cat in Redis and not Bob", func() bool {
				got := make(chan string, 1)
				other.ReadRoom("/", "r", hub.RoomQuery{Members: 9}, func(v hub.RoomView, err error) {
					var names []string
					for _, m := range v.Members {
						if m.Node == "b" {
							names = append(names, m.Name)
						}
					}
					got <- strings.Join(names, " ")
				})
				return <-got == "Ann Cat"
			})
			if told("joined", cat) || told("left", bob) {
				t.Error("told without Redis")
			}
			p.heal()
			within(t, "Cat", func() bool { return told("joined", cat) })
			within(t, "Bob's leaving", func() bool { return told("left", bob) })
			if told("left", ann) {
				t.Error("Ann has left")
			}
		})
	}
}
