package socketio

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/coop"
	"greenroom/hub"
)

// Every malformed packet ends the connection that it came on, is counted under its own name, leaves nothing
// behind, and nobody else notices.
func TestMalformedPacketsEndTheirConnectionOnly(t *testing.T) {
	f := serveEcho(t, settings{})
	bystander, _ := f.join(t, "/")
	bystander.send(`420["join","room"]`)
	bystander.want(`430["ok"]`)
	for name, c := range malformed {
		t.Run(name, func(t *testing.T) {
			before := f.hub.Counters()
			peer, _ := f.join(t, "/")
			peer.send(`420["join","room"]`)
			peer.want(`430["ok"]`)
			peer.connect("/custom", "")
			peer.want(`42/custom,["auth",{}]`)
			peer.send(`42["say","room","before"]`, "4"+c.text, `42["say","room","after"]`)
			// The session's handler may be told of the end before it takes up what came first, so the
			// words before may not reach the peer; those after reach nobody.
			peer.wantClosed(int(refusal(c.err).Status))
			f.left(t, 1)
			bystander.want(`42["said","before"]`)
			bystander.alive()
			after := f.hub.Counters()
			for _, reason := range badPacketReasons() {
				want := before[reason]
				if reason == c.err.reason {
					want++
				}
				if after[reason] != want {
					t.Errorf("%s is %d, want %d", reason, after[reason], want)
				}
			}
		})
	}
}

// badPacketReasons are the counters of what Decode refuses.
func badPacketReasons() []string {
	var reasons []string
	for _, err := range []*Error{
		errEmptyPacket, errUnknownType, errAttachments, errTooMany, errInvalidPayload, errTooDeep, errReserved, errNamespaceName,
	} {
		reasons = append(reasons, err.reason)
	}
	return reasons
}

// The same before anything was joined.
func TestMalformedFirstPacket(t *testing.T) {
	f := serveEcho(t, settings{})
	for text, status := range map[string]int{
		"4abc": 1002, "4": 1002, `42["message"]`: 1008, `44{"message":"x"}`: 1002, "40[]": 1002, `431[]`: 1008, "41": 1008,
		`4511-["message"]`: 1008,
	} {
		t.Run(text, func(t *testing.T) {
			c := f.dial(t)
			c.send(text)
			c.wantClosed(status)
			f.empty(t)
		})
	}
}

// Whoever asks without reading the answers is a slow consumer like any other.
func TestAnswersThatNobodyReads(t *testing.T) {
	for name, packet := range map[string]string{
		"refusals": `40/` + strings.Repeat("n", 200),
		"acks":     `421["ack","` + strings.Repeat("x", 1000) + `"]`,
		"echoes":   `42["message","` + strings.Repeat("x", 1000) + `"]`,
	} {
		t.Run(name, func(t *testing.T) {
			f := serveEcho(t, settings{hub: hub.Options{OutboxBytes: 64 << 10}})
			bystander, _ := f.join(t, "/")
			c, _ := f.join(t, "/")
			var batch bytes.Buffer
			for range 100 {
				if err := ws.WriteFrame(&batch, ws.MaskFrame(ws.NewTextFrame([]byte(packet)))); err != nil {
					t.Fatal(err)
				}
			}
			for range 10_000 { // far more than the system's buffers hold
				_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
				if _, err := c.conn.Write(batch.Bytes()); err != nil {
					break // closed
				}
			}
			f.counted(t, "slow_consumer_disconnected", 1)
			f.left(t, 1)
			bystander.alive()
		})
	}
}

// A client that sends faster than its handler takes is not read from until the handler has caught up. Nothing
// is lost, the order stays, and others are not held up.
func TestBusyHandlerHoldsUpItsOwnClient(t *testing.T) {
	const events = 5000
	release := new(coop.Event)
	f := serve(t, settings{hub: hub.Options{Loops: 1, InboxEvents: 16}})
	f.handle(t, "/", func(s *hub.Session) error {
		if err := release.Wait(s.Greenlet()); err != nil {
			return err
		}
		next := 0
		for ev := range s.Events() {
			var n int
			if err := ev.Args(&n); err != nil {
				return err
			}
			if n != next {
				return s.Emit("order", n, next)
			}
			if next++; next == events {
				return s.Emit("all")
			}
		}
		return nil
	})
	f.handle(t, "/other", echo)
	c := f.dial(t)
	c.connect("/", "")
	c.connect("/other", "")
	c.want(`42/other,["auth",{}]`)
	packets := make([]string, events)
	for i := range packets {
		packets[i] = fmt.Sprintf(`42["n",%d]`, i)
	}
	c.send(packets...)
	c.send(`42/other,1["ack"]`)
	f.counted(t, "socketio_reading_paused", 1)
	other := f.dial(t)
	other.connect("/other", "")
	other.want(`42/other,["auth",{}]`)

	f.hub.Loops().All()[0].Post(release.Set)
	c.want(`42["all"]`, `41`, `43/other,1[]`)
}

// The client of a handler that is busy for long still gets pings: silence would make it leave.
func TestBusyHandlerKeepsItsClient(t *testing.T) {
	release := new(coop.Event)
	o := settings{hub: hub.Options{Loops: 1, InboxEvents: 2}}
	o.server.Engine.PingInterval, o.server.Engine.PingTimeout = 20*time.Millisecond, patience
	f := serve(t, o)
	f.handle(t, "/", func(s *hub.Session) error {
		if err := release.Wait(s.Greenlet()); err != nil {
			return err
		}
		return echo(s)
	})
	c := f.dial(t)
	c.connect("/", "")
	c.send(`421["ack"]`, `422["ack"]`, `423["ack"]`)
	f.counted(t, "socketio_reading_paused", 1)
	for range 3 {
		if h, err := ws.ReadHeader(c.r); err != nil || h.OpCode != ws.OpText || h.Length != 1 {
			t.Fatalf("got %+v, %v, want a ping", h, err)
		}
		if b, err := c.r.ReadByte(); err != nil || b != '2' {
			t.Fatalf("got %q, %v, want a ping", b, err)
		}
		c.send("3")
	}
	f.hub.Loops().All()[0].Post(release.Set)
	c.want(`42["auth",{}]`, `431[]`, `432[]`, `433[]`)
}
