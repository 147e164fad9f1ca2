//go:build linux && !race && !coop_portable

package socketio

import (
	"strings"
	"testing"

	"greenroom/hub"
)

// A message is encoded once. What it then takes to reach one client more, from the room's list to the socket, allocates
// nothing. The race detector allocates by itself: `make test` runs this with the tests of scale, without it.
func TestDeliveriesDoNotAllocateAtScale(t *testing.T) {
	const members, runs = 200, 100
	f := serveEcho(t, settings{hub: hub.Options{Loops: 1}})
	for i := range members {
		c, _ := f.join(t, "/")
		room := "many"
		if i == 0 {
			room = "one"
		}
		c.send(`420["join","` + room + `"]`)
		c.want(`430["ok"]`)
	}
	l := f.hub.Loops().All()[0]
	text := strings.Repeat("x", 64)
	// Clients do not read: a hundred messages are less than their sockets hold.
	allocs := func(room string) float64 {
		done := make(chan struct{}, 1)
		tick := func() { done <- struct{}{} }
		return testing.AllocsPerRun(runs, func() {
			if err := f.hub.To(room).Emit("said", text); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the tick of the delivery, and one behind its flush
				l.Post(tick)
				<-done
			}
		})
	}
	one, many := allocs("one"), allocs("many")
	if more := (many - one) / (members - 2); more > 0.02 {
		t.Errorf("a message to 1 client allocates %v times, to %d clients %v times", one, members-1, many)
	}
}
