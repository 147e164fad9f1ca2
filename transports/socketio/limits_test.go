package socketio

import (
	"strings"
	"testing"

	"greenroom/hub"
)

// What the options bound is let in up to the bound, and beyond it ends the connection and is counted; with both
// parsers, since either reads packets in its own way.
func TestBoundsOfPackets(t *testing.T) {
	placeholders := func(n int) string {
		return strings.Repeat(`,{"_placeholder":true,"num":0}`, n)
	}
	packed := func(args string, n int) string { // EVENT with an ack id 1, and n arguments
		return "\x84\xa4type\x02\xa3nsp\xa1/\xa2id\x01\xa4data" + string([]byte{byte(0x91 + n)}) + "\xa3ack" + args
	}
	for name, c := range map[string]struct {
		options          Options
		allowed, refused string // of msgpack, when the options say so
		attachments      int    // that follow what is allowed
		counter          string
		status           int
	}{
		"attachments, fewer": {Options{MaxAttachments: 1}, `451-1["ack",` + placeholders(1)[1:] + `]`, `452-1["ack"` + placeholders(1) + `]`, 1, "socketio_too_many_attachments", 1008},
		"attachments, more":  {Options{MaxAttachments: 12}, `4512-1["ack"` + placeholders(1) + `]`, `4513-1["ack"` + placeholders(1) + `]`, 12, "socketio_too_many_attachments", 1008},
		"attachments, far more than a placeholder can count": {Options{MaxAttachments: 1 << 40}, `451-1["ack"` + placeholders(1) + `]`, `451001-1["ack"` + placeholders(1) + `]`, 1, "socketio_too_many_attachments", 1008},
		"depth, lower":           {Options{MaxDepth: 2}, `421["ack",[1]]`, `421["ack",[[1]]]`, 0, "socketio_nested_too_deep", 1008},
		"depth, higher":          {Options{MaxDepth: 200}, `421["ack",` + deep(199) + `]`, `421["ack",` + deep(200) + `]`, 0, "socketio_nested_too_deep", 1008},
		"attachments in msgpack": {Options{Parser: Msgpack, MaxAttachments: 1}, packed("\xc4\x01x", 1), packed("\xc4\x01x\xc4\x01y", 2), 0, "socketio_too_many_attachments", 1008},
		"depth in msgpack":       {Options{Parser: Msgpack, MaxDepth: 2}, packed("\x91\x01", 1), packed("\x91\x91\x01", 1), 0, "socketio_nested_too_deep", 1008},
	} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, settings{server: c.options})
			f.handle(t, "/", hub.Events{"ack": func(*hub.Event) string { return "ok" }})
			connect, send := func(c *client) { c.connect("/", "") }, func(cl *client, text string) { cl.send(text) }
			if c.options.Parser == Msgpack {
				connect = func(c *client) {
					c.sendBinary([]byte("\x82\xa4type\x00\xa3nsp\xa1/"))
					c.next()
				}
				send = func(cl *client, text string) { cl.sendBinary([]byte(text)) }
			}
			for _, packet := range []string{c.allowed, c.refused} {
				peer := f.dial(t)
				connect(peer)
				send(peer, packet)
				if packet == c.refused {
					peer.wantClosed(c.status)
					break
				}
				for range c.attachments {
					peer.sendBinary([]byte("x"))
				}
				if m := peer.next(); !strings.HasPrefix(m.text, "43") && !strings.HasPrefix(m.text, "46") && !m.binary {
					t.Errorf("got %s, want an ack", m)
				}
			}
			f.counted(t, c.counter, 1)
		})
	}
}
