package socketio

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// usual is an event as chats have them.
const usual = `2["say","lobby","some text of usual length, or what is taken for it"]`

func BenchmarkDecode(b *testing.B) {
	text := []byte(usual)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncodeFrame is what a broadcast is encoded for, once for all who get it: the frame of a WebSocket, and the
// body of a poll.
func BenchmarkEncodeFrame(b *testing.B) {
	m := &hub.Message{Namespace: "/", Event: "say", Payload: hub.Payload{JSON: []byte(usual[1:])}, Ack: hub.NoAck}
	for name, w := range map[string]hub.Wire{"websocket": wires.WebSocket, "polling": wires.Polling} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hub.MessageFrame(m).Bytes(w)
			}
		})
	}
}

// BenchmarkEcho is an event with an ack, from a client's write to its read of the answer: the whole path, on a socket.
// The client allocates nothing.
func BenchmarkEcho(b *testing.B) {
	f := serve(b, settings{hub: hub.Options{Loops: 1, EventRate: -1}})
	f.handle(b, "/", func(s *hub.Session) {
		var text string
		for ev := range s.Events() {
			if ev.Match("echo", &text) {
				_ = ev.Ack(text) // the client may be gone
			}
		}
	})
	c := f.dial(b)
	c.connect("/", "")
	text := `7["echo","` + strings.Repeat("x", 64) + `"]`
	ask := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte("42" + text))))
	want := ws.MustCompileFrame(ws.NewTextFrame([]byte("43" + strings.Replace(text, `"echo",`, "", 1))))
	got := make([]byte, len(want))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.conn.Write(ask); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c.r, got); err != nil || !bytes.Equal(got, want) {
			b.Fatalf("%q, %v", got, err)
		}
	}
}
