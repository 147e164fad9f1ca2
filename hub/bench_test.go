package hub

import "testing"

// discardConn is a client whose wire costs nothing.
type discardConn struct{ *fakeConn }

func (c *discardConn) Send(*Frame)                  {}
func (c *discardConn) Ack(*Session, int64, Payload) {}

// BenchmarkTable is what a table's handler costs beside its own work: decoding two arguments, the call by
// reflection, encoding the ack.
func BenchmarkTable(b *testing.B) {
	h := newTestHub(b, Options{Loops: 1})
	mustHandle(b, h, "/", chatter)
	c := &discardConn{newFakeConn(h, 0)}
	s := newSession(h.Of("/"), c, &Handshake{})
	call, err := newCall(func(_ *Session, room string, n int) int { return n })
	if err != nil {
		b.Fatal(err)
	}
	p, err := EncodeArgs("e", "lobby", 7)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ev := NewEvent("e", p, 1)
		ev.session = s
		call.run(s, ev)
	}
}

// BenchmarkDelivery is what the hub adds per member to a broadcast, without encoding and writing.
func BenchmarkDelivery(b *testing.B) { benchmarkDelivery(b, Options{Loops: 1}) }

// BenchmarkDeliveryWithRecovery is the same when clients can come back.
func BenchmarkDeliveryWithRecovery(b *testing.B) {
	benchmarkDelivery(b, Options{Loops: 1, Recovery: &Recovery{}})
}

func benchmarkDelivery(b *testing.B, o Options) {
	const members = 1000
	h := newTestHub(b, o)
	mustHandle(b, h, "/", chatter)
	done := make(chan struct{})
	l := h.Loops().All()[0]
	l.Post(func() {
		for range members {
			c := &discardConn{newFakeConn(h, 0)}
			s := newSession(h.Of("/"), c, &Handshake{})
			s.accepted = true
			if rec := h.Of("/").recovery; rec != nil {
				rec.admit(s)
			}
			if err := s.Join("r"); err != nil {
				b.Error(err)
			}
		}
		close(done)
	})
	<-done
	for b.Loop() {
		if err := h.To("r").Emit("e"); err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		l.Post(func() { close(done) })
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/members, "ns/member")
}
