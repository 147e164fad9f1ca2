package zeromq

import (
	"slices"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns, namespace, room string
		want                      bool
	}{
		{"news", "/", "news", true},
		{"news", "", "news", true},
		{"news", "/", "news2", false},
		{"news", "/chat", "news", false},
		{"prices.*", "/", "prices.eur", true},
		{"prices.*", "/", "prices.", true},
		{"prices.*", "/", "prices", false},
		{"prices.*", "/chat", "prices.eur", false},
		{"/chat#lobby", "/chat", "lobby", true},
		{"/chat#lobby", "/", "lobby", false},
		{"/chat#lobby", "/", "/chat#lobby", false}, // a room of "/" cannot pass for one of /chat
		{"/chat#*", "/", "/chat#lobby", false},
		{"/chat#room*", "/chat", "room10", true},
		{"/chat#room*", "/chat", "roo", false},
		{"*", "/chat", "any", true},
		{"a, *", "/chat", "any", true},
		{"a*b", "/", "a*b", true},
		{"a*b", "/", "axb", false},
		{"", "/", "a", false},
		{"a,b,c", "/", "c", true},
	} {
		p, err := ParsePatterns(c.patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.namespace, c.room); got != c.want {
			t.Errorf("%q matches %q of %q: %v", c.patterns, c.room, c.namespace, got)
		}
	}
}

func TestReach(t *testing.T) {
	for _, c := range []struct {
		patterns, subscription string
		want                   reach
	}{
		{"*", "", reachAll},
		{"prices.*", "prices.", reachAll},
		{"prices.*", "prices.eur", reachAll},
		{"prices.*", "prices", reachSome},
		{"prices.*", "", reachSome},
		{"prices.*", "news", reachNone},
		{"news", "news", reachSome}, // it also asks for news2
		{"news", "news2", reachNone},
		{"news,n*", "news", reachAll},
		{"", "", reachNone},
	} {
		p, err := ParsePatterns(c.patterns)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.reach(c.subscription); got != c.want {
			t.Errorf("%q reaches %v of the subscription %q, want %v", c.patterns, got, c.subscription, c.want)
		}
	}
}

func TestParsePatterns(t *testing.T) {
	p, err := ParsePatterns(" prices.*,news , /chat#*")
	if want := (Patterns{"prices.*", "news", "/chat#*"}); err != nil || !slices.Equal(p, want) {
		t.Fatalf("%q, %v", p, err)
	}
	if again, err := ParsePatterns(p.String()); err != nil || !slices.Equal(again, p) {
		t.Fatalf("%q, %v", again, err)
	}
	for _, bad := range []string{"a,,b", ",", "a,", strings.Repeat("a,", maxPatterns) + "a"} {
		if p, err := ParsePatterns(bad); err == nil {
			t.Errorf("%.20q is taken as %q", bad, p)
		}
	}
}

func TestNilPrincipalMayNothing(t *testing.T) {
	var p *Principal
	if p.MayPublish("/", "a") || p.MayRead("/", "a") || p.MayControl() {
		t.Error("nobody may do something")
	}
	if p := anyone(""); !p.MayPublish("/", "a") || !p.MayRead("/chat", "a") || !p.MayControl() {
		t.Error("anyone may not do everything")
	}
}
