package engineio

import (
	"strings"
	"testing"
)

// Row S6: with a list of hosts, a page whose name was pointed at the server gets nothing.
func TestHosts(t *testing.T) {
	o := Options{Hosts: []string{"Chat.Example", "127.0.0.1", "[::1]"}}.withDefaults()
	for host, want := range map[string]bool{
		"chat.example":              true,
		"CHAT.example:3000":         true,
		"chat.example.":             true,
		"127.0.0.1":                 true,
		"127.0.0.1:80":              true,
		"[::1]":                     true,
		"[::1]:3000":                true,
		"":                          false,
		"evil.example":              false,
		"chat.example.evil.example": false,
		"xchat.example":             false,
		"x.chat.example":            false,
		"chat.example@evil.example": false,
		"127.0.0.1.evil.example":    false,
		"localhost":                 false,
	} {
		if got := o.servesHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
		if all := (Options{}).withDefaults(); !all.servesHost(host) {
			t.Errorf("%q is refused without a list", host)
		}
	}
}

func TestForeignHostsAreRefused(t *testing.T) {
	s := serve(t, Options{Hosts: []string{"chat.example"}, CORS: CORS{AllowedOrigins: []string{"*"}}})
	own := s.do("GET", pollTarget, "", "Host", "chat.example")
	p := &poller{t, s, parseOpen(t, own.body).SID}
	for i, c := range []struct{ method, target string }{
		{"GET", pollTarget}, {"POST", p.target()}, {"OPTIONS", pollTarget}, {"GET", p.target()},
	} {
		a := s.do(c.method, c.target, "", "Host", "evil.example:80", "Origin", "http://evil.example:80")
		if a.status != 403 || a.body != `{"code":4,"message":"Host not served here"}` || a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: %v %v", c.method, c.target, a, a.header)
		}
		if n := s.count("engineio_foreign_host"); n != uint64(i+1) {
			t.Errorf("counted %d", n)
		}
	}
	conn := s.dial(t)
	conn.write([]byte(strings.Replace(string(upgradeRequest(wsTarget)), "chat.example", "evil.example", 1)))
	if a := conn.response(); a.status != 400 || a.body != "Host not served here" {
		t.Error(a)
	}
	conn = s.dial(t)
	conn.write(upgradeRequest(wsTarget)) // for chat.example
	if a := conn.response(); a.status != 101 {
		t.Error(a)
	}
}
