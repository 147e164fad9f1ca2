package socketio

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

func TestBinaryBothWays(t *testing.T) {
	f := serveEcho(t, settings{})
	c, _ := f.join(t, "/")
	big := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	const one, two = `{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`

	c.send(`452-["message",` + one + `,` + two + `]`)
	c.sendBinary([]byte{1, 2, 3}, []byte{4, 5, 6})
	c.want(`452-["message-back",` + one + `,` + two + `]`)
	c.wantBinary([]byte{1, 2, 3}, []byte{4, 5, 6})

	c.send(`452-789["ack",` + one + `,` + two + `]`)
	c.sendBinary(big, nil)
	c.want(`462-789[` + one + `,` + two + `]`)
	c.wantBinary(big, []byte{})

	// Nested, out of order, one of them twice, one not used: what comes back is numbered afresh.
	c.send(`453-5["ack",{"a":[` + two + `,"x"]},` + two + `,` + one + `]`)
	c.sendBinary([]byte("first"), []byte("second"), []byte("unused"))
	c.want(`463-5[{"a":[` + one + `,"x"]},` + two + `,{"_placeholder":true,"num":2}]`)
	c.wantBinary([]byte("second"), []byte("second"), []byte("first"))

	// Attachments that nothing stands for are waited for all the same.
	c.send(`451-6["ack","text"]`)
	c.sendBinary([]byte("unused"))
	c.want(`436["text"]`)

	// A heartbeat may come in between: it is not a message.
	c.send(`451-7["ack",`+one+`]`, `3`)
	c.sendBinary([]byte{7})
	c.want(`461-7[` + one + `]`)
	c.wantBinary([]byte{7})
	c.alive()
}

// A packet that comes in pieces is kept, while the loop reads others' messages into the same buffer.
func TestBinaryPacketInPieces(t *testing.T) {
	f := serveEcho(t, settings{hub: hub.Options{Loops: 1}})
	other, _ := f.join(t, "/")
	overwrite := func() {
		other.send(`42["message","` + strings.Repeat("#", 500) + `"]`)
		other.want(`42["message-back","` + strings.Repeat("#", 500) + `"]`)
	}
	c, _ := f.join(t, "/")
	c.connect("/custom", "")
	c.want(`42/custom,["auth",{}]`)
	for _, send := range []func(){
		func() {
			c.send(`452-/custom,7["ack",{"_placeholder":true,"num":0},"text",{"_placeholder":true,"num":1}]`)
		},
		func() { c.sendBinary(bytes.Repeat([]byte("a"), 100)) },
		func() { c.sendBinary(bytes.Repeat([]byte("b"), 100)) },
	} {
		overwrite()
		send()
		overwrite()
	}
	c.want(`462-/custom,7[{"_placeholder":true,"num":0},"text",{"_placeholder":true,"num":1}]`)
	c.wantBinary(bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 100))
}

// Attachments that do not come are waited for during PartialTimeout, counted from the packet's text.
func TestPartialTimeout(t *testing.T) {
	const timeout = 10 * time.Second // less than a heartbeat
	const header = `452-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`
	for name, first := range map[string][][]byte{"none of them": nil, "only the first": {{1}}} {
		t.Run(name, func(t *testing.T) {
			f, pass := serveByHand(t, settings{server: Options{PartialTimeout: timeout}})
			f.handle(t, "/", echo)
			bystander, _ := f.join(t, "/")
			c, _ := f.join(t, "/")
			c.send(header)
			c.sendBinary(first...)
			c.ping()
			pass(timeout - 1)
			f.counted(t, "socketio_partial_timeout", 0)
			pass(1)
			c.wantClosed(1008)
			f.counted(t, "socketio_partial_timeout", 1)
			f.left(t, 1)
			bystander.alive()
		})
	}
	t.Run("all of them", func(t *testing.T) {
		f, pass := serveByHand(t, settings{server: Options{PartialTimeout: timeout}})
		f.handle(t, "/", echo)
		c, _ := f.join(t, "/")
		c.send(header)
		c.sendBinary([]byte{1}, []byte{2})
		c.want(strings.Replace(header, "message", "message-back", 1))
		c.wantBinary([]byte{1}, []byte{2})
		pass(timeout)
		c.alive()
		f.counted(t, "socketio_partial_timeout", 0)
		f.counted(t, "socketio_connect_timeout", 0)
	})
}

func TestBinaryInARoom(t *testing.T) {
	f := serveEcho(t, settings{})
	a, _ := f.join(t, "/")
	b, _ := f.join(t, "/")
	for _, c := range []*client{a, b} {
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
	}
	a.send(`451-["say","room",{"_placeholder":true,"num":0}]`)
	a.sendBinary([]byte{9})
	for _, c := range []*client{a, b} {
		c.want(`451-["said",{"_placeholder":true,"num":0}]`)
		c.wantBinary([]byte{9})
	}
}

// Ten attachments are the most that the official client takes, and so the most that it is sent.
func TestAttachmentsAreLimitedOnTheWayOut(t *testing.T) {
	f := serve(t, settings{})
	f.handle(t, "/", func(s *hub.Session) error {
		for ev := range s.Events() {
			var n int
			if err := ev.Args(&n); err != nil {
				return err
			}
			values := make([]any, n)
			for i := range values {
				values[i] = []byte{byte(i)}
			}
			if err := s.Emit("values", values...); err != nil {
				return err
			}
			if err := ev.Ack(values...); err != nil {
				return err
			}
		}
		return nil
	})
	c := f.dial(t)
	c.connect("/", "")
	c.send(`421["give",11]`, `422["give",10]`)
	c.want(`431[{"ok":false,"error":{"code":"too_many_attachments","message":"the answer has more than 10 binary values"}}]`)
	var placeholders []string
	var values [][]byte
	for i := range 10 {
		placeholders = append(placeholders, fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i))
		values = append(values, []byte{byte(i)})
	}
	c.want(`4510-["values",` + strings.Join(placeholders, ",") + `]`)
	c.wantBinary(values...)
	c.want(`4610-2[` + strings.Join(placeholders, ",") + `]`)
	c.wantBinary(values...)
	f.counted(t, "socketio_unsendable_message", 1)
	f.counted(t, "socketio_unsendable_ack", 1)
}

// What a client can get wrong about attachments.
func TestBrokenBinaryPackets(t *testing.T) {
	const header = `451-["message",{"_placeholder":true,"num":0}]`
	for name, c := range map[string]struct {
		send    func(*client)
		counter string
	}{
		"out of the blue": {func(c *client) { c.sendBinary([]byte{1}) }, "socketio_unexpected_binary"},
		"one too many": {func(c *client) {
			c.send(header)
			c.sendBinary([]byte{1}, []byte{2})
		}, "socketio_unexpected_binary"},
		"text while one is due":            {func(c *client) { c.send(header, `42["message"]`) }, "socketio_unexpected_text"},
		"a second header while one is due": {func(c *client) { c.send(header, header) }, "socketio_unexpected_text"},
		"a disconnect while one is due":    {func(c *client) { c.send(header, `41`) }, "socketio_unexpected_text"},
		"text instead of the second": {func(c *client) {
			c.send(`452-["message",{"_placeholder":true,"num":1}]`)
			c.sendBinary([]byte{1})
			c.send(`42["message"]`)
		}, "socketio_unexpected_text"},
		"too large together": {func(c *client) {
			c.send(`4510-["message",{"_placeholder":true,"num":1}]`)
			for range 3 {
				c.sendBinary(make([]byte, 40_000))
			}
		}, "socketio_binary_too_large"},
		"CONNECT_ERROR": {func(c *client) { c.send(`44{"message":"no"}`) }, "socketio_connect_error_from_client"},
	} {
		t.Run(name, func(t *testing.T) {
			var o settings
			o.server.Engine.MaxPayload = 100_000
			f := serveEcho(t, o)
			bystander, _ := f.join(t, "/")
			peer, _ := f.join(t, "/")
			c.send(peer)
			status := 1002
			if c.counter == "socketio_binary_too_large" {
				status = 1009
			}
			peer.wantClosed(status)
			f.counted(t, c.counter, 1)
			f.left(t, 1)
			bystander.alive()
		})
	}
}

// One message may be as large as the limit; a larger one is refused before it is stored.
func TestMessagesAreLimited(t *testing.T) {
	const limit = 10_000
	o := settings{}
	o.server.Engine.MaxPayload = limit
	f := serveEcho(t, o)
	c, _ := f.join(t, "/")
	// Engine.IO's "4" counts; the answer has an id fewer digits, so it fits as well.
	text := func(size int) string { return `421["ack","` + strings.Repeat("x", size-len(`421["ack",""]`)) + `"]` }
	c.send(text(limit))
	if m := c.next(); !strings.HasPrefix(m.text, `431["xxx`) {
		t.Fatalf("got %s", m)
	}
	c.send(text(limit + 1))
	c.wantClosed(1009)
	f.empty(t)
}

// The official client sends the text of a binary packet by POST and its attachments on the WebSocket that
// it has upgraded to in between.
func TestBinaryPacketSplitOverTwoTransports(t *testing.T) {
	f := serveEcho(t, settings{})
	p := f.poll(t)
	p.post("40")
	if got := p.get(); !strings.HasPrefix(got, `40{"sid":`) || !strings.HasSuffix(got, `["auth",{}]`) {
		// The reply and the event may come in two polls.
		if got += "\x1e" + p.get(); !strings.HasSuffix(got, `["auth",{}]`) {
			t.Fatalf("got %q", got)
		}
	}
	p.post(`452-7["ack",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]` + "\x1ebAQ==")
	upgrade := strings.NewReplacer("http://", "ws://", "transport=polling", "transport=websocket")
	conn, _, _, err := ws.Dialer{}.Dial(t.Context(), upgrade.Replace(p.url))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn, nil)
	c.send("2probe")
	c.want("3probe")
	c.send("5")
	c.sendBinary([]byte{2})
	c.want(`462-7[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)
	c.wantBinary([]byte{2}, []byte{1})
	c.alive()
}
