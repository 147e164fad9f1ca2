package engineio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// bystanders are two clients that must not notice anything.
type bystanders struct {
	poll *poller
	ws   *socket
	n    int
}

func newBystanders(t testing.TB, s *server) *bystanders {
	t.Helper()
	b := &bystanders{poll: s.poll(t), ws: s.connect(t)}
	b.check(t)
	return b
}

func (b *bystanders) check(t testing.TB) {
	t.Helper()
	b.n++
	m := fmt.Sprint("4still here ", b.n)
	b.ws.t, b.poll.t = t, t
	b.ws.text(m)
	b.ws.wantText(m)
	b.poll.wantPost(m)
	b.poll.wantGet(m)
}

// usage is what a server holds: sessions, greenlets, streams, goroutines and
// descriptors.
type usage struct{ sessions, pending, greenlets, streams, goroutines, descriptors int }

func (s *server) usage() (u usage) {
	s.client.CloseIdleConnections()
	for _, l := range s.hub.Loops().All() {
		st := l.Stats()
		u.greenlets += int(st.Greenlets)
		u.streams += int(st.Streams)
	}
	u.sessions, u.pending = s.Sessions(), s.Server.pending.len()
	u.goroutines = runtime.NumGoroutine()
	if list, err := os.ReadDir("/proc/self/fd"); err == nil { // Linux
		u.descriptors = len(list)
	}
	return u
}

// settled waits until usage does not change any more.
func (s *server) settled(t testing.TB) (u usage) {
	t.Helper()
	same := 0
	eventually(t, "rest", func() bool {
		if now := s.usage(); now != u {
			u, same = now, 0
		} else {
			same++
		}
		time.Sleep(time.Millisecond)
		return same == 50
	})
	return u
}

// wantUsage waits until the server holds no more than before.
func (s *server) wantUsage(t testing.TB, before usage) {
	t.Helper()
	var now usage
	defer func() {
		if t.Failed() {
			t.Logf("before %+v, now %+v", before, now)
		}
	}()
	eventually(t, "the usage before", func() bool {
		now = s.usage()
		return now.sessions == before.sessions && now.pending == before.pending && now.greenlets == before.greenlets &&
			now.streams == before.streams && now.goroutines <= before.goroutines && now.descriptors <= before.descriptors
	})
}

// Requests that break rules. The answer is an error, the connection usable or
// closed, and nobody else notices.
func TestHostileHTTP(t *testing.T) {
	s := serve(t, Options{MaxPayload: 10_000})
	others := newBystanders(t, s)
	get := func(target string, headers ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, "", ""), "\r\n")
	}
	post := func(target, body string, headers ...string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, fmt.Sprint("Content-Length: ", len(body)), "", ""), "\r\n") + body
	}
	upgrade := func(target string, headers ...string) string { return string(upgradeRequest(target, headers...)) }
	const own = pollTarget + "&sid={sid}"
	tests := []struct {
		name, bytes string
		status      int // of the answer; 0: none is needed
		counter     string
		ends        bool // the session {sid}
	}{
		{"transport constructor", get("/socket.io/?EIO=4&transport=constructor"), 400, "engineio_unknown_transport", false},
		{"transport __proto__ with an upgrade", upgrade("/socket.io/?EIO=4&transport=__proto__"), 400, "engineio_unknown_transport", false},
		{"long query", get(pollTarget + "&x=" + strings.Repeat("x", 100_000)), 200, "", false},
		{"long sid", get(pollTarget + "&sid=" + strings.Repeat("x", 100_000)), 400, "engineio_unknown_sid", false},
		{"sid with control characters", get(pollTarget + "&sid=%00%0a%1b"), 400, "engineio_unknown_sid", false},
		{"malformed escape", get(pollTarget + "&sid=%zz"), 200, "", false}, // no sid at all
		{"h2c upgrade", get(pollTarget, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), 200, "", false},
		{"h2c upgrade for a WebSocket", get(wsTarget, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), 400, "engineio_bad_request", false},
		{"upgrade without Connection", get(wsTarget, "Upgrade: websocket"), 400, "engineio_bad_request", false},
		{"upgrade by POST", strings.Replace(upgrade(wsTarget), "GET", "POST", 1), 400, "engineio_bad_handshake_method", false},
		{"upgrade by POST in a session", strings.Replace(upgrade(wsTarget+"&sid={sid}"), "GET", "POST", 1), 400, "engineio_bad_request", false},
		{"refused upgrade with a frame behind it", upgrade(wsTarget+"&sid=x") + "\xf1\x80\x00\x00\x00\x00", 400, "engineio_unknown_sid", false},
		{"unsupported version with a frame behind it", upgrade("/socket.io/?EIO=3&transport=websocket") + "\xf1\x80\x00\x00\x00\x00", 400, "engineio_unsupported_version", false},
		{"many spaces in a subprotocol", upgrade(wsTarget, "Sec-WebSocket-Protocol", "a"+strings.Repeat(" ", 50_000)+"b"), 101, "", false},
		{"separators as subprotocol", upgrade(wsTarget, "Sec-WebSocket-Protocol", ",;=\""), 400, "engineio_bad_websocket_handshake", false},
		{"extension __proto__", upgrade(wsTarget, "Sec-WebSocket-Extensions", "__proto__; constructor=toString"), 101, "", false},
		{"2000 headers", get(pollTarget+"&sid=x", strings.Split(strings.TrimSuffix(strings.Repeat("A: b\n", 2000), "\n"), "\n")...), 400, "engineio_unknown_sid", false},
		{"two lengths", get(pollTarget, "Content-Length: 1", "Content-Length: 2"), 400, "", false},
		{"length and chunks", post(own, "0\r\n\r\n", "Transfer-Encoding: chunked"), 0, "", true},
		{"NUL in a header", get(pollTarget, "X: a\x00b"), 400, "", false},
		{"two origins", get(pollTarget, "Origin: http://x", "Origin: http://evil.example"), 403, "engineio_foreign_origin", false},
		{"no HTTP", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400, "", false},
		{"a poll with a body", get(own, "Content-Length: 3") + "4ab", 400, "engineio_bad_request", false},
		{"a body of separators", post(own, strings.Repeat("\x1e", 10_000)), 400, "engineio_bad_packet", true},
		{"thousands of pings", post(own, strings.TrimSuffix(strings.Repeat("2\x1e", 5000), "\x1e")), 200, "engineio_ping_from_client", true},
		{"thousands of noops", post(own, strings.TrimSuffix(strings.Repeat("6\x1e", 5000), "\x1e")), 200, "", false},
		{"base64 of rubbish", post(own, "b"+strings.Repeat("=*", 4000)), 200, "", false},
		{"no UTF-8", post(own, "4\xc0\x80"), 400, "engineio_bad_packet", true},
		{"BOM", post(own, "\ufeff4x"), 400, "engineio_bad_packet", true},
		{"protocol 3 framing", post(own, "6:4hello"), 200, "", false}, // a noop
		{"JSONP body", post(own, "d=4x", "Content-Type: application/x-www-form-urlencoded"), 400, "engineio_bad_packet", true},
		{"body over the limit", post(own, "4"+strings.Repeat("x", 10_000)), 413, "engineio_body_too_large", false},
		{"announced terabyte", "POST " + own + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n4x", 413, "engineio_body_too_large", false},
		{"chunks over the limit", "POST " + own + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2711\r\n" + strings.Repeat("4", 0x2711) + "\r\n0\r\n\r\n", 413, "engineio_body_too_large", false},
		{"bad chunk", "POST " + own + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n4x\r\n", 400, "engineio_post_aborted", true},
		{"body cut short", "POST " + own + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4x", 400, "engineio_post_aborted", true},
	}
	before := s.settled(t)
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := s.poll(t)
			count := s.count(c.counter)
			conn := s.dial(t)
			conn.write([]byte(strings.ReplaceAll(c.bytes, "{sid}", p.sid)))
			if c.name == "body cut short" { // BodyTimeout would cut it, too; see TestSlowPOST
				if err := conn.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if a := conn.response(); c.status != 0 && a.status != c.status {
				t.Errorf("%v, wanted %d", a, c.status)
			}
			conn.Close()
			if c.counter != "" {
				s.waitCount(t, c.counter, count+1)
			}
			if c.ends {
				eventually(t, "the end of the session", func() bool { return s.session(t, p.sid).sock.State() == StateClosed })
				p.wantGone()
			} else {
				p.wantPost("4x")
				p.wantPost("1")
			}
			others.check(t)
			s.killOthers(t, others)
		})
	}
	s.wantUsage(t, before)
}

// killOthers ends what a row has left open.
func (s *server) killOthers(t testing.TB, keep *bystanders) {
	t.Helper()
	s.mu.Lock()
	var rest []*Socket
	for sid, rec := range s.seen {
		if sid != keep.poll.sid && sid != keep.ws.sid {
			rest = append(rest, rec.sock)
		}
	}
	s.mu.Unlock()
	for _, sock := range rest {
		sock.Loop().Post(func() { sock.kill("the row is over") })
	}
}

// Frames that break rules, sent on a session's WebSocket, on one that is being
// tried, and in the same segment as the upgrade request.
func TestHostileWebSocket(t *testing.T) {
	s := serve(t, Options{MaxPayload: 10_000})
	others := newBystanders(t, s)
	text := func(fin bool, payload string) []byte { return clientFrame(ws.OpText, fin, payload) }
	more := func(fin bool, payload string) []byte { return clientFrame(ws.OpContinuation, fin, payload) }
	cat := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	header := func(first byte, length uint64) []byte {
		b := binary.BigEndian.AppendUint64([]byte{first, 0xff}, length)
		return append(b, 1, 2, 3, 4)
	}
	type row struct {
		name  string
		bytes []byte
		code  ws.StatusCode
	}
	tests := []row{
		{"unmasked", ws.MustCompileFrame(ws.NewTextFrame([]byte("4x"))), 1002},
		{"RSV1", []byte{0xc1, 0x80, 0, 0, 0, 0}, 1002},
		{"RSV2 and RSV3", []byte{0xf1 &^ 0x40, 0x80, 0, 0, 0, 0}, 1002},
		{"all RSV", []byte{0xf1, 0x80, 0, 0, 0, 0}, 1002},
		{"RSV1 on a ping", []byte{0xc9, 0x80, 0, 0, 0, 0}, 1002},
		{"long ping", clientFrame(ws.OpPing, true, strings.Repeat("p", 126)), 1002},
		{"long close", clientFrame(ws.OpClose, true, closePayload(1000, strings.Repeat("r", 124))), 1002},
		{"fragmented ping", clientFrame(ws.OpPing, false, "p"), 1002},
		{"fragmented close", clientFrame(ws.OpClose, false, ""), 1002},
		{"nothing to continue", more(true, "x"), 1002},
		{"nothing to continue, unfinished", more(false, "x"), 1002},
		{"text within a message", cat(text(false, "4x"), text(true, "4y")), 1002},
		{"binary within a message", cat(text(false, "4x"), clientFrame(ws.OpBinary, true, "")), 1002},
		{"length with the top bit", header(0x82, 1<<63|5), 1002},
		{"length of nearly 2^63", header(0x82, 1<<63-1), 1009},
		{"length overflowing with what is there", cat(clientFrame(ws.OpBinary, false, "abc"), header(0x80, 1<<63-2)), 1009},
		{"over the limit", clientFrame(ws.OpBinary, true, strings.Repeat("x", 10_001)), 1009},
		{"over the limit in fragments", cat(clientFrame(ws.OpBinary, false, strings.Repeat("x", 9_000)), more(true, strings.Repeat("x", 1_001))), 1009},
		{"empty fragments without end", cat(clientFrame(ws.OpBinary, false, ""), bytes.Repeat(more(false, ""), maxFragments)), 1008},
		{"one-byte fragments without end", cat(clientFrame(ws.OpBinary, false, "x"), bytes.Repeat(more(false, "x"), maxFragments)), 1008},
		{"no UTF-8", text(true, "4\xff"), 1007},
		{"overlong", text(true, "4\xc0\xaf"), 1007},
		{"surrogate", text(true, "4\xed\xa0\x80"), 1007},
		{"beyond U+10FFFF", text(true, "4\xf4\x90\x80\x80"), 1007},
		{"lone continuation byte", text(true, "4\x80"), 1007},
		{"truncated character", text(true, "4\xe2\x82"), 1007},
		{"no UTF-8, unfinished", text(false, "4\xff"), 1007},
		{"no UTF-8 in half a frame", text(true, "4\xff"+strings.Repeat("x", 200))[:20], 1007},
		{"close with one byte", clientFrame(ws.OpClose, true, "\x03"), 1002},
		{"close with code 1005", clientFrame(ws.OpClose, true, closePayload(1005, "")), 1002},
		{"close with code 65535", clientFrame(ws.OpClose, true, closePayload(65535, "")), 1002},
		{"close with a reason that is no UTF-8", clientFrame(ws.OpClose, true, closePayload(1000, "\xc0")), 1007},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1002},
		{"no WebSocket at all", bytes.Repeat([]byte{0xff}, 1000), 1002},
	}
	for op := range byte(16) {
		if op >= 3 && op <= 7 || op >= 11 {
			tests = append(tests, row{fmt.Sprint("opcode ", op), []byte{0x80 | op, 0x80, 0, 0, 0, 0}, 1002})
		}
	}
	before := s.settled(t)
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			const counter = "engineio_websocket_error"
			count := s.count(counter)
			conn := s.connect(t)
			conn.write(c.bytes)
			conn.wantCloseFrame(c.code)
			conn.Close() // the server waits for it: it cannot read this client's close frame
			s.waitClosed(t, conn.sid, ReasonTransportError)

			p := s.poll(t)
			try := p.tryout()
			try.write(c.bytes)
			try.wantClose(c.code)
			p.wantPost("4x")
			p.wantGet("4x")

			early := &socket{raw: s.dial(t)}
			early.write(append(upgradeRequest(wsTarget), c.bytes...))
			if a := early.response(); a.status != 101 {
				t.Fatal(a)
			}
			early.wantCloseFrame(c.code)
			early.Close()

			s.waitCount(t, counter, count+3)
			if n := s.count(counter); n != count+3 {
				t.Errorf("counted %d", n-count)
			}
			others.check(t)
			s.killOthers(t, others)
		})
	}
	s.wantUsage(t, before)
}

// Clients that reset their connections at any moment leave nothing behind.
func TestResets(t *testing.T) {
	s := serve(t, Options{})
	others := newBystanders(t, s)
	p := s.poll(t)
	before := s.settled(t)
	requests := map[string][]byte{
		"half a request":    []byte("GET /socket.io/?EIO=4"),
		"polling handshake": []byte("GET " + pollTarget + " HTTP/1.1\r\nHost: x\r\n\r\n"),
		"h2c":               []byte("GET " + pollTarget + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
		"upgrade":           upgradeRequest(wsTarget),
		"upgrade and frame": append(upgradeRequest(wsTarget), clientFrame(ws.OpText, true, "4x")[:4]...),
		"bad upgrade":       upgradeRequest(wsTarget, "Sec-WebSocket-Key", "x"),
		"unknown session":   upgradeRequest(wsTarget + "&sid=x"),
		"try":               upgradeRequest(wsTarget + "&sid=" + p.sid),
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			for i := range 30 {
				c := s.dial(t)
				c.write(request)
				if i%3 == 0 && name != "half a request" {
					c.response()
				}
				if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
					t.Fatal(err)
				}
				c.Close()
			}
			others.check(t)
		})
	}
	p.wantPost("4x")
	eventually(t, "the end of the try", func() bool { return s.session(t, p.sid).sock.State() == StatePolling })
	s.killOthers(t, others)
	before.sessions--
	before.pending--
	s.wantUsage(t, before)
}

// Many clients connect, most of them never to be heard of again.
func TestSilentClients(t *testing.T) {
	s := serve(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond, UpgradeTimeout: 50 * time.Millisecond})
	before := s.settled(t)
	for i := range 150 {
		switch i % 3 {
		case 0:
			s.poll(t)
		case 1:
			s.attach(t, wsTarget)
		case 2:
			a := s.do("GET", pollTarget, "")
			c := s.dial(t)
			c.write(upgradeRequest(wsTarget + "&sid=" + parseOpen(t, a.body).SID))
		}
	}
	eventually(t, "no sessions", func() bool { return s.Sessions() == 0 })
	before.descriptors += 100 // the test's own ends are still open
	s.wantUsage(t, before)
}
