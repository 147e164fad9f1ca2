package hub

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// otherWire and countedWire are two more formats; the latter counts its encodings.
var (
	otherWire   = RegisterWire("other", func(m *Message) []byte { return append([]byte("other "), m.Payload.JSON...) })
	countedWire = RegisterWire("counted", func(m *Message) []byte {
		encodings.Add(1)
		return append(append([]byte(nil), m.Payload.JSON...), '\n')
	})
	encodings atomic.Int64
)

// lineConn is a client on a real socket, one line a message, the way a transport does it.
type lineConn struct {
	loop    *coop.Loop
	out     Outbox
	stream  *coop.Stream
	session *Session
	stalled bool
	flushes int           // loop
	started chan struct{} // closed when the session is accepted
	over    chan struct{} // closed when the stream is
}

// dialLine connects a client and returns its end of the socket.
func dialLine(t testing.TB, h *Hub, loop int) (*lineConn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed := make(chan net.Conn, 1)
	go func() {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
		}
		dialed <- c
	}()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer := <-dialed
	t.Cleanup(func() { peer.Close() })

	c := &lineConn{loop: h.Loops().All()[loop], started: make(chan struct{}), over: make(chan struct{})}
	stream, err := c.loop.Attach(accepted, c)
	if err != nil {
		t.Fatal(err)
	}
	c.loop.Post(func() {
		c.stream = stream
		c.out.Init(c.loop, h, countedWire, c)
		if c.session, err = h.Connect(c, "/", &Handshake{}); err != nil {
			t.Error(err)
		}
		stream.Start()
	})
	<-c.started
	return c, peer
}

func (c *lineConn) on(fn func()) {
	done := make(chan struct{})
	if c.loop.Post(func() { defer close(done); fn() }) {
		<-done
	}
}

func (c *lineConn) Loop() *coop.Loop { return c.loop }
func (c *lineConn) Writable() bool   { return !c.stalled }
func (c *lineConn) Send(f *Frame) {
	if c.out.Push(f) != nil {
		c.out.Clear()
		c.stream.Close()
		c.session.Closed("transport error")
	}
}
func (c *lineConn) Accepted(*Session)            { close(c.started) }
func (c *lineConn) Refused(*Session, error)      {}
func (c *lineConn) Ack(*Session, int64, Payload) {}
func (c *lineConn) Leave(*Session, bool)         { c.stream.Close() }

func (c *lineConn) Flush() {
	c.flushes++
	drained, err := c.out.WriteTo(c.stream)
	if err != nil {
		c.stream.Close()
	}
	c.stalled = !drained
}
func (c *lineConn) OnRead(*coop.Stream, []byte) {}
func (c *lineConn) OnWritable(*coop.Stream)     { c.Flush() }
func (c *lineConn) OnClose(*coop.Stream, error) { c.session.Closed("transport close"); close(c.over) }

// TestOneFlushATick: all that one tick brings to a session leaves together, the shared and its own.
func TestOneFlushATick(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c, peer := dialLine(t, h, 0)
	c.on(func() {
		for _, room := range []string{"a", "b"} {
			if err := c.session.Join(room); err != nil {
				t.Error(err)
			}
		}
	})
	for round := range 10 {
		var before int
		c.on(func() {
			// What is posted here is delivered in one tick, the next.
			before = c.flushes
			for i := range 5 {
				for _, to := range []Target{h.To("a"), h.To("b"), h.To(), h.To(c.session.ID()), h.To("a", "b")} {
					if err := to.Emit("e", i); err != nil {
						t.Error(err)
					}
				}
			}
		})
		c.on(func() {}) // the tick of the deliveries; its flush is at its end
		c.on(func() {
			if n := c.flushes - before; n != 1 {
				t.Errorf("round %d: %d flushes for 25 messages", round, n)
			}
		})
	}
	lines := bufio.NewReader(peer)
	for i := range 250 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

// TestOneEncodingAMessage, however many members get it, and on one loop exactly one.
func TestOneEncodingAMessage(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	var peers []*bufio.Reader
	for range 20 {
		_, peer := dialLine(t, h, 0)
		peers = append(peers, bufio.NewReader(peer))
	}
	before := encodings.Load()
	for i := range 10 {
		if err := h.To().Emit("e", i); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range peers {
		for i := range 10 {
			line, err := p.ReadString('\n')
			if want := fmt.Sprintf("[\"e\",%d]\n", i); err != nil || line != want {
				t.Fatalf("got %q, %v, want %q", line, err, want)
			}
		}
	}
	if n := encodings.Load() - before; n != 10 {
		t.Errorf("%d encodings of 10 messages for 20 members", n)
	}
}

// TestFrameGivesEveryoneTheSameBytes, also to those who ask at the same time.
func TestFrameGivesEveryoneTheSameBytes(t *testing.T) {
	for range 100 {
		f := MessageFrame(&Message{Payload: Payload{JSON: []byte(`["e"]`)}})
		var wg sync.WaitGroup
		got := make([][]byte, 4)
		for i := range got {
			wg.Go(func() { got[i] = f.Bytes(otherWire) })
		}
		wg.Wait()
		for _, b := range got {
			if &b[0] != &got[0][0] || string(b) != `other ["e"]` {
				t.Fatalf("got %q", b)
			}
		}
		if string(f.Bytes(testWire)) != `["e"]` {
			t.Fatal("the wires are mixed up")
		}
	}
	if otherWire.String() != "other" || Wire(maxWires-1).String() == "" {
		t.Error("a wire has no name")
	}
}

// TestStalledMembersDelayNobody: in a busy room one client does not read. The others get everything, and
// the policy acts on the one, counted.
func TestStalledMembersDelayNobody(t *testing.T) {
	const messages = 400
	text := strings.Repeat("x", 64<<10) // 25 MiB in all: more than the socket's buffers and the outbox take
	for _, tc := range []struct {
		policy Policy
		count  string
		lives  bool
	}{
		{Disconnect, "slow_consumer_disconnected", false},
		{DropNewest, "slow_consumer_dropped", true},
		{DropOldest, "slow_consumer_dropped", true},
		{LatestOnly, "slow_consumer_dropped", true},
	} {
		t.Run(fmt.Sprint("policy ", tc.policy), func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 2, SlowConsumer: tc.policy})
			mustHandle(t, h, "/", chatter)
			stalled, stalledPeer := dialLine(t, h, 0)
			var read [3]atomic.Int64 // by each member that reads
			var wg sync.WaitGroup
			defer wg.Wait()
			for i := range read {
				c, peer := dialLine(t, h, i%2)
				c.on(func() {
					if err := c.session.Join("r"); err != nil {
						t.Error(err)
					}
				})
				wg.Go(func() {
					if err := peer.SetReadDeadline(time.Now().Add(4 * patience)); err != nil {
						t.Error(err)
					}
					for lines := bufio.NewReaderSize(peer, 128<<10); read[i].Load() < messages; read[i].Add(1) {
						if _, err := lines.ReadSlice('\n'); err != nil {
							t.Errorf("member %d: %v", i, err)
							return
						}
					}
				})
			}
			stalled.on(func() {
				if err := stalled.session.Join("r"); err != nil {
					t.Error(err)
				}
			})
			for i := range messages {
				if err := h.To("r").Emit("e", i, text); err != nil {
					t.Fatal(err)
				}
				if i%8 < 7 {
					continue
				}
				// Wait for those who read, so that they cannot fall behind on a busy machine. Were they to
				// wait for the one that does not, this would never end.
				for m := range read {
					waitFor(t, func() bool { return read[m].Load() == int64(i+1) })
				}
			}
			if n := h.Counters()[tc.count]; n == 0 {
				t.Errorf("nothing was counted: %v", h.Counters())
			}
			stalled.on(func() {
				if stalled.session.Connected() != tc.lives {
					t.Errorf("connected %v, want %v", stalled.session.Connected(), tc.lives)
				}
				if n := stalled.out.Bytes(); n > h.opts.OutboxBytes {
					t.Errorf("%d bytes wait for it", n)
				}
			})
			if !tc.lives {
				<-stalled.over
				return
			}
			// When it reads again it gets what was kept, in order, and then what is new.
			go func() { _ = h.To(stalled.session.ID()).Emit("end") }()
			last, gaps := -1, 0
			if err := stalledPeer.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			for lines := bufio.NewReaderSize(stalledPeer, 128<<10); ; {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(line, `["end"`) {
					break
				}
				var i int
				if _, err := fmt.Sscanf(line, `["e",%d,`, &i); err != nil || i <= last {
					t.Fatalf("%.40q after %d: %v", line, last, err)
				}
				gaps += i - last - 1
				last = i
			}
			gaps += messages - 1 - last
			if n := h.Counters()[tc.count]; uint64(gaps) != n {
				t.Errorf("%d messages are missing, %d were counted", gaps, n)
			}
			if tc.policy != DropNewest && last != messages-1 {
				t.Errorf("the last one it got is %d", last)
			}
		})
	}
}
