package engineio

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// pack compresses with the standard library, at a level of it, as a client does.
func pack(t testing.TB, level int, plain string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), syncMarker))
}

// packFinal is pack with a final block at the end instead of a flush.
func packFinal(t testing.TB, plain string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// unpack undoes pack with the standard library.
func unpack(t testing.TB, packed string) string {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(bytes.NewReader(append([]byte(packed), inflateTail...))))
	if err != nil {
		t.Fatalf("inflating %q: %v", packed, err)
	}
	return string(b)
}

// nextFrame reads a server's frame. Its payload is inflated.
func nextFrame(t testing.TB, r *bytes.Reader) (ws.Header, []byte) {
	t.Helper()
	h, err := ws.ReadHeader(r)
	if err != nil || h.Length > int64(r.Len()) {
		t.Fatalf("frame %+v, %v, in front of %d bytes", h, err, r.Len())
	}
	payload := make([]byte, h.Length)
	_, _ = r.Read(payload) // a bytes.Reader gives all at once
	if h.Rsv != 0 {
		payload = []byte(unpack(t, string(payload)))
	}
	return h, payload
}

func packedText(payload string) []byte   { return reserve(4, textFrame(payload)) }
func packedBinary(payload string) []byte { return reserve(4, binaryFrame(payload)) }

var deflateOffer = []string{"Sec-WebSocket-Extensions", "permessage-deflate"}

// noise cannot be compressed.
func noise(n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b) // never fails
	return string(b)
}

// Which offers are taken, and how (RFC 7692, section 7.1).
func TestDeflateNegotiation(t *testing.T) {
	const (
		name     = "permessage-deflate"
		declined = ""
		accepted = name + ";server_no_context_takeover;client_no_context_takeover"
	)
	tests := []struct{ offer, want string }{
		{name, accepted},
		{name + "; client_max_window_bits", accepted},
		{name + "; client_no_context_takeover", accepted},
		{name + "; server_no_context_takeover", accepted},
		{name + "; client_no_context_takeover; server_no_context_takeover; client_max_window_bits", accepted},
		{name + "; server_max_window_bits=15", accepted + ";server_max_window_bits=15"},
		{name + `; server_max_window_bits="15"`, accepted + ";server_max_window_bits=15"},
		{name + "; server_max_window_bits=14", declined},
		{name + "; server_max_window_bits=9", declined},
		{name + "; server_max_window_bits=8", declined},
		{name + "; server_max_window_bits=10, " + name, accepted}, // what Chromium's and others' fallbacks look like
		{name + "; server_max_window_bits", declined},
		{name + "; server_max_window_bits=7", declined},
		{name + "; server_max_window_bits=16", declined},
		{name + "; server_max_window_bits=015", declined},
		{name + "; server_max_window_bits=+15", declined},
		{name + "; server_max_window_bits=x", declined},
		{name + "; client_max_window_bits=7", declined},
		{name + "; client_max_window_bits=16", declined},
		{name + "; client_max_window_bits=09", declined},
		{name + "; client_no_context_takeover=1", declined},
		{name + "; server_no_context_takeover=true", declined},
		{name + "; unknown", declined},
		{name + "; unknown=1, " + name, accepted},
		{name + "; client_max_window_bits; client_max_window_bits", declined},
		{name + "; client_max_window_bits=10; client_max_window_bits", declined},
		{name + "; server_no_context_takeover; server_no_context_takeover", declined},
		{name + "; server_max_window_bits=15; server_max_window_bits=15", declined},
		{name + ", " + name, accepted},
		{"x-webkit-deflate-frame", declined},
		{"permessage-bzip2, " + name + "; client_max_window_bits", accepted},
		{"PERMESSAGE-DEFLATE", declined},
	}
	for bits := 8; bits <= 15; bits++ {
		tests = append(tests, struct{ offer, want string }{fmt.Sprint(name, "; client_max_window_bits=", bits), accepted})
	}
	s := serve(t, Options{PerMessageDeflate: &Deflate{}})
	for _, c := range tests {
		conn := s.dial(t)
		conn.write(upgradeRequest(wsTarget, "Sec-WebSocket-Extensions", c.offer))
		a := conn.response()
		if got := strings.ReplaceAll(a.header.Get("Sec-WebSocket-Extensions"), " ", ""); a.status != 101 || got != c.want {
			t.Errorf("%q: %d %q, want %q", c.offer, a.status, got, c.want)
		}
		conn.Close()
	}
	// Over several headers, and what is no list of extensions.
	conn := s.dial(t)
	request := upgradeRequest(wsTarget, "Sec-WebSocket-Extensions", name+"; server_max_window_bits=9\r\nSec-WebSocket-Extensions: "+name)
	if conn.write(request); strings.Count(fmt.Sprint(conn.response().header), name) != 1 {
		t.Error("an offer in a second header")
	}
	conn = s.dial(t)
	if conn.write(upgradeRequest(wsTarget, "Sec-WebSocket-Extensions", "=;,")); conn.response().status != 400 {
		t.Error("a malformed header is accepted")
	}
	others := s.connect(t) // without an offer: plain, whatever others have
	big := "4" + strings.Repeat("x", 5000)
	if others.text(big); others.deflate {
		t.Error("negotiated without an offer")
	}
	others.wantText(big)
}

// Groups 12 and 13: compressed messages in both directions.
func TestConformanceOfCompression(t *testing.T) {
	s := serve(t, Options{MaxPayload: conformanceMax, PingInterval: time.Hour, PerMessageDeflate: &Deflate{}})
	others := newBystanders(t, s)
	var cases []conformanceCase
	levels := []int{flate.DefaultCompression, flate.NoCompression, flate.BestSpeed, flate.HuffmanOnly, flate.BestCompression}
	for kind, text := range map[string]string{
		"JSON":  strings.Repeat(`["message",{"user":"ann","text":"hello there"}],`, conformanceMax/40),
		"zeros": strings.Repeat("0", conformanceMax),
		"noise": strings.ToValidUTF8(noise(2*conformanceMax), ""),
	} {
		for i, size := range []int{16, 64, 256, 1024, 8192, 32768, 65536, 131072, conformanceMax} {
			level := levels[i%len(levels)]
			plain := "4" + strings.ToValidUTF8(text[:size-4], "")
			packed := pack(t, level, plain)
			n := max(1, len(packed)/7)
			name := fmt.Sprintf("%s of %d bytes, level %d", kind, size, level)
			want, wantBinary := []received{echoText(plain)}, []received{echoBinary(plain)}
			cases = append(cases,
				conformanceCase{name: "12 " + name, send: packedText(packed), want: want},
				conformanceCase{name: "13 fragments of " + name, send: reserve(4, fragmentsOf(ws.OpText, packed, n)), want: want},
				conformanceCase{name: "13 chops of " + name, send: packedBinary(packed), chop: min(997, n), want: wantBinary},
				conformanceCase{name: "13 fragments in chops of " + name, send: reserve(4, fragmentsOf(ws.OpBinary, packed, n)), chop: max(n/3, 1), want: wantBinary},
			)
		}
	}
	hello, big := pack(t, 9, "4Hello"), "4"+strings.Repeat("Hello ", 1000)
	final := packFinal(t, "4Hello")
	echo := []received{echoText("4Hello")}
	limit := strings.Repeat("x", conformanceMax)
	cases = append(cases, []conformanceCase{
		{name: "plain between compressed", send: cat(packedText(hello), textFrame("4plain"), packedBinary(hello)), want: []received{echo[0], echoText("4plain"), echoBinary("4Hello")}},
		{name: "ping between compressed fragments", send: cat(reserve(4, textBegin(hello[:3])), pingFrame("p"), endFrame(hello[3:])), want: append([]received{pong("p")}, echo...)},
		{name: "no dictionary from before", send: cat(packedText(pack(t, 9, big)), packedText(pack(t, 9, big))), want: []received{echoText(big), echoText(big)}},
		{name: "characters split between fragments", send: reserve(4, fragmentsOf(ws.OpText, pack(t, 0, "4€😀"), 1)), want: []received{echoText("4€😀")}},
		{name: "empty message", send: packedBinary("\x00"), want: []received{echoBinary("")}},
		{name: "empty payload", send: packedBinary(""), want: []received{echoBinary("")}},
		{name: "empty fragments", send: cat(reserve(4, binaryBegin("")), moreFrame(""), endFrame("\x00")), want: []received{echoBinary("")}},
		{name: "empty text is no packet", send: packedText("\x00"), close: 1002, reason: ReasonParseError},
		// RFC 7692, section 7.2.3, with binary messages.
		{name: "one block", send: packedBinary("\xf2\x48\xcd\xc9\xc9\x07\x00"), want: []received{echoBinary("Hello")}},
		{name: "one block in two fragments", send: cat(reserve(4, binaryBegin("\xf2\x48\xcd")), endFrame("\xc9\xc9\x07\x00")), want: []received{echoBinary("Hello")}},
		{name: "no compression", send: packedBinary("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), want: []received{echoBinary("Hello")}},
		{name: "final block and an empty byte", send: packedBinary("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), want: []received{echoBinary("Hello")}},
		{name: "two blocks", send: packedBinary("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), want: []received{echoBinary("Hello")}},
		{name: "final block", send: packedText(final), want: echo},
		{name: "final block without its marker", send: packedText(strings.TrimSuffix(final, string(syncMarker))), want: echo},
		{name: "whole stream with its final block", send: packedText(pack(t, 9, "4Hello") + string(syncMarker) + "\x01\x00\x00\xff\xff"), want: echo},
		{name: "data behind the final block", send: packedText("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00"), close: 1007},

		{name: "at the limit", send: packedBinary(pack(t, 9, limit)), want: []received{echoBinary(limit)}},
		{name: "noise at the limit", send: packedBinary(pack(t, 9, noise(conformanceMax))), want: []received{echoBinary(noise(conformanceMax))}},
		{name: "over the limit", send: packedBinary(pack(t, 9, limit+"x")), close: 1009},
		{name: "far over the limit", send: packedBinary(pack(t, 9, strings.Repeat(limit, 100))), close: 1009},
		{name: "over the limit on the wire", send: packedBinary(pack(t, 0, limit+limit)), close: 1009},

		{name: "no block type", send: packedText("\x06\x00"), close: 1007},
		{name: "rubbish", send: packedText("this is no compressed data at all"), close: 1007},
		{name: "distance too far", send: packedText("\x4a\x04\x03\x00"), close: 1007},
		{name: "cut short", send: packedText(pack(t, 9, big)[:20]), close: 1007},
		{name: "stored block cut short", send: packedText("\x00\x50\x00\xaf\xff4Hello"), close: 1007},
		{name: "no UTF-8", send: packedText(pack(t, 9, "4\xff")), close: 1007},
		{name: "no UTF-8 at the end", send: packedText(pack(t, 9, big+"\xe2\x82")), close: 1007},
		{name: "bad packet", send: packedText(pack(t, 9, "x")), close: 1002, reason: ReasonParseError},
		{name: "second fragment marked", send: cat(reserve(4, textBegin(hello[:3])), reserve(4, endFrame(hello[3:]))), close: 1002},
		{name: "only the second fragment marked", send: cat(textBegin("4"), reserve(4, endFrame(hello))), close: 1002},
		{name: "RSV1 on a ping", send: reserve(4, pingFrame("x")), close: 1002},
		{name: "RSV1 on an opcode that does not exist", send: reserve(4, clientFrame(3, true, hello)), close: 1002},
		{name: "RSV1 and RSV2", send: reserve(6, textFrame(hello)), close: 1002},
		{name: "RSV1 and RSV3", send: reserve(5, textFrame(hello)), close: 1002},
	}...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn := s.connectWith(t, deflateOffer...)
			c.run(t, s, conn)
			conn.Close()
		})
	}
	others.check(t)
}

// What the server compresses: messages from the threshold on, unless it does not pay.
func TestDeflateThreshold(t *testing.T) {
	s := serve(t, Options{MaxPayload: 1 << 20, PerMessageDeflate: &Deflate{Threshold: 500}})
	c := s.connectWith(t, deflateOffer...)
	if c.packed {
		t.Error("the open packet is compressed")
	}
	for _, tc := range []struct {
		size   int
		packed bool
	}{{10, false}, {490, false}, {500, true}, {5000, true}, {70_000, true}, {1_000_000, true}} {
		m := "4" + strings.Repeat("x", tc.size)
		c.text(m) // what comes may be compressed or not, whatever goes
		if c.wantText(m); c.packed != tc.packed {
			t.Errorf("%d bytes: compressed %v", tc.size, c.packed)
		}
		c.frame(ws.OpBinary, true, m)
		if c.want(ws.OpBinary, m); c.packed != tc.packed {
			t.Errorf("binary, %d bytes: compressed %v", tc.size, c.packed)
		}
	}
	n := noise(10_000)
	c.frame(ws.OpBinary, true, n)
	if c.want(ws.OpBinary, n); c.packed {
		t.Error("noise got longer")
	}
	if o := s.Options(); o.PerMessageDeflate.Threshold != 500 {
		t.Errorf("options in force: %+v", o.PerMessageDeflate)
	}
	s = serve(t, Options{PerMessageDeflate: &Deflate{}})
	if o := s.Options(); o.PerMessageDeflate.Threshold != 1024 {
		t.Errorf("default options: %+v", o.PerMessageDeflate)
	}
}

// A session that comes from polling gets the same, and what waited leaves compressed.
func TestDeflateAfterAnUpgrade(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}})
	p := s.poll(t)
	c := p.tryout(deflateOffer...)
	if !c.deflate {
		t.Fatal("not negotiated")
	}
	waiting := "4" + strings.Repeat("waiting ", 500)
	p.wantPost(waiting)
	c.text("5")
	if c.wantText(waiting); !c.packed {
		t.Error("what waited is not compressed")
	}
	c.write(packedText(pack(t, 6, waiting)))
	if c.wantText(waiting); !c.packed {
		t.Error("not compressed")
	}
}

// A message with attachments is several frames; each is compressed or not.
func TestDeflateFrames(t *testing.T) {
	text, zeros := []byte(strings.Repeat(`{"a":1},`, 100)), make([]byte, 70_000)
	plain := EncodeWebSocket(text, [][]byte{[]byte(noise(300)), zeros, nil, []byte("short")})
	got := deflateFrames(plain)
	if !bytes.Equal(inflateFrames(t, got), plain) {
		t.Error("not the same frames")
	}
	var packed []bool
	for r := bytes.NewReader(got); r.Len() > 0; {
		h, _ := nextFrame(t, r)
		packed = append(packed, h.Rsv != 0)
	}
	if fmt.Sprint(packed) != "[true false true false false]" {
		t.Errorf("compressed: %v", packed)
	}
	if len(got) > len(plain)/50 {
		t.Errorf("%d bytes of %d", len(got), len(plain))
	}
	for name, same := range map[string][]byte{
		"noise":     EncodeWebSocket([]byte(noise(5000)), nil),
		"a ping":    append(appendFrameHeader(nil, ws.OpPing, 100), make([]byte, 100)...),
		"no frame":  make([]byte, 5000)[:1],
		"cut short": plain[:len(plain)-1],
		"nothing":   {},
	} {
		if got := deflateFrames(same); len(got) != len(same) || len(got) > 0 && &got[0] != &same[0] {
			t.Errorf("%s: %d bytes of %d", name, len(got), len(same))
		}
	}
}

// A room's message is compressed once: both clients' outboxes hold the same bytes.
func TestDeflateOnceForARoom(t *testing.T) {
	wire := compressed(testWires.WebSocket)
	if again := compressed(testWires.WebSocket); again != wire {
		t.Error("a wire for each connection")
	}
	f := hub.MessageFrame(&hub.Message{Payload: hub.Payload{JSON: []byte(strings.Repeat("x", 5000))}})
	if a, b := f.Bytes(wire), f.Bytes(wire); len(a) > 100 || &a[0] != &b[0] {
		t.Errorf("%d bytes, the same ones: %v", len(a), &a[0] == &b[0])
	}
}

// standard does what an inflater does with the standard library.
func standard(packed []byte, limit int) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	src := bytes.NewReader(append(bytes.Clone(packed), inflateTail...))
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(src), int64(limit)+1))
	switch left := src.Len(); {
	case len(out) > limit:
		return nil, errTooBig
	case err != nil:
		return nil, errBadDeflate
	case left == 0, left == 5, left == 9, left == 10 && packed[len(packed)-1] == 0:
		return out, nil
	}
	return nil, errBadDeflate
}

// BenchmarkDeflate compresses a message once, and inflates one.
func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10, 1_000_000} {
		text := []byte("[")
		for i := range size / 50 {
			text = fmt.Appendf(text, `{"id":%d,"name":"user %d","text":"hello there"},`, i*7919%100_003, i%97)
		}
		plain := EncodeWebSocket(text, nil)
		b.Run(fmt.Sprintf("compress/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if len(deflateFrames(plain)) >= len(plain) {
					b.Fatal("no shorter")
				}
			}
		})
		packed := []byte(pack(b, flate.DefaultCompression, string(text)))
		b.Run(fmt.Sprintf("inflate/%d", size), func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var f inflater
			for b.Loop() {
				if _, err := f.message(ws.OpText, packed, 2*size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
