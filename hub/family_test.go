package hub

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var gameName = Matching(regexp.MustCompile(`^/game-\d+$`))

func namespaceNames(list []*Namespace) []string {
	var out []string
	for _, ns := range list {
		out = append(out, ns.Name())
	}
	return out
}

func TestFamiliesMakeNamespacesForTheirSessions(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	var d diary
	h.Observe(Observer{
		NamespaceCreated: func(ns *Namespace) { d.add("created %s", ns.Name()) },
		NamespaceDeleted: func(ns *Namespace) { d.add("deleted %s", ns.Name()) },
	})
	f, err := h.HandleFamily(gameName, func(s *Session) error {
		for ev := range s.Events() {
			ev.Ack(s.Namespace())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.Use(func(s *Session) error {
		if strings.Contains(string(s.Handshake().Auth), "no") {
			return &ConnectError{Message: "no"}
		}
		return nil
	})
	if c := connect(t, h, 0, "/gamble", "{}"); !errors.Is(c.err, ErrUnknownNamespace) {
		t.Errorf("another name: %v", c.err)
	}
	if c := connect(t, h, 0, "/game-1,", "{}"); !errors.Is(c.err, ErrUnknownNamespace) {
		t.Errorf("a bad name: %v", c.err)
	}
	a, b := connect(t, h, 0, "/game-1", "{}"), connect(t, h, 1, "/game-1", "{}")
	other := connect(t, h, 0, "/game-2", "{}")
	if got := a.call(t, 1, "where"); got != `["/game-1"]` {
		t.Errorf("a is in %s", got)
	}
	if got := namespaceNames(f.Namespaces()); !slices.Equal(got, []string{"/game-1", "/game-2"}) {
		t.Errorf("the family has %q", got)
	}
	if err := h.Of("/game-1").To().Emit("one"); err != nil {
		t.Error(err)
	}
	if err := f.Emit("all"); err != nil {
		t.Error(err)
	}
	for c, want := range map[*fakeConn][]string{a: {`["one"]`, `["all"]`}, b: {`["one"]`, `["all"]`}, other: {`["all"]`}} {
		if got := c.waitEvents(t, len(want)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// One that a middleware refuses leaves nothing behind.
	if c := connect(t, h, 0, "/game-3", `"no"`); c.state != "refused" {
		t.Errorf("it is %s", c.state)
	}
	a.leave("transport close")
	b.leave("transport close")
	waitFor(t, func() bool { return slices.Equal(namespaceNames(h.Namespaces()), []string{"/", "/game-2"}) })
	other.leave("transport close")
	waitFor(t, func() bool { return slices.Equal(namespaceNames(h.Namespaces()), []string{"/"}) })
	want := []string{
		"created /game-1", "created /game-2", "created /game-3",
		"deleted /game-1", "deleted /game-2", "deleted /game-3",
	}
	waitFor(t, func() bool { return len(d.all()) == len(want) })
	if got := slices.Sorted(slices.Values(d.all())); !slices.Equal(got, want) {
		t.Errorf("told %q", got)
	}
}

func TestANamespaceOfTheApplicationIsAdoptedAndStays(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	own := h.Of("/game-1")
	var order []string
	own.Use(func(*Session) error { order = append(order, "own"); return nil })
	if c := connect(t, h, 0, "/game-1", "{}"); !errors.Is(c.err, ErrUnknownNamespace) {
		t.Errorf("without a handler: %v", c.err)
	}
	f, err := h.HandleFamily(gameName, chatter)
	if err != nil {
		t.Fatal(err)
	}
	f.Use(func(*Session) error { order = append(order, "family"); return nil })
	c := connect(t, h, 0, "/game-1", "{}")
	if c.state != "accepted" || !slices.Equal(order, []string{"family", "own"}) {
		t.Errorf("%s after %q", c.state, order)
	}
	c.leave("transport close")
	waitFor(t, func() bool { return h.SessionCount() == 0 })
	if h.Of("/game-1") != own {
		t.Error("it is another one")
	}
}

func TestFamiliesAreAskedInOrderAndHandlersComeFirst(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	says := func(what string) func(*Session) error {
		return func(s *Session) error { return s.Emit(what) }
	}
	mustHandle(t, h, "/game-1", says("handler"))
	for _, what := range []string{"panics", "auth", "first", "second"} {
		match := gameName
		switch what {
		case "panics":
			match = func(string, *Handshake) bool { panic("match") }
		case "auth":
			match = func(_ string, hs *Handshake) bool { return string(hs.Auth) == `"me"` }
		}
		if _, err := h.HandleFamily(match, says(what)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ namespace, auth, want string }{
		{"/game-1", "{}", `["handler"]`},
		{"/game-2", "{}", `["first"]`},
		{"/anything", `"me"`, `["auth"]`},
	} {
		if got := connect(t, h, 0, tc.namespace, tc.auth).waitEvents(t, 1)[0]; got != tc.want {
			t.Errorf("%s: %s, want %s", tc.namespace, got, tc.want)
		}
	}
	if n := h.Counters()["callback_panicked"]; n != 2 {
		t.Errorf("%d panics counted", n)
	}
}

func TestNamespacesOfFamiliesAreBounded(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, MaxNamespaces: 2, KeepNamespaces: true})
	if _, err := h.HandleFamily(gameName, chatter); err != nil {
		t.Fatal(err)
	}
	connect(t, h, 0, "/game-1", "{}").leave("transport close")
	waitFor(t, func() bool { return h.SessionCount() == 0 })
	connect(t, h, 0, "/game-2", "{}")
	if c := connect(t, h, 0, "/game-3", "{}"); !errors.Is(c.err, ErrTooManyNamespaces) {
		t.Errorf("one too many: %v", c.err)
	}
	if n := h.Counters()["namespace_refused"]; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
	if c := connect(t, h, 0, "/game-1", "{}"); c.state != "accepted" {
		t.Errorf("one that was kept: %s, %v", c.state, c.err)
	}
}

func TestAFamilyNeedsAHandler(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	if _, err := h.HandleFamily(gameName, 7); err == nil {
		t.Error("a number handles sessions")
	}
}

// Clients come and go on two loops while their namespace is made and dropped: each gets a living one.
func TestNamespacesComeAndGo(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	if _, err := h.HandleFamily(gameName, chatter); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for loop := range 2 {
		wg.Go(func() {
			for i := range 200 {
				c := newFakeConn(h, loop)
				c.begin("/game-1", "{}")
				c.wait(t, "the session", func() bool { return c.session != nil && c.state == "accepted" })
				if err := h.Of("/game-1").To(c.session.ID()).Emit("n", i); err != nil {
					t.Error(err)
				}
				if got := c.waitEvents(t, 1)[0]; got != fmt.Sprintf(`["n",%d]`, i) {
					t.Errorf("got %s", got)
				}
				c.leave("transport close")
			}
		})
	}
	wg.Wait()
	waitFor(t, func() bool { return len(h.Namespaces()) == 0 && h.children == 0 })
}
