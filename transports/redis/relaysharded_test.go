//go:build unix

package redis

import (
	"slices"
	"strings"
	"testing"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// With sharded pub/sub a room's keys are where its channel is.
func TestNodesShareRoomsWithTheShardedAdapter(t *testing.T) {
	for _, mode := range []Mode{Static, Dynamic, DynamicPrivate} {
		t.Run(string(mode), func(t *testing.T) {
			r := testenv.StartRedis(t)
			o := Options{URL: r.URL(), Adapter: Sharded, Mode: mode}
			a, adapter := relayNode(t, "a", o)
			b, _ := relayNode(t, "b", o)
			ann, eve := relayClient(t, a, `{"name":"Ann"}`), relayClient(t, b, `{"name":"Eve"}`)
			eve.call(t, "join", "r", map[string]any{"presence": true})
			ann.call(t, "join", "r")
			within(t, "Eve hears of Ann", func() bool { return strings.Contains(eve.heard(), ann.id()) })
			sent := publishN(t, a, 3, hub.Publication{Retain: true})
			within(t, "all is heard", func() bool { return strings.Contains(eve.heard(), sent[2]) })
			if got, complete := historyIDs(b, ""); !slices.Equal(got, sent) || !complete {
				t.Errorf("history %q, %v; sent %q", got, complete, sent)
			}
			late := relayClient(t, b, `{}`).call(t, "join", "r", map[string]any{"history": 2, "retained": true})
			if kept, ok := late["retained"].(map[string]any); !ok || kept["id"] != sent[2] || len(late["messages"].([]any)) != 2 {
				t.Errorf("joined with %v", late)
			}
			if got, want := slotOf(adapter.rooms.key("h", "/", "r")), slotOf(adapter.rooms.slot("/", "r")); got != want {
				t.Errorf("slot %d, want %d", got, want)
			}
		})
	}
}
