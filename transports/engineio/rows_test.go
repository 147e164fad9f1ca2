package engineio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// What the Node.js server (engine.io 6.6.12) does on the wire, row by row of its protocol: packets, path and
// query, handshake, polling, heartbeat, upgrade and close reasons. A row that ends with "here:" names what this
// server does on purpose where Node.js does something else. Refusals and their codes stand in
// TestHandshakeErrors, TestUpgradeErrors and TestConnectionErrors; CORS, cookies and compression in the tests of
// these names.

// row is one of the table. do may use the session that was opened for it.
type row struct {
	name string
	do   func(t *testing.T, s *server, p *poller)
}

func testRows(t *testing.T, o Options, rows []row) {
	s := serve(t, o)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) { r.do(t, s, s.poll(t)) })
	}
}

// lives checks that a session goes on, and that nothing else was waiting for it.
func (c *poller) lives() {
	c.t.Helper()
	c.wantPost("4lives")
	c.wantGet("4lives")
}

// ended checks that a polling session is over, and why.
func (c *poller) ended(reason string) {
	c.t.Helper()
	c.s.waitClosed(c.t, c.sid, reason)
	c.wantGone()
}

func (c *socket) lives() {
	c.t.Helper()
	c.text("4lives")
	c.wantText("4lives")
}

// closed checks that a WebSocket session is over, and why. status 1005: a close frame without one.
func (c *socket) closed(s *server, status ws.StatusCode, reason string) {
	c.t.Helper()
	c.wantClose(status)
	s.waitClosed(c.t, c.sid, reason)
}

func TestRowsOfPackets(t *testing.T) {
	webSocket := func(op ws.OpCode, data string, check func(t *testing.T, s *server, c *socket)) func(*testing.T, *server, *poller) {
		return func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			c.frame(op, true, data)
			check(t, s, c)
		}
	}
	echo := func(op ws.OpCode, data string) func(*testing.T, *server, *socket) {
		return func(_ *testing.T, _ *server, c *socket) { c.want(op, data) }
	}
	ignored := func(_ *testing.T, _ *server, c *socket) { c.lives() }
	closed := func(status ws.StatusCode, reason string) func(*testing.T, *server, *socket) {
		return func(_ *testing.T, s *server, c *socket) { c.closed(s, status, reason) }
	}
	polled := func(body, want string) func(*testing.T, *server, *poller) {
		return func(_ *testing.T, _ *server, p *poller) { p.wantPost(body); p.wantGet(want) }
	}
	testRows(t, Options{}, []row{
		{"1.1 polling: text and binary, joined by 0x1e, none at the end", polled("4hello\x1ebAQIDBA==", "4hello\x1ebAQIDBA==")},
		{"1.1 polling: an empty message", polled("4hello\x1ebAQIDBA==\x1e4", "4hello\x1ebAQIDBA==\x1e4")},
		{"1.1 polling: base64 of other encoders", polled("bAQ-_\x1ebAQID\x1eb!!!!", "bAQ+/\x1ebAQID\x1eb")},
		{"1.1 polling: 0, 3, 5, 6 are ignored", func(_ *testing.T, _ *server, p *poller) {
			for _, packet := range []string{"0{}", "0", "3", "3probe", "5", "6"} {
				p.wantPost(packet)
			}
			p.lives()
		}},
		{"1.1 websocket: text", webSocket(ws.OpText, "4hello", echo(ws.OpText, "4hello"))},
		{"1.1 websocket: an empty message", webSocket(ws.OpText, "4", echo(ws.OpText, "4"))},
		{"1.1 websocket: binary has no prefix", webSocket(ws.OpBinary, "\x01\x02\x03\x04", echo(ws.OpBinary, "\x01\x02\x03\x04"))},
		{"1.1 websocket: empty binary", webSocket(ws.OpBinary, "", echo(ws.OpBinary, ""))},
		{"1.1 websocket: base64 in a text frame", webSocket(ws.OpText, "bAQID", echo(ws.OpBinary, "\x01\x02\x03"))},
		{"1.1 websocket: base64 of nothing", webSocket(ws.OpText, "b", echo(ws.OpBinary, ""))},
		{"1.1 websocket: 0", webSocket(ws.OpText, "0", ignored)},
		{"1.1 websocket: 0{}", webSocket(ws.OpText, "0{}", ignored)},
		{"1.1 websocket: 3 unsolicited", webSocket(ws.OpText, "3", ignored)},
		{"1.1 websocket: 5", webSocket(ws.OpText, "5", ignored)},
		{"1.1 websocket: 6", webSocket(ws.OpText, "6", ignored)},
		{"1.1 websocket: abc, here: 1002", webSocket(ws.OpText, "abc", closed(1002, ReasonParseError))},
		{"1.1 websocket: 7x, here: 1002", webSocket(ws.OpText, "7x", closed(1002, ReasonParseError))},
		{"1.1 websocket: an empty frame, here: 1002", webSocket(ws.OpText, "", closed(1002, ReasonParseError))},
		{"1.1 websocket: 2, here: 1002", webSocket(ws.OpText, "2", closed(1002, ReasonTransportError))},
		{"1.1 websocket: 2probe, here: 1002", webSocket(ws.OpText, "2probe", closed(1002, ReasonTransportError))},
		{"1.8 websocket: 1, here: closed at once", webSocket(ws.OpText, "1", closed(1005, ReasonTransportClose))},
		{"1.8 websocket: invalid UTF-8", webSocket(ws.OpText, "4\xff\xfe", closed(1007, ReasonTransportError))},
		{"1.8 websocket: unmasked", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			c.write([]byte("\x81\x024x"))
			c.closed(s, 1002, ReasonTransportError)
		}},
		{"1.8 websocket: RSV bits", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			c.write([]byte("\xf1\x82\x00\x00\x00\x004x"))
			c.closed(s, 1002, ReasonTransportError)
		}},
		{"1.8 websocket: the server closes", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			s.on(t, c.sid, func(sock *Socket) {
				sock.SendText([]byte("a"))
				sock.SendText([]byte("b"))
				sock.Close(ReasonForcedClose)
			})
			c.wantText("4a")
			c.wantText("4b")
			c.closed(s, 1005, ReasonForcedClose)
		}},
	})
}

func TestRowsOfQueries(t *testing.T) {
	asks := func(target string, status int) func(*testing.T, *server, *poller) {
		return func(t *testing.T, s *server, _ *poller) {
			if a := s.do("GET", target, ""); a.status != status || status == 200 && !strings.HasPrefix(a.body, "0{") {
				t.Errorf("%v, wanted %d", a, status)
			}
		}
	}
	testRows(t, Options{}, []row{
		{"1.2 below the path", asks("/socket.io/foo?EIO=4&transport=polling", 200)},
		{"1.2 without the slash", asks("/socket.io?EIO=4&transport=polling", 404)},
		{"1.2 EIO twice", asks("/socket.io/?EIO=4&EIO=4&transport=polling", 200)},
		{"1.2 the last EIO wins", asks("/socket.io/?EIO=3&EIO=4&transport=polling", 200)},
		{"1.2 the last EIO wins, the other way", asks("/socket.io/?EIO=4&EIO=3&transport=polling", 400)},
		{"1.2 sid= is no sid", asks(pollTarget+"&sid=", 200)},
		{"1.2 t and b64 mean nothing", asks(pollTarget+"&t=abc&b64=1", 200)},
		{"1.2 EIO is exactly 4", asks("/socket.io/?EIO=04&transport=polling", 400)},
		{"1.10 j, here: ignored", asks(pollTarget+"&j=0", 200)},
		{"1.10 j in a session, here: ignored", func(t *testing.T, s *server, p *poller) {
			p.wantPost("4x")
			if a := s.do("GET", p.target()+"&j=0", ""); a.body != "4x" || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
				t.Errorf("%v %v", a, a.header)
			}
		}},
		{"1.4 not our path, with an upgrade, here: 404", func(t *testing.T, s *server, _ *poller) {
			c := s.dial(t)
			c.write(upgradeRequest("/other"))
			if a := c.response(); a.status != 404 {
				t.Error(a)
			}
		}},
	})
}

func TestRowsOfPolling(t *testing.T) {
	testRows(t, Options{MaxPayload: 100}, []row{
		{"1.5 POST with packets", func(t *testing.T, s *server, p *poller) {
			a := p.post("4a\x1e4b")
			if a.status != 200 || a.body != "ok" || a.header.Get("Content-Type") != "text/html" || a.header.Get("Content-Length") != "2" ||
				a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v %v", a, a.header)
			}
			if got := s.waitMessages(t, p.sid, 0); len(got) != 2 {
				t.Errorf("answered before the packets were processed: %q", got)
			}
			p.wantGet("4a\x1e4b")
			p.lives()
		}},
		{"1.5 POST unparsable, here: 400", func(t *testing.T, _ *server, p *poller) {
			if a := p.post("abc"); a.status != 400 {
				t.Error(a)
			}
			p.ended(ReasonParseError)
		}},
		{"1.5 POST empty, here: 400", func(t *testing.T, _ *server, p *poller) {
			if a := p.post(""); a.status != 400 {
				t.Error(a)
			}
			p.ended(ReasonParseError)
		}},
		{"1.5 POST with a separator at the end, here: 400", func(t *testing.T, s *server, p *poller) {
			if a := p.post("4ok\x1e"); a.status != 400 {
				t.Error(a)
			}
			if got := s.waitMessages(t, p.sid, 1); len(got) != 1 || got[0] != "ok" {
				t.Errorf("delivered %q", got)
			}
			s.waitClosed(t, p.sid, ReasonParseError)
			p.wantGone()
		}},
		{"1.1 POST: packets before a bad one are delivered, those behind it are not", func(t *testing.T, s *server, p *poller) {
			p.post("4ok\x1ezz\x1e4never")
			s.waitClosed(t, p.sid, ReasonParseError)
			if got := s.waitMessages(t, p.sid, 1); len(got) != 1 || got[0] != "ok" {
				t.Errorf("delivered %q", got)
			}
		}},
		{"1.5 POST 2", func(_ *testing.T, _ *server, p *poller) { p.wantPost("2"); p.ended(ReasonTransportError) }},
		{"1.5 POST 1", func(_ *testing.T, _ *server, p *poller) {
			got := p.begin()
			p.wantPost("1")
			wantAnswer(p.t, got, 200, "6")
			p.ended(ReasonTransportClose)
		}},
		{"1.5 POST of octets", func(t *testing.T, s *server, p *poller) {
			if a := s.do("POST", p.target(), "abc", "Content-Type", "application/octet-stream"); a.status != 400 {
				t.Error(a)
			}
			p.ended(ReasonTransportError)
		}},
		{"1.5 POST larger than maxPayload", func(t *testing.T, _ *server, p *poller) {
			if a := p.post("4" + strings.Repeat("a", 100)); a.status != 413 {
				t.Error(a)
			}
			p.lives()
		}},
		{"1.5 POST while another one uploads", func(t *testing.T, _ *server, p *poller) {
			first := p.upload(50, "4abc")
			if a := p.post("4x"); a.status != 400 {
				t.Error(a)
			}
			first.wantEOF()
			p.ended(ReasonTransportError)
		}},
		{"1.5 POST dropped", func(_ *testing.T, _ *server, p *poller) {
			p.upload(50, "4abc").Close()
			p.ended(ReasonTransportError)
		}},
		{"1.5 GET while another one waits", func(t *testing.T, _ *server, p *poller) {
			got := p.begin()
			if a := p.get(); a.status != 400 {
				t.Error(a)
			}
			wantAnswer(t, got, 200, "1")
			p.ended(ReasonTransportError)
		}},
		{"1.5 GET dropped", func(t *testing.T, s *server, p *poller) {
			c := s.dial(t)
			c.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", p.target()))
			s.waitPolling(t, p.sid)
			c.Close()
			p.ended(ReasonTransportError)
		}},
		{"1.5 GET with packets waiting", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) {
				sock.SendText([]byte("a"))
				sock.SendBinary([]byte("b"))
				sock.SendText([]byte("c"))
			})
			p.wantGet("4a\x1ebYg==\x1e4c")
			p.lives()
		}},
		{"1.5 GET with nothing waiting", func(t *testing.T, s *server, p *poller) {
			got := p.begin()
			s.on(t, p.sid, func(sock *Socket) { sock.heartbeatDue() })
			wantAnswer(t, got, 200, "2")
			p.wantPost("3")
			p.lives()
		}},
		{"1.5 close, a GET waits", func(t *testing.T, s *server, p *poller) {
			got := p.begin()
			s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
			wantAnswer(t, got, 200, "1")
			p.ended(ReasonForcedClose)
		}},
		{"1.5 close, no GET waits", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
			p.wantGet("6\x1e1")
			p.ended(ReasonForcedClose)
		}},
		{"1.5 sends, then close, no GET waits", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) {
				sock.SendText([]byte("a"))
				sock.SendText([]byte("b"))
				sock.Close(ReasonForcedClose)
			})
			p.wantGet("4a\x1e4b")
			p.wantGet("6\x1e1")
			p.ended(ReasonForcedClose)
		}},
		{"1.5 requests after the close", func(t *testing.T, s *server, p *poller) {
			p.wantPost("2")
			s.waitClosed(t, p.sid, ReasonTransportError)
			for _, method := range []string{"GET", "POST", "PUT"} {
				if a := s.do(method, p.target(), ""); a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
					t.Errorf("%s: %v", method, a)
				}
			}
		}},
		{"1.4 other methods", func(t *testing.T, s *server, p *poller) {
			if a := s.do("PUT", p.target(), ""); a.status != 500 || a.body != "" {
				t.Error(a)
			}
			p.lives()
		}},
		{"1.5 websocket: larger than maxPayload", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			c.text("4" + strings.Repeat("a", 100))
			c.closed(s, 1009, ReasonTransportError)
		}},
	})
}

func TestRowsOfHeartbeat(t *testing.T) {
	const interval, timeout = time.Hour, 2 * time.Hour // nothing here depends on the time that passes
	testRows(t, Options{PingInterval: interval, PingTimeout: timeout}, []row{
		{"1.6 the interval starts again at the pong", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			for range 3 {
				s.on(t, c.sid, func(sock *Socket) {
					if sock.awaiting || !sock.heartbeat.Active() {
						t.Error("the timer of the ping is not running")
					}
					sock.heartbeatDue()
				})
				c.wantText("2")
				c.text("3")
				c.lives()
			}
		}},
		{"1.6 any other packet moves the deadline, once", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) { sock.heartbeatDue() })
			p.wantGet("2")
			for i, moves := range []bool{true, false} {
				before := time.Duration(0)
				s.on(t, p.sid, func(sock *Socket) { sock.deadline = sock.loop.Now() + time.Hour; before = sock.deadline })
				p.wantPost("4x")
				p.wantGet("4x")
				s.on(t, p.sid, func(sock *Socket) {
					if (sock.deadline != before) != moves {
						t.Errorf("packet %d: moved by %v", i, sock.deadline-before)
					}
				})
			}
		}},
		{"1.6 polling, no pong", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) { sock.heartbeatDue(); sock.heartbeatDue() })
			p.ended(ReasonPingTimeout)
		}},
		{"1.6 websocket, no pong, here: 1008", func(t *testing.T, s *server, _ *poller) {
			c := s.connect(t)
			s.on(t, c.sid, func(sock *Socket) { sock.heartbeatDue(); sock.heartbeatDue() })
			c.wantText("2")
			c.closed(s, 1008, ReasonPingTimeout)
		}},
	})
}

func TestRowsOfUpgrade(t *testing.T) {
	testRows(t, Options{}, []row{
		{"1.7.1 already upgrading, or upgraded: 101 and a close frame", func(t *testing.T, s *server, p *poller) {
			c := p.upgraded()
			p.tryout().wantClose(1005)
			c.lives()
		}},
		{"1.7.2 no open packet; 2probe, 3probe", func(_ *testing.T, _ *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			p.wantGet("6")
		}},
		{"1.7.3 a waiting GET ends with 6, and later ones, here: at once", func(_ *testing.T, _ *server, p *poller) {
			got := p.begin()
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			wantAnswer(p.t, got, 200, "6")
			p.wantGet("6")
			p.wantGet("6")
			c.text("5")
			c.lives()
		}},
		{"1.7.4 what was sent meanwhile leaves after the 5, in order", func(t *testing.T, s *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			s.on(t, p.sid, func(sock *Socket) { sock.SendText([]byte("buffered1")); sock.SendText([]byte("buffered2")) })
			c.text("5")
			c.wantText("4buffered1")
			c.wantText("4buffered2")
			c.lives()
		}},
		{"1.7.4 POSTs during the upgrade are accepted", func(_ *testing.T, _ *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			p.wantPost("4via-post")
			c.text("5")
			c.wantText("4via-post")
		}},
		{"1.7.4 POST 1 during the upgrade closes everything", func(t *testing.T, s *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			p.wantPost("1")
			c.wantClose(1005)
			s.waitClosed(t, p.sid, ReasonTransportClose)
		}},
		{"1.7.6 another packet before the 5", func(_ *testing.T, _ *server, p *poller) {
			for _, packet := range []string{"4hello", "2", "6", "abc", ""} {
				c := p.tryout()
				c.text(packet)
				c.wantClose(1005)
				p.lives()
			}
		}},
		{"1.7.6 5 without a probe", func(_ *testing.T, _ *server, p *poller) {
			c := p.tryout()
			c.text("5")
			c.lives()
		}},
		{"1.7.7 requests after the upgrade", func(_ *testing.T, _ *server, p *poller) {
			c := p.upgraded()
			c.lives()
			p.wantLeft()
			c.lives()
		}},
		{"1.7.8 the WebSocket dies before the 5", func(t *testing.T, s *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			c.Close()
			s.eventuallyOn(t, p.sid, "polling again", func(sock *Socket) bool { return sock.State() == StatePolling })
			p.lives()
		}},
		{"1.7.8 the switch clears the ping's deadline", func(t *testing.T, s *server, p *poller) {
			s.on(t, p.sid, func(sock *Socket) { sock.heartbeatDue() })
			p.wantGet("2")
			p.upgraded().lives()
			s.on(t, p.sid, func(sock *Socket) {
				if sock.awaiting || !sock.heartbeat.Active() {
					t.Errorf("awaiting a pong: %v", sock.awaiting)
				}
			})
		}},
		{"1.7.10 a GET behind the 5", func(_ *testing.T, _ *server, p *poller) {
			c := p.tryout()
			c.text("2probe")
			c.text("5")
			c.wantText("3probe")
			c.lives()
			p.wantLeft()
		}},
	})
	testRows(t, Options{NoUpgrades: true}, []row{{"1.7.9 allowUpgrades:false, here: refused", func(t *testing.T, s *server, p *poller) {
		c := s.dial(t)
		c.write(upgradeRequest(wsTarget + "&sid=" + p.sid))
		if a := c.response(); a.status != 400 || a.body != "Bad request" {
			t.Error(a)
		}
		p.lives()
	}}})
	testRows(t, Options{UpgradeTimeout: 20 * time.Millisecond}, []row{{"1.7.5 no 5 in time", func(t *testing.T, _ *server, p *poller) {
		p.tryout().wantClose(1005)
		p.lives()
	}}})
}

// Section 1.9, to the byte: the answer to a preflight.
func TestRowOfPreflight(t *testing.T) {
	s := serve(t, Options{CORS: CORS{AllowedOrigins: []string{"http://a.b"}, Credentials: true, Methods: []string{"GET", "POST"}}})
	c := s.dial(t)
	c.write([]byte("OPTIONS " + pollTarget + " HTTP/1.1\r\nHost: x\r\nOrigin: http://a.b\r\n" +
		"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-foo\r\n\r\n"))
	c.bound()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\r\n" {
			break
		}
		if !strings.HasPrefix(line, "Date:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	// net/http sorts them, and leaves out the length of 0 that Node.js adds: RFC 9110, section 8.6, has none with 204.
	want := []string{
		"HTTP/1.1 204 No Content",
		"Access-Control-Allow-Credentials: true",
		"Access-Control-Allow-Headers: x-foo",
		"Access-Control-Allow-Methods: GET,POST",
		"Access-Control-Allow-Origin: http://a.b",
		"Vary: Origin, Access-Control-Request-Headers",
	}
	if got, want := strings.Join(lines, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got\n%s\nwanted\n%s", got, want)
	}
}

// Section 7.3.
func TestRowOfDefaults(t *testing.T) {
	o := Options{}.withDefaults()
	for _, c := range []struct {
		option    string
		got, want any
	}{
		{"path", o.Path, "/socket.io/"},
		{"pingInterval", o.PingInterval, 25 * time.Second},
		{"pingTimeout", o.PingTimeout, 20 * time.Second},
		{"upgradeTimeout", o.UpgradeTimeout, 10 * time.Second},
		{"maxHttpBufferSize", o.MaxPayload, 1_000_000},
		{"transports", fmt.Sprint(o.Transports), "[polling websocket]"},
		{"allowUpgrades", !o.NoUpgrades, true},
		{"httpCompression", o.HTTPCompression, HTTPCompression{Threshold: 1024}},
		{"cors", o.CORS.enabled(), false},
		{"cookie", o.Cookie == nil, true},
		{"allowRequest", o.AllowRequest == nil, true},
		{"initialPacket", o.InitialPacket, ""},
		{"addTrailingSlash", !o.NoTrailingSlash, true},
	} {
		if c.got != c.want {
			t.Errorf("%s is %v, wanted %v", c.option, c.got, c.want)
		}
	}
}
