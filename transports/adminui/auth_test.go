package adminui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

const (
	wrong   = `{"message":"invalid credentials"}`
	limited = `{"message":"too many attempts, try again in a moment"}`
)

func secured(t *testing.T) *fixture {
	return serve(t, hub.Options{}, Options{Username: "admin", Hash: hashOf(t, "sesame"), Mode: Production})
}

func TestLogin(t *testing.T) {
	f := secured(t)
	c := f.dial(t, "/admin")
	for _, auth := range []string{
		"", `{}`, `{"username":"admin"}`, `{"password":"sesame"}`, `{"username":"admin","password":1}`, `{"username":["admin"],"password":"sesame"}`,
		`{"sessionId":"0123456789abcdef"}`, `{"sessionId":{}}`, `{"sessionId":"","username":"","password":""}`,
		`{"username":"admin","password":"` + strings.Repeat("x", maxSecret+1) + `"}`,
		`{"username":"admin","password":"wrong"}`, `{"username":"root","password":"sesame"}`, `{"username":"admin","password":"sesame "}`,
	} {
		if got := c.join(auth); got != wrong {
			t.Errorf("%.60s: %q", auth, got)
		}
	}
	if n := f.hub.Counters()["adminui_login"]; n != 0 {
		t.Errorf("%d logins", n)
	}
	if no := c.join(`{"username":"admin","password":"sesame"}`); no != "" {
		t.Fatal(no)
	}
	var session []string
	if err := json.Unmarshal([]byte(c.event()), &session); err != nil || len(session) != 2 || session[0] != "session" || len(session[1]) != 16 {
		t.Fatalf("%q, %v", session, err)
	}
	if got := c.event(); !strings.HasPrefix(got, `["config"`) {
		t.Error(got)
	}
	f.counted(t, "adminui_login", 1)

	// Another page of the same browser, which gets no login of its own.
	again := f.login(t, `{"sessionId":"`+session[1]+`"}`)
	if got := again.event(); !strings.HasPrefix(got, `["config"`) {
		t.Error(got)
	}
	f.counted(t, "adminui_login", 1)
}

// Others may log in while one address guesses, and logins go on to work for that address.
func TestGuessing(t *testing.T) {
	f := secured(t)
	id := f.admin.logins.add()
	c := f.dial(t, "/admin")
	for i := 0; c.join(`{"username":"admin","password":"guess"}`) != limited; i++ {
		if i == 1000 {
			t.Fatal("nothing stops the guessing")
		}
	}
	f.login(t, `{"sessionId":"`+id+`"}`)
	if !f.admin.tries.allow(netip.MustParsePrefix("192.0.2.1/32"), time.Now()) {
		t.Error("another address has to wait")
	}
}

func TestTries(t *testing.T) {
	var tr tries
	tr.init()
	now := time.Now()
	one := netip.MustParsePrefix("192.0.2.1/32")
	for i := range triesAtOnce {
		if !tr.allow(one, now) {
			t.Errorf("attempt %d is refused", i)
		}
	}
	if tr.allow(one, now) {
		t.Error("one more at once")
	}
	if now = now.Add(triesEach); !tr.allow(one, now) || tr.allow(one, now) {
		t.Error("not one more after a while")
	}
	now, allowed := now.Add(time.Minute), 0
	for i := range 3 * maxAddresses {
		if tr.allow(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now) {
			allowed++
		}
	}
	if allowed != triesAllAtOnce {
		t.Errorf("%d attempts of all at once", allowed)
	}
	if len(tr.by) != maxAddresses || tr.recent.Len() != maxAddresses {
		t.Errorf("%d addresses, %d in the list", len(tr.by), tr.recent.Len())
	}
}

func TestAddresses(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1/32", "[::ffff:192.0.2.1]:80": "192.0.2.1/32", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5": "fe80::/64", "": "invalid Prefix", "pipe": "invalid Prefix",
	} {
		if got := address(&hub.Handshake{Request: &hub.Request{RemoteAddr: remote}}).String(); got != want {
			t.Errorf("%q: %s, want %s", remote, got, want)
		}
	}
	if got := address(&hub.Handshake{}); got.IsValid() {
		t.Error(got)
	}
}

// Only so many comparisons run; who comes meanwhile is told so at once, and a killed greenlet's place comes back.
func TestComparisonsAtOnce(t *testing.T) {
	f := secured(t)
	for range comparesAtOnce {
		if !f.admin.tries.begin() {
			t.Fatal("no place")
		}
	}
	c := f.dial(t, "/admin")
	if got := c.join(`{"username":"admin","password":"sesame"}`); got != limited {
		t.Error(got)
	}
	f.counted(t, "adminui_login_busy", 1)
	for range comparesAtOnce {
		f.admin.tries.end()
	}
	err := coop.Run(func(g *coop.Greenlet) error {
		killed := g.Spawn(func(g *coop.Greenlet) error { return f.admin.compare(g, "admin", "sesame") })
		g.Yield()
		killed.Kill()
		if err := f.admin.compare(g, "admin", "sesame"); err != nil && !errors.Is(err, errTooMany) {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the places to be free", func() bool {
		f.admin.tries.mu.Lock()
		defer f.admin.tries.mu.Unlock()
		return f.admin.tries.running == 0
	})
}

func TestLogins(t *testing.T) {
	var l logins
	l.init(time.Hour)
	first := l.add()
	if !l.valid(first) || l.valid("") || l.valid(first+"0") {
		t.Error("valid is wrong")
	}
	seen := map[string]bool{first: true}
	for range maxLogins {
		seen[l.add()] = true
	}
	if len(seen) != maxLogins+1 || len(l.until) != maxLogins || len(l.order) != maxLogins || l.valid(first) {
		t.Errorf("%d different, %d kept, %d in order, the first is %v", len(seen), len(l.until), len(l.order), l.valid(first))
	}
	var short logins
	short.init(-time.Second)
	if short.valid(short.add()) {
		t.Error("an expired login is valid")
	}
}

func ExampleCheckHash() {
	fmt.Println(CheckHash("secret"))
	// Output: adminui: no bcrypt hash: crypto/bcrypt: hashedSecret too short to be a bcrypted password
}

// Hashes as htpasswd, PHP and Python write them.
func TestHashesOfOthers(t *testing.T) {
	hash := hashOf(t, "sesame")
	for _, kind := range []string{"$2a$", "$2b$", "$2y$"} {
		f := serve(t, hub.Options{}, Options{Username: "admin", Hash: kind + hash[4:], Mode: Production})
		f.login(t, `{"username":"admin","password":"sesame"}`)
	}
}
