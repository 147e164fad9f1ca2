package guard

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// greeting is what libzmq 4.3.4 sends.
func greeting(mechanism string) []byte {
	b := make([]byte, greetingBytes)
	copy(b, "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x01")
	copy(b[12:], mechanism)
	return b
}

func property(name, value string) string {
	return string(rune(len(name))) + name + string(binary.BigEndian.AppendUint32(nil, uint32(len(value)))) + value
}

func command(name, data string) []byte {
	body := string([]byte{byte(len(name))}) + name + data
	if len(body) > 255 {
		return append(binary.BigEndian.AppendUint64([]byte{flagCommand | flagLong}, uint64(len(body))), body...)
	}
	return append([]byte{flagCommand, byte(len(body))}, body...)
}

func ready(socketType string) []byte { return command("READY", property("Socket-Type", socketType)) }

func message(frames ...string) []byte {
	var b []byte
	for i, f := range frames {
		b = AppendStringFrame(b, f, i < len(frames)-1)
	}
	return b
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// feed runs input through a parser in pieces of at most chunk bytes, and returns what it cleared.
func feed(local string, l Limits, input []byte, chunk int) (out []byte, pongs []string, err error) {
	p := newParser(local, l.WithDefaults(), func(ctx []byte) error {
		pongs = append(pongs, string(ctx))
		return nil
	})
	p.now = func() time.Time { return time.Unix(1, 0) }
	var piece [1000]byte
	for {
		for {
			more, err := p.next()
			if err != nil {
				return out, pongs, err
			}
			if !more {
				break
			}
			n := p.take(piece[:min(chunk, len(piece))])
			out = append(out, piece[:n]...)
		}
		if len(input) == 0 {
			return out, pongs, nil
		}
		space := p.space()
		n := copy(space, input[:min(chunk, len(input))])
		p.filled(n)
		input = input[n:]
	}
}

func TestParserRefuses(t *testing.T) {
	hello := join(greeting("NULL"), ready("PUSH"))
	long := func(flags byte, size uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{flags}, size)
	}
	limits := Limits{FrameBytes: 1000, MessageBytes: 2000, Frames: 4, PingsPerSec: 10}
	badReady := func(body string) []byte { return join(greeting("NULL"), command("READY", body)) }
	pushType := property("Socket-Type", "PUSH")
	cases := []struct {
		name, reason string
		input        []byte
	}{
		{"HTTP", ReasonGreeting, []byte("G")},
		{"TLS ClientHello", ReasonGreeting, []byte("\x16\x03\x01\x02\x00")},
		{"wrong footer", ReasonGreeting, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\xff\x03")},
		{"ZMTP 1", ReasonVersion, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00")},
		{"ZMTP 2", ReasonVersion, []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x08")},
		{"PLAIN", ReasonMechanism, greeting("PLAIN")},
		{"unknown mechanism", ReasonMechanism, greeting("FOO")},
		{"mechanism without NUL", ReasonMechanism, greeting("NULLNULLNULLNULLNULL")},
		{"bytes behind the mechanism", ReasonMechanism, greeting("NULL\x00X")},
		{"message before READY", ReasonReady, join(greeting("NULL"), message("hi"))},
		{"huge READY", ReasonReady, join(greeting("NULL"), long(6, 1<<62))},
		{"other command", ReasonReady, join(greeting("NULL"), command("HELLO", ""))},
		{"empty command", ReasonCommand, join(greeting("NULL"), []byte("\x04\x00"))},
		{"name longer than body", ReasonCommand, join(greeting("NULL"), []byte("\x04\x02\x05R"))},
		{"ERROR", ReasonPeerError, join(greeting("NULL"), command("ERROR", "\x04nope"))},
		{"ERROR cut", ReasonPeerError, join(greeting("NULL"), command("ERROR", "\xffnope"))},
		{"no properties", ReasonReady, badReady("")},
		{"property name of zero bytes", ReasonReady, badReady(pushType + "\x00\x00\x00\x00\x00")},
		{"property cut in its length", ReasonReady, badReady(pushType + "\x0bSocket-Type\x00\x00")},
		{"property value of 4 GiB", ReasonReady, badReady(pushType + "\x01X\xff\xff\xff\xff")},
		{"Socket-Type twice", ReasonReady, badReady(pushType + pushType)},
		{"no Socket-Type", ReasonReady, badReady(property("Identity", "me"))},
		{"identity of 256 bytes", ReasonReady, badReady(pushType + property("Identity", strings.Repeat("i", 256)))},
		{"identity with a zero byte first", ReasonReady, badReady(pushType + property("Identity", "\x00me"))},
		{"10 000 properties", ReasonReady, badReady(strings.Repeat(property("X", ""), 10_000))},
		{"type FOO", ReasonSocketType, join(greeting("NULL"), ready("FOO"))},
		{"type CLIENT", ReasonSocketType, join(greeting("NULL"), ready("CLIENT"))},
		{"PULL to PULL", ReasonSocketType, join(greeting("NULL"), ready("PULL"))},
		{"reserved flags", ReasonFlags, join(hello, []byte("\xf8"))},
		{"reserved flag 8", ReasonFlags, join(hello, []byte("\x08\x00"))},
		{"COMMAND with MORE", ReasonFlags, join(hello, []byte("\x05\x00"))},
		{"frame of 2^31", ReasonFrameSize, join(hello, long(2, 1<<31))},
		{"frame of 2^62", ReasonFrameSize, join(hello, long(2, 1<<62))},
		{"frame of 2^63", ReasonFrameSize, join(hello, long(2, 1<<63))},
		{"frame of 2^64-1", ReasonFrameSize, join(hello, long(3, 1<<64-1))},
		{"frame one above the limit", ReasonFrameSize, join(hello, long(2, 1001))},
		{"message above the limit", ReasonMessageSize, join(hello, long(3, 1000), make([]byte, 1000), long(3, 1000), make([]byte, 1000), long(2, 1))},
		{"many empty frames", ReasonFrames, join(hello, bytes.Repeat([]byte{1, 0}, 1000))},
		{"many commands inside a multipart", ReasonCommand, join(hello, []byte("\x01\x00"), bytes.Repeat(command("PONG", ""), 257))},
		{"empty command later", ReasonCommand, join(hello, []byte("\x04\x00"))},
		{"command of 2^40", ReasonCommand, join(hello, long(6, 1<<40))},
		{"PING without ttl", ReasonPing, join(hello, command("PING", ""))},
		{"PING with a long context", ReasonPing, join(hello, command("PING", "\x00\x00"+strings.Repeat("c", 17)))},
		{"PING flood", ReasonPingFlood, join(hello, bytes.Repeat(command("PING", "\x00\x00"), 11))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			for _, chunk := range []int{1, 7, 4096} {
				_, _, err := feed("PULL", limits, c.input, chunk)
				var v *Violation
				if !errors.As(err, &v) || v.Reason != c.reason {
					t.Fatalf("pieces of %d: %v, want %s", chunk, err, c.reason)
				}
			}
		})
	}
}

func TestReadyCutAnywhere(t *testing.T) {
	body := property("Socket-Type", "PUSH") + property("Identity", "me")
	for n := range len(body) {
		_, _, err := feed("PULL", Limits{}, join(greeting("NULL"), command("READY", body[:n])), 4096)
		if n == len(property("Socket-Type", "PUSH")) {
			if err != nil {
				t.Errorf("one whole property: %v", err)
			}
			continue
		}
		if err == nil {
			t.Errorf("READY with %d of %d bytes passed", n, len(body))
		}
	}
}

func TestParserPasses(t *testing.T) {
	big := strings.Repeat("b", 70_000)
	hello := join(greeting("NULL"), command("READY", property("SOCKET-type", "PUSH")+property("Identity", "me")+property("X-More", "1")))
	canonical := join(greeting("NULL"), ready("PUSH"))
	input := join(hello,
		message("a"), command("PING", "\x00\x0aabcd"), message("r", "", big), command("READY", "junk"),
		[]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01s"), command("PONG", ""), command("SUBSCRIBE", "x"), message(""))
	want := join(canonical, message("a"), message("r", "", big), []byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01s"), message(""))
	for _, chunk := range []int{1, 2, 9, 333, 1 << 20} {
		out, pongs, err := feed("PULL", Limits{}, input, chunk)
		if err != nil || !bytes.Equal(out, want) {
			t.Fatalf("pieces of %d: %v, %d bytes for %d", chunk, err, len(out), len(want))
		}
		if fmt.Sprint(pongs) != "[abcd]" {
			t.Fatalf("pongs %q", pongs)
		}
	}
}

func TestSubscribeCommandsBecomeMessages(t *testing.T) {
	for _, n := range []int{0, 1, 244, 245, 246, 253, 254, 255} {
		topic := strings.Repeat("t", n)
		input := join(greeting("NULL"), ready("SUB"), command("SUBSCRIBE", topic), command("CANCEL", topic), message("\x01m"))
		want := join(greeting("NULL"), ready("SUB"), message("\x01"+topic), message("\x00"+topic), message("\x01m"))
		out, _, err := feed("XPUB", Limits{}, input, 64)
		if err != nil || !bytes.Equal(out, want) {
			t.Fatalf("topic of %d bytes: %v\n%x\n%x", n, err, out[64:], want[64:])
		}
	}
	_, _, err := feed("XPUB", Limits{}, join(greeting("NULL"), ready("SUB"), []byte("\x01\x00"), command("SUBSCRIBE", "t")), 64)
	var v *Violation
	if !errors.As(err, &v) || v.Reason != ReasonCommand {
		t.Fatalf("inside a multipart: %v", err)
	}
	_, _, err = feed("XPUB", Limits{}, join(greeting("NULL"), ready("SUB"), command("SUBSCRIBE", strings.Repeat("t", 256))), 64)
	if !errors.As(err, &v) || v.Reason != ReasonTopic {
		t.Fatalf("topic of 256 bytes: %v", err)
	}
}

// TestHeartbeatInsideAMessage: libzmq sends its PING whenever its timer says so, also between the
// frames of one message. The message arrives whole, and the PING is answered.
func TestHeartbeatInsideAMessage(t *testing.T) {
	hello := join(greeting("NULL"), ready("PUSH"))
	big := strings.Repeat("b", 70_000)
	whole := message("room", big, "", "end")
	ping := command("PING", "\x00\x0actx")
	frames := [][]byte{whole[:6], whole[6 : 6+9+len(big)], whole[6+9+len(big) : len(whole)-5], whole[len(whole)-5:]}
	input := join(hello, message("first"), frames[0], ping, frames[1], ping, command("PONG", ""), frames[2], ping, frames[3], message("last"))
	want := join(hello, message("first"), whole, message("last"))
	for _, chunk := range []int{1, 2, 9, 333, 1 << 20} {
		out, pongs, err := feed("PULL", Limits{}, input, chunk)
		if err != nil || !bytes.Equal(out, want) {
			t.Fatalf("pieces of %d: %v, %d bytes for %d", chunk, err, len(out), len(want))
		}
		if fmt.Sprint(pongs) != "[ctx ctx ctx]" {
			t.Fatalf("pieces of %d: pongs %q", chunk, pongs)
		}
	}
}

func TestMessagesBeforeAViolationAreDelivered(t *testing.T) {
	hello := join(greeting("NULL"), ready("PUSH"))
	for _, chunk := range []int{1, 1 << 20} {
		out, _, err := feed("PULL", Limits{}, join(hello, message("one"), message("two"), []byte{0xff}), chunk)
		if err == nil || !bytes.Equal(out, join(hello, message("one"), message("two"))) {
			t.Fatalf("pieces of %d: %q, %v", chunk, out, err)
		}
	}
}

func TestAnnouncedFramesAllocateNothing(t *testing.T) {
	p := newParser("PULL", Limits{}.WithDefaults(), nil)
	for _, part := range [][]byte{greeting("NULL"), ready("PUSH"), []byte("\x02\x00\x00\x00\x00\x00\x10\x00\x00some")} {
		p.filled(copy(p.space(), part))
		for {
			if more, err := p.next(); err != nil {
				t.Fatal(err)
			} else if !more {
				break
			}
			p.take(make([]byte, 100))
		}
	}
	if len(p.buf) != minBuffer {
		t.Fatalf("1 MiB announced, 4 bytes came: buffer of %d", len(p.buf))
	}
}

// TestReadBuffer: that of a busy peer grows however its messages lie in it, that of one that sends little does not, and no
// read is for the few bytes that are left at its end.
func TestReadBuffer(t *testing.T) {
	type buffer struct {
		space func() []byte
		read  func(from *bytes.Reader) // once, and all messages are taken
		size  func() int
	}
	plain := func(t *testing.T, most int) buffer {
		p := newParser("PULL", Limits{}.WithDefaults(), nil)
		p.phase = phaseTraffic
		return buffer{p.space, func(from *bytes.Reader) {
			space := p.space()
			n, _ := from.Read(space[:min(most, len(space))]) // it never ends
			p.filled(n)
			for more := true; more; p.r = p.d {
				var err error
				if more, err = p.next(); err != nil {
					t.Fatal(err)
				}
			}
		}, func() int { return len(p.buf) }}
	}
	encrypted := func(t *testing.T, most int) buffer {
		b := new(inbox)
		return buffer{b.space, func(from *bytes.Reader) {
			if err := b.fill(io.LimitReader(from, int64(most))); err != nil {
				t.Fatal(err)
			}
			for more := true; more; {
				_, total, ok, err := b.frame(func(header) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				b.r += total
				more = ok
			}
		}, func() int { return len(b.buf) }}
	}
	stream := bytes.Repeat(message("room", strings.Repeat("x", 1000)), 1000)
	for name, kind := range map[string]func(*testing.T, int) buffer{"plain": plain, "encrypted": encrypted} {
		for _, c := range []struct {
			name       string
			most, want int
		}{{"busy", readBuffer, readBuffer}, {"little at once", 700, minBuffer}} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				b := kind(t, c.most)
				for from := bytes.NewReader(stream); from.Len() > 0; b.read(from) {
					if n := len(b.space()); n < minBuffer/4 {
						t.Fatalf("a read of %d bytes", n)
					}
				}
				if got := b.size(); got != c.want {
					t.Errorf("the buffer has %d bytes, want %d", got, c.want)
				}
			})
		}
	}
}
