package hub

import (
	"encoding/json"
	"io"
	"net"
	"strconv"
	"testing"

	"greenroom/coop"
)

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

// memoryConn is a client in memory: an outbox, flushed as a transport does it, whose bytes go nowhere.
type memoryConn struct {
	*fakeConn
	out Outbox
}

func (c *memoryConn) Send(f *Frame) { _ = c.out.Push(f) } // never full: every tick empties it

func (c *memoryConn) Flush() {
	c.out.gather(c.loop.Scratch())
	c.out.advance(c.out.Bytes())
}

// BenchmarkBroadcast is one message for a room of sessions in memory: encoding, the hub, and outboxes up to the point
// where a socket would be written to.
func BenchmarkBroadcast(b *testing.B) {
	for _, members := range []int{1, 10, 1000, 10000} {
		b.Run(strconv.Itoa(members), func(b *testing.B) {
			h := newTestHub(b, Options{Loops: 1})
			mustHandle(b, h, "/", chatter)
			l := h.Loops().All()[0]
			onThe(l, func() {
				for range members {
					c := &memoryConn{fakeConn: newFakeConn(h, 0)}
					c.out.Init(l, h, testWire, c)
					s := newSession(h.Of("/"), c, &Handshake{})
					s.accepted = true
					if err := s.Join("r"); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportAllocs()
			for b.Loop() {
				if err := h.To("r").Emit("e", "some text of usual length, or what is taken for it here"); err != nil {
					b.Fatal(err)
				}
				onThe(l, func() {})
			}
			onThe(l, func() {}) // behind the last flush
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(members), "ns/member")
		})
	}
}

// onThe runs fn on a loop and waits for it.
func onThe(l *coop.Loop, fn func()) {
	done := make(chan struct{})
	l.Post(func() { defer close(done); fn() })
	<-done
}

// BenchmarkJoinLeave is a session entering a room and leaving it, with nobody else there, so that the room comes and
// goes, and among others.
func BenchmarkJoinLeave(b *testing.B) {
	for _, others := range []int{0, 1000} {
		b.Run(strconv.Itoa(others), func(b *testing.B) {
			h := newTestHub(b, Options{Loops: 1})
			mustHandle(b, h, "/", chatter)
			onThe(h.Loops().All()[0], func() {
				join := func() *Session {
					s := newSession(h.Of("/"), &discardConn{newFakeConn(h, 0)}, &Handshake{})
					if err := s.Join("r"); err != nil {
						b.Error(err)
					}
					return s
				}
				for range others {
					join()
				}
				s := join()
				b.ReportAllocs()
				for b.Loop() {
					s.Leave("r")
					if err := s.Join("r"); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkEncode is what Emit and Ack do with their arguments.
func BenchmarkEncode(b *testing.B) {
	text := "some text of usual length, or what is taken for it here"
	for _, kind := range []struct {
		name string
		arg  any
	}{{"text", text}, {"raw", json.RawMessage(`"` + text + `"`)}, {"struct", struct{ ID int }{7}}} {
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := EncodeArgs("said", kind.arg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMatch is what a handler does with an event: Match, and thereby decoding.
func BenchmarkMatch(b *testing.B) {
	p, err := EncodeArgs("say", "lobby", "some text of usual length")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var room, text string
		if ev := NewEvent("say", p, NoAck); ev.Match("join", &room) || !ev.Match("say", &room, &text) {
			b.Fatal("no match")
		}
	}
}

// BenchmarkOutboxFlush is a tick in which an outbox gets frames and they leave by one write, to a socket that is read
// by another goroutine.
func BenchmarkOutboxFlush(b *testing.B) {
	for _, frames := range []int{1, 4, 64} {
		b.Run(strconv.Itoa(frames), func(b *testing.B) {
			h := newTestHub(b, Options{Loops: 1})
			l := h.Loops().All()[0]
			ours, theirs := socketPair(b)
			f := &pouring{frame: roomFrame("e", 80), each: frames, left: b.N, done: make(chan struct{})}
			f.out.Init(l, h, testWire, f)
			var err error
			if f.stream, err = l.Attach(ours, f); err != nil {
				b.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			b.ReportAllocs()
			b.ResetTimer()
			l.Post(f.stream.Start)
			l.PostJob(f)
			<-f.done
		})
	}
}

// socketPair is a connection of TCP's over loopback.
func socketPair(b *testing.B) (ours, theirs net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { theirs.Close() })
	if ours, err = l.Accept(); err != nil {
		b.Fatal(err)
	}
	return ours, theirs
}

// pouring pushes frames in every tick, unless some wait. It is a job that posts itself.
type pouring struct {
	out    Outbox
	stream *coop.Stream
	frame  *Frame
	each   int
	left   int
	done   chan struct{}
}

func (p *pouring) RunOn(l *coop.Loop) {
	if p.out.Len() > 0 {
		l.PostJob(p)
		return
	}
	if p.left == 0 {
		p.stream.Close()
		close(p.done)
		return
	}
	p.left--
	for range p.each {
		_ = p.out.Push(p.frame) // nothing waits: there is room
	}
	l.PostJob(p)
}

func (p *pouring) Flush()                      { _, _ = p.out.WriteTo(p.stream) } // OnClose would follow
func (p *pouring) OnRead(*coop.Stream, []byte) {}
func (p *pouring) OnWritable(*coop.Stream)     { p.Flush() }
func (p *pouring) OnClose(*coop.Stream, error) {}
