package engineio

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// The case groups of the Autobahn test-suite, re-created with raw sockets. Its
// echo server is Engine.IO's here: a text message is "4" and the text, and comes
// back; an empty text frame is no packet. Each case runs on a server without
// extensions, and on a WebSocket that has negotiated permessage-deflate.

// received is a frame that a client gets.
type received struct {
	op   ws.OpCode
	data string
}

// conformanceCase is one case: what is sent, what comes back, and the status in
// the close frame behind it. Without one the connection must go on.
type conformanceCase struct {
	name   string
	send   []byte
	chop   int // bytes sent at a time; 0: all
	want   []received
	close  ws.StatusCode
	reason string // with which the session ends; default "transport error"
}

func (c conformanceCase) run(t *testing.T, s *server, conn *socket) {
	size := c.chop
	if size == 0 {
		size = max(1, len(c.send))
	}
	for rest := c.send; len(rest) > 0; {
		n := min(size, len(rest))
		conn.bound()
		if _, err := conn.Write(rest[:n]); err != nil && c.close == 0 {
			t.Fatal(err) // otherwise it may close before all is sent
		}
		rest = rest[n:]
	}
	for _, w := range c.want {
		conn.want(w.op, w.data)
	}
	if c.close == 0 {
		conn.text("4and on")
		conn.wantText("4and on")
		return
	}
	if op, data := conn.next(); op != ws.OpClose || closeCode(data) != c.close {
		t.Fatalf("received %v %q, want a close frame with %d", op, data, c.close)
	}
	if c.reason == ReasonTransportClose {
		conn.wantEOF()
	} else {
		conn.Close() // a client that has broken its framing cannot close properly
	}
	s.waitClosed(t, conn.sid, cmp.Or(c.reason, ReasonTransportError))
	if got := s.waitMessages(t, conn.sid, 0); len(got) != c.messages() {
		t.Errorf("the server has got %d messages, want %d", len(got), c.messages())
	}
}

// messages counts the messages that are echoed.
func (c conformanceCase) messages() (n int) {
	for _, w := range c.want {
		if w.op == ws.OpText || w.op == ws.OpBinary {
			n++
		}
	}
	return n
}

func closeCode(payload string) ws.StatusCode {
	if len(payload) < 2 {
		return ws.StatusNoStatusRcvd
	}
	return ws.StatusCode(binary.BigEndian.Uint16([]byte(payload)))
}

// Builders of what is sent.
func cat(frames ...[]byte) []byte        { return bytes.Join(frames, nil) }
func textFrame(s string) []byte          { return clientFrame(ws.OpText, true, s) }
func binaryFrame(s string) []byte        { return clientFrame(ws.OpBinary, true, s) }
func textBegin(s string) []byte          { return clientFrame(ws.OpText, false, s) }
func binaryBegin(s string) []byte        { return clientFrame(ws.OpBinary, false, s) }
func moreFrame(s string) []byte          { return clientFrame(ws.OpContinuation, false, s) }
func endFrame(s string) []byte           { return clientFrame(ws.OpContinuation, true, s) }
func pingFrame(s string) []byte          { return clientFrame(ws.OpPing, true, s) }
func pongFrame(s string) []byte          { return clientFrame(ws.OpPong, true, s) }
func closingFrame(s string) []byte       { return clientFrame(ws.OpClose, true, s) }
func echoText(s string) received         { return received{ws.OpText, s} }
func echoBinary(s string) received       { return received{ws.OpBinary, s} }
func pong(s string) received             { return received{ws.OpPong, s} }
func reserve(bits byte, f []byte) []byte { f[0] |= bits << 4; return f }

// fragmentsOf cuts a message into fragments of n bytes.
func fragmentsOf(op ws.OpCode, s string, n int) (b []byte) {
	for {
		piece := s[:min(n, len(s))]
		s = s[len(piece):]
		b = append(b, clientFrame(op, s == "", piece)...)
		if op = ws.OpContinuation; s == "" {
			return b
		}
	}
}

// Group 1.
func framingCases() (cases []conformanceCase) {
	for _, size := range []int{0, 1, 125, 126, 127, 128, 65_535, 65_536} {
		for _, chop := range []int{0, 1, 997} {
			if chop == 1 && size > 128 {
				continue
			}
			payload := strings.Repeat("*", size)
			name := fmt.Sprintf("%d bytes in chops of %d", size, chop)
			cases = append(cases, conformanceCase{name: "1 binary of " + name, send: binaryFrame(payload), chop: chop, want: []received{echoBinary(payload)}})
			if size > 0 {
				payload = "4" + payload[1:]
				cases = append(cases, conformanceCase{name: "1 text of " + name, send: textFrame(payload), chop: chop, want: []received{echoText(payload)}})
			}
		}
	}
	return append(cases, conformanceCase{name: "1 text of 0 bytes is no packet", send: textFrame(""), close: 1002, reason: ReasonParseError})
}

// Groups 2 to 4.
func controlCases() []conformanceCase {
	long := strings.Repeat("\xfe", 125)
	var tenPings []byte
	var tenPongs []received
	for i := range 10 {
		tenPings = append(tenPings, pingFrame(fmt.Sprint("payload ", i))...)
		tenPongs = append(tenPongs, pong(fmt.Sprint("payload ", i)))
	}
	cases := []conformanceCase{
		{name: "2 ping without payload", send: pingFrame(""), want: []received{pong("")}},
		{name: "2 ping with text", send: pingFrame("Hello, world!"), want: []received{pong("Hello, world!")}},
		{name: "2 ping with binary", send: pingFrame("\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), want: []received{pong("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}},
		{name: "2 ping of 125 bytes", send: pingFrame(long), want: []received{pong(long)}},
		{name: "2 ping of 126 bytes", send: pingFrame(long + "\xfe"), close: 1002},
		{name: "2 ping of 125 bytes octet-wise", send: pingFrame(long), chop: 1, want: []received{pong(long)}},
		{name: "2 pong not asked for", send: pongFrame("")},
		{name: "2 pong with payload not asked for", send: pongFrame("unsolicited")},
		{name: "2 pong not asked for, then a ping", send: cat(pongFrame("unsolicited"), pingFrame("ping")), want: []received{pong("ping")}},
		{name: "2 ten pings", send: tenPings, want: tenPongs},
		{name: "2 ten pings octet-wise", send: tenPings, chop: 1, want: tenPongs},
	}
	for bits := byte(1); bits < 8; bits++ {
		name := fmt.Sprintf("3 RSV %03b", bits)
		before := textFrame("4before")
		if bits != 4 { // RSV1 alone is what the extension uses; the cases of group 12 have it
			cases = append(cases,
				conformanceCase{name: name, send: reserve(bits, textFrame("4x")), close: 1002},
				conformanceCase{name: name + " after a message", send: cat(before, reserve(bits, textFrame("4x")), pingFrame("")), want: []received{echoText("4before")}, close: 1002},
				conformanceCase{name: name + " octet-wise", send: cat(before, reserve(bits, binaryFrame("x"))), chop: 1, want: []received{echoText("4before")}, close: 1002})
		}
		cases = append(cases,
			conformanceCase{name: name + " on a ping", send: reserve(bits, pingFrame("x")), close: 1002},
			conformanceCase{name: name + " on a close", send: cat(before, reserve(bits, closingFrame(""))), want: []received{echoText("4before")}, close: 1002},
			conformanceCase{name: name + " on a continuation", send: cat(textBegin("4"), reserve(bits, endFrame("x"))), close: 1002})
	}
	for _, op := range []ws.OpCode{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		name := fmt.Sprintf("4 opcode %d", op)
		cases = append(cases,
			conformanceCase{name: name, send: clientFrame(op, true, ""), close: 1002},
			conformanceCase{name: name + " with payload", send: clientFrame(op, true, "reserved opcode payload"), close: 1002},
			conformanceCase{name: name + " after a message", send: cat(textFrame("4before"), clientFrame(op, true, ""), pingFrame("")), want: []received{echoText("4before")}, close: 1002})
	}
	return cases
}

// Group 5.
func fragmentCases() []conformanceCase {
	echo := []received{echoText("4fragment1fragment2")}
	return []conformanceCase{
		{name: "5 ping in two fragments", send: cat(clientFrame(ws.OpPing, false, "a"), endFrame("b")), close: 1002},
		{name: "5 pong in two fragments", send: cat(clientFrame(ws.OpPong, false, "a"), endFrame("b")), close: 1002},
		{name: "5 close in two fragments", send: cat(clientFrame(ws.OpClose, false, "\x03"), endFrame("\xe8")), close: 1002},
		{name: "5 text in two fragments", send: cat(textBegin("4fragment1"), endFrame("fragment2")), want: echo},
		{name: "5 text in two fragments octet-wise", send: cat(textBegin("4fragment1"), endFrame("fragment2")), chop: 1, want: echo},
		{name: "5 binary in two fragments", send: cat(binaryBegin("a"), endFrame("b")), want: []received{echoBinary("ab")}},
		{name: "5 text in many fragments", send: fragmentsOf(ws.OpText, "4fragment1fragment2", 1), want: echo},
		{name: "5 empty fragments", send: cat(textBegin(""), moreFrame(""), endFrame("4")), want: []received{echoText("4")}},
		{name: "5 all fragments empty", send: cat(binaryBegin(""), moreFrame(""), endFrame("")), want: []received{echoBinary("")}},
		{name: "5 ping between fragments", send: cat(textBegin("4fragment1"), pingFrame("ping"), endFrame("fragment2")), want: append([]received{pong("ping")}, echo...)},
		{name: "5 ping between fragments octet-wise", send: cat(textBegin("4fragment1"), pingFrame("ping"), endFrame("fragment2")), chop: 1, want: append([]received{pong("ping")}, echo...)},
		{name: "5 pings in and between many fragments", chop: 1,
			send: cat(textBegin("4frag"), pingFrame("1"), moreFrame("ment1"), pingFrame("2"), moreFrame("frag"), pongFrame("x"), endFrame("ment2"), pingFrame("3")),
			want: []received{pong("1"), pong("2"), echo[0], pong("3")}},
		{name: "5 last continuation with nothing to continue", send: cat(endFrame("x"), textFrame("4x")), close: 1002},
		{name: "5 first continuation with nothing to continue", send: cat(moreFrame("x"), textFrame("4x")), close: 1002},
		{name: "5 last continuation after a message", send: cat(textFrame("4x"), endFrame("x")), want: []received{echoText("4x")}, close: 1002},
		{name: "5 first continuation after a message", send: cat(textFrame("4x"), moreFrame("x"), endFrame("x")), want: []received{echoText("4x")}, close: 1002},
		{name: "5 continuation after fragments that have ended", send: cat(textBegin("4fragment1"), endFrame("fragment2"), moreFrame("x")), want: echo, close: 1002},
		{name: "5 new text before the last has ended", send: cat(textBegin("4x"), textFrame("4y")), close: 1002},
		{name: "5 new binary before the last has ended", send: cat(textBegin("4x"), moreFrame("x"), binaryBegin("4y")), close: 1002},
	}
}

// Group 6.
func utf8Cases() (cases []conformanceCase) {
	for name, text := range map[string]string{
		"ASCII":             "Hello-µ@ßöäüàá-UTF-8!!",
		"Greek":             "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
		"first of a kind":   "\x00\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80",
		"last of a kind":    "\x7f\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf",
		"beside surrogates": "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbd",
		"BOM":               "\xef\xbb\xbfx",
		"non-characters":    "\xef\xbf\xbe\xef\xbf\xbf\xf0\x9f\xbf\xbe\xf4\x8f\xbf\xbf\xef\xb7\x90",
	} {
		text = "4" + text
		want := []received{echoText(text)}
		cases = append(cases,
			conformanceCase{name: "6 " + name, send: textFrame(text), want: want},
			conformanceCase{name: "6 " + name + " octet-wise", send: textFrame(text), chop: 1, want: want},
			conformanceCase{name: "6 " + name + " in one-byte fragments", send: fragmentsOf(ws.OpText, text, 1), want: want})
		for _, n := range []int{2, 3} {
			cases = append(cases, conformanceCase{name: fmt.Sprintf("6 %s in fragments of %d", name, n), send: fragmentsOf(ws.OpText, text, n), chop: 1, want: want})
		}
	}
	for name, bad := range map[string]string{
		"lone continuation": "\x80", "two continuations": "\x80\xbf", "lone lead of two": "\xc3 ", "lone lead of three": "\xe2 ", "lone lead of four": "\xf0 ",
		"truncated two": "\xc3", "truncated three": "\xe2\x82", "truncated four": "\xf0\x9f\x98", "FE": "\xfe", "FF": "\xff",
		"overlong slash, two": "\xc0\xaf", "overlong slash, three": "\xe0\x80\xaf", "overlong slash, four": "\xf0\x80\x80\xaf", "five bytes": "\xf8\x88\x80\x80\x80", "six bytes": "\xfc\x84\x80\x80\x80\x80",
		"largest overlong, two": "\xc1\xbf", "largest overlong, three": "\xe0\x9f\xbf", "largest overlong, four": "\xf0\x8f\xbf\xbf", "overlong NUL": "\xc0\x80",
		"first surrogate": "\xed\xa0\x80", "last surrogate": "\xed\xbf\xbf", "pair of surrogates": "\xed\xa0\xbd\xed\xb8\x80",
		"U+110000": "\xf4\x90\x80\x80", "U+1FFFFF": "\xf7\xbf\xbf\xbf",
		"in the middle": "\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited",
	} {
		text := "4κόσμε" + bad
		cases = append(cases,
			conformanceCase{name: "6 bad: " + name, send: textFrame(text), close: 1007},
			conformanceCase{name: "6 bad: " + name + ", octet-wise", send: textFrame(text), chop: 1, close: 1007},
			conformanceCase{name: "6 bad: " + name + ", in one-byte fragments", send: fragmentsOf(ws.OpText, text, 1), close: 1007})
		if !strings.HasPrefix(name, "truncated") {
			// Found as early as possible: the message does not end.
			cases = append(cases, conformanceCase{name: "6 bad early: " + name, send: textBegin(text), close: 1007},
				conformanceCase{name: "6 bad early, in half a frame: " + name, send: textFrame(text + strings.Repeat("x", 200))[:len(text)+8], close: 1007})
		}
	}
	return cases
}

// Group 7.
func closeCases() []conformanceCase {
	code := func(c uint16, reason string) []byte { return closingFrame(closePayload(c, reason)) }
	long := strings.Repeat("*", 123)
	cases := []conformanceCase{
		{name: "7 close after a message", send: cat(textFrame("4x"), code(1000, "")), want: []received{echoText("4x")}, close: 1000, reason: ReasonTransportClose},
		{name: "7 second close", send: cat(code(1000, ""), code(1001, "")), close: 1000, reason: ReasonTransportClose},
		{name: "7 ping after close", send: cat(code(1000, ""), pingFrame("x")), close: 1000, reason: ReasonTransportClose},
		{name: "7 message after close", send: cat(code(1000, ""), textFrame("4x")), close: 1000, reason: ReasonTransportClose},
		{name: "7 close within a message", send: cat(textBegin("4fragment1"), code(1000, ""), endFrame("fragment2")), close: 1000, reason: ReasonTransportClose},
		{name: "7 message and close of much", send: cat(textFrame("4"+strings.Repeat("*", 250_000)), code(1000, ""), pingFrame("")), want: []received{echoText("4" + strings.Repeat("*", 250_000))}, close: 1000, reason: ReasonTransportClose},
		{name: "7 empty body", send: closingFrame(""), close: 1005, reason: ReasonTransportClose},
		{name: "7 one byte", send: closingFrame("\x03"), close: 1002},
		{name: "7 code alone", send: code(1000, ""), close: 1000, reason: ReasonTransportClose},
		{name: "7 short reason", send: code(1000, "Hello World!"), close: 1000, reason: ReasonTransportClose},
		{name: "7 reason of 123 bytes", send: code(1000, long), close: 1000, reason: ReasonTransportClose},
		{name: "7 reason of 124 bytes", send: code(1000, long+"*"), close: 1002},
		{name: "7 reason without UTF-8", send: code(1000, "\xce\xba\xe1\xbd\xb9\xed\xa0\x80"), close: 1007},
	}
	for _, c := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, conformanceCase{name: fmt.Sprint("7 code ", c), send: code(c, "why"), close: ws.StatusCode(c), reason: ReasonTransportClose})
	}
	for _, c := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, conformanceCase{name: fmt.Sprint("7 code ", c), send: code(c, ""), close: 1002},
			conformanceCase{name: fmt.Sprint("7 reason and code ", c), send: code(c, "why"), close: 1002})
	}
	return cases
}

// conformanceMax is MaxPayload of the servers, and the size of group 9's messages.
const conformanceMax = 256 << 10

// Groups 9 and 10.
func sizeCases() (cases []conformanceCase) {
	text, data := "4"+strings.Repeat("*", conformanceMax-1), strings.Repeat("\xfe", conformanceMax)
	head := func(first byte, length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{first, 0xff}, length), 1, 2, 3, 4)
	}
	cases = []conformanceCase{
		{name: "9 text of the limit", send: textFrame(text), want: []received{echoText(text)}},
		{name: "9 binary of the limit", send: binaryFrame(data), want: []received{echoBinary(data)}},
		{name: "9 text over the limit", send: textFrame(text + "*"), close: 1009},
		{name: "9 binary over the limit", send: binaryFrame(data + "\xfe"), close: 1009},
		{name: "9 over the limit in fragments", send: append(binaryBegin(data), endFrame("\xfe")...), close: 1009},
		{name: "9 announced alone", send: head(0x82, conformanceMax+1), close: 1009},
		{name: "9 announced 2^40 bytes", send: head(0x82, 1<<40), close: 1009},
		{name: "9 announced 2^63 - 1 bytes", send: head(0x82, 1<<63-1), close: 1009},
		{name: "9 announced 2^63 bytes", send: head(0x82, 1<<63), close: 1002},
		{name: "9 announced more than fits behind a fragment", send: append(binaryBegin("x"), head(0x80, 1<<63-1)...), close: 1009},
		{name: "10 text in fragments of 1300", send: fragmentsOf(ws.OpText, text[:65_536], 1300), want: []received{echoText(text[:65_536])}},
	}
	for _, n := range []int{64, 256, 1024, 4096, 16 << 10, 64 << 10} {
		cases = append(cases,
			conformanceCase{name: fmt.Sprint("9 text in fragments of ", n), send: fragmentsOf(ws.OpText, text, n), want: []received{echoText(text)}},
			conformanceCase{name: fmt.Sprint("9 binary in fragments of ", n), send: fragmentsOf(ws.OpBinary, data, n), want: []received{echoBinary(data)}})
	}
	for _, n := range []int{64, 997, 2048} {
		cases = append(cases, conformanceCase{name: fmt.Sprint("9 text in chops of ", n), send: textFrame(text), chop: n, want: []received{echoText(text)}})
	}
	return cases
}

func TestConformance(t *testing.T) {
	for name, setup := range map[string]struct {
		options Options
		offer   []string
	}{
		"plain":      {Options{MaxPayload: conformanceMax, PingInterval: time.Hour}, nil},
		"compressed": {Options{MaxPayload: conformanceMax, PingInterval: time.Hour, PerMessageDeflate: &Deflate{}}, []string{"Sec-WebSocket-Extensions", "permessage-deflate"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, setup.options)
			others := newBystanders(t, s)
			for _, group := range [][]conformanceCase{framingCases(), controlCases(), fragmentCases(), utf8Cases(), closeCases(), sizeCases()} {
				for _, c := range group {
					t.Run(c.name, func(t *testing.T) {
						conn := s.connectWith(t, setup.offer...)
						c.run(t, s, conn)
						conn.Close()
					})
				}
				others.check(t)
			}
			if setup.offer == nil {
				conformanceCase{send: reserve(4, textFrame("4x")), close: 1002}.run(t, s, s.connect(t))
			}
		})
	}
}
