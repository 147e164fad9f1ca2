package guard

import (
	"bytes"
	"testing"
)

// reference is the traffic phase read the slow and obvious way: it returns the messages that may be
// passed on, in wire form, and whether the stream ended in a violation.
func reference(b []byte, l Limits, subs bool) (out []byte, bad bool) {
	pings := 0
	for {
		inside := 0
		var frames [][]byte
		var wire []byte
		total, more := 0, true
		for more {
			if len(b) > 0 && (b[0] > 7 || b[0]&5 == 5) {
				return out, true
			}
			h, ok := parseHeader(b)
			if !ok {
				return out, false
			}
			more = h.flags&1 != 0
			isCommand := h.flags&4 != 0
			if isCommand && h.size > maxCommandBytes ||
				!isCommand && (h.size > uint64(l.FrameBytes) || len(frames)+1 > l.Frames ||
					more && len(frames)+1 == l.Frames || uint64(total)+h.size > uint64(l.MessageBytes)) {
				return out, true
			}
			if uint64(len(b)-h.len) < h.size {
				return out, false
			}
			body := b[h.len : h.len+int(h.size)]
			if isCommand {
				if len(body) == 0 || body[0] == 0 || int(body[0]) >= len(body) {
					return out, true
				}
				n := 1 + int(body[0])
				name, data := string(body[1:n]), body[n:]
				if len(frames) > 0 {
					inside++
				}
				if inside > maxCommandsInside {
					return out, true
				}
				switch {
				case name == "PING":
					if pings++; len(data) < 2 || len(data) > 18 || pings > l.PingsPerSec {
						return out, true
					}
				case subs && (name == "SUBSCRIBE" || name == "CANCEL"):
					if len(data) > 255 || len(frames) > 0 {
						return out, true
					}
					op := byte(0)
					if name == "SUBSCRIBE" {
						op = 1
					}
					out = AppendFrame(out, append([]byte{op}, data...), false)
				}
				b = b[h.len+int(h.size):]
				more = true
				continue
			}
			frames = append(frames, body)
			total += len(body)
			wire = append(wire, b[:h.len+int(h.size)]...)
			b = b[h.len+int(h.size):]
		}
		out = append(out, wire...)
	}
}

// FuzzTraffic compares the parser, fed in pieces of any size, with the reference. Its seeds stand in testdata.
func FuzzTraffic(f *testing.F) {
	l := Limits{FrameBytes: 300, MessageBytes: 500, Frames: 5, PingsPerSec: 4}.WithDefaults()
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8, subs bool) {
		local, peer := "PULL", "PUSH"
		if subs {
			local, peer = "XPUB", "SUB"
		}
		hello := join(greeting("NULL"), ready(peer))
		want, bad := reference(data, l, subs)
		got, _, err := feed(local, l, join(hello, data), int(chunk)+1)
		if !bytes.HasPrefix(got, hello) {
			t.Fatalf("handshake lost: %x", got)
		}
		if got = got[len(hello):]; !bytes.Equal(got, want) || (err != nil) != bad {
			t.Fatalf("passed %x, err %v; want %x, bad %v", got, err, want, bad)
		}
	})
}

// FuzzHandshake: no greeting or READY, however cut, does more than fail; what passes is canonical.
func FuzzHandshake(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		got, _, err := feed("PULL", Limits{}, data, int(chunk)+1)
		whole, _, err2 := feed("PULL", Limits{}, data, 1<<20)
		if !bytes.Equal(got, whole) || (err == nil) != (err2 == nil) {
			t.Fatalf("depends on the pieces: %x, %v; %x, %v", got, err, whole, err2)
		}
		if len(got) > greetingBytes && !bytes.HasPrefix(got[greetingBytes:], ready("PUSH")) {
			t.Fatalf("not the canonical READY: %x", got)
		}
	})
}
