package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// bomb is a compressed message of about packed bytes in which zeros stand, a thousand for each.
func bomb(t testing.TB, packed int) string {
	t.Helper()
	// A flushed piece ends at a byte, and what it refers to is in it: so it can be repeated.
	piece := pack(t, 9, strings.Repeat("0", 1_000_000)) + string(syncMarker)
	return strings.TrimSuffix(strings.Repeat(piece, max(1, packed/len(piece))), string(syncMarker))
}

// tables is a message of about n bytes that inflates to nothing, as slowly as possible: DEFLATE blocks that
// consist of a code, which the receiver makes a table of, and of the end.
func tables(n int) string {
	var b bitWriter
	for len(b.bytes) < n {
		b.put(4, 3)    // not final, dynamic codes
		b.put(0, 5+5)  // 257 literals, one distance
		b.put(14, 4)   // lengths of 18 lengths' codes:
		b.put(0, 2*3)  // 16, 17
		b.put(1, 3)    // 18: a run of zeros
		b.put(0, 14*3) // 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14
		b.put(1, 3)    // 1
		b.put(0, 1)    // literal 0 has length 1
		b.put(1, 1)    // a run
		b.put(138-11, 7)
		b.put(1, 1) // a run, up to 255
		b.put(117-11, 7)
		b.put(0, 1) // 256 has length 1
		b.put(0, 1) // and the distance
		b.put(1, 1) // 256: the end
	}
	b.put(0, 3) // a stored block, which the marker completes
	return string(b.bytes)
}

// bitWriter writes bits as DEFLATE does, the lowest first.
type bitWriter struct {
	bytes []byte
	n     int
}

func (w *bitWriter) put(v uint64, bits int) {
	for i := range bits {
		if w.n%8 == 0 {
			w.bytes = append(w.bytes, 0)
		}
		w.bytes[len(w.bytes)-1] |= byte(v>>i&1) << (w.n % 8)
		w.n++
	}
}

// live is the heap in use after a collection.
func live() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// allocated is what fn has allocated, whether it is still in use or not.
func allocated(fn func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// However much a message would inflate to, no more than the limit is made of it.
func TestInflaterIsBounded(t *testing.T) {
	const limit = 1_000_000
	big := []byte(bomb(t, 1_000_000)) // a gigabyte
	var f inflater
	if n := allocated(func() {
		if _, err := f.message(ws.OpBinary, big, limit); err != errTooBig {
			t.Errorf("a gigabyte: %v", err)
		}
	}); n > 4*limit {
		t.Errorf("%d bytes allocated for a limit of %d", n, limit)
	}
	if cap(f.out) > limit+limit/4 {
		t.Errorf("it keeps %d bytes", cap(f.out))
	}
	small := []byte(bomb(t, 0))
	if _, err := f.message(ws.OpBinary, small, limit); err != nil {
		t.Error(err)
	}
	if n := allocated(func() {
		for range 20 {
			if data, err := f.message(ws.OpBinary, small, limit); len(data) != limit || err != nil {
				t.Errorf("%d bytes, %v", len(data), err)
			}
		}
	}); n > limit/10 {
		t.Errorf("%d bytes allocated for twenty messages", n)
	}
	if _, err := f.message(ws.OpBinary, []byte(bomb(t, 4_000)), 4*limit); err != nil || cap(f.out) > scratchKeep {
		t.Errorf("it keeps %d bytes of a large message, %v", cap(f.out), err)
	}
	if data, err := f.message(ws.OpText, []byte(tables(1000)), limit); len(data) != 0 || err != nil {
		t.Errorf("tables for nothing: %q, %v", data, err)
	}
}

// S7: decompression bombs. Each ends its own connection at most; others in the same server go on, and what it
// holds is bounded.
func TestHostileCompression(t *testing.T) {
	const limit = 1_000_000
	s := serve(t, Options{MaxPayload: limit, PingInterval: time.Hour, PerMessageDeflate: &Deflate{}}, func(s *server) {
		s.onMessage = func(sock *Socket, text string, binary bool) {
			if len(text) < 1000 {
				sock.SendText([]byte(strings.TrimPrefix(text, "x")))
			}
		}
	})
	others := newBystanders(t, s)
	gigabyte, megabyte := bomb(t, 1_000_000), bomb(t, 0)
	fragments := reserve(4, fragmentsOf(ws.OpBinary, gigabyte, 1000))
	tests := map[string]struct {
		send  []byte
		close ws.StatusCode // 0: it goes on
	}{
		"a gigabyte in a megabyte":      {packedBinary(gigabyte), 1009},
		"in fragments":                  {fragments, 1009},
		"many small ones":               {bytes.Repeat(packedBinary(bomb(t, 2000)), 1000), 1009},
		"many as large as allowed":      {bytes.Repeat(packedBinary(megabyte), 20), 0},
		"many empty ones":               {bytes.Repeat(packedBinary("\x00"), 20_000), 0},
		"tables for nothing":            {packedBinary(tables(limit / 8)), 0},
		"small tables for nothing":      {bytes.Repeat(packedBinary(tables(1000)), 100), 0},
		"stored blocks of nothing":      {packedBinary(strings.Repeat("\x00\x00\x00\xff\xff", limit/5) + "\x00"), 0},
		"more on the wire than allowed": {packedBinary(strings.Repeat("\x00\x00\x00\xff\xff", limit/4) + "\x00"), 1009},
		"a message that never ends":     {reserve(4, fragmentsOf(ws.OpBinary, gigabyte, 1000))[:500_000], 0},
		"rubbish":                       {packedBinary(noise(100_000)), 1007},
	}
	before := live()
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			conn := s.connectWith(t, deflateOffer...)
			conn.bound()
			if _, err := conn.Write(c.send); err != nil && c.close == 0 {
				t.Fatal(err)
			}
			others.check(t) // while it is at work, or after
			if name == "a message that never ends" {
				s.eventuallyOn(t, conn.sid, "the fragments", func(sock *Socket) bool { return sock.ws.reader.unfinished() && len(sock.ws.reader.msg) > 400_000 })
			} else if c.close == 0 {
				conn.text("4done")
				conn.lastText("done")
			} else {
				conn.wantCloseFrame(c.close)
			}
			conn.Close()
			rec := s.session(t, conn.sid)
			eventually(t, "the end of the session", func() bool { return rec.sock.State() == StateClosed })
			s.change(func() { rec.messages = nil }) // the test's own memory
			others.check(t)
			if grown := live() - before; grown > 8*limit {
				t.Errorf("%d bytes more than before", grown)
			}
		})
	}
}

// lastText reads up to a text message.
func (c *socket) lastText(want string) {
	c.t.Helper()
	for {
		if op, data := c.next(); op == ws.OpText && strings.HasSuffix(data, want) {
			return
		}
	}
}

// Of many messages in one read only so many are inflated before others have their turn.
func TestInflatingTakesTurns(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}}, func(s *server) { s.onMessage = func(*Socket, string, bool) {} })
	c := s.connectWith(t, deflateOffer...)
	const n = 20
	m := pack(t, 9, strings.Repeat("0", inflateTurn/2))
	s.on(t, c.sid, func(sock *Socket) {
		sock.ws.consume(bytes.Repeat(packedBinary(m), n))
		if sock.ws.held == nil {
			t.Error("all at once")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := len(s.seen[c.sid].messages); got < 1 || got > 2 { // one, if it took long
			t.Errorf("%d messages in one turn", got)
		}
	})
	s.waitMessages(t, c.sid, n)
	c.text("4and on")
	s.waitMessages(t, c.sid, n+1)
}

// aside is a message that is inflated beside the loop.
func aside(t testing.TB) string {
	t.Helper()
	p := pack(t, 9, "4"+strings.ToValidUTF8(noise(4*inflateHere), ""))
	if len(p) <= inflateHere {
		t.Fatal("too small")
	}
	return p
}

// While a message is inflated beside the loop its connection waits, and order is kept.
func TestInflatingAside(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}})
	big := aside(t)
	plain := unpack(t, big)
	var held []*inflater // while they are, nothing gets done
	hold := func() {
		for range cap(s.aside) {
			held = append(held, <-s.aside)
		}
	}
	release := func() {
		for _, f := range held {
			s.aside <- f
		}
		held = nil
	}
	t.Run("order", func(t *testing.T) {
		c := s.connectWith(t, deflateOffer...)
		c.write(cat(textFrame("4a"), packedText(big), pingFrame("p"), packedText(pack(t, 9, "4b")), packedText(big), textFrame("4c")))
		for _, want := range []received{{ws.OpText, "4a"}, {ws.OpText, plain}, {ws.OpPong, "p"}, {ws.OpText, "4b"}, {ws.OpText, plain}, {ws.OpText, "4c"}} {
			c.want(want.op, want.data)
		}
	})
	t.Run("others go on", func(t *testing.T) {
		hold()
		others := newBystanders(t, s)
		c := s.connectWith(t, deflateOffer...)
		c.write(cat(packedText(big), textFrame("4b")))
		s.eventuallyOn(t, c.sid, "the message", func(sock *Socket) bool { return sock.ws.inflating != nil })
		c.text("4c") // lies in the socket
		others.check(t)
		release()
		for _, want := range []string{plain, "4b", "4c"} {
			c.wantText(want)
		}
	})
	t.Run("no pong meanwhile", func(t *testing.T) {
		hold()
		c := s.connectWith(t, deflateOffer...)
		c.write(packedText(big))
		s.eventuallyOn(t, c.sid, "the message", func(sock *Socket) bool { return sock.ws.inflating != nil })
		for range 3 {
			s.on(t, c.sid, func(sock *Socket) { sock.heartbeatDue() })
			c.wantText("2")
		}
		release()
		c.wantText(plain)
		s.on(t, c.sid, func(sock *Socket) {
			if left := sock.deadline - sock.loop.Now(); !sock.awaiting || left < sock.srv.opts.PingTimeout/2 {
				t.Errorf("awaiting %v, %v left", sock.awaiting, left)
			}
		})
	})
	t.Run("paused meanwhile", func(t *testing.T) {
		hold()
		c := s.connectWith(t, deflateOffer...)
		c.write(cat(packedText(big), textFrame("4b")))
		s.eventuallyOn(t, c.sid, "the message", func(sock *Socket) bool { return sock.ws.inflating != nil })
		s.on(t, c.sid, func(sock *Socket) { sock.Pause() })
		release()
		s.eventuallyOn(t, c.sid, "the result", func(sock *Socket) bool { return sock.ws.inflating.done })
		if got := s.waitMessages(t, c.sid, 0); len(got) > 0 {
			t.Error("a paused session got a message")
		}
		s.on(t, c.sid, func(sock *Socket) { sock.Resume() })
		c.wantText(plain)
		c.wantText("4b")
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		hold()
		c := s.connectWith(t, deflateOffer...)
		c.write(cat(packedText(big), textFrame("4b")))
		s.eventuallyOn(t, c.sid, "the message", func(sock *Socket) bool { return sock.ws.inflating != nil })
		s.on(t, c.sid, func(sock *Socket) { sock.Close("enough") })
		c.wantClose(1005)
		release()
		s.waitClosed(t, c.sid, "enough")
		if got := s.waitMessages(t, c.sid, 0); len(got) > 0 {
			t.Error("a closed session got a message")
		}
	})
	t.Run("bad", func(t *testing.T) {
		c := s.connectWith(t, deflateOffer...)
		c.write(cat(packedText(big[:len(big)-10]), textFrame("4b")))
		c.wantCloseFrame(1007)
		c.Close()
		s.waitClosed(t, c.sid, ReasonTransportError)
	})
	t.Run("larger than what is inflated on the loop", func(t *testing.T) {
		s := serve(t, Options{MaxPayload: 2 * inflateMax, PerMessageDeflate: &Deflate{}})
		c := s.connectWith(t, deflateOffer...)
		m := strings.Repeat("x", inflateMax+1)
		c.write(packedBinary(pack(t, 1, m)))
		c.want(ws.OpBinary, m)
	})
	t.Run("a panic", func(t *testing.T) {
		fs := newInflaters(1)
		broken := <-fs
		broken.stream = panicking{}
		fs <- broken
		if _, err := fs.message(<-fs, ws.OpBinary, []byte("x"), 10); err != errBadDeflate {
			t.Error(err)
		}
		if data, err := fs.message(<-fs, ws.OpBinary, []byte(pack(t, 9, "x")), 10); string(data) != "x" || err != nil {
			t.Errorf("afterwards: %q, %v", data, err)
		}
	})
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("as a broken library would") }
func (panicking) Close() error             { return nil }

// S23: floods of frames. Each is refused or costs nothing; others go on.
func TestHostileFloods(t *testing.T) {
	const million = 1_000_000
	s := serve(t, Options{PingInterval: time.Hour, PerMessageDeflate: &Deflate{}})
	others := newBystanders(t, s)
	usage, before := s.settled(t), live()
	for name, c := range map[string]struct {
		first, again []byte
		times        int
		close        ws.StatusCode // 0: it goes on
		counter      string
	}{
		"empty continuations of a text":               {textBegin("4"), moreFrame(""), million, 1008, "engineio_websocket_error"},
		"empty continuations of binary":               {binaryBegin(""), moreFrame(""), million, 1008, "engineio_websocket_error"},
		"empty continuations of a compressed message": {reserve(4, binaryBegin("")), moreFrame(""), million, 1008, "engineio_websocket_error"},
		"pings":                       {nil, pingFrame(""), million, 1008, "engineio_websocket_ping_flood"},
		"pings with a payload":        {nil, pingFrame(strings.Repeat("p", 125)), million / 10, 1008, "engineio_websocket_ping_flood"},
		"pings between continuations": {textBegin("4"), cat(moreFrame(""), pingFrame("")), million / 10, 1008, "engineio_websocket_ping_flood"},
		"pongs":                       {nil, pongFrame(""), million / 10, 0, ""},
		"packets that mean nothing":   {nil, textFrame("6"), million / 10, 0, ""},
		"packets that are none":       {nil, textFrame("x"), million / 10, 1002, "engineio_bad_packet"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, counted := s.connectWith(t, deflateOffer...), s.count(c.counter)
			conn.bound()
			_, err := conn.Write(c.first)
			block := bytes.Repeat(c.again, 1000)
			for i := 0; i < c.times/1000 && err == nil; i++ {
				conn.bound()
				_, err = conn.Write(block)
			}
			switch {
			case err == nil && c.close == 0:
				conn.text("4done")
				conn.wantText("4done")
			case err == nil:
				conn.wantCloseFrame(c.close) // what came behind it was read and thrown away
			case c.close == 0:
				t.Fatal(err)
			}
			if c.counter != "" {
				s.waitCount(t, c.counter, counted+1)
			}
			if grown := live() - before; grown > 4<<20 {
				t.Errorf("%d bytes more than before", grown)
			}
			conn.Close()
			rec := s.session(t, conn.sid)
			eventually(t, "the end of the session", func() bool { return rec.sock.State() == StateClosed })
			others.check(t)
		})
	}
	s.wantUsage(t, usage)
}

// FuzzInflater compares with the standard library: the same bytes or an error of both, and never more than the limit.
func FuzzInflater(f *testing.F) {
	for _, level := range []int{-2, 0, 1, 9} {
		for _, plain := range []string{"", "4", "4Hello", strings.Repeat("4[\"message\"],", 100), noise(300)} {
			f.Add([]byte(pack(f, level, plain)))
		}
	}
	f.Add([]byte(packFinal(f, "4Hello")))
	f.Add([]byte(tables(50)))
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"))
	const limit = 5000
	var reused inflater
	f.Fuzz(func(t *testing.T, packed []byte) {
		whole := bytes.Clone(packed)
		got, err := reused.message(ws.OpBinary, packed, limit)
		if !bytes.Equal(packed, whole) {
			t.Fatal("the input was changed")
		}
		want, wantErr := standard(packed, limit)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; the standard library: %d, %v", len(got), err, len(want), wantErr)
		}
		if cap(reused.out) > 2*limit || len(got) > limit {
			t.Fatalf("%d bytes, %d kept", len(got), cap(reused.out))
		}
		var fresh inflater
		if again, againErr := fresh.message(ws.OpBinary, packed, limit); !errors.Is(againErr, err) || !bytes.Equal(again, got) {
			t.Fatalf("another inflater: %d bytes, %v", len(again), againErr)
		}
	})
}

// FuzzPackedFrames: with compression negotiated, too, messages do not depend on how their bytes are split.
func FuzzPackedFrames(f *testing.F) {
	hello := pack(f, 9, "4Hello")
	for _, b := range [][]byte{
		packedText(hello), cat(reserve(4, textBegin(hello[:3])), pingFrame("p"), endFrame(hello[3:]), textFrame("4plain")),
		reserve(4, fragmentsOf(ws.OpBinary, pack(f, 0, noise(100)), 10)), packedBinary(""), packedBinary("\x00"),
		packedText(pack(f, 9, "4\xff")), packedText("rubbish"), packedBinary(pack(f, 9, strings.Repeat("x", 2000))),
		reserve(4, endFrame("x")), reserve(6, textFrame("x")), reserve(4, pingFrame("x")), cat(textBegin("4"), reserve(4, endFrame("x"))),
	} {
		f.Add(b, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, seed uint64) {
		if len(in) > 1<<14 {
			return
		}
		const limit = 1000
		want, _, wantErr := readInflated([][]byte{in}, limit)
		got, reader, err := readInflated(randomSplit(in, seed), limit)
		if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("split: %q, %v; whole: %q, %v", got, err, want, wantErr)
		}
		if reader.unfinished() && len(reader.msg) > limit+limit/8+minDeflate {
			t.Fatalf("the reader keeps %d bytes", len(reader.msg))
		}
		for _, m := range got {
			if len(m.data) > limit || m.op == ws.OpText && !utf8.ValidString(m.data) {
				t.Fatalf("%v of %d bytes", m.op, len(m.data))
			}
		}
	})
}

// randomSplit cuts bytes as a network might.
func randomSplit(in []byte, seed uint64) (chunks [][]byte) {
	r := rand.New(rand.NewPCG(seed, 3))
	for rest := in; len(rest) > 0; {
		n := 1 + r.IntN(min(len(rest), 20))
		chunks = append(chunks, rest[:n])
		rest = rest[n:]
	}
	return chunks
}

// readInflated is readAll for a connection with compression.
func readInflated(chunks [][]byte, max int) (out []received, r *frameReader, err error) {
	r = &frameReader{deflate: true}
	var hr headerReader
	var f inflater
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
			if r.packed && !op.IsControl() {
				if data, err = f.message(op, data, max); err != nil {
					return out, r, err
				}
			}
			out = append(out, received{op, string(data)})
			p = rest
		}
	}
	return out, r, nil
}

// FuzzDeflateFrames: compressed frames are never longer, and their messages are what they were.
func FuzzDeflateFrames(f *testing.F) {
	f.Add([]byte("4[\"message\"]"), []byte{}, []byte("x"))
	f.Add(bytes.Repeat([]byte("2[\"a\"],"), 100), make([]byte, 1000), []byte(noise(300)))
	f.Add([]byte(noise(70)), bytes.Repeat([]byte("ab"), 40_000), []byte{})
	f.Fuzz(func(t *testing.T, text, a, b []byte) {
		plain := EncodeWebSocket(text, [][]byte{a, b})
		got := deflateFrames(bytes.Clone(plain))
		if len(got) > len(plain) {
			t.Fatalf("%d bytes became %d", len(plain), len(got))
		}
		if back := inflateFrames(t, got); !bytes.Equal(back, plain) {
			t.Fatalf("%d bytes came back as %d", len(plain), len(back))
		}
		if rubbish := deflateFrames(text); len(rubbish) > len(text) {
			t.Fatalf("%d bytes that are no frames became %d", len(text), len(rubbish))
		}
	})
}

// inflateFrames undoes deflateFrames with the libraries.
func inflateFrames(t testing.TB, b []byte) (plain []byte) {
	t.Helper()
	for r := bytes.NewReader(b); r.Len() > 0; {
		h, payload := nextFrame(t, r)
		plain = append(appendFrameHeader(plain, h.OpCode, len(payload)), payload...)
	}
	return plain
}
