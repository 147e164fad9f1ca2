package socketio

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// stalled opens a session in a room and reads nothing from then on.
func (f *fixture) stalled(t *testing.T, room string) *client {
	t.Helper()
	c, _ := f.join(t, "/")
	c.send(fmt.Sprintf(`420["join",%q]`, room))
	c.want(`430["ok"]`)
	return c
}

// reader takes everything that a client in a room gets and counts it.
type reader struct {
	c   *client
	got atomic.Int64
	err chan error
}

// read checks that the messages are said 0, 1, 2, … up to the last one, without a gap.
func (r *reader) read(last int) {
	for i := 0; i <= last; i++ {
		m, err := r.c.receive()
		if err == nil && !strings.HasPrefix(m.text, fmt.Sprintf(`42["said",%d,`, i)) {
			err = fmt.Errorf("got %.60s, want number %d", m, i)
		}
		if err != nil {
			r.err <- err
			return
		}
		r.got.Add(1)
	}
	r.err <- nil
}

// noPings is for clients that would not answer them, however long a test takes.
const noPings = time.Hour

// load is a room with readers, and one client that reads nothing.
func load(t *testing.T, o settings, batches, size int, done func(f *fixture) bool) (f *fixture, stalled *client, sent int) {
	t.Helper()
	const batch = 50
	o.server.Engine.PingInterval = noPings
	f = serveEcho(t, o)
	stalled = f.stalled(t, "room")
	readers := make([]*reader, 8)
	last := batches*batch - 1
	for i := range readers {
		c, _ := f.join(t, "/")
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
		readers[i] = &reader{c: c, err: make(chan error, 1)}
		go readers[i].read(last)
	}
	reached := false
	filler := strings.Repeat("x", size)
	for range batches {
		if !reached && done(f) {
			reached = true
		}
		for range batch {
			if err := f.hub.To("room").Emit("said", sent, filler); err != nil {
				t.Fatal(err)
			}
			sent++
		}
		// In step with the readers: whoever is late here was held up by the one who does not read.
		for _, r := range readers {
			eventually(t, "a reader to get its messages while another is stalled", func() bool { return r.got.Load() >= int64(sent) || len(r.err) > 0 })
		}
	}
	for _, r := range readers {
		if err := <-r.err; err != nil {
			t.Error(err)
		}
	}
	if !reached && !done(f) {
		t.Fatalf("the outbox never reached its bound; counters %v", f.hub.Counters())
	}
	return f, stalled, sent
}

const (
	stallBatches = 400
	stallSize    = 1000 // 20 MB in all, far more than the system's buffers hold
)

// A client that does not read is disconnected when its outbox is full. Until then and after it the others
// get everything, in order.
func TestStalledClientIsDisconnected(t *testing.T) {
	o := settings{hub: hub.Options{OutboxBytes: 64 << 10}}
	f, stalled, sent := load(t, o, stallBatches, stallSize, func(f *fixture) bool {
		return f.hub.Counters()["slow_consumer_disconnected"] == 1
	})
	f.left(t, 8)
	f.counted(t, "slow_consumer_disconnected", 1)
	// What it had been sent before is there still, whole and in order; then the connection ends.
	got := 0
	for {
		m, err := stalled.receive()
		if err != nil {
			break
		}
		if !strings.HasPrefix(m.text, fmt.Sprintf(`42["said",%d,`, got)) {
			t.Fatalf("got %.60s, want number %d", m, got)
		}
		got++
	}
	if got == sent {
		t.Error("it was not stalled: it got everything")
	}
	if f.hub.Counters()["slow_consumer_dropped"] != 0 {
		t.Error("messages were dropped")
	}
}

// With another policy the client stays, and misses what did not fit.
func TestStalledClientMissesMessages(t *testing.T) {
	for name, policy := range map[string]hub.Policy{"drop-newest": hub.DropNewest, "drop-oldest": hub.DropOldest, "latest-only": hub.LatestOnly} {
		t.Run(name, func(t *testing.T) {
			o := settings{hub: hub.Options{OutboxBytes: 64 << 10, SlowConsumer: policy}}
			f, stalled, sent := load(t, o, stallBatches, stallSize, func(f *fixture) bool {
				return f.hub.Counters()["slow_consumer_dropped"] > 0
			})
			f.left(t, 9)
			// It reads again. An ack, which is never dropped, comes behind all that waited.
			stalled.send(`421["ack"]`)
			before, got := -1, 0
			for m := stalled.next(); m.text != `431[]`; m = stalled.next() {
				var n int
				if _, err := fmt.Sscanf(m.text, `42["said",%d,`, &n); err != nil || n <= before {
					t.Fatalf("got %.60s after number %d", m, before)
				}
				before = n
				got++
			}
			dropped := int(f.hub.Counters()["slow_consumer_dropped"])
			if got+dropped != sent || dropped == 0 {
				t.Errorf("got %d and %d were dropped, of %d", got, dropped, sent)
			}
			if policy != hub.DropNewest && before != sent-1 {
				t.Errorf("the last one is %d, want the newest, %d", before, sent-1)
			}
		})
	}
}

// A volatile message is dropped for the one who cannot take it at once, and for nobody else.
func TestVolatileMessagesSkipTheStalled(t *testing.T) {
	f := serveEcho(t, settings{server: Options{Engine: engineio.Options{PingInterval: noPings}}})
	stalled := f.stalled(t, "room")
	c, _ := f.join(t, "/")
	c.send(`420["join","room"]`)
	c.want(`430["ok"]`)
	filler := strings.Repeat("x", 100_000)
	for sent := 0; f.hub.Counters()["volatile_dropped"] == 0; sent++ {
		if sent == 1000 {
			t.Fatal("100 MB went to a client that does not read")
		}
		if err := f.hub.To("room").Volatile().Emit("said", sent, filler); err != nil {
			t.Fatal(err)
		}
		if m := c.next(); !strings.HasPrefix(m.text, fmt.Sprintf(`42["said",%d,`, sent)) {
			t.Fatalf("got %.60s, want number %d", m, sent)
		}
	}
	if n := f.hub.Counters()["slow_consumer_disconnected"]; n != 0 {
		t.Errorf("%d disconnected over volatile messages", n)
	}
	// It is still a session, and says so.
	if err := stalled.write(ws.OpText, []byte(`42["say","other"]`)); err != nil {
		t.Error(err)
	}
	f.left(t, 2)
}
