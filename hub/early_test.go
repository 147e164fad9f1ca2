package hub

import (
	"slices"
	"testing"

	"greenroom/coop"
)

// A client need not wait for the middlewares: what it sends meanwhile is the handler's, in order.
func TestEventsBeforeAcceptance(t *testing.T) {
	for name, tc := range map[string]struct {
		auth, state string
		dropped     uint64
		events      []string
	}{
		"accepted":     {`{}`, "accepted", 0, []string{`["got","one"]`, `["got","two"]`}},
		"refused":      {`{"no":1}`, "refused", 2, nil},
		"disconnected": {`{"end":1}`, "refused", 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 1})
			release := new(coop.Event)
			h.Of("/").Use(func(s *Session) error {
				if err := release.Wait(s.Greenlet()); err != nil {
					return err
				}
				switch string(s.Handshake().Auth) {
				case `{"no":1}`:
					return &ConnectError{Message: "no"}
				case `{"end":1}`:
					return s.Disconnect("enough")
				}
				return nil
			})
			mustHandle(t, h, "/", func(s *Session) error {
				for ev := range s.Events() {
					if err := s.Emit("got", ev.Name); err != nil {
						return err
					}
				}
				return nil
			})
			c := newFakeConn(h, 0)
			c.begin("/", tc.auth)
			c.wait(t, "the session", func() bool { return c.session != nil })
			c.emit(t, NoAck, "one")
			c.emit(t, NoAck, "two")
			c.loop.Post(release.Set)
			c.wait(t, "an end of the handshake", func() bool { return c.state != "" })
			c.wait(t, "the events", func() bool { return len(c.got) == len(tc.events) })
			if got := c.events(); c.state != tc.state || !slices.Equal(got, tc.events) {
				t.Errorf("%s, got %q", c.state, got)
			}
			if n := h.Counters()["event_before_refusal"]; n != tc.dropped {
				t.Errorf("%d events dropped, want %d", n, tc.dropped)
			}
			if n := h.Counters()["event_after_disconnect"]; n != 0 {
				t.Errorf("%d events counted as dropped after the end", n)
			}
		})
	}
}
