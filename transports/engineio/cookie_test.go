package engineio

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
)

// Section 1.9: the cookie of a polling handshake.
func TestCookie(t *testing.T) {
	tests := []struct {
		row    string
		cookie *Cookie
		want   string // with <sid> for the session's id
	}{
		{"off by default", nil, ""},
		{"cookie:true", &Cookie{}, "io=<sid>; Path=/; HttpOnly; SameSite=Lax"},
		{"custom", &Cookie{Name: "sess", Path: "/x", Readable: true, MaxAge: 24 * time.Hour, Secure: true, SameSite: http.SameSiteNoneMode},
			"sess=<sid>; Max-Age=86400; Path=/x; Secure; SameSite=None"},
		{"everything, in the order of the npm package", &Cookie{Name: "a", Domain: "example.com", MaxAge: 1500 * time.Millisecond,
			Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), Secure: true, SameSite: http.SameSiteStrictMode},
			"a=<sid>; Max-Age=1; Domain=example.com; Path=/; Expires=Wed, 02 Jan 2030 02:04:05 GMT; HttpOnly; Secure; SameSite=Strict"},
	}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			s := serve(t, Options{Cookie: c.cookie})
			a := s.do("GET", pollTarget, "")
			sid := parseOpen(t, a.body).SID
			var want []string
			if c.want != "" {
				want = []string{strings.ReplaceAll(c.want, "<sid>", sid)}
			}
			if got := a.header["Set-Cookie"]; strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("Set-Cookie: %q, wanted %q", got, want)
			}
			p := &poller{t, s, sid}
			p.wantPost("4x")
			if a := p.get(); a.header["Set-Cookie"] != nil {
				t.Errorf("a later answer has %q", a.header["Set-Cookie"])
			}
			conn := s.dial(t)
			conn.write(upgradeRequest(wsTarget))
			if a := conn.response(); a.status != 101 || a.header["Set-Cookie"] != nil {
				t.Errorf("a WebSocket has %v %q", a, a.header["Set-Cookie"])
			}
		})
	}
}

// The server never reads the cookie: it opens no session, and is not one's id.
func TestCookieIsNotRead(t *testing.T) {
	s := serve(t, Options{Cookie: &Cookie{}})
	p := s.poll(t)
	a := s.do("GET", pollTarget, "", "Cookie", "io="+p.sid)
	if sid := parseOpen(t, a.body).SID; sid == p.sid {
		t.Error("the session of the cookie")
	}
}

// A cookie that no browser would take is none, and the log says why.
func TestBadCookie(t *testing.T) {
	for name, c := range map[string]Cookie{
		"name":   {Name: "a b"},
		"inject": {Name: "a", Path: "/; Domain=evil.example"},
		"line":   {Name: "a", Path: "/\r\nX: y"},
		"domain": {Name: "a", Domain: "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := serve(t, Options{Cookie: &c}, hub.Options{Loops: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if !strings.Contains(log.String(), "no cookie is set") {
				t.Errorf("the log says %q", log.String())
			}
			if a := s.do("GET", pollTarget, ""); a.status != 200 || a.header["Set-Cookie"] != nil {
				t.Errorf("%v %q", a, a.header["Set-Cookie"])
			}
		})
	}
}

// An id goes into a cookie as it is.
func TestGenerateIDWithForeignCharacters(t *testing.T) {
	var next string
	s := serve(t, Options{Cookie: &Cookie{}, GenerateID: func(*http.Request) (string, error) { return next, nil }})
	for _, next = range []string{"a; Domain=example.com", "a,b", "a b", "a\r\nX: y", "a\x00", "a\"", "a\\", "é", "a\x7f"} {
		if a := s.do("GET", pollTarget, ""); a.status != 400 || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q: %v %q", next, a, a.header["Set-Cookie"])
		}
	}
	next = "AZaz09-_.~+/="
	if a := s.do("GET", pollTarget, ""); a.status != 200 || !strings.HasPrefix(a.header.Get("Set-Cookie"), "io="+next+"; Path=/") {
		t.Errorf("%v %q", a, a.header["Set-Cookie"])
	}
}
