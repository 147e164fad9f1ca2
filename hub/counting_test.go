package hub

import (
	"fmt"
	"slices"
	"testing"
)

func TestWatchMembersCounts(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	var told []string
	cancel := h.WatchMembers(func(namespace, room string, members int, joined bool) {
		told = append(told, fmt.Sprint(namespace, " ", room, " ", members, " ", joined))
	})
	a.call(t, 1, "join", "r", map[string]any{"presence": true})
	b.call(t, 1, "join", "r")
	b.call(t, 2, "join", "r") // again
	a.call(t, 2, "leave", "r")
	b.leave("transport close")
	cancel()
	a.call(t, 3, "join", "late")
	if want := []string{"/ r 1 true", "/ r 2 true", "/ r 1 false", "/ r 0 false"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if h.counts.Load() != nil {
		t.Error("the list is not nil again")
	}
}
