package hub

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"greenroom/coop"
)

type flushCount struct{ n int }

func (f *flushCount) Flush() { f.n++ }

// roomFrame is a droppable frame of n bytes.
func roomFrame(event string, n int) *Frame {
	body := []byte(`["` + event + `","` + strings.Repeat("x", n-len(event)-7) + `"]`)
	return MessageFrame(&Message{Room: "r", Event: event, Offset: 1, Payload: Payload{JSON: body}})
}

func ownFrame(n int) *Frame {
	return NewFrame(func(Wire) []byte { return []byte(strings.Repeat("p", n)) })
}

// onLoop runs fn with a hub's loop.
func onLoop(t *testing.T, o Options, fn func(h *Hub, l *coop.Loop)) {
	t.Helper()
	o.Loops = 1
	h := newTestHub(t, o)
	l, done := h.Loops().All()[0], make(chan struct{})
	l.Post(func() { defer close(done); fn(h, l) })
	<-done
}

func TestOutboxPolicies(t *testing.T) {
	for _, tc := range []struct {
		policy Policy
		pushes func(o *Outbox) error
		left   string // first letters of what is left
		count  string
		n      uint64
	}{
		{Disconnect, func(o *Outbox) error {
			o.Push(roomFrame("a", 60))
			return o.Push(roomFrame("b", 60))
		}, "a", "slow_consumer_disconnected", 1},
		{DropNewest, func(o *Outbox) error {
			o.Push(roomFrame("a", 60))
			o.Push(roomFrame("b", 60))
			return o.Push(roomFrame("c", 30))
		}, "ac", "slow_consumer_dropped", 1},
		{DropOldest, func(o *Outbox) error {
			o.Push(roomFrame("a", 40))
			o.Push(ownFrame(20))
			o.Push(roomFrame("b", 40))
			return o.Push(roomFrame("c", 60))
		}, "pc", "slow_consumer_dropped", 2},
		{LatestOnly, func(o *Outbox) error {
			o.blocked = true
			o.Push(roomFrame("a", 20))
			o.Push(roomFrame("b", 20))
			o.Push(roomFrame("a", 20))
			return o.Push(roomFrame("a", 20))
		}, "ba", "slow_consumer_dropped", 2},
	} {
		onLoop(t, Options{OutboxBytes: 100, SlowConsumer: tc.policy}, func(h *Hub, l *coop.Loop) {
			var o Outbox
			o.Init(l, h, testWire, &flushCount{})
			err := tc.pushes(&o)
			if tc.policy == Disconnect != errors.Is(err, ErrSlowConsumer) {
				t.Errorf("policy %d: %v", tc.policy, err)
			}
			var left strings.Builder
			bytes := 0
			for _, f := range o.queue {
				b := f.Bytes(testWire)
				bytes += len(b)
				left.WriteString(strings.TrimPrefix(string(b), `["`)[:1])
			}
			if left.String() != tc.left || bytes != o.Bytes() || h.Counters()[tc.count] != tc.n {
				t.Errorf("policy %d: left %q, %d bytes (counted %d), counters %v", tc.policy, left.String(), bytes, o.Bytes(), h.Counters())
			}
		})
	}
}

func TestOutboxBounds(t *testing.T) {
	onLoop(t, Options{OutboxBytes: 100, SlowConsumer: DropNewest}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, &flushCount{})
		if err := o.Push(ownFrame(500)); err != nil || o.Len() != 1 {
			t.Errorf("one large frame in an empty outbox: %v", err)
		}
		if err := o.Push(ownFrame(10)); !errors.Is(err, ErrSlowConsumer) {
			t.Errorf("the transport's packets beyond twice the bound: %v", err)
		}
		o.Clear()
		for range 19 {
			if err := o.Push(ownFrame(10)); err != nil {
				t.Errorf("the transport's packets within twice the bound: %v", err)
			}
		}
	})
}

func TestOutboxTake(t *testing.T) {
	onLoop(t, Options{}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, &flushCount{})
		for range 3 {
			o.Push(ownFrame(3))
		}
		if got := string(o.Take('|', 7)); got != "ppp|ppp" || o.Len() != 1 || o.Bytes() != 3 {
			t.Errorf("took %q, left %d frames, %d bytes", got, o.Len(), o.Bytes())
		}
		if got := string(o.Take('|', 1)); got != "ppp" {
			t.Errorf("took %q: at least one frame leaves", got)
		}
		if got := o.Take('|', 1); len(got) != 0 {
			t.Errorf("took %q from an empty outbox", got)
		}
	})
}

// outboxConn writes an outbox into a stream whenever the loop says so.
type outboxConn struct {
	o      Outbox
	stream *coop.Stream
	done   chan struct{}
}

func (c *outboxConn) Flush() {
	if _, err := c.o.WriteTo(c.stream); err != nil {
		c.stream.Close()
	}
}
func (c *outboxConn) OnRead(*coop.Stream, []byte)     {}
func (c *outboxConn) OnWritable(*coop.Stream)         { c.Flush() }
func (c *outboxConn) OnClose(s *coop.Stream, _ error) { close(c.done) }

// TestOutboxWriteTo sends frames of all sizes through a socket that takes them in pieces.
func TestOutboxWriteTo(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, OutboxBytes: 64 << 20})
	l := h.Loops().All()[0]
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
	defer peer.Close()

	c := &outboxConn{done: make(chan struct{})}
	s, err := l.Attach(accepted, c)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	sizes := []int{1, 10, 1000, 20_000, 3, 400_000, 7, 7, 7, 2_000_000, 1}
	for round := range 3 {
		for i, n := range sizes {
			want.WriteString(strings.Repeat(string(rune('a'+(i+round)%26)), n))
		}
	}
	l.Post(func() {
		c.stream = s
		c.o.Init(l, h, testWire, c)
		s.Start()
		for round := range 3 {
			for i, n := range sizes {
				body := []byte(strings.Repeat(string(rune('a'+(i+round)%26)), n))
				if err := c.o.Push(NewFrame(func(Wire) []byte { return body })); err != nil {
					t.Error(err)
				}
			}
		}
	})
	got := make([]byte, want.Len())
	for n := 0; n < len(got); {
		k, err := peer.Read(got[n:min(len(got), n+5000)])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	if string(got) != want.String() {
		t.Error("what arrived is not what was sent")
	}
	l.Post(s.Close)
	<-c.done
}

func TestOutboxParts(t *testing.T) {
	onLoop(t, Options{}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, &flushCount{})
		if o.Last() != nil || len(o.Parts(10)) != 0 {
			t.Error("an empty outbox has something")
		}
		last := ownFrame(3)
		for _, f := range []*Frame{ownFrame(20), ownFrame(4), ownFrame(6), last} {
			if err := o.Push(f); err != nil {
				t.Error(err)
			}
		}
		if o.Last() != last {
			t.Error("another frame is the last")
		}
		for _, want := range []string{"20", "4 6", "3"} {
			var got []string
			for _, p := range o.Parts(10) {
				got = append(got, strconv.Itoa(len(p)))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("took %q, wanted %q", got, want)
			}
		}
		if o.Len() != 0 || o.Bytes() != 0 {
			t.Errorf("%d frames, %d bytes are left", o.Len(), o.Bytes())
		}
	})
}
