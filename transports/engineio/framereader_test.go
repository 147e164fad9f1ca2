package engineio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// clientFrame is a masked frame, as a client sends it.
func clientFrame(op ws.OpCode, fin bool, payload string) []byte {
	f := ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), [4]byte{1, 2, 3, 4})
	return ws.MustCompileFrame(f)
}

type readMessage struct {
	op   ws.OpCode
	data string
}

// readAll feeds chunks to a reader and collects what comes out.
func readAll(chunks [][]byte, max int) (out []readMessage, r *frameReader, err error) {
	r = new(frameReader)
	var hr headerReader
	for _, chunk := range chunks {
		p := bytes.Clone(chunk) // the reader unmasks in place
		for {
			op, data, rest, err := r.next(&hr, p, max, 0)
			if err != nil {
				return out, r, err
			}
			if op == 0 {
				break
			}
			out = append(out, readMessage{op, string(data)})
			p = rest
		}
	}
	return out, r, nil
}

// splits returns ways in which bytes may arrive.
func splits(b []byte) map[string][][]byte {
	single := make([][]byte, 0, len(b))
	for i := range b {
		single = append(single, b[i:i+1])
	}
	m := map[string][][]byte{"whole": {b}, "bytes": single}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		var chunks [][]byte
		for rest := b; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 40))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		m[fmt.Sprint("random ", seed)] = chunks
	}
	return m
}

func TestFrameReader(t *testing.T) {
	cat := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	long := string(bytes.Repeat([]byte("ä"), 400))
	tests := []struct {
		name string
		in   []byte
		want []readMessage
		code ws.StatusCode
	}{
		{"text", clientFrame(ws.OpText, true, "4hello"), []readMessage{{ws.OpText, "4hello"}}, 0},
		{"empty text", clientFrame(ws.OpText, true, ""), []readMessage{{ws.OpText, ""}}, 0},
		{"binary", clientFrame(ws.OpBinary, true, "\x00\xff"), []readMessage{{ws.OpBinary, "\x00\xff"}}, 0},
		{"16-bit length", clientFrame(ws.OpText, true, long), []readMessage{{ws.OpText, long}}, 0},
		{"16-bit length for a short text", append([]byte{0x81, 0x80 | 126, 0, 2, 0, 0, 0, 0}, "4x"...), []readMessage{{ws.OpText, "4x"}}, 0},
		{"64-bit length for a short text", cat(append([]byte{0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0}, "4x"...), clientFrame(ws.OpBinary, true, "b")), []readMessage{{ws.OpText, "4x"}, {ws.OpBinary, "b"}}, 0},
		{"two", cat(clientFrame(ws.OpText, true, "a"), clientFrame(ws.OpBinary, true, "b")), []readMessage{{ws.OpText, "a"}, {ws.OpBinary, "b"}}, 0},
		{"fragments", cat(clientFrame(ws.OpText, false, "ab"), clientFrame(ws.OpContinuation, false, ""), clientFrame(ws.OpContinuation, true, "cd")), []readMessage{{ws.OpText, "abcd"}}, 0},
		{"empty fragments", cat(clientFrame(ws.OpText, false, ""), clientFrame(ws.OpContinuation, true, "")), []readMessage{{ws.OpText, ""}}, 0},
		{"rune split over fragments", cat(clientFrame(ws.OpText, false, "\xe2\x82"), clientFrame(ws.OpContinuation, true, "\xac")), []readMessage{{ws.OpText, "€"}}, 0},
		{"control in the middle", cat(clientFrame(ws.OpText, false, "ab"), clientFrame(ws.OpPing, true, "p"), clientFrame(ws.OpContinuation, true, "cd")), []readMessage{{ws.OpPing, "p"}, {ws.OpText, "abcd"}}, 0},
		{"close", clientFrame(ws.OpClose, true, "\x03\xe8bye"), []readMessage{{ws.OpClose, "\x03\xe8bye"}}, 0},

		{"invalid UTF-8", clientFrame(ws.OpText, true, "\xff"), nil, 1007},
		{"invalid UTF-8 in fragments", cat(clientFrame(ws.OpText, false, "\xe2"), clientFrame(ws.OpContinuation, true, "a")), nil, 1007},
		{"unmasked", ws.MustCompileFrame(ws.NewTextFrame([]byte("4x"))), nil, 1002},
		{"RSV1", []byte{0xc1, 0x80, 0, 0, 0, 0}, nil, 1002},
		{"RSV2 and RSV3", []byte{0xb1, 0x80, 0, 0, 0, 0}, nil, 1002},
		{"reserved data opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, nil, 1002},
		{"reserved control opcode", []byte{0x8b, 0x80, 0, 0, 0, 0}, nil, 1002},
		{"fragmented ping", clientFrame(ws.OpPing, false, ""), nil, 1002},
		{"long ping", clientFrame(ws.OpPing, true, string(make([]byte, 126))), nil, 1002},
		{"continuation of nothing", clientFrame(ws.OpContinuation, true, "x"), nil, 1002},
		{"text within a message", cat(clientFrame(ws.OpText, false, "x"), clientFrame(ws.OpText, true, "y")), nil, 1002},
		{"length with the top bit", append([]byte{0x82, 0xff}, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4), nil, 1002},
		{"huge length", append([]byte{0x82, 0xff}, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4), nil, 1009},
		{"over the limit", clientFrame(ws.OpBinary, true, string(make([]byte, 1001))), nil, 1009},
		{"over the limit in fragments", cat(clientFrame(ws.OpBinary, false, string(make([]byte, 600))), clientFrame(ws.OpContinuation, true, string(make([]byte, 401)))), nil, 1009},
	}
	for _, c := range tests {
		for how, chunks := range splits(c.in) {
			got, r, err := readAll(chunks, 1000)
			if c.code != 0 {
				var e *closeError
				if !errors.As(err, &e) || e.code != c.code {
					t.Errorf("%s, %s: %v, wanted %d", c.name, how, err, c.code)
				}
				continue
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s, %s: got %q, %v; wanted %q", c.name, how, got, err, c.want)
			}
			if r.frameParts != nil {
				t.Errorf("%s, %s: the reader keeps something", c.name, how)
			}
		}
	}
}

func TestFrameReaderBoundsFragments(t *testing.T) {
	var hr headerReader
	feed := func(piece string, n int) (int, error) {
		r := new(frameReader)
		if _, _, _, err := r.next(&hr, clientFrame(ws.OpBinary, false, piece), 1_000_000, 0); err != nil {
			return 0, err
		}
		for i := range n {
			if _, _, _, err := r.next(&hr, clientFrame(ws.OpContinuation, false, piece), 1_000_000, 0); err != nil {
				return i, err
			}
		}
		return n, nil
	}
	if n, err := feed("", 1_000_000); !errors.Is(err, errFragments) || n > maxFragments {
		t.Errorf("empty fragments: %d accepted, %v", n, err)
	}
	if n, err := feed("x", 1_000_000); !errors.Is(err, errFragments) || n > maxFragments {
		t.Errorf("one-byte fragments: %d accepted, %v", n, err)
	}
	if n, err := feed(string(make([]byte, 64)), 15_000); err != nil {
		t.Errorf("64-byte fragments: %d accepted, %v", n, err)
	}
}

// Text that cannot become valid any more is refused before the rest has come.
func TestFrameReaderRefusesInvalidTextEarly(t *testing.T) {
	var hr headerReader
	for name, c := range map[string]struct {
		first string
		bad   string // "" if first is bad already
	}{
		"in the first fragment":      {"4\xffabc", ""},
		"overlong":                   {"4\xc0\x80", ""},
		"overlong, three bytes":      {"4\xe0\x80", ""},
		"surrogate":                  {"4\xed\xa0", ""},
		"beyond U+10FFFF":            {"4\xf4\x90", ""},
		"five bytes":                 {"4\xf8", ""},
		"lone continuation":          {"4\x80", ""},
		"in the second fragment":     {"4\xe2\x82", "\x28"},
		"across fragments":           {"4\xf0\x9f", "\x98("},
		"a character ends too early": {"4\xe2", "4"},
	} {
		var r frameReader
		_, _, _, err := r.next(&hr, clientFrame(ws.OpText, false, c.first), 1000, 0)
		if c.bad != "" {
			if err != nil {
				t.Errorf("%s: the first fragment: %v", name, err)
			}
			_, _, _, err = r.next(&hr, clientFrame(ws.OpContinuation, false, c.bad), 1000, 0)
		}
		if err != errInvalidUTF8 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"4\ufeff", "4\ufffe\uffff", "4€", "4😀", "4é", "4\x00"} {
		for cut := range len(text) {
			var r frameReader
			_, _, _, err := r.next(&hr, clientFrame(ws.OpText, false, text[:cut]), 1000, 0)
			if err != nil {
				t.Errorf("%q cut at %d: %v", text, cut, err)
			}
			op, data, _, err := r.next(&hr, clientFrame(ws.OpContinuation, true, text[cut:]), 1000, 0)
			if op != ws.OpText || string(data) != text || err != nil {
				t.Errorf("%q cut at %d: %v %q, %v", text, cut, op, data, err)
			}
		}
	}
	for cut := 2; cut <= 4; cut++ { // a character that never ends
		var r frameReader
		if _, _, _, err := r.next(&hr, clientFrame(ws.OpText, true, "4😀"[:cut]), 1000, 0); err != errInvalidUTF8 {
			t.Errorf("cut at %d: %v", cut, err)
		}
		r = frameReader{}
		b := clientFrame(ws.OpText, true, "4😀"[:cut])
		_, _, _, err := r.next(&hr, b[:8], 1000, 0)
		if err == nil && len(b) > 8 {
			_, _, _, err = r.next(&hr, b[8:], 1000, 0)
		}
		if err != errInvalidUTF8 {
			t.Errorf("cut at %d, in two reads: %v", cut, err)
		}
	}
}

// A frame's announced length costs nothing until its bytes arrive.
func TestFrameReaderDoesNotTrustLengths(t *testing.T) {
	head := []byte{0x82, 0xff}
	head = binary.BigEndian.AppendUint64(head, 900_000)
	head = append(head, 0, 0, 0, 0, 'x')
	var hr headerReader
	var r frameReader
	if _, _, _, err := r.next(&hr, head, 1_000_000, time.Second); err != nil {
		t.Fatal(err)
	}
	if cap(r.msg) > 64 || !r.unfinished() || r.since != time.Second {
		t.Errorf("kept %d bytes for one, unfinished %v since %v", cap(r.msg), r.unfinished(), r.since)
	}
}

func TestCloseFramePayload(t *testing.T) {
	code := func(c uint16, reason string) []byte { return append(binary.BigEndian.AppendUint16(nil, c), reason...) }
	for _, ok := range [][]byte{nil, code(1000, ""), code(1001, "går"), code(1011, ""), code(3000, ""), code(4999, "x")} {
		if err := checkClose(ok); err != nil {
			t.Errorf("%x: %v", ok, err)
		}
	}
	for _, bad := range [][]byte{{3}, code(0, ""), code(999, ""), code(1004, ""), code(1005, ""), code(1006, ""), code(1015, ""), code(1016, ""), code(2999, ""), code(5000, ""), code(1000, "\xff")} {
		if err := checkClose(bad); err == nil {
			t.Errorf("%x is accepted", bad)
		}
	}
}

// FuzzFrameReader: however bytes are split, the reader sees the same messages
// and fails with the same status.
func FuzzFrameReader(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		if len(in) > 1<<16 {
			return
		}
		want, _, wantErr := readAll([][]byte{in}, 1000)
		r := rand.New(rand.NewPCG(seed, 2))
		var chunks [][]byte
		for rest := in; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 20))
			chunks = append(chunks, rest[:n])
			rest = rest[n:]
		}
		got, reader, err := readAll(chunks, 1000)
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("split: %q, %v; whole: %q, %v", got, err, want, wantErr)
		}
		if reader.unfinished() && (len(reader.msg) > 1000 || len(reader.ctl) > ws.MaxControlFramePayloadSize) {
			t.Fatalf("the reader keeps %d and %d bytes", len(reader.msg), len(reader.ctl))
		}
	})
}

// BenchmarkFrameReader reads one small message from the loop's buffer. "library"
// is the same with ws.ReadHeader alone, which allocates for each frame.
func BenchmarkFrameReader(b *testing.B) {
	frame := clientFrame(ws.OpText, true, `42["message","some seventy bytes of payload, as a chat has them"]`)
	b.Run("reader", func(b *testing.B) {
		var hr headerReader
		var r frameReader
		b.ReportAllocs()
		for b.Loop() {
			// Masking twice gives the plain text back and then the masked one: always valid UTF-8 for these bytes.
			if _, _, _, err := r.next(&hr, frame, 1<<20, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library header", func(b *testing.B) {
		src := bytes.NewReader(frame)
		b.ReportAllocs()
		for b.Loop() {
			src.Reset(frame)
			if _, err := ws.ReadHeader(src); err != nil {
				b.Fatal(err)
			}
		}
	})
}
