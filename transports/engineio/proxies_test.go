package engineio

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// Row S21: X-Forwarded-For counts only when it comes from a trusted proxy, and only as far as trusted proxies
// have written it.
func TestForwardedFor(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.7/32")}
	tests := []struct {
		row, peer string
		header    []string
		want      string
	}{
		{"no header", "10.0.0.1:80", nil, "10.0.0.1:80"},
		{"one client", "10.0.0.1:80", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"untrusted peer", "203.0.113.1:80", []string{"198.51.100.1"}, "203.0.113.1:80"},
		{"the client lies", "10.0.0.1:80", []string{"127.0.0.1, 203.0.113.9"}, "203.0.113.9:0"},
		{"the client names a trusted proxy", "10.0.0.1:80", []string{"198.51.100.1, 10.9.9.9, 203.0.113.9"}, "203.0.113.9:0"},
		{"a chain of proxies", "10.0.0.1:80", []string{"1.2.3.4, 203.0.113.9, 192.0.2.7, 10.0.0.2"}, "203.0.113.9:0"},
		{"on several lines", "10.0.0.1:80", []string{"1.2.3.4", "203.0.113.9", "10.0.0.2"}, "203.0.113.9:0"},
		{"all are trusted", "10.0.0.1:80", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{"no address", "10.0.0.1:80", []string{"unknown"}, "10.0.0.1:80"},
		{"no address behind a proxy", "10.0.0.1:80", []string{"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2:0"},
		{"empty", "10.0.0.1:80", []string{""}, "10.0.0.1:80"},
		{"empty items", "10.0.0.1:80", []string{",,203.0.113.9,"}, "10.0.0.1:80"},
		{"with a port", "10.0.0.1:80", []string{"203.0.113.9:4711"}, "203.0.113.9:0"},
		{"IPv6", "[fd00::1]:80", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"IPv6 in brackets", "[fd00::1]:80", []string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{"IPv6 with a port", "[fd00::1]:80", []string{"[2001:db8::1]:4711"}, "[2001:db8::1]:0"},
		{"IPv6 with a zone", "[fd00::1%eth0]:80", []string{"fe80::1%x"}, "[fe80::1]:0"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:80", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"a peer without an address", "@", []string{"203.0.113.9"}, "@"},
		{"long", "10.0.0.1:80", []string{strings.Repeat("10.0.0.1, ", 100_000) + "203.0.113.9"}, "203.0.113.9:0"},
		{"long, all trusted", "10.0.0.1:80", []string{strings.Repeat("10.0.0.1,", 100_000) + "10.0.0.9"}, "10.0.0.1:0"},
	}
	srv := &Server{opts: Options{TrustedProxies: trusted}}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.header}}
			if got := srv.proxied(r).RemoteAddr; got != c.want {
				t.Errorf("the client is %s, wanted %s", got, c.want)
			}
			if r.RemoteAddr != c.peer {
				t.Error("the request was changed")
			}
			if got := (&Server{}).proxied(r).RemoteAddr; got != c.peer {
				t.Errorf("without trusted proxies the client is %s", got)
			}
		})
	}
}

// What sessions, limits and the application see.
func TestTrustedProxy(t *testing.T) {
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	headers := []string{"X-Forwarded-For", "198.51.100.1, 203.0.113.9", "X-Forwarded-Proto", "https"}
	for _, trusted := range []bool{true, false} {
		o := Options{AllowRequest: func(r *http.Request, h http.Header) error {
			h.Set("X-Client", r.RemoteAddr)
			return nil
		}}
		if trusted {
			o.TrustedProxies = []netip.Prefix{loopback}
		}
		s := serve(t, o)
		a := s.do("GET", pollTarget, "", headers...)
		r := s.session(t, parseOpen(t, a.body).SID).sock.Request()
		if (r.RemoteAddr == "203.0.113.9:0") != trusted || r.Secure != trusted || a.header.Get("X-Client") != r.RemoteAddr {
			t.Errorf("trusted %v: %+v, %v", trusted, r, a.header)
		}
		conn := &socket{raw: s.dial(t)}
		conn.write(upgradeRequest(wsTarget, headers...))
		conn.response()
		_, open := conn.next()
		r = s.session(t, parseOpen(t, open).SID).sock.Request()
		if (r.RemoteAddr == "203.0.113.9:0") != trusted || r.Secure != trusted {
			t.Errorf("trusted %v, WebSocket: %+v", trusted, r)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("1.2.3.4, 203.0.113.9:80, [2001:db8::1]:1, 10.0.0.2")
	f.Add(",,unknown,\x00")
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, header string) {
		client, ok := forwardedFor([]string{header}, trusted)
		if ok != client.IsValid() {
			t.Fatalf("%v %v", client, ok)
		}
		// What a client writes in front never changes what a proxy behind it has seen.
		if seen, ok := forwardedFor([]string{header + ", 203.0.113.9, 10.0.0.2"}, trusted); !ok || seen.String() != "203.0.113.9" {
			t.Fatalf("%q: %v", header, seen)
		}
	})
}
