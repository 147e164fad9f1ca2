package hub

import (
	"fmt"
	"strings"
	"testing"
)

// An answer with more binary values than a client takes would cost it its connection, so lists of
// publications end early.
func TestRelayAnswersHoldTenBinaryValues(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	if err := h.Handle("/", Relay(RelayOptions{})); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 30 {
		args := []any{i}
		if i%2 == 1 {
			args = []any{i, []byte{byte(i)}}
		}
		id, err := h.Publish(Publication{Room: "room", Event: "n", Args: args})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c := connect(t, h, 0, "/", "{}")
	for name, q := range map[string]struct {
		event       string
		options     map[string]any
		first, last int
	}{
		"join":             {"join", map[string]any{"history": 100}, 10, 29}, // binary are 11 13 … 29
		"history":          {"history", map[string]any{}, 10, 29},
		"history, few":     {"history", map[string]any{"limit": 3}, 27, 29},
		"history, after":   {"history", map[string]any{"after": ids[0]}, 1, 20}, // binary are 1 3 … 19
		"history, again":   {"history", map[string]any{"after": ids[20]}, 21, 29},
		"history, expired": {"history", map[string]any{"after": "gone-1"}, 10, 29},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.call(t, int64(len(c.acks)), q.event, "room", q.options)
			if n := strings.Count(got, `"_placeholder":true`); n > maxBinary {
				t.Errorf("%d binary values", n)
			}
			for i, id := range ids {
				has, want := strings.Contains(got, fmt.Sprintf(`"id":%q`, id)), i >= q.first && i <= q.last
				if has != want {
					t.Errorf("message %d is there: %t", i, has)
				}
			}
		})
	}
}
