package hostile

import (
	"bufio"
	"bytes"
	"compress/flate"
	gobinary "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

// row is one kind of hostile input. Its name begins with the row of the threat table that it is an instance of, S1
// to S25, or the number of the CVE. Those of one name differ in the bytes.
type row struct {
	name    string
	counter string // that must have counted it, "" when there is nothing to count
	run     func(t *testing.T, s *site)
}

// TestHostileInput is the table. What each row does to the peer itself stands in the row; that nobody else notices,
// and that nothing is left of it, is checked for all.
func TestHostileInput(t *testing.T) {
	s := newSite(t)
	w := newWitnesses(t, s)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			count := s.counter(r.counter)
			before := s.load()
			before.memory()
			t.Run("peer", func(t *testing.T) { // whose connections end with it
				w.during(t, func() { r.run(t, s) })
			})
			s.settled(t, before)
			if r.counter != "" && s.counter(r.counter) == count {
				t.Errorf("%s was not counted", r.counter)
			}
		})
	}
	// S19, S20: whatever all those rows have sent, a line of the log is a line, and counters have names of ours.
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if s.log.lines == 0 || len(s.log.odd) > 0 {
		t.Errorf("the log has %d lines, among them %q", s.log.lines, s.log.odd)
	}
	ours := regexp.MustCompile(`^[a-z0-9_]+$`)
	if all := s.hub.Counters(); len(all) > 100 {
		t.Errorf("%d counters", len(all))
	} else {
		for name := range all {
			if !ours.MatchString(name) || strings.Contains(name, "injected") {
				t.Errorf("a counter is called %q", name)
			}
		}
	}
}

func rows() []row {
	var all []row
	for _, rows := range [][]row{httpRows(), sessionRows(), frameRows(), packetRows(), floodRows()} {
		all = append(all, rows...)
	}
	return all
}

// answered sends an HTTP request, in which {sid} is a polling session's, and wants an answer of this status.
func answered(bytes string, status int) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		p := s.poll(t)
		if got, _, body := s.do(t, strings.ReplaceAll(bytes, "{sid}", p.sid)); got != status {
			t.Errorf("%d %q, want %d", got, body, status)
		}
	}
}

// refused is answered with an end of the connection behind it: what follows must not be taken for a request.
func refused(bytes string, status int) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		p := s.poll(t)
		c := s.dial(t)
		_, _ = io.WriteString(c, strings.ReplaceAll(bytes, "{sid}", p.sid)+request("GET", "/smuggled", "")) // it may close before all is sent
		r := bufio.NewReader(c)
		if got, _, body, err := answer(r); err != nil || got != status {
			t.Errorf("%d %q %v, want %d", got, body, err, status)
		}
		wantEnd(t, c)
		if s.smuggled.Load() != 0 {
			t.Error("what stood behind was served as a request")
		}
	}
}

// dribble sends a byte every now and then until the server has had enough.
func dribble(t *testing.T, c net.Conn, bytes string) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for i := 0; ; i++ {
		_, _ = c.Write([]byte{bytes[i%len(bytes)]}) // fails when the server has closed
		select {
		case <-ended:
			return
		case <-tick.C:
		case <-timeout:
			c.Close()
			<-ended
			t.Fatal("a slow client was not cut off")
		}
	}
}

func httpRows() []row {
	const own = pollTarget + "&sid={sid}"
	long := strings.Repeat("x", 50_000)
	var many []string
	for i := range 2500 {
		many = append(many, fmt.Sprintf("X-Header-%d: injected", i))
	}
	return []row{
		{"S1 a request line, slowly", "", func(t *testing.T, s *site) {
			dribble(t, s.waiting(t, engineio.Options{BodyTimeout: aWhile}).dial(t), "GET /socket.io/"+long)
		}},
		{"S1 headers, slowly", "", func(t *testing.T, s *site) {
			c := s.waiting(t, engineio.Options{BodyTimeout: aWhile}).dial(t)
			_, _ = io.WriteString(c, "GET "+pollTarget+" HTTP/1.1\r\nHost: x\r\n")
			dribble(t, c, "A: b\r\n")
		}},
		{"S1 a body, slowly", "engineio_post_aborted", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{BodyTimeout: aWhile})
			p, c := s.poll(t), s.dial(t)
			_, _ = io.WriteString(c, "POST "+strings.ReplaceAll(own, "{sid}", p.sid)+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4")
			dribble(t, c, "x")
		}},
		{"S1 a WebSocket frame, slowly", "engineio_ping_timeout", func(t *testing.T, s *site) {
			c := s.waiting(t, engineio.Options{PingInterval: moment, PingTimeout: aWhile}).open(t, "")
			c.connect()
			c.raw("\x82\xfe\xff\xff\x00\x00\x00\x00")
			dribble(t, c.conn, "x")
		}},
		{"S3 a header over the limit", "", refused(request("GET", pollTarget, "", "X: "+long), 431)},
		{"S3 CVE-2024-37890 2500 headers", "", refused(request("GET", pollTarget, "", many...), 431)},
		{"S3 CVE-2024-37890 2500 headers on an upgrade", "", refused(upgrade(wsTarget, many...), 431)},
		{"S3 a space in front of the first header", "", refused("GET "+pollTarget+" HTTP/1.1\r\n Host: x\r\n\r\n", 400)},
		{"S3 a space behind a header's name", "", refused(request("GET", pollTarget, "", "Content-Length : 5"), 400)},
		{"S3 two lengths", "", refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 400)},
		{"S3 a length of two numbers", "", refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 2\r\n\r\n", 400)},
		{"S3 a negative length", "", refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400)},
		{"S3 a length with a sign", "", refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n", 400)},
		{"S3 an encoding that is none", "", refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501)},
		{"S3 a length and chunks", "", func(t *testing.T, s *site) {
			// net/http goes by the chunks (RFC 9112, 6.3): whoever went by the length in front of it takes what
			// follows for something else.
			p, c := s.poll(t), s.dial(t)
			_, _ = io.WriteString(c, strings.ReplaceAll("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "{sid}", p.sid)+request("GET", "/smuggled", ""))
			wantEnd(t, c)
			if s.smuggled.Load() != 0 {
				t.Error("what stood behind was served as a request")
			}
		}},
		{"S3 a bare LF behind a chunk's size", "engineio_post_aborted", func(t *testing.T, s *site) {
			refused("POST "+own+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;\n4x\r\n0\r\n\r\n", 400)(t, s)
		}},
		{"S3 a NUL in a header", "", refused(request("GET", pollTarget, "", "X: a\x00b"), 400)},
		{"S3 a CR in a header", "", refused(request("GET", pollTarget, "", "X: a\rb"), 400)},
		{"S3 no Host", "", refused("GET "+pollTarget+" HTTP/1.1\r\n\r\n", 400)},
		{"S3 two Hosts", "", refused("GET "+pollTarget+" HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400)},
		{"S4 packets in the segment of the upgrade", "", func(t *testing.T, s *site) {
			p := s.open(t, text("40")+text(`421["leave","x"]`))
			p.wantPart(`40{"sid":"`)
			p.want(`431[{"ok":true}]`)
		}},
		{"S4 a request in the segment of the upgrade", "engineio_websocket_error", func(t *testing.T, s *site) {
			c := s.dial(t)
			_, _ = io.WriteString(c, upgrade(wsTarget)+request("GET", "/smuggled", ""))
			wantEnd(t, c)
			if s.smuggled.Load() != 0 {
				t.Error("it was served")
			}
		}},
		{"S5 CVE-2020-28481 a foreign origin that polls", "engineio_foreign_origin", func(t *testing.T, s *site) {
			status, header, _ := s.do(t, request("GET", pollTarget, "", "Origin: http://evil.example"))
			if status != 403 || header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%d %v", status, header)
			}
			_, header, _ = s.do(t, request("OPTIONS", pollTarget, "", "Origin: http://evil.example", "Access-Control-Request-Method: POST"))
			for name := range header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("a preflight is answered with %s", name)
				}
			}
		}},
		{"S5 a foreign origin with a WebSocket", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: http://evil.example"), 400)},
		{"S5 no origin", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: null"), 400)},
		{"S5 another port", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: http://x:81"), 400)},
		{"S5 an origin with a path", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: http://x/"), 400)},
		{"S5 an origin with a user", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: http://x@evil.example"), 400)},
		{"S5 two origins", "engineio_foreign_origin", answered(upgrade(wsTarget, "Origin: http://x", "Origin: http://evil.example"), 400)},
		{"S5 nearly a pattern's origin", "engineio_foreign_origin", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{CORS: engineio.CORS{OriginPatterns: []*regexp.Regexp{regexp.MustCompile(`http://[a-z]+\.good\.example`)}}}})
			answered(upgrade(wsTarget, "Origin: http://a.good.example.evil.example"), 400)(t, s)
			s.open(t, "", "Origin: http://a.good.example")
		}},
		{"S6 a foreign host", "engineio_foreign_host", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{Hosts: []string{"good.example"}}})
			for target, want := range map[string]int{"good.example": 200, "evil.example": 403, "good.example.evil.example": 403, "127.0.0.1": 403} {
				if status, _, _ := s.do(t, strings.Replace(request("GET", pollTarget, ""), "Host: x", "Host: "+target, 1)); status != want {
					t.Errorf("%s: %d, want %d", target, status, want)
				}
			}
		}},
		{"S16 an id that the client chose", "engineio_unknown_sid", answered(request("GET", pollTarget+"&sid=AAAAAAAAAAAAAAAAAAAA", ""), 400)},
		{"S16 an id in a cookie", "", func(t *testing.T, s *site) {
			_, _, body := s.do(t, request("GET", pollTarget, "", "Cookie: io=AAAAAAAAAAAAAAAAAAAA"))
			if strings.Contains(body, "AAAAAAAAAAAAAAAAAAAA") || !strings.HasPrefix(body, "0{") {
				t.Errorf("%q", body)
			}
		}},
		{"S16 CVE-2017-16031 ids to be guessed", "", func(t *testing.T, s *site) {
			seen, heads := make(map[string]bool), make(map[string]bool)
			for range 50 {
				p := s.poll(t)
				seen[p.sid], heads[p.sid[:8]] = true, true
			}
			if len(seen) != 50 || len(heads) != 50 {
				t.Errorf("%d ids, %d beginnings of ids", len(seen), len(heads))
			}
		}},
		{"S16 an id that a room is told of, of a client of protocol 3", "", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{AllowEIO3: true})
			c := &peer{t: t, conn: s.dial(t)}
			c.r = bufio.NewReader(c.conn)
			c.raw(upgrade(strings.Replace(wsTarget, "EIO=4", "EIO=3", 1)))
			if res, err := http.ReadResponse(c.r, nil); err != nil || res.StatusCode != 101 {
				t.Fatalf("%v, %v", res, err)
			}
			var open struct{ SID string }
			if err := json.Unmarshal([]byte(c.next()[1:]), &open); err != nil || len(open.SID) != 20 {
				t.Fatalf("%+v, %v", open, err)
			}
			c.want("40")
			c.text(`421["join","den",{"presence":true}]`, `422["publish","den","message",1,{"echo":true}]`, `423["presence","den"]`, `429["leave","x"]`)
			for {
				packet := c.next()
				if strings.Contains(packet, open.SID) { // with it anybody could speak for the client
					t.Errorf("the room is told %s", packet)
				}
				if packet == `439[{"ok":true}]` {
					break
				}
			}
		}},
		{"S16 an id of another protocol", "engineio_bad_request", answered(request("GET", strings.Replace(own, "EIO=4", "EIO=3", 1), ""), 400)},
		{"S19 the log, through what HTTP lets by", "engineio_foreign_origin", answered(request("GET", pollTarget+"&x=%0atime=injected%1b[31m", "", "User-Agent: a\u2028time=injected", "Origin: http://\u2028injected"), 403)},
		{"S21 a forged address", "engineio_address_handshake_rate", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{AddressHandshakeRate: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
			for i := range 1000 {
				if status, _, _ := s.do(t, request("GET", pollTarget, "", fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", i%250), "X-Real-Ip: 192.0.2.1", "Forwarded: for=192.0.2.1")); status == 429 {
					return
				}
			}
			t.Error("each had an allowance of its own")
		}},
		{"CVE-2023-31125 transport=__proto__", "engineio_unknown_transport", answered(request("GET", "/socket.io/?EIO=4&transport=__proto__", ""), 400)},
		{"CVE-2023-31125 transport=constructor with an upgrade", "engineio_unknown_transport", answered(upgrade("/socket.io/?EIO=4&transport=constructor"), 400)},
		{"CVE-2023-31125 transport=toString", "engineio_unknown_transport", answered(request("GET", "/socket.io/?EIO=4&transport=toString", ""), 400)},
		{"CVE-2023-31125 sid=__proto__", "engineio_unknown_sid", answered(request("GET", pollTarget+"&sid=__proto__", ""), 400)},
		{"CVE-2022-41940 an upgrade to h2c", "", answered(request("GET", pollTarget, "", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), 200)},
		{"CVE-2022-41940 an upgrade and a reset", "", func(t *testing.T, s *site) {
			// The server may have answered before it hears of the reset: such a session has to miss a ping.
			s = s.waiting(t, engineio.Options{PingInterval: moment, PingTimeout: aWhile})
			for _, bytes := range []string{
				request("GET", pollTarget, "", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
				upgrade(wsTarget), upgrade(wsTarget + "&sid=x"), upgrade(wsTarget)[:40],
				strings.Replace(upgrade(wsTarget), "Key: ", "Key: x", 1),
			} {
				for range 10 {
					c := s.dial(t)
					_, _ = io.WriteString(c, bytes)
					if err := c.(*net.TCPConn).SetLinger(0); err != nil {
						t.Fatal(err)
					}
					c.Close()
				}
			}
			s.do(t, request("GET", pollTarget+"&sid=x", "")) // it answers still
		}},
		{"CVE-2021-32640 spaces in a subprotocol", "", answered(upgrade(wsTarget, "Sec-WebSocket-Protocol: a"+strings.Repeat(" ", 15_000)+"b"), 101)},
		{"CVE-2021-32640 more spaces than a header may have", "", refused(upgrade(wsTarget, "Sec-WebSocket-Protocol: a"+strings.Repeat(" ", 50_000)+"b"), 431)},
		{"ws 2017 an extension called constructor", "", answered(upgrade(wsTarget, "Sec-WebSocket-Extensions: constructor"), 101)},
		{"ws 2017 an extension called __proto__", "", answered(upgrade(wsTarget, "Sec-WebSocket-Extensions: __proto__; toString=1"), 101)},
		{"CVE-2020-36048 a body just under the limit", "", answered(request("POST", own, "4"+strings.Repeat("x", maxPayload-1)), 200)},
		{"CVE-2020-36048 a body over the limit", "engineio_body_too_large", answered(request("POST", own, "4"+strings.Repeat("x", maxPayload)), 413)},
		{"CVE-2020-36048 chunks over the limit", "engineio_body_too_large", answered("POST "+own+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+strings.Repeat("3e8\r\n"+strings.Repeat("6", 1000)+"\r\n", 1001)+"0\r\n\r\n", 413)},
		{"CVE-2020-36048 a terabyte announced", "engineio_body_too_large", answered("POST "+own+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n4x", 413)},
		{"CVE-2020-36048 a body that does not come", "engineio_post_aborted", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{BodyTimeout: aWhile})
			var conns []net.Conn
			for range 20 {
				p, c := s.poll(t), s.dial(t)
				_, _ = io.WriteString(c, "POST "+strings.ReplaceAll(own, "{sid}", p.sid)+" HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n4x")
				conns = append(conns, c)
			}
			for _, c := range conns {
				wantEnd(t, c)
			}
		}},
		{"S2 a million empty packets", "engineio_bad_packet", answered(request("POST", own, strings.Repeat("\x1e", maxPayload)), 400)},
	}
}

func sessionRows() []row {
	const many = 100
	return []row{
		{"S2 upgrades that are never finished", "engineio_upgrade_timeout", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{UpgradeTimeout: moment})
			count := s.counter("engineio_upgrade_timeout")
			p := s.poll(t)
			c := s.dial(t)
			_, _ = io.WriteString(c, upgrade(wsTarget+"&sid="+p.sid)+text("2probe"))
			eventually(t, "the end of the try", func() bool { return s.counter("engineio_upgrade_timeout") > count })
			wantEnd(t, c)
		}},
		{"S2 many sessions whose upgrade is never finished", "", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{PingInterval: moment, PingTimeout: aWhile})
			for range many {
				p := s.poll(t)
				_, _ = io.WriteString(s.dial(t), upgrade(wsTarget+"&sid="+p.sid))
			}
			eventually(t, "the sessions to end", func() bool { return s.sio.Engine().Sessions() == 0 })
			s.join(t)
		}},
		{"S2 many sessions that never connect", "socketio_connect_timeout", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{ConnectTimeout: moment})
			for range many {
				s.open(t, "")
			}
			eventually(t, "the sessions to end", func() bool { return s.sio.Engine().Sessions() == 0 })
		}},
		{"S2 more silent sessions than may be pending", "engineio_pending_evicted", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{MaxPending: 50}})
			for range many {
				s.open(t, "")
			}
			eventually(t, "the oldest to be closed", func() bool { return s.sio.Engine().Sessions() <= 51 })
			s.join(t)
		}},
		{"S2 more sessions than there may be", "engineio_server_full", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{MaxSessions: 2}})
			s.join(t)
			s.join(t)
			answer := func() int { status, _, _ := s.do(t, request("GET", pollTarget, "")); return status }
			if got := answer(); got != 503 {
				t.Errorf("%d, want 503", got)
			}
		}},
		{"S2 handshakes faster than allowed", "engineio_handshake_rate", func(t *testing.T, s *site) {
			s = s.with(t, socketio.Options{Engine: engineio.Options{HandshakeRate: 1}})
			for range 1000 {
				if status, _, _ := s.do(t, request("GET", pollTarget, "")); status == 503 {
					return
				}
			}
			t.Error("all were let in")
		}},
		{"S22 connections without a word", "", func(t *testing.T, s *site) {
			s = s.waiting(t, engineio.Options{BodyTimeout: aWhile})
			var conns []net.Conn
			for range many {
				conns = append(conns, s.dial(t))
			}
			s.join(t)
			for _, c := range conns {
				wantEnd(t, c)
			}
		}},
		{"CVE-2026-69185 attachments that do not come", "socketio_partial_timeout", func(t *testing.T, s *site) {
			c := s.with(t, socketio.Options{PartialTimeout: moment}).join(t)
			c.text(`451-["x",{"_placeholder":true,"num":0}]`)
			c.wantClosed(1008)
		}},
	}
}

// framed sends bytes on the WebSocket of a session in the room, and wants it closed with a status.
func framed(bytes string, status int) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := s.join(t)
		c.raw(bytes)
		c.wantClosed(status)
	}
}

// header is that of a masked frame with a 64-bit length.
func header(first byte, length uint64) string {
	return string(gobinary.BigEndian.AppendUint64([]byte{first, 0xff}, length)) + "\x01\x02\x03\x04"
}

// packedZeros is a compressed message that inflates to n times a megabyte.
func packedZeros(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(make([]byte, 1<<20))
	if err = errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	// A flushed piece ends at a byte, and what it refers to is in it: so it can be repeated.
	return strings.TrimSuffix(strings.Repeat(b.String(), n), "\x00\x00\xff\xff")
}

// packed is the frame of a compressed message.
func packed(payload string) string {
	var b bytes.Buffer
	f := ws.NewFrame(ws.OpBinary, true, []byte(payload))
	f.Header.Rsv = ws.Rsv(true, false, false)
	_ = ws.WriteFrame(&b, ws.MaskFrame(f)) // a buffer takes everything
	return b.String()
}

func frameRows() []row {
	const counter = "engineio_websocket_error"
	more := func(fin bool, payload string) string { return frame(ws.OpContinuation, fin, payload) }
	deflated := func(bytes func(t *testing.T) string, status int) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			c := s.open(t, "", "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover")
			c.raw(bytes(t))
			c.wantClosed(status)
		}
	}
	rows := []row{
		{"S7 a megabyte that inflates to a gigabyte", counter, deflated(func(t *testing.T) string { return packed(packedZeros(t, 900)) }, 1009)},
		{"S7 many small bombs", counter, deflated(func(t *testing.T) string { return strings.Repeat(packed(packedZeros(t, 2)), 200) }, 1009)},
		{"S7 a bomb in fragments", counter, deflated(func(t *testing.T) string {
			bomb := packedZeros(t, 900)
			first := packed(bomb[:1000])
			return string([]byte{first[0] &^ 0x80}) + first[1:] + more(false, bomb[1000:500_000]) + more(true, bomb[500_000:])
		}, 1009)},
		{"S7 no compressed data", counter, deflated(func(*testing.T) string { return packed("\xff\xff\xff\xff") }, 1007)},
		{"S8 no UTF-8", counter, framed(text("42[\"x\",\"\xff\"]"), 1007)},
		{"S8 a surrogate in UTF-8", counter, framed(text("42[\"x\",\"\xed\xa0\x80\"]"), 1007)},
		{"S23 unmasked", counter, framed("\x81\x024x", 1002)},
		{"S23 RSV1 without compression", counter, framed("\xc1\x80\x00\x00\x00\x00", 1002)},
		{"S23 CVE-2022-21676 RSV2 and RSV3", counter, framed("\xb1\x80\x00\x00\x00\x00", 1002)},
		{"S23 CVE-2022-21676 all of them, in the segment of the upgrade", counter, func(t *testing.T, s *site) {
			c := s.open(t, "\xf1\x80\x00\x00\x00\x00")
			c.wantClosed(1002)
		}},
		{"S23 CVE-2022-21676 all of them, behind an upgrade that is refused", "engineio_unknown_sid", answered(upgrade(wsTarget+"&sid=x")+"\xf1\x80\x00\x00\x00\x00", 400)},
		{"S23 CVE-2022-21676 all of them, behind an upgrade of protocol 3", "engineio_unsupported_version", answered(upgrade(strings.Replace(wsTarget, "EIO=4", "EIO=3", 1))+"\xf1\x80\x00\x00\x00\x00", 400)},
		{"S23 CVE-2016-10518 a long ping", counter, framed(frame(ws.OpPing, true, strings.Repeat("p", 126)), 1002)},
		{"S23 a ping in fragments", counter, framed(frame(ws.OpPing, false, "p"), 1002)},
		{"S23 nothing to continue", counter, framed(more(true, "x"), 1002)},
		{"S23 a text within a message", counter, framed(frame(ws.OpText, false, "42")+text("4x"), 1002)},
		{"S23 CVE-2016-10542 a length with the top bit", counter, framed(header(0x82, 1<<63|5), 1002)},
		{"S23 CVE-2016-10542 an exabyte", counter, framed(header(0x82, 1<<60), 1009)},
		{"S23 CVE-2020-27813 a length of nearly 2^63", counter, framed(header(0x82, 1<<63-1), 1009)},
		{"S23 CVE-2020-27813 a length that overflows with what is there", counter, framed(frame(ws.OpBinary, false, "abc")+header(0x80, 1<<63-2), 1009)},
		{"S23 a byte over the limit", counter, framed(text("4"+strings.Repeat("x", maxPayload)), 1009)},
		{"S23 CVE-2026-48779 empty fragments without end", counter, framed(frame(ws.OpText, false, "")+strings.Repeat(more(false, ""), 1_000_000/6), 1008)},
		{"S23 CVE-2026-48779 fragments of a byte without end", counter, framed(frame(ws.OpText, false, "4")+strings.Repeat(more(false, "2"), 200_000), 1008)},
		{"S23 CVE-2026-48779 a byte in each segment", "", func(t *testing.T, s *site) {
			c := s.join(t)
			for _, b := range []byte(text(`421["leave","x"]`)) { // each leaves at once: Go sets TCP_NODELAY
				c.raw(string([]byte{b}))
			}
			c.want(`431[{"ok":true}]`)
		}},
		{"S23 a flood of pings", "engineio_websocket_ping_flood", framed(strings.Repeat(frame(ws.OpPing, true, "p"), 150_000), 1008)},
		{"S23 a close of one byte", counter, framed(frame(ws.OpClose, true, "\x03"), 1002)},
		{"S23 a close of a code that is none", counter, framed(frame(ws.OpClose, true, "\x03\xed"), 1002)},
		{"S23 a close with a reason that is no UTF-8", counter, framed(frame(ws.OpClose, true, "\x03\xe8\xff"), 1007)},
	}
	for _, op := range []ws.OpCode{3, 7, 11, 15} {
		rows = append(rows, row{fmt.Sprint("S23 opcode ", op), counter, framed(frame(op, true, ""), 1002)})
	}
	return rows
}

// closes sends packets to a server that a session in the room is on, and wants that closed with a status.
func closes(status int, frames ...string) func(*testing.T, *site) {
	return framed(strings.Join(frames, ""), status)
}

// replies sends a packet and wants an answer in which a text stands; the session goes on.
func replies(packet, part string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := s.join(t)
		c.text(packet)
		c.wantPart(part)
		c.text(`429["leave","x"]`)
		c.want(`439[{"ok":true}]`)
	}
}

func packetRows() []row {
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (maxPayload-len(head)-len(tail))/len(part)) + tail
	}
	attachments := func(n int) string { return strings.Repeat(binary("x"), n) }
	placeholder := func(num string) string { return `451-["x",{"_placeholder":true,"num":` + num + `}]` }
	const illegal, invalid = "socketio_illegal_attachments", "socketio_invalid_payload"
	rows := []row{
		{"S8 100 000 levels of arrays", "socketio_nested_too_deep", closes(1008, text(`42["x",`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`]`))},
		{"S8 100 000 levels of objects", "socketio_nested_too_deep", closes(1008, text(`42["x",`+strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000)+`]`))},
		{"S8 as many keys as fit", "event_refused", replies(fill(`421["join","x",{"a":1`, `,"k":1`, `,"presence":7}]`), "bad_arguments")},
		{"S8 keys twice", "", replies(`421["join","x",{"history":1,"history":0}]`, `431[{"ok":true`)},
		{"S8 a number that is too large", "event_refused", replies(`421["join","x",{"history":1e400}]`, "bad_arguments")},
		{"S8 a number of a million digits", "event_refused", replies(fill(`421["join","x",{"history":`, `9`, `}]`), "bad_arguments")},
		{"S8 lone surrogates in escapes", "", replies(`421["leave","\ud800"]`, `431[{"ok":true}]`)},
		{"S8 NUL in an escape", "event_refused", replies(`421["join","a\u0000b"]`, "bad_room")},
		{"S8 NUL in the text", invalid, closes(1002, text("42[\"x\",\"\x00\"]"))},
		{"S8 a BOM", "socketio_unknown_type", closes(1002, text("4\ufeff2[\"x\"]"))},
		{"S9 an event called __proto__", "event_refused", replies(`421["__proto__",{"__proto__":{"p":1}}]`, "unknown_event")},
		{"S9 an event called constructor", "event_refused", replies(`421["constructor"]`, "unknown_event")},
		{"S9 an event without a name", "event_refused", replies(`421[""]`, "unknown_event")},
		{"S9 a name of a megabyte", invalid, closes(1002, text(fill(`42["`, `n`, `"]`)))},
		{"S9 CVE-2023-32695 a name that is an object", invalid, closes(1002, text(`42[{"toString":"foo"}]`))},
		{"S9 a name that is an array", invalid, closes(1002, text(`42[["x"]]`))},
		{"S9 a name that is null", invalid, closes(1002, text(`42[null]`))},
		{"S9 CVE-2024-38355 an event called error", "event_refused", replies(`421["error","boom"]`, "unknown_event")},
		{"S10 the room of another session", "event_refused", func(t *testing.T, s *site) {
			other := s.open(t, "")
			sid := other.connect()
			replies(`421["join","`+sid+`"]`, "forbidden")(t, s)
		}},
		{"S10 a room of the server's", "event_refused", replies(`421["join","$presence:room"]`, "bad_room")},
		{"S10 control characters", "event_refused", replies(`421["join","a\u001b[31m\ninjected"]`, "bad_room")},
		{"S10 patterns", "", replies(`421["join","*#?["]`, `431[{"ok":true`)},
		{"S10 a room's name of a megabyte", "event_refused", replies(fill(`421["join","`, `n`, `"]`), "bad_room")},
		{"S10 many rooms", "relay_too_many_rooms", func(t *testing.T, s *site) {
			c := s.join(t)
			for i := range 200 {
				c.text(fmt.Sprintf(`42["join","r%d"]`, i))
			}
			c.text(`421["join","one more"]`)
			c.wantPart("too_many_rooms")
		}},
		{"S11 unknown namespaces", "socketio_unknown_namespace", func(t *testing.T, s *site) {
			const flood = 5000
			c := s.join(t)
			go func() {
				for i := range flood {
					if c.write(fmt.Sprintf(`40/injected-%d`, i)) != nil {
						return
					}
				}
			}()
			for i := range flood {
				c.want(fmt.Sprintf(`44/injected-%d,{"message":"Invalid namespace"}`, i))
			}
		}},
		{"S11 namespaces of a pattern", "socketio_too_many_namespaces", func(t *testing.T, s *site) {
			c := s.join(t)
			refused := 0
			for i := range 100 {
				c.text(fmt.Sprintf(`40/game-%d,`, i))
				if packet := c.next(); packet == fmt.Sprintf(`44/game-%d,{"message":"Too many namespaces"}`, i) {
					refused++
				}
			}
			if refused != 69 { // of 32, one is the main one
				t.Errorf("%d of 100 were refused", refused)
			}
		}},
		{"S11 a namespace with control characters", "socketio_bad_namespace", closes(1002, text("40/a\x1b[31m\ninjected,"))},
		{"S11 a namespace that was not joined", "socketio_not_joined", closes(1008, text(`42/custom,["x"]`))},
		{"S12 an ack of 2^53", invalid, closes(1002, text(`439007199254740992[]`))},
		{"S12 an ack of a negative number", invalid, closes(1002, text(`43-1[]`))},
		{"S12 acks that nobody waits for", "ack_unexpected", func(t *testing.T, s *site) {
			c := s.join(t)
			c.raw(strings.Repeat(text(`431[]`), 100_000))
			c.text(`429["leave","x"]`)
			c.want(`439[{"ok":true}]`)
		}},
		{"S12 questions that are never answered", "asks_full", func(t *testing.T, s *site) {
			c := s.open(t, "")
			c.text("40/ask,")
			c.wantPart(`40/ask,{"sid":"`)
			for range 1024 {
				c.wantPart(`["question"]`)
			}
			c.want(`42/ask,["enough"]`)
			c.text(`43/ask,99999[]`)
		}},
		{"S14 a forged sender", "", func(t *testing.T, s *site) {
			c := s.open(t, "")
			sid := c.connect()
			c.text(`421["join","den"]`, `422["publish","den","message",{"from":"root"},{"from":{"id":"root","user":"root"},"meta":{"from":{"user":"root"}},"at":1,"echo":true}]`)
			c.want(`431[{"ok":true}]`)
			for range 2 { // the message and the ack, in whatever order
				packet := c.next()
				if strings.HasPrefix(packet, "42") && (!strings.HasPrefix(packet, `42["message",{"from":"root"},{"room":"den",`) || !strings.Contains(packet, `"from":{"id":"`+sid+`"}`)) {
					t.Errorf("it came as %s", packet)
				}
			}
		}},
		{"S14 forged metadata as an argument", "event_refused", replies(`421["publish","den","message",1,{},{"from":"root"}]`, "bad_arguments")},
		{"S14 an event of the server's", "event_refused", replies(`421["publish","room","presence",{"room":"room","left":[]}]`, "reserved")},
		{"S19 the log, through an event's name", "event_refused", replies(`421["a\ntime=injected\u001b[31m"]`, "unknown_event")},
		{"CVE-2026-69185 no attachments, and then many", illegal, closes(1002, text(`450-["x"]`), attachments(1000))},
		{"CVE-2026-69185 attachments out of the blue", "socketio_unexpected_binary", closes(1002, attachments(1000))},
		{"CVE-2026-69185 a text instead of an attachment", "socketio_unexpected_text", closes(1002, text(placeholder("0")), text(`42["x"]`))},
		{"CVE-2026-33151 99 999 999 attachments", "socketio_too_many_attachments", closes(1008, text(`4599999999-["x"]`), attachments(1000))},
		{"CVE-2026-33151 11 attachments", "socketio_too_many_attachments", closes(1008, text(`4511-["x"]`), attachments(11))},
		{"CVE-2026-33151 attachments larger than a packet", "socketio_binary_too_large", closes(1009, text(`4510-["x",{"_placeholder":true,"num":0}]`), strings.Repeat(binary(strings.Repeat("x", 200_000)), 10))},
	}
	for _, name := range []string{"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"} {
		rows = append(rows, row{"S9 a reserved event: " + name, "socketio_reserved_event", closes(1002, text(`42["`+name+`"]`))})
	}
	for _, num := range []string{`"splice"`, "-1", "99", "0.5", "null", "1e0", "{}"} {
		rows = append(rows, row{"CVE-2022-2421 a placeholder numbered " + num, illegal, closes(1002, text(placeholder(num)), attachments(1))})
	}
	for name, c := range map[string]struct{ packet, counter string }{
		"digits":            {fill(`42`, `1`, ``), invalid},
		"attachment digits": {fill(`45`, `1`, ``), illegal},
		"a namespace":       {fill(`42/`, `n`, ``), "socketio_bad_namespace"},
		"backslashes":       {fill(`42["x","`, `\`, ``), invalid},
		"commas":            {fill(`42["x"`, `,`, `]`), invalid},
		"escaped keys":      {fill(`451-["x",{"_placeholder":true`, `,"\u006eum":1`, `}]`), illegal},
		"placeholders":      {fill(`451-["x"`, `,{"_placeholder":true,"num":0}`, `,{"_placeholder":true,"num":1}]`), illegal},
	} {
		// Within some milliseconds; what is quadratic takes longer than our patience.
		rows = append(rows, row{"CVE-2020-36049 a megabyte of " + name, c.counter, closes(1002, text(c.packet))})
	}
	return rows
}

// binary is the frame of a binary message.
func binary(payload string) string { return frame(ws.OpBinary, true, payload) }

func floodRows() []row {
	return []row{
		{"S25 a storm of events", "event_rate_disconnected", func(t *testing.T, s *site) {
			c := s.join(t)
			c.raw(strings.Repeat(text(`42["leave","x"]`), 200_000))
			c.wantClosed(1008)
		}},
		{"S25 events a little too fast", "event_rate_limited", func(t *testing.T, s *site) {
			c := s.join(t)
			for i := 0; ; i++ {
				c.text(`421["leave","x"]`)
				if packet := c.next(); strings.Contains(packet, "rate_limited") {
					return
				}
				if i == 100_000 {
					t.Fatal("all were served")
				}
			}
		}},
		{"S25 a storm of connects", "", func(t *testing.T, s *site) {
			c := s.open(t, "")
			c.connect()
			c.raw(strings.Repeat(text("40"), 10_000))
			c.wantClosed(1002)
		}},
		{"S25 questions without reading the answers", "slow_consumer_disconnected", func(t *testing.T, s *site) {
			c := s.open(t, "")
			batch := strings.Repeat(text("40/"+strings.Repeat("n", 250)), 100)
			for range 10_000 { // far more than the system's buffers hold
				bound(c.conn)
				if _, err := io.WriteString(c.conn, batch); err != nil {
					break
				}
			}
		}},
	}
}
