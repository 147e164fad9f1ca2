package engineio

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const (
	pollTarget3 = "/socket.io/?EIO=3&transport=polling"
	wsTarget3   = "/socket.io/?EIO=3&transport=websocket"
	textType    = "text/plain;charset=UTF-8"
	formType    = "application/x-www-form-urlencoded"
)

// poller3 is a polling client of protocol 3.
type poller3 struct {
	poller
	query string // beside version and transport
}

// serve3 starts a server that lets clients of protocol 3 in.
func serve3(t testing.TB, o Options, setup ...any) *server {
	t.Helper()
	o.AllowEIO3 = true
	return serve(t, o, setup...)
}

// poll3 opens a session by polling.
func (s *server) poll3(t testing.TB, query string) *poller3 {
	t.Helper()
	a := s.do("GET", pollTarget3+query, "")
	body := a.body
	if strings.Contains(query, "&j=") {
		body = unscript(t, body)
	}
	length, packet, ok := strings.Cut(body, ":")
	if a.status != 200 || !ok || length != fmt.Sprint(len(packet)) || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
		t.Fatalf("%v %v", a, a.header)
	}
	return &poller3{poller{t, s, parseOpen(t, packet).SID}, query}
}

// unscript undoes what JSONP does to a body without anything but ASCII.
func unscript(t testing.TB, script string) string {
	t.Helper()
	body, ok := strings.CutPrefix(script, `___eio[0]("`)
	body, end := strings.CutSuffix(body, `");`)
	if !ok || !end {
		t.Fatalf("not the script: %q", script)
	}
	return strings.ReplaceAll(body, `\"`, `"`)
}

func (p *poller3) target() string { return pollTarget3 + p.query + "&sid=" + p.sid }

func (p *poller3) get() answer { return p.s.do("GET", p.target(), "") }

func (p *poller3) post(body, contentType string) answer {
	return p.s.do("POST", p.target(), body, "Content-Type", contentType)
}

func (p *poller3) wantGet(want, contentType string) {
	p.t.Helper()
	if a := p.get(); a.status != 200 || a.body != want || a.header.Get("Content-Type") != contentType {
		p.t.Fatalf("GET: %v %v, wanted %q", a, a.header, want)
	}
}

func (p *poller3) wantText(want string) { p.t.Helper(); p.wantGet(want, "text/plain; charset=UTF-8") }

func (p *poller3) wantOctets(want string) { p.t.Helper(); p.wantGet(want, "application/octet-stream") }

func (p *poller3) wantPost(body, contentType string) {
	p.t.Helper()
	if a := p.post(body, contentType); a.status != 200 || a.body != "ok" {
		p.t.Fatalf("POST %q: %v", body, a)
	}
}

// begin starts a GET and waits until it hangs at the server.
func (p *poller3) begin() <-chan answer {
	p.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- p.get() }()
	p.s.waitPolling(p.t, p.sid)
	return got
}

// connect3 opens a session on a WebSocket.
func (s *server) connect3(t testing.TB, query string) *socket {
	t.Helper()
	c := s.attach(t, wsTarget3+query)
	_, data := c.next()
	c.sid = parseOpen(t, data).SID
	return c
}

func TestProtocol3IsOffByDefault(t *testing.T) {
	s := serve(t, Options{})
	for _, target := range []string{pollTarget3, "/socket.io/?transport=polling", "/socket.io/?EIO=5&transport=polling", pollTarget3 + "&j=0"} {
		if a := s.do("GET", target, ""); a.status != 400 || a.body != `{"code":5,"message":"Unsupported protocol version"}` {
			t.Errorf("%s: %v", target, a)
		}
	}
	c := s.dial(t)
	c.write(upgradeRequest(wsTarget3))
	if a := c.response(); a.status != 400 || a.body != "Unsupported protocol version" {
		t.Errorf("websocket: %v", a)
	}
	without := serve(t, Options{AllowEIO3: true}, func(*server) {})
	without.opts.Wires.V3 = nil
	if a := without.do("GET", pollTarget3, ""); a.status != 400 {
		t.Errorf("without wires: %v", a)
	}
}

func TestPolling3(t *testing.T) {
	s := serve3(t, Options{})
	const (
		octets     = "application/octet-stream"
		utf8Octets = "\x00\x01\x01\xff4hé€😀\x01\x01\xff\x04" // 11 bytes
	)
	tests := []struct {
		name, query, body, contentType, want, wantType string
	}{
		{"text", "", "6:4hello", textType, "6:4hello", ""},
		{"several", "", "2:4a1:42:4b", textType, "2:4a1:42:4b", ""},
		{"lengths count UTF-16", "", `13:4["hé€😀\n"]x`, textType, `13:4["hé€😀\n"]x`, ""},
		{"an empty packet is skipped", "", "0:2:4a0:0:", textType, "2:4a", ""},
		{"base64", "&b64=1", "2:4a6:b4AQID2:b4", textType, "2:4a6:b4AQID2:b4", ""},
		{"base64 to one who can do without", "", "2:4a6:b4AQID", textType, "\x00\x02\xff4a\x01\x04\xff\x04\x01\x02\x03", octets},
		{"binary", "", "\x00\x02\xff4a\x01\x04\xff\x04\x01\x02\x03", octets, "\x00\x02\xff4a\x01\x04\xff\x04\x01\x02\x03", octets},
		{"binary, an empty message", "", "\x01\x01\xff\x04", octets, "\x01\x01\xff\x04", octets},
		{"binary, with UTF-8 and its length in bytes", "", utf8Octets, octets, utf8Octets, octets},
		{"binary, from one who wants base64", "&b64=1", "\x01\x04\xff\x04\x01\x02\x03", octets, "6:b4AQID", ""},
		{"base64 in binary", "", "\x00\x06\xffb4AQID", octets, "\x01\x04\xff\x04\x01\x02\x03", octets},
		{"ping", "", "1:2", textType, "1:3", ""},
		{"ping with data", "", "6:2probe", textType, "1:3", ""},
		{"ping in binary", "&b64=1", "\x00\x01\xff2\x01\x01\xff\x02", octets, "1:31:3", ""},
		{"packets that mean nothing here", "", "3:0{}1:51:62:4x", textType, "2:4x", ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := s.poll3(t, c.query)
			p.wantPost(c.body, c.contentType)
			if c.wantType == "" {
				c.wantType = "text/plain; charset=UTF-8"
			}
			p.wantGet(c.want, c.wantType)
		})
	}
}

func TestWebSocket3(t *testing.T) {
	s := serve3(t, Options{})
	for query, back := range map[string]struct {
		op   ws.OpCode
		data string
	}{"": {ws.OpBinary, "\x04\x01\x02"}, "&b64=1": {ws.OpText, "b4AQI="}} {
		c := s.connect3(t, query)
		c.text("4hé€😀")
		c.wantText("4hé€😀")
		c.frame(ws.OpBinary, true, "\x04\x01\x02")
		c.want(back.op, back.data)
		c.text("b4AQI=")
		c.want(back.op, back.data)
		c.text("2")
		c.wantText("3")
		c.text("2hello")
		c.wantText("3")
		c.frame(ws.OpBinary, true, "\x02")
		c.wantText("3")
		for _, ignored := range []string{"0", "5", "6", "b6"} {
			c.text(ignored)
		}
		c.text("4x")
		c.wantText("4x")
		if got := s.session(t, c.sid).sock.Protocol(); got != 3 {
			t.Errorf("protocol %d", got)
		}
		c.text("1")
		c.wantClose(1005)
		s.waitClosed(t, c.sid, ReasonTransportClose)
	}
	if got := s.session(t, s.connect(t).sid).sock.Protocol(); got != 4 {
		t.Errorf("protocol %d", got)
	}
}

func TestWrongPackets3(t *testing.T) {
	s := serve3(t, Options{})
	for _, c := range []struct {
		op      ws.OpCode
		data    string
		reason  string
		counter string
	}{
		{ws.OpText, "", ReasonParseError, "engineio_bad_packet"},
		{ws.OpText, "7", ReasonParseError, "engineio_bad_packet"},
		{ws.OpText, "b", ReasonParseError, "engineio_bad_packet"},
		{ws.OpText, "bAQI=", ReasonParseError, "engineio_bad_packet"}, // protocol 4's
		{ws.OpBinary, "", ReasonParseError, "engineio_bad_packet"},
		{ws.OpBinary, "4a", ReasonParseError, "engineio_bad_packet"},
		{ws.OpBinary, "\x07", ReasonParseError, "engineio_bad_packet"},
		{ws.OpText, "3", ReasonTransportError, "engineio_pong_from_client"},
		{ws.OpText, "3probe", ReasonTransportError, "engineio_pong_from_client"},
	} {
		before := s.count(c.counter)
		conn := s.connect3(t, "")
		conn.frame(c.op, true, c.data)
		conn.wantClose(1002)
		s.waitClosed(t, conn.sid, c.reason)
		if s.count(c.counter) != before+1 {
			t.Errorf("%q: %s is %d", c.data, c.counter, s.count(c.counter))
		}
	}
	const bad = `{"code":3,"message":"Not an Engine.IO packet"}`
	for _, c := range []struct {
		body, contentType, reason string
		status                    int
		answer                    string
		delivered                 int
	}{
		{"abc", textType, ReasonParseError, 400, bad, 0},
		{"", textType, ReasonParseError, 400, bad, 0},
		{"5:4abc", textType, ReasonParseError, 400, bad, 0},
		{"4a", textType, ReasonParseError, 400, bad, 0},
		{"2:4a1:1x", textType, ReasonTransportClose, 200, "ok", 1},
		{"2:4a1:7", textType, ReasonParseError, 400, bad, 1},
		{"3:4\xff", textType, ReasonParseError, 400, bad, 0},
		{"\x00\x02\x08\xff", "application/octet-stream", ReasonParseError, 400, bad, 0},
		{"2:4a", "application/octet-stream", ReasonParseError, 400, bad, 0},
		{"1:3", textType, ReasonTransportError, 200, "ok", 0},
		{"1:1", textType, ReasonTransportClose, 200, "ok", 0},
	} {
		p := s.poll3(t, "")
		if a := p.post(c.body, c.contentType); a.status != c.status || a.body != c.answer {
			t.Errorf("POST %q: %v", c.body, a)
		}
		s.waitClosed(t, p.sid, c.reason)
		if got := s.waitMessages(t, p.sid, 0); len(got) != c.delivered {
			t.Errorf("%q: delivered %q", c.body, got)
		}
		if a := p.get(); a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
			t.Errorf("GET after the end: %v", a)
		}
	}
}

func TestCloseOfPolling3(t *testing.T) {
	s := serve3(t, Options{})
	p := s.poll3(t, "")
	got := p.begin()
	p.wantPost("1:1", textType)
	wantAnswer(t, got, 200, "1:6")
	p = s.poll3(t, "")
	got = p.begin()
	s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
	wantAnswer(t, got, 200, "1:1")
	p = s.poll3(t, "")
	s.on(t, p.sid, func(sock *Socket) { sock.SendText([]byte("a")); sock.Close(ReasonForcedClose) })
	p.wantText("2:4a")
	p.wantText("1:61:1")
	s.waitClosed(t, p.sid, ReasonForcedClose)
	p = s.poll3(t, "&j=0")
	got = p.begin()
	if a := p.get(); a.status != 400 || a.header.Get("Content-Type") != "application/json" { // errors are no scripts
		t.Errorf("a second GET: %v", a)
	}
	wantAnswer(t, got, 200, `___eio[0]("1:1");`)
}

// Both versions live on one path, and none takes part in the other's sessions.
func TestProtocolsDoNotMix(t *testing.T) {
	s := serve3(t, Options{})
	old, young := s.poll3(t, ""), s.poll(t)
	for _, target := range []string{
		pollTarget + "&sid=" + old.sid, pollTarget3 + "&sid=" + young.sid, pollTarget3 + "&j=0&sid=" + young.sid,
		"/socket.io/?transport=polling&sid=" + young.sid,
	} {
		for _, method := range []string{"GET", "POST"} {
			body := map[string]string{"GET": "", "POST": "2:4a"}[method]
			if a := s.do(method, target, body); a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
				t.Errorf("%s %s: %v", method, target, a)
			}
		}
	}
	for _, target := range []string{wsTarget + "&sid=" + old.sid, wsTarget3 + "&sid=" + young.sid} {
		c := s.dial(t)
		c.write(upgradeRequest(target))
		if a := c.response(); a.status != 400 || a.body != "Bad request" {
			t.Errorf("upgrade %s: %v", target, a)
		}
	}
	old.wantPost("2:4a", textType)
	old.wantText("2:4a")
	young.wantPost("4a")
	young.wantGet("4a")
	// Without a version, or with one that nobody knows, a client is one of protocol 3.
	for _, version := range []string{"", "EIO=&", "EIO=5&", "EIO=4&EIO=3&"} {
		a := s.do("GET", "/socket.io/?"+version+"transport=polling", "")
		_, packet, _ := strings.Cut(a.body, ":")
		old.sid = parseOpen(t, packet).SID
		old.wantPost("2:4a", textType)
		old.wantText("2:4a")
	}
}

func TestUpgrade3(t *testing.T) {
	s := serve3(t, Options{})
	for query, binary := range map[string]struct {
		op   ws.OpCode
		data string
	}{"": {ws.OpBinary, "\x04\x01"}, "&b64=1": {ws.OpText, "b4AQ=="}} {
		p := s.poll3(t, "&b64=1")
		got := p.begin()
		c := &socket{raw: s.attach(t, wsTarget3+query+"&sid="+p.sid).raw, sid: p.sid}
		c.text("2probe")
		c.wantText("3probe")
		wantAnswer(t, got, 200, "1:6")
		s.on(t, p.sid, func(sock *Socket) { sock.SendBinary([]byte{1}); sock.SendText([]byte("é")) })
		c.text("5")
		c.want(binary.op, binary.data) // what waited is encoded anew
		c.wantText("4é")
		c.text("2")
		c.wantText("3")
		if a := p.get(); a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
			t.Errorf("a poll after the upgrade: %v", a)
		}
	}
	p := s.poll3(t, "")
	c := s.attach(t, wsTarget3+"&sid="+p.sid)
	c.frame(ws.OpBinary, true, "\x02probe") // not the dance
	c.wantClose(1005)
	p.wantPost("2:4a", textType)
	p.wantText("2:4a")
}

func TestJSONP(t *testing.T) {
	s := serve3(t, Options{})
	p := s.poll3(t, "&j=0")
	p.wantPost("d=14%3A4%5B%22echo%22%2C%22%5C%5Cn%22%5D", formType)
	p.wantText(`___eio[0]("14:4[\"echo\",\"\\n\"]");`)
	p.query = "&j=7" // each GET says where its answer is to go
	p.wantPost("d=4%3A4%E2%82%AC%F0%9F%98%80", formType)
	p.wantText(`___eio[7]("4:4€😀");`)
	p.query = "&j=7%5D%3Balert(1)%3B%2F%2F"
	p.wantPost("d=6%3Ab4AQID", formType)
	p.wantText(`___eio[71]("6:b4AQID");`) // digits only
	p.query = "&j=7"
	p.wantPost("d=1%3A2", "") // whatever it is called
	p.wantText(`___eio[7]("1:3");`)
	for _, form := range []string{"d=abc", "2:4a", "d=2:4a&d=2:4b", "d=4%3A4%FF%FF%FF", ""} {
		p := s.poll3(t, "&j=0")
		if a := p.post(form, formType); a.status != 400 {
			t.Errorf("%q: %v", form, a)
		}
		s.waitClosed(t, p.sid, ReasonParseError)
	}
	// Protocol 4 knows nothing of it.
	if a := s.do("GET", pollTarget+"&j=0", ""); !strings.HasPrefix(a.body, `0{"sid"`) {
		t.Error(a)
	}
	// A script from another site is a request without an Origin.
	if a := s.do("GET", pollTarget3+"&j=0", "", "Sec-Fetch-Site", "cross-site"); a.status != http.StatusForbidden {
		t.Error(a)
	}
}

func TestHeartbeat3(t *testing.T) {
	t.Run("a client that pings", func(t *testing.T) {
		s := serve3(t, Options{PingInterval: 5 * time.Second, PingTimeout: 7 * time.Second})
		c := s.connect3(t, "")
		deadline := func(refreshed bool, after time.Duration) {
			t.Helper()
			s.on(t, c.sid, func(sock *Socket) {
				if d := sock.deadline - sock.loop.Now(); !sock.awaiting || sock.refreshed != refreshed || d > 12*time.Second || !sock.heartbeat.Active() {
					t.Errorf("awaiting %v, refreshed %v, %v", sock.awaiting, sock.refreshed, d)
				}
				sock.deadline = after
			})
		}
		deadline(false, 1)
		c.text("2")
		c.wantText("3")
		deadline(false, 1)
		c.text("4x") // moves it once
		c.wantText("4x")
		deadline(true, 1)
		c.text("4x")
		c.wantText("4x")
		s.on(t, c.sid, func(sock *Socket) {
			if sock.deadline != 1 {
				t.Error("moved twice")
			}
		})
		c.text("2")
		c.wantText("3")
		deadline(false, 0)
	})
	t.Run("silence", func(t *testing.T) {
		s := serve3(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond})
		c := s.connect3(t, "")
		c.wantClose(1008) // and no ping before
		s.waitClosed(t, c.sid, ReasonPingTimeout)
		p := s.poll3(t, "")
		s.waitClosed(t, p.sid, ReasonPingTimeout)
	})
	t.Run("after an upgrade", func(t *testing.T) {
		s := serve3(t, Options{})
		p := s.poll3(t, "")
		s.on(t, p.sid, func(sock *Socket) { sock.deadline = 1; sock.heartbeat.Stop() })
		c := s.attach(t, wsTarget3+"&sid="+p.sid)
		c.text("5")
		s.eventuallyOn(t, p.sid, "the upgrade", func(sock *Socket) bool { return sock.State() == StateWebSocket })
		s.on(t, p.sid, func(sock *Socket) {
			if !sock.awaiting || !sock.heartbeat.Active() || sock.deadline <= sock.loop.Now() {
				t.Errorf("awaiting %v until %v", sock.awaiting, sock.deadline)
			}
		})
	})
}

// A client whose messages wait for their handler gets no answer to its pings; pongs it has not asked for keep it.
func TestPausedClient3IsReassured(t *testing.T) {
	s := serve3(t, Options{PingInterval: time.Hour, PingTimeout: 20 * time.Millisecond}, pauseAt)
	c := s.connect3(t, "")
	c.text("4pause")
	s.waitMessages(t, c.sid, 1)
	c.text("2") // unheard
	for range 3 {
		c.wantText("3")
	}
	s.on(t, c.sid, (*Socket).Resume)
	s.eventuallyOn(t, c.sid, "the ping to be heard", func(sock *Socket) bool { return !sock.paused })
	c.text("4x")
	s.wantMessages(t, c.sid, "pause", "x")
}

func TestPauseAfterTheEnd3(t *testing.T) {
	s := serve3(t, Options{})
	p := s.poll3(t, "")
	s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose); sock.Pause() })
	p.wantText("1:61:1")
	s.waitClosed(t, p.sid, ReasonForcedClose) // and no timer is left
}

// A flood of pings is not answered by a flood that nobody fetches.
func TestPingFlood3(t *testing.T) {
	s := serve3(t, Options{})
	p := s.poll3(t, "")
	p.wantPost(strings.Repeat("1:2", 20_000), textType)
	p.wantText(strings.Repeat("1:3", maxPongs))
	p.wantPost("1:2", textType)
	p.wantText("1:3")
}

// What does not fit one answer comes in the next, and an answer that holds binary data is all binary.
func TestAnswersOfManyParts3(t *testing.T) {
	s := serve3(t, Options{MaxPayload: 1000})
	p := s.poll3(t, "")
	want := ""
	s.on(t, p.sid, func(sock *Socket) {
		for i := range 30 {
			text := strings.Repeat("é", 50) + fmt.Sprint(i%10)
			sock.SendText([]byte(text))
			want += "52:4" + text
		}
	})
	got := ""
	for len(got) < len(want) {
		a := p.get()
		if a.status != 200 || len(a.body) > 1000 {
			t.Fatal(a)
		}
		got += a.body
	}
	if got != want {
		t.Errorf("got %q", got)
	}
	s.on(t, p.sid, func(sock *Socket) {
		if sock.out.Bytes() != 0 {
			t.Errorf("%d bytes are left", sock.out.Bytes())
		}
		sock.SendText([]byte("hé€😀"))
		sock.SendText([]byte("b"))
		sock.SendBinary([]byte("c"))
		sock.SendText([]byte("d"))
	})
	p.wantOctets("\x00\x01\x01\xff4hé€😀\x00\x02\xff4b\x01\x02\xff\x04c\x00\x02\xff4d")
}

// What is sent to hurt costs its own session at most, and no more time than its length is worth.
func TestHostileBodies3(t *testing.T) {
	const octets = "application/octet-stream"
	s := serve3(t, Options{MaxPayload: 250_000})
	bystander := s.connect3(t, "")
	other := s.connect(t)
	for name, c := range map[string]struct {
		query, body, contentType string
		status                   int
	}{
		"empty packets":               {"", strings.Repeat("0:", 100_000), textType, 200},
		"noops":                       {"", strings.Repeat("1:6", 75_000), textType, 200},
		"pings":                       {"", strings.Repeat("1:2", 75_000), textType, 200},
		"binary noops":                {"", strings.Repeat("\x00\x01\xff6", 50_000), octets, 200},
		"a long length":               {"", strings.Repeat("9", 200_000) + ":4", textType, 400},
		"zeros in front":              {"", strings.Repeat("0", 200_000) + "1:6", textType, 400},
		"a long binary length":        {"", "\x00" + strings.Repeat("\x09", 200_000) + "\xff4", octets, 400},
		"a gigabyte announced":        {"", "999999999:4", textType, 400},
		"the same in binary":          {"", "\x01\x09\x09\x09\x09\x09\x09\x09\x09\x09\xff\x04", octets, 400},
		"a length through a pair":     {"", "100003:4" + strings.Repeat("😀", 50_001), textType, 200},
		"a length into a pair":        {"", "100002:4" + strings.Repeat("😀", 50_001), textType, 400},
		"base64 of rubbish":           {"&b64=1", "200002:b4" + strings.Repeat("*", 200_000), textType, 200},
		"a packet within base64":      {"", "6:bb4AQI", textType, 400},
		"a form of ampersands":        {"&j=0", strings.Repeat("&", 200_000), formType, 400},
		"a form of many fields":       {"&j=0", strings.Repeat("d=&", 75_000), formType, 400},
		"a form of backslashes":       {"&j=0", "d=200000:6" + strings.Repeat(`\`, 199_999), formType, 200},
		"a form that is escaped much": {"&j=0", "d=" + strings.Repeat("%", 200_000), formType, 400},
		"octets that are a form":      {"&j=0", "d=1:6", octets, 200},
		"NUL":                         {"", "\x00", textType, 400},
	} {
		p := s.poll3(t, c.query)
		if a := p.post(c.body, c.contentType); a.status != c.status {
			t.Errorf("%s: %v, wanted %d", name, a, c.status)
		}
		if c.status == 400 {
			s.waitClosed(t, p.sid, ReasonParseError)
		}
	}
	bystander.text("4x")
	bystander.wantText("4x")
	other.text("4x")
	other.wantText("4x")
}
