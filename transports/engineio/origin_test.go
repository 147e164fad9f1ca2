package engineio

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestNoCORSByDefault(t *testing.T) {
	s := serve(t, Options{})
	for _, a := range []answer{
		s.do("GET", pollTarget, "", "Origin", "http://"+s.addr),
		s.do("GET", pollTarget, "", "Origin", "http://evil.example"),
		s.do("OPTIONS", pollTarget, "", "Origin", "http://evil.example", "Access-Control-Request-Method", "POST"),
	} {
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control") || name == "Vary" {
				t.Errorf("%v has %s", a, name)
			}
		}
	}
}

// Section 1.9: the headers of the npm package cors. Where its row serves a foreign origin, this server
// refuses the handshake (S5); the headers are the same.
func TestCORSHeaders(t *testing.T) {
	const all = "GET,HEAD,PUT,PATCH,POST,DELETE"
	list := CORS{AllowedOrigins: []string{"http://a.example", "https://b.example"}}
	one := CORS{AllowedOrigins: []string{"http://a.example"}, Credentials: true, Methods: []string{"GET", "POST"}}
	pattern := CORS{OriginPatterns: []*regexp.Regexp{regexp.MustCompile(`https?://[a-z]+\.c\.example`)}}
	function := CORS{AllowOrigin: func(r *http.Request, origin string) bool {
		return origin == "http://"+r.URL.Query().Get("transport")+".example"
	}}
	more := CORS{AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"X-A", "X-B"}, ExposedHeaders: []string{"X-C", "X-D"}, MaxAge: 90 * time.Second}
	tests := []struct {
		name           string
		cors           CORS
		method, origin string
		status         int
		want           map[string]string // header → values joined by ", "; others of CORS must be absent
	}{
		{"star", CORS{AllowedOrigins: []string{"*"}}, "GET", "http://x.example", 200, map[string]string{"Access-Control-Allow-Origin": "*"}},
		{"star, preflight", CORS{AllowedOrigins: []string{"*"}}, "OPTIONS", "http://x.example", 204, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": all, "Vary": "Access-Control-Request-Headers"}},
		{"star with credentials", CORS{AllowedOrigins: []string{"*"}, Credentials: true}, "GET", "http://x.example", 200, map[string]string{
			"Access-Control-Allow-Origin": "http://x.example", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}},
		{"list", list, "GET", "https://b.example", 200, map[string]string{"Access-Control-Allow-Origin": "https://b.example", "Vary": "Origin"}},
		{"list, preflight", list, "OPTIONS", "http://a.example", 204, map[string]string{
			"Access-Control-Allow-Origin": "http://a.example", "Access-Control-Allow-Methods": all, "Vary": "Origin, Access-Control-Request-Headers"}},
		{"not in the list", list, "GET", "http://c.example", 403, map[string]string{"Vary": "Origin"}},
		{"not in the list, preflight", list, "OPTIONS", "http://c.example", 204, map[string]string{
			"Access-Control-Allow-Methods": all, "Vary": "Origin, Access-Control-Request-Headers"}},
		{"no origin", list, "GET", "", 200, map[string]string{"Vary": "Origin"}},
		{"one origin with credentials", one, "GET", "http://a.example", 200, map[string]string{
			"Access-Control-Allow-Origin": "http://a.example", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}},
		{"one origin, another asks", one, "GET", "http://evil.example", 403, map[string]string{
			"Access-Control-Allow-Origin": "http://a.example", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}},
		{"one origin, none asks", one, "GET", "", 200, map[string]string{
			"Access-Control-Allow-Origin": "http://a.example", "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}},
		{"one origin, preflight", one, "OPTIONS", "http://a.example", 204, map[string]string{
			"Access-Control-Allow-Origin": "http://a.example", "Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods": "GET,POST", "Vary": "Origin, Access-Control-Request-Headers"}},
		{"pattern", pattern, "GET", "http://x.c.example", 200, map[string]string{"Access-Control-Allow-Origin": "http://x.c.example", "Vary": "Origin"}},
		{"pattern, only a part of the origin", pattern, "GET", "http://x.c.example.evil.example", 403, map[string]string{"Vary": "Origin"}},
		{"pattern, no match, preflight", pattern, "OPTIONS", "http://zz.example", 204, map[string]string{
			"Access-Control-Allow-Methods": all, "Vary": "Origin, Access-Control-Request-Headers"}},
		{"function", function, "GET", "http://polling.example", 200, map[string]string{"Access-Control-Allow-Origin": "http://polling.example", "Vary": "Origin"}},
		{"function, no", function, "GET", "http://websocket.example", 403, map[string]string{"Vary": "Origin"}},
		{"exposed headers", more, "GET", "http://x.example", 200, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "X-C,X-D"}},
		{"own lists, preflight", more, "OPTIONS", "http://x.example", 204, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": all, "Access-Control-Allow-Headers": "X-A,X-B",
			"Access-Control-Expose-Headers": "X-C,X-D", "Access-Control-Max-Age": "90"}},
		{"never remembered", CORS{AllowedOrigins: []string{"*"}, MaxAge: -1}, "OPTIONS", "http://x.example", 204, map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": all, "Access-Control-Max-Age": "-1", "Vary": "Access-Control-Request-Headers"}},
		{"none, preflight", CORS{}, "OPTIONS", "http://zz.example", 400, map[string]string{}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, Options{CORS: c.cors})
			var headers []string
			if c.origin != "" {
				headers = []string{"Origin", c.origin}
			}
			a := s.do(c.method, pollTarget, "", headers...)
			if a.status != c.status {
				t.Fatalf("%v, wanted %d", a, c.status)
			}
			got := map[string]string{}
			for name, values := range a.header {
				if strings.HasPrefix(name, "Access-Control") || name == "Vary" {
					got[name] = strings.Join(values, " | ") // each is on one line
				}
			}
			if c.status == 204 && (a.body != "" || a.header.Get("Content-Type") != "") {
				t.Errorf("a preflight is answered with %v %v", a, a.header)
			}
			for name := range got {
				if got[name] != c.want[name] {
					t.Errorf("%s: %q, wanted %q", name, got[name], c.want[name])
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("headers %v, wanted %v", got, c.want)
			}
		})
	}
}

func TestPreflightMirrorsTheHeadersAskedFor(t *testing.T) {
	s := serve(t, Options{CORS: CORS{AllowedOrigins: []string{"http://a.example"}, Credentials: true}})
	a := s.do("OPTIONS", pollTarget, "", "Origin", "http://a.example", "Access-Control-Request-Headers", "x-token, content-type")
	if a.status != 204 || a.body != "" || a.header.Get("Access-Control-Allow-Headers") != "x-token, content-type" || a.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%v %v", a, a.header)
	}
}

// Errors and the 101 carry the headers, too: without them a page cannot read
// what went wrong.
func TestCORSHeadersOnErrorsAndUpgrades(t *testing.T) {
	s := serve(t, Options{CORS: CORS{AllowedOrigins: []string{"http://a.example"}}})
	a := s.do("GET", "/socket.io/?transport=x", "", "Origin", "http://a.example")
	if a.status != 400 || a.header.Get("Access-Control-Allow-Origin") != "http://a.example" {
		t.Errorf("%v %v", a, a.header)
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget, "Origin", "http://a.example"))
	a = conn.response()
	if a.status != 101 || a.header.Get("Access-Control-Allow-Origin") != "http://a.example" || a.header.Get("Vary") != "Origin" {
		t.Errorf("%v %v", a, a.header)
	}
}

func TestOrigins(t *testing.T) {
	tests := []struct {
		name    string
		origins []string // the request's Origin headers
		host    string
		allowed []string
		want    bool
	}{
		{"no page", nil, "chat.example", nil, true},
		{"same host", []string{"http://chat.example"}, "chat.example", nil, true},
		{"same host, TLS ended in front", []string{"https://chat.example"}, "chat.example", nil, true},
		{"same host, other case", []string{"http://Chat.Example"}, "chat.example", nil, true},
		{"same host and port", []string{"http://127.0.0.1:3000"}, "127.0.0.1:3000", nil, true},
		{"the scheme's own port", []string{"http://chat.example"}, "chat.example:80", nil, true},
		{"IPv6", []string{"http://[::1]:3000"}, "[::1]:3000", nil, true},
		{"IPv6 without a port", []string{"http://[::1]"}, "[::1]", nil, true},
		{"other host", []string{"http://evil.example"}, "chat.example", nil, false},
		{"other port", []string{"http://chat.example:8080"}, "chat.example", nil, false},
		{"a page without a port, a server with one", []string{"http://chat.example"}, "chat.example:3000", nil, false},
		{"host as a prefix", []string{"http://chat.example.evil.example"}, "chat.example", nil, false},
		{"host as user", []string{"http://chat.example@evil.example"}, "chat.example", nil, false},
		{"with a user", []string{"http://me@chat.example"}, "chat.example", nil, false},
		{"with a path", []string{"http://chat.example/"}, "chat.example", nil, false},
		{"with a query", []string{"http://chat.example?x"}, "chat.example", nil, false},
		{"null", []string{"null"}, "chat.example", nil, false},
		{"empty", []string{""}, "chat.example", nil, false},
		{"other scheme", []string{"file://chat.example"}, "chat.example", nil, false},
		{"two", []string{"http://chat.example", "http://evil.example"}, "chat.example", nil, false},
		{"listed", []string{"https://app.example"}, "chat.example", []string{"https://app.example"}, true},
		{"listed with another scheme", []string{"http://app.example"}, "chat.example", []string{"https://app.example"}, false},
		{"below a listed one", []string{"https://x.app.example"}, "chat.example", []string{"https://app.example"}, false},
		{"null listed", []string{"null"}, "chat.example", []string{"null"}, true},
		{"all", []string{"http://evil.example"}, "chat.example", []string{"*"}, true},
		{"another site without an Origin", nil, "chat.example", nil, false},
		{"another site without an Origin, beside a list", nil, "chat.example", []string{"https://app.example"}, false},
		{"another site without an Origin, all allowed", nil, "chat.example", []string{"*"}, true},
		{"another site, listed", []string{"https://app.example"}, "chat.example", []string{"https://app.example"}, true},
		{"another site, not listed", []string{"https://evil.example"}, "chat.example", []string{"https://app.example"}, false},
		{"same host beside a list", []string{"http://chat.example"}, "chat.example", []string{"https://app.example"}, true},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			cors := CORS{AllowedOrigins: c.allowed}
			r := &http.Request{Host: c.host, Header: http.Header{}}
			for _, o := range c.origins {
				r.Header.Add("Origin", o)
			}
			if strings.HasPrefix(c.name, "another site") {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}
			if got := cors.allowsOrigin(r); got != c.want {
				t.Errorf("allowed: %v", got)
			}
		})
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	s := serve(t, Options{CORS: CORS{AllowedOrigins: []string{"http://a.example"}}})
	poll := s.poll(t)
	tests := []struct {
		name, origin, target string
		ok                   bool
	}{
		{"same host", "http://chat.example", wsTarget, true},
		{"allowed", "http://a.example", wsTarget, true},
		{"foreign", "http://evil.example", wsTarget, false},
		{"foreign upgrade", "http://evil.example", wsTarget + "&sid=" + poll.sid, false},
		{"allowed upgrade", "http://a.example", wsTarget + "&sid=" + poll.sid, true},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			before := s.count("engineio_foreign_origin")
			conn := s.dial(t)
			conn.write(upgradeRequest(c.target, "Origin", c.origin))
			switch a := conn.response(); {
			case c.ok && a.status != 101:
				t.Error(a)
			case !c.ok && (a.status != 400 || a.body != "Forbidden" || s.count("engineio_foreign_origin") != before+1):
				t.Errorf("%v, counted %d", a, s.count("engineio_foreign_origin")-before)
			}
		})
	}
	for site, status := range map[string]int{"cross-site": 403, "same-site": 200, "same-origin": 200, "none": 200} {
		before := s.count("engineio_foreign_origin")
		if a := s.do("GET", pollTarget, "", "Sec-Fetch-Site", site); a.status != status || s.count("engineio_foreign_origin") != before+uint64(status/400) {
			t.Errorf("Sec-Fetch-Site %s: %v", site, a)
		}
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget, "Sec-Fetch-Site", "cross-site"))
	if a := conn.response(); a.status != 400 || a.body != "Forbidden" {
		t.Errorf("a WebSocket from another site: %v", a)
	}
	a := s.do("GET", pollTarget, "", "Origin", "http://evil.example")
	if a.status != 403 || a.body != `{"code":4,"message":"Forbidden"}` {
		t.Error(a)
	}
}

func TestOriginWithControlCharacters(t *testing.T) {
	for origin, want := range map[string]bool{"": true, "http://a.example": true, "a\x01b": false, "a\x7f": false, "a\tb": true} {
		if got := validOrigin(origin); got != want {
			t.Errorf("%q: %v", origin, got)
		}
	}
}
