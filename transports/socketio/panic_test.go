package socketio

import (
	"testing"

	"greenroom/hub"
)

// A handler that panics ends its own session: not the other one on its connection, and nobody else's on its
// loop.
func TestPanicEndsItsOwnSession(t *testing.T) {
	f := serveEcho(t, settings{hub: hub.Options{Loops: 1}})
	bystander, _ := f.join(t, "/")
	bystander.send(`420["join","room"]`)
	bystander.want(`430["ok"]`)
	c, _ := f.join(t, "/")
	c.connect("/custom", "")
	c.want(`42/custom,["auth",{}]`)
	c.send(`420["join","room"]`)
	c.want(`430["ok"]`)

	c.send(`421["panic","boom"]`)
	c.want(`41`)
	f.counted(t, "handler_failed", 1)
	eventually(t, "the session to go", func() bool { return f.hub.SessionCount() == 2 })
	c.send(`42/custom,1["ack","still here"]`)
	c.want(`43/custom,1["still here"]`)
	bystander.send(`42["say","room","hello"]`)
	bystander.want(`42["said","hello"]`)

	c.connect("/", "")
	c.want(`42["auth",{}]`)
	c.alive() // and nothing of the room
	bystander.alive()
}

// The same for a table's function, for its "disconnect", and for a deferred function.
func TestPanicsInOtherPlaces(t *testing.T) {
	f := serveEcho(t, settings{})
	f.handle(t, "/table", hub.Events{
		"panic":      func(why string) { panic(why) },
		"disconnect": func(*hub.Session) { panic("in disconnect") },
	})
	f.handle(t, "/defer", func(s *hub.Session) error {
		defer func() { panic("in a deferred function") }()
		for ev := range s.Events() {
			if ev.Name == "return" {
				break
			}
		}
		return nil
	})
	c, _ := f.join(t, "/")
	for i, packets := range []struct{ namespace, event string }{
		{"/table", `["panic","why"]`}, {"/table", ""}, {"/defer", `["return"]`}, {"/defer", ""},
	} {
		c.connect(packets.namespace, "")
		if packets.event == "" {
			c.send("41" + packets.namespace + ",")
		} else {
			c.send("42" + packets.namespace + "," + packets.event)
			c.want("41" + packets.namespace + ",")
		}
		f.counted(t, "handler_failed", uint64(i+1))
		eventually(t, "the session to go", func() bool { return f.hub.SessionCount() == 1 })
		c.alive()
	}
}
