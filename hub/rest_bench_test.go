package hub

import (
	"encoding/json"
	"strings"
	"testing"

	"greenroom/coop"
)

// BenchmarkWake is an event that a session's handler acks, from its delivery on, among 10 000 sessions whose turn it
// is one after another: a handler that waits on its stack, a table on a stack, a table that rests, Relay.
func BenchmarkWake(b *testing.B) {
	one := func(x json.RawMessage) json.RawMessage { return x }
	for _, c := range []struct {
		name    string
		handler any
		event   string
	}{
		{"loop", func(s *Session) error {
			var x json.RawMessage
			for ev := range s.Events() {
				if ev.Match("echo", &x) {
					ev.Ack(x)
				}
			}
			return nil
		}, `["echo","hello"]`},
		{"table on a stack", func(s *Session) error { return s.Serve(Events{"echo": Reply(echo)}) }, `["echo","hello"]`},
		{"table", Events{"echo": Reply(echo)}, `["echo","hello"]`},
		{"table by reflection", Events{"echo": one}, `["echo","hello"]`},
		{"relay on a stack", func(s *Session) error { return Relay(RelayOptions{Rate: -1}).Serve(s) }, `["presence","lobby"]`},
		{"relay", Relay(RelayOptions{Rate: -1}), `["presence","lobby"]`},
	} {
		b.Run(c.name, func(b *testing.B) {
			const n, batch = 10_000, 100
			h := newTestHub(b, Options{Loops: 1, EventRate: -1})
			mustHandle(b, h, "/", c.handler)
			var all []*Session
			for range n {
				c := &discardConn{newFakeConn(h, 0)}
				c.loop.Post(func() {
					s, err := h.Connect(c, "/", nil)
					if err != nil {
						panic(err)
					}
					all = append(all, s)
				})
			}
			l := h.Loops().All()[0]
			turn := func(fn func()) {
				done := make(chan struct{})
				l.Go(func(g *coop.Greenlet) error { fn(); g.Yield(); g.Yield(); close(done); return nil })
				<-done
			}
			turn(func() {})
			name := strings.Split(c.event, `"`)[1]
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				turn(func() {
					for k := range min(batch, b.N-i) {
						if err := all[(i+k)%n].Deliver(NewEvent(name, Payload{JSON: []byte(c.event)}, 1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
		})
	}
}

func echo(_ *Session, x json.RawMessage) (json.RawMessage, error) { return x, nil }
