package engineio

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHandshakeErrors(t *testing.T) {
	const (
		unknownTransport = `{"code":0,"message":"Transport unknown"}`
		unknownSID       = `{"code":1,"message":"Session ID unknown"}`
		badMethod        = `{"code":2,"message":"Bad handshake method"}`
		badRequest       = `{"code":3,"message":"Bad request"}`
		badVersion       = `{"code":5,"message":"Unsupported protocol version"}`
	)
	s := serve(t, Options{AllowRequest: func(r *http.Request, _ http.Header) error {
		if r.URL.Query().Has("deny") {
			return errors.New("not today")
		}
		return nil
	}})
	live := s.poll(t)
	tests := []struct {
		name, method, query string
		status              int
		body, counter       string
	}{
		{"no transport", "GET", "EIO=4", 400, unknownTransport, "engineio_unknown_transport"},
		{"unknown transport", "GET", "EIO=4&transport=abc", 400, unknownTransport, "engineio_unknown_transport"},
		{"webtransport", "GET", "EIO=4&transport=webtransport", 400, unknownTransport, "engineio_unknown_transport"},
		{"transport __proto__", "GET", "EIO=4&transport=__proto__", 400, unknownTransport, "engineio_unknown_transport"},
		{"transport comes before sid", "GET", "EIO=4&transport=x&sid=y", 400, unknownTransport, "engineio_unknown_transport"},
		{"unknown sid", "GET", "EIO=4&transport=polling&sid=abc", 400, unknownSID, "engineio_unknown_sid"},
		{"sid __proto__", "POST", "EIO=4&transport=polling&sid=__proto__", 400, unknownSID, "engineio_unknown_sid"},
		{"sid comes before version", "GET", "EIO=9&transport=polling&sid=abc", 400, unknownSID, "engineio_unknown_sid"},
		{"other version in a session", "GET", "EIO=3&transport=polling&sid=" + live.sid, 400, badRequest, "engineio_bad_request"},
		{"other transport in a session", "GET", "EIO=4&transport=websocket&sid=" + live.sid, 400, badRequest, "engineio_bad_request"},
		{"POST", "POST", "EIO=4&transport=polling", 400, badMethod, "engineio_bad_handshake_method"},
		{"PUT", "PUT", "EIO=4&transport=polling", 400, badMethod, "engineio_bad_handshake_method"},
		{"OPTIONS", "OPTIONS", "EIO=4&transport=polling", 400, badMethod, "engineio_bad_handshake_method"},
		{"method comes before version", "POST", "EIO=9&transport=polling", 400, badMethod, "engineio_bad_handshake_method"},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket", 400, badRequest, "engineio_bad_request"},
		{"refused by the application", "GET", "EIO=4&transport=polling&deny", 403, `{"code":4,"message":"not today"}`, "engineio_forbidden"},
		{"no version", "GET", "transport=polling", 400, badVersion, "engineio_unsupported_version"},
		{"version abc", "GET", "EIO=abc&transport=polling", 400, badVersion, "engineio_unsupported_version"},
		{"version 3", "GET", "EIO=3&transport=polling", 400, badVersion, "engineio_unsupported_version"},
		{"the last of two versions counts", "GET", "EIO=4&EIO=3&transport=polling", 400, badVersion, "engineio_unsupported_version"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			before := s.count(c.counter)
			a := s.do(c.method, "/socket.io/?"+c.query, "")
			if a.status != c.status || a.body != c.body || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("%v %v, wanted %d %s", a, a.header, c.status, c.body)
			}
			if n := s.count(c.counter); n != before+1 {
				t.Errorf("%s went from %d to %d", c.counter, before, n)
			}
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		if a := s.do("HEAD", pollTarget, ""); a.status != 400 {
			t.Error(a)
		}
	})
	t.Run("the session goes on", func(t *testing.T) {
		live.wantPost("4x")
		live.wantGet("4x")
	})
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A client that asked for a WebSocket gets status 400 and bare text, whatever
// the error.
func TestUpgradeErrors(t *testing.T) {
	s := serve(t, Options{AllowRequest: func(r *http.Request, _ http.Header) error {
		if r.URL.Query().Has("deny") {
			return errors.New("not today")
		}
		return nil
	}})
	live := s.poll(t)
	tests := []struct {
		name, target string
		headers      []string
		status       int
		body         string
	}{
		{"unknown transport", "/socket.io/?EIO=4&transport=abc", nil, 400, "Transport unknown"},
		{"unknown sid", wsTarget + "&sid=abc", nil, 400, "Session ID unknown"},
		{"unsupported version", "/socket.io/?EIO=3&transport=websocket", nil, 400, "Unsupported protocol version"},
		{"polling", pollTarget, nil, 400, "Bad request"},
		{"polling in a session", live.target(), nil, 400, "Bad request"},
		{"other version in a session", "/socket.io/?EIO=3&transport=websocket&sid=" + live.sid, nil, 400, "Bad request"},
		{"refused by the application", wsTarget + "&deny", nil, 400, "not today"},
		{"foreign origin", wsTarget, []string{"Origin", "http://evil.example"}, 400, "Forbidden"},
		{"foreign origin in a session", wsTarget + "&sid=" + live.sid, []string{"Origin", "http://evil.example"}, 400, "Forbidden"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			conn := s.dial(t)
			conn.write(upgradeRequest(c.target, c.headers...))
			a := conn.response()
			if a.status != c.status || a.body != c.body || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
				t.Errorf("%v %v, wanted %d %q", a, a.header, c.status, c.body)
			}
			conn.wantEOF()
		})
	}
	const (
		badKey     = "Missing or invalid Sec-WebSocket-Key header"
		badVersion = "Missing or invalid Sec-WebSocket-Version header"
	)
	for _, c := range []struct{ name, target, header, value, body, version string }{
		{"no key", wsTarget, "Sec-WebSocket-Key", "", badKey, ""},
		{"short key", wsTarget, "Sec-WebSocket-Key", "abc", badKey, ""},
		{"no base64 key", wsTarget, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j!!==", badKey, ""},
		{"no version", wsTarget, "Sec-WebSocket-Version", "", badVersion, "13"},
		{"other version", wsTarget, "Sec-WebSocket-Version", "8", badVersion, "13"},
		{"no key in a session", wsTarget + "&sid=" + live.sid, "Sec-WebSocket-Key", "", badKey, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.count("engineio_bad_websocket_handshake")
			conn := s.dial(t)
			conn.write(upgradeRequest(c.target, c.header, c.value))
			if a := conn.response(); a.status != 400 || a.body != c.body || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") ||
				a.header.Get("Sec-WebSocket-Version") != c.version {
				t.Error(a, a.header)
			}
			conn.wantEOF()
			s.waitCount(t, "engineio_bad_websocket_handshake", before+1)
		})
	}
	eventually(t, "only the polling session", func() bool { return s.Sessions() == 1 })
	live.wantPost("4x")
	live.wantGet("4x")
}

var sidPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{20}$`)

func TestOpenPacket(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		ws   bool
		want string
	}{
		{"polling", Options{}, false, `"upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`},
		{"websocket", Options{}, true, `"upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`},
		{"options", Options{PingInterval: 3 * time.Second, PingTimeout: 2 * time.Second, MaxPayload: 1234}, false, `"upgrades":["websocket"],"pingInterval":3000,"pingTimeout":2000,"maxPayload":1234}`},
		{"no upgrades", Options{NoUpgrades: true}, false, `"upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`},
		{"polling only", Options{Transports: []Transport{Polling}}, false, `"upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.o)
			var packet string
			if c.ws {
				_, packet = s.attach(t, wsTarget).next()
			} else {
				a := s.do("GET", pollTarget, "")
				if a.header.Get("Content-Type") != "text/plain; charset=UTF-8" || a.header.Get("Cache-Control") != "no-store" {
					t.Error(a.header)
				}
				packet = a.body
			}
			sid := parseOpen(t, packet).SID
			if !sidPattern.MatchString(sid) || packet != `0{"sid":"`+sid+`",`+c.want {
				t.Errorf("open packet %s", packet)
			}
		})
	}
}

func TestPath(t *testing.T) {
	tests := []struct {
		name, path, target string
		status             int
	}{
		{"default", "", "/socket.io/", 200},
		{"below", "", "/socket.io/foo", 200},
		{"without the slash", "", "/socket.io", 404},
		{"elsewhere", "", "/", 404},
		{"own path, slashes added", "engine.io", "/engine.io/", 200},
		{"not the default any more", "/engine.io/", "/socket.io/", 404},
		{"no slash at the end", "no slash: /socket.io/", "/socket.io", 200},
		{"no slash at the end, with one", "no slash: /socket.io", "/socket.io/", 200},
		{"no slash at the end is a prefix", "no slash: /socket.io", "/socket.iox", 200},
		{"no slash at the end, elsewhere", "no slash: /socket.io", "/socket", 404},
		{"deep", "/a/b/c", "/a/b/c/", 200},
		{"everything", "/", "/x", 200},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			path, noSlash := strings.CutPrefix(c.path, "no slash: ")
			s := serve(t, Options{Path: path, NoTrailingSlash: noSlash})
			if a := s.do("GET", c.target+"?EIO=4&transport=polling", ""); a.status != c.status {
				t.Errorf("%v, wanted %d", a, c.status)
			}
		})
	}
}

func TestQueryOddities(t *testing.T) {
	s := serve(t, Options{})
	for _, query := range []string{
		"EIO=4&transport=polling&sid=",
		"EIO=3&EIO=4&transport=polling",
		"transport=websocket&transport=polling&EIO=4",
		"EIO=4&transport=polling&t=abc&b64=1&j=0",
	} {
		if a := s.do("GET", "/socket.io/?"+query, ""); a.status != 200 || !strings.HasPrefix(a.body, "0{") {
			t.Errorf("%s: %v", query, a)
		}
	}
}

func TestTransportsCanBeSwitchedOff(t *testing.T) {
	s := serve(t, Options{Transports: []Transport{WebSocket}})
	if a := s.do("GET", pollTarget, ""); a.body != `{"code":0,"message":"Transport unknown"}` {
		t.Error(a)
	}
	c := s.connect(t)
	c.text("4x")
	c.wantText("4x")
}

func TestOldBrowsersGetTheirHeader(t *testing.T) {
	s := serve(t, Options{})
	for _, agent := range []string{"Mozilla/5.0 (compatible;MSIE 10.0)", "Mozilla/5.0 (Trident/7.0; rv:11.0)"} {
		if a := s.do("GET", pollTarget, "", "User-Agent", agent); a.header.Get("X-XSS-Protection") != "0" {
			t.Errorf("%s: %v", agent, a.header)
		}
	}
	if a := s.do("GET", pollTarget, "", "User-Agent", "Firefox"); a.header.Get("X-XSS-Protection") != "" {
		t.Error(a.header)
	}
}

// Section 1.3: a message right behind the open packet.
func TestInitialPacket(t *testing.T) {
	s := serve(t, Options{InitialPacket: "hello"})
	a := s.do("GET", pollTarget, "")
	open, hello, _ := strings.Cut(a.body, "\x1e")
	if hello != "4hello" {
		t.Errorf("the first body: %q", a.body)
	}
	p := &poller{t, s, parseOpen(t, open).SID}
	p.wantPost("4x")
	p.wantGet("4x")
	up := p.upgraded()
	up.text("4y")
	up.wantText("4y") // and no second greeting

	c := s.connect(t)
	c.wantText("4hello")
	c.text("4x")
	c.wantText("4x")
}

// Section 1.4: generateId, and what it may get wrong.
func TestGenerateID(t *testing.T) {
	var next string
	var fail error
	s := serve(t, Options{GenerateID: func(r *http.Request) (string, error) {
		if r.URL.Query().Get("transport") == "" {
			t.Error("asked before the request was checked")
		}
		return next, fail
	}})
	next = "the-first"
	p := s.poll(t)
	if p.sid != next {
		t.Fatalf("the id is %q", p.sid)
	}
	next = "the-second"
	if c := s.connect(t); c.sid != next {
		t.Fatalf("the id is %q", c.sid)
	}
	for name, c := range map[string]struct {
		id  string
		err error
	}{
		"in use":   {"the-first", nil},
		"empty":    {"", nil},
		"too long": {strings.Repeat("x", 129), nil},
		"error":    {"fine", errors.New("the database is down")},
	} {
		next, fail = c.id, c.err
		before := s.count("engineio_id_generation")
		if a := s.do("GET", pollTarget, ""); a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
			t.Errorf("%s: %v", name, a)
		}
		conn := s.dial(t)
		conn.write(upgradeRequest(wsTarget))
		if a := conn.response(); a.status != 400 || a.body != "Bad request" {
			t.Errorf("%s: %v", name, a)
		}
		if n := s.count("engineio_id_generation"); n != before+2 {
			t.Errorf("%s: counted %d", name, n-before)
		}
	}
	p.wantPost("4still here")
	p.wantGet("4still here")
	p.wantPost("1")
	s.waitClosed(t, p.sid, ReasonTransportClose)
	next, fail = "the-first", nil
	if again := s.poll(t); again.sid != next {
		t.Error("an id that is free again is refused")
	}
	if n := s.Sessions(); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

// Ids of the application's making may be guessed: two sessions with one at the same time, and requests for it
// before it is open.
func TestGenerateIDRaces(t *testing.T) {
	s := serve(t, Options{GenerateID: func(*http.Request) (string, error) { return "same", nil }})
	for round := range 50 {
		var opened atomic.Int32
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if a := s.do("GET", pollTarget, ""); a.status == 200 {
					opened.Add(1)
				} else if a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
					t.Error(a)
				}
			})
		}
		wg.Go(func() { // the guess
			if a := s.do("POST", pollTarget+"&sid=same", "4x"); a.status != 200 && a.body != `{"code":1,"message":"Session ID unknown"}` {
				t.Error(a)
			}
		})
		wg.Wait()
		if n, open := opened.Load(), s.Sessions(); n != 1 || open != 1 {
			t.Fatalf("round %d: %d opened, %d sessions", round, n, open)
		}
		p := &poller{t, s, "same"}
		p.wantPost("1")
		eventually(t, "the end of the session", func() bool { return s.Sessions() == 0 })
	}
}

// Section 1.4: what the application's refusal looks like, and the headers it may add.
func TestAllowRequest(t *testing.T) {
	s := serve(t, Options{AllowRequest: func(r *http.Request, h http.Header) error {
		h.Set("X-Checked", "yes")
		if deny := r.URL.Query()["deny"]; deny != nil {
			h.Set("WWW-Authenticate", "Bearer")
			return errors.New(deny[0])
		}
		return nil
	}})
	tests := []struct {
		row, query string
		status     int
		body       string
	}{
		{"a message", "&deny=some+reason", 403, `{"code":4,"message":"some reason"}`},
		{"no message", "&deny=", 403, `{"code":4,"message":"Forbidden"}`},
		{"welcome", "", 200, ""},
	}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			a := s.do("GET", pollTarget+c.query, "")
			if a.status != c.status || c.body != "" && a.body != c.body || a.header.Get("X-Checked") != "yes" ||
				(a.header.Get("WWW-Authenticate") != "") != (c.status == 403) {
				t.Errorf("%v %v", a, a.header)
			}
			conn := s.dial(t)
			conn.write(upgradeRequest(wsTarget + c.query))
			a = conn.response()
			if (a.status == 101) != (c.status == 200) || a.status != 101 && a.status != 400 || a.header.Get("X-Checked") != "yes" {
				t.Errorf("a WebSocket: %v %v", a, a.header)
			}
		})
	}
	p := s.poll(t)
	if a := s.do("POST", p.target()+"&deny=x", "4x"); a.status != 200 || a.header.Get("X-Checked") != "" {
		t.Errorf("asked about a request of a session: %v %v", a, a.header)
	}
}

// What the client asked for when it connected stays with the session.
func TestRequestIsKept(t *testing.T) {
	s := serve(t, Options{})
	a := s.do("GET", pollTarget+"&room=7", "", "X-Token", "abc", "Origin", "http://"+s.addr)
	r := s.session(t, parseOpen(t, a.body).SID).sock.Request()
	if r.Header().Get("X-Token") != "abc" || r.Header().Get("Host") != s.addr || r.Query().Get("room") != "7" ||
		r.URL != pollTarget+"&room=7" || !r.XDomain || r.Secure || !strings.HasPrefix(r.RemoteAddr, "127.0.0.1:") {
		t.Errorf("%+v", r)
	}
	c := s.connect(t)
	r = s.session(t, c.sid).sock.Request()
	if r.Header().Get("Sec-WebSocket-Key") != "" || r.Header().Get("Host") != "chat.example" || r.XDomain {
		t.Errorf("%+v", r)
	}
}
