package hub

import (
	"slices"
	"testing"
)

func TestWatchRoomsTellsWhichHaveMembers(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
	a.call(t, 1, "join", "early")
	if _, err := h.Publish(Publication{Room: "kept", Event: "e"}); err != nil { // a history and no members
		t.Fatal(err)
	}
	var d diary
	cancel := h.WatchRooms(func(namespace, room string, live bool) { d.add("%s %s %v", namespace, room, live) })
	a.call(t, 2, "join", "late")
	b.call(t, 1, "join", "late")
	a.call(t, 3, "leave", "late")
	b.call(t, 2, "leave", "late")
	a.call(t, 4, "leave", "early")
	want := []string{"/ early true", "/ late true", "/ late false", "/ early false"}
	if got := d.all(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	cancel()
	a.call(t, 5, "join", "unseen")
	if got := d.all(); len(got) != len(want) {
		t.Errorf("told %q behind the end", got)
	}
}

func TestALocalPublicationStaysOnItsNode(t *testing.T) {
	h, c := twoNodes(t, yes)
	for _, p := range []Publication{{Room: "a", Event: "here", Local: true}, {Room: "a", Event: "everywhere"}} {
		if _, err := h[0].Publish(p); err != nil {
			t.Fatal(err)
		}
	}
	if here := c[0].waitEvents(t, 2); len(here) != 2 {
		t.Errorf("here %q", here)
	}
	there := c[1].waitEvents(t, 1) // in the order of their publishing
	if ev, err := (Payload{JSON: []byte(there[0])}).event(); err != nil || ev != "everywhere" || len(there) != 1 {
		t.Errorf("there %q, %v", there, err)
	}
}
