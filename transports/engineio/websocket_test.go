package engineio

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

func TestWebSocketMessages(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	c.text("4hello")
	c.wantText("4hello")
	c.frame(ws.OpBinary, true, "\x01\x02\x03\x04")
	c.want(ws.OpBinary, "\x01\x02\x03\x04")
	c.text("4")
	c.wantText("4")
	c.frame(ws.OpBinary, true, "")
	c.want(ws.OpBinary, "")
	c.text("bAQID") // a binary message as text, with Node.js' leniency
	c.want(ws.OpBinary, "\x01\x02\x03")
	for _, ignored := range []string{"0", "0{}", "3", "5", "6"} {
		c.text(ignored)
	}
	c.text("4€")
	c.wantText("4€")
}

func TestWebSocketSizes(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 999_999} {
		payload := strings.Repeat("x", n)
		c.text("4" + payload)
		c.wantText("4" + payload)
		c.frame(ws.OpBinary, true, payload)
		c.want(ws.OpBinary, payload)
	}
}

// However the bytes are cut into segments, the messages are the same.
func TestWebSocketSegments(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	payload := "4" + strings.Repeat("häppchen ", 30)
	frames := append(clientFrame(ws.OpText, true, payload), clientFrame(ws.OpBinary, true, "\x00\xff")...)
	for _, size := range []int{1, 2, 7, 100} {
		for rest := frames; len(rest) > 0; {
			n := min(size, len(rest))
			c.write(rest[:n])
			rest = rest[n:]
		}
		c.wantText(payload)
		c.want(ws.OpBinary, "\x00\xff")
	}
}

func TestWebSocketFragmentsAndControlFrames(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	c.frame(ws.OpText, false, "4one ")
	c.frame(ws.OpPing, true, "in between")
	c.want(ws.OpPong, "in between") // at once
	c.frame(ws.OpContinuation, false, "two ")
	c.frame(ws.OpContinuation, false, "")
	c.frame(ws.OpPong, true, "not asked for")
	c.frame(ws.OpContinuation, true, "three")
	c.wantText("4one two three")
	c.frame(ws.OpBinary, false, "\x01")
	c.frame(ws.OpContinuation, true, "\x02")
	c.want(ws.OpBinary, "\x01\x02")
	for i := range 10 {
		c.frame(ws.OpPing, true, fmt.Sprint(i))
	}
	for i := range 10 {
		c.want(ws.OpPong, fmt.Sprint(i))
	}
	c.frame(ws.OpPing, true, "")
	c.want(ws.OpPong, "")
	c.frame(ws.OpPing, true, strings.Repeat("p", 125))
	c.want(ws.OpPong, strings.Repeat("p", 125))
}

func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// The close handshake (RFC 6455, section 5.5.1) from the client's side.
func TestWebSocketClose(t *testing.T) {
	tests := []struct {
		name, payload string
		want          ws.StatusCode
		reason        string
	}{
		{"empty", "", 1005, ReasonTransportClose},
		{"normal", closePayload(1000, ""), 1000, ReasonTransportClose},
		{"with a reason", closePayload(1001, "går"), 1001, ReasonTransportClose},
		{"long reason", closePayload(4000, strings.Repeat("r", 123)), 4000, ReasonTransportClose},
		{"one byte", "\x03", 1002, ReasonTransportError},
		{"code 0", closePayload(0, ""), 1002, ReasonTransportError},
		{"code 999", closePayload(999, ""), 1002, ReasonTransportError},
		{"code 1004", closePayload(1004, ""), 1002, ReasonTransportError},
		{"code 1005", closePayload(1005, ""), 1002, ReasonTransportError},
		{"code 1006", closePayload(1006, ""), 1002, ReasonTransportError},
		{"code 1015", closePayload(1015, ""), 1002, ReasonTransportError},
		{"code 1016", closePayload(1016, ""), 1002, ReasonTransportError},
		{"code 2999", closePayload(2999, ""), 1002, ReasonTransportError},
		{"code 5000", closePayload(5000, ""), 1002, ReasonTransportError},
		{"reason without UTF-8", closePayload(1000, "\xff"), 1007, ReasonTransportError},
	}
	s := serve(t, Options{})
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			conn := s.connect(t)
			conn.text("4before")
			conn.wantText("4before")
			conn.frame(ws.OpClose, true, c.payload)
			conn.wantClose(c.want)
			s.waitClosed(t, conn.sid, c.reason)
		})
	}
}

// Data behind the close frame is not delivered.
func TestWebSocketDataAfterClose(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	c.write(append(append(clientFrame(ws.OpText, true, "4a"), clientFrame(ws.OpClose, true, "")...), clientFrame(ws.OpText, true, "4b")...))
	c.wantText("4a")
	c.wantClose(1005)
	s.waitClosed(t, c.sid, ReasonTransportClose)
	if got := s.waitMessages(t, c.sid, 1); len(got) != 1 {
		t.Errorf("delivered %q", got)
	}
}

func TestWrongPacketsCloseTheWebSocket(t *testing.T) {
	tests := []struct {
		name, packet, reason, counter string
		status                        ws.StatusCode
	}{
		{"no packet", "abc", ReasonParseError, "engineio_bad_packet", 1002},
		{"unknown type", "9", ReasonParseError, "engineio_bad_packet", 1002},
		{"empty", "", ReasonParseError, "engineio_bad_packet", 1002},
		{"ping", "2", ReasonTransportError, "engineio_ping_from_client", 1002},
		{"probe", "2probe", ReasonTransportError, "engineio_ping_from_client", 1002},
		{"close", "1", ReasonTransportClose, "", 1005},
	}
	s := serve(t, Options{})
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			before := s.count(c.counter)
			conn := s.connect(t)
			conn.write(append(clientFrame(ws.OpText, true, c.packet), clientFrame(ws.OpText, true, "4late")...))
			conn.wantClose(c.status)
			s.waitClosed(t, conn.sid, c.reason)
			if got := s.waitMessages(t, conn.sid, 0); len(got) != 0 {
				t.Errorf("delivered %q", got)
			}
			if c.counter != "" && s.count(c.counter) != before+1 {
				t.Errorf("%s went from %d to %d", c.counter, before, s.count(c.counter))
			}
		})
	}
}

// What a client sends right behind its handshake, in the same segment, counts.
func TestWebSocketDataBehindTheRequest(t *testing.T) {
	s := serve(t, Options{})
	c := &socket{raw: s.dial(t)}
	b := upgradeRequest(wsTarget)
	b = append(b, clientFrame(ws.OpText, true, "4early")...)
	whole := clientFrame(ws.OpText, true, "4split")
	c.write(append(b, whole[:3]...))
	if a := c.response(); a.status != 101 {
		t.Fatal(a)
	}
	_, open := c.next()
	parseOpen(t, open)
	c.wantText("4early")
	c.write(whole[3:])
	c.wantText("4split")
}

// A body in front of the frames would be mistaken for them.
func TestUpgradeWithABodyIsRefused(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial(t)
	frame := clientFrame(ws.OpText, true, "4smuggled")
	c.write(append(upgradeRequest(wsTarget, "Content-Length", fmt.Sprint(len(frame))), frame...))
	if a := c.response(); a.status != 400 {
		t.Error(a)
	}
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 0 })
}

func TestSubprotocol(t *testing.T) {
	s := serve(t, Options{})
	for offer, want := range map[string]string{"": "", "foo": "foo", "foo, bar": "foo"} {
		c := s.dial(t)
		var headers []string
		if offer != "" {
			headers = []string{"Sec-WebSocket-Protocol", offer}
		}
		c.write(upgradeRequest(wsTarget, headers...))
		if a := c.response(); a.status != 101 || a.header.Get("Sec-WebSocket-Protocol") != want {
			t.Errorf("%q: %v %v", offer, a, a.header)
		}
	}
}

func TestCompressionIsDeclined(t *testing.T) {
	s := serve(t, Options{})
	c := s.dial(t)
	c.write(upgradeRequest(wsTarget, "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"))
	if a := c.response(); a.status != 101 || a.header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("%v %v", a, a.header)
	}
}

// A connection that vanishes ends its session.
func TestWebSocketConnectionLost(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	c.Close()
	s.waitClosed(t, c.sid, ReasonTransportClose)
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 0 })
}

// A client that does not read reaches the bound of its outbox and is disconnected;
// the others go on.
func TestWebSocketClientThatDoesNotRead(t *testing.T) {
	s := serve(t, Options{}, hub.Options{Loops: 1, OutboxBytes: 64 << 10})
	other := s.connect(t)
	c := s.connect(t)
	message := []byte(strings.Repeat("x", 1000))
	for range 100_000 {
		open := false
		s.on(t, c.sid, func(sock *Socket) {
			for range 16 {
				sock.SendText(message)
			}
			open = sock.Open()
		})
		if !open {
			break
		}
	}
	// Its handler hears of it at once. If the client reads after all, it gets what had left, and then why.
	rec := s.session(t, c.sid)
	s.wait(t, "OnClose", func() bool { return len(rec.closes) > 0 })
	c.wantClose(1008)
	s.waitClosed(t, c.sid, ReasonTransportError)
	if n := s.count("slow_consumer_disconnected"); n != 1 {
		t.Errorf("counted %d", n)
	}
	other.text("4x")
	other.wantText("4x")
}

// A client that does not even read its close frame is cut at CloseTimeout.
func TestWebSocketClientThatNeverReads(t *testing.T) {
	s := serve(t, Options{CloseTimeout: 20 * time.Millisecond}, hub.Options{Loops: 1, OutboxBytes: 64 << 10})
	c := s.connect(t)
	s.on(t, c.sid, func(sock *Socket) {
		for sock.Open() {
			sock.SendText(make([]byte, 8<<10))
			if _, err := sock.out.WriteTo(sock.ws.stream); err != nil {
				t.Error(err)
				return
			}
		}
	})
	s.waitClosed(t, c.sid, ReasonTransportError)
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 0 })
}

// A message that stays incomplete ends its session when the heartbeat looks,
// even if other signs of life come in between.
func TestUnfinishedMessage(t *testing.T) {
	s := serve(t, Options{PingInterval: 20 * time.Millisecond})
	c := s.connect(t)
	c.frame(ws.OpText, false, "4begun")
	s.eventuallyOn(t, c.sid, "the fragment", func(sock *Socket) bool {
		if !sock.ws.reader.unfinished() {
			return false
		}
		sock.ws.reader.since = sock.loop.Now() - maxUnfinished - 1
		return true
	})
	c.wantCloseFrame(ws.StatusPolicyViolation)
	c.Close()
	s.waitClosed(t, c.sid, ReasonTransportError)
}
