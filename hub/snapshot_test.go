package hub

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

// linkedConn is a client whose transport says what it is.
type linkedConn struct{ *fakeConn }

func (c linkedConn) Transport() string  { return "websocket" }
func (c linkedConn) Connection() string { return "c1" }

func ids(snaps []Snapshot) []string {
	var out []string
	for _, s := range snaps {
		out = append(out, s.ID)
	}
	slices.Sort(out)
	return out
}

func TestSessionsListsThoseAddressed(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	a, b, c := connect(t, h, 0, "/", `{"n":1}`), connect(t, h, 1, "/", `{"n":2}`), connect(t, h, 1, "/", `{"n":3}`)
	join := func(c *fakeConn, rooms ...string) {
		c.on(func(s *Session) {
			for _, r := range rooms {
				if err := s.Join(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	join(a, "x", "y")
	join(b, "x")
	all := []string{a.session.ID(), b.session.ID(), c.session.ID()}
	slices.Sort(all)
	for name, tc := range map[string]struct {
		target Target
		want   []*fakeConn
	}{
		"everybody":         {h.To(), []*fakeConn{a, b, c}},
		"a room":            {h.In("x"), []*fakeConn{a, b}},
		"two rooms":         {h.In("x").To("y"), []*fakeConn{a, b}},
		"except":            {h.In("x").Except("y"), []*fakeConn{b}},
		"an id":             {h.In(c.session.ID()), []*fakeConn{c}},
		"nobody":            {h.In("z"), nil},
		"another namespace": {h.Of("/other").To(), nil},
	} {
		got, err := tc.target.Sessions()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var want []string
		for _, c := range tc.want {
			want = append(want, c.session.ID())
		}
		slices.Sort(want)
		if !slices.Equal(ids(got), want) {
			t.Errorf("%s: %v, want %v", name, ids(got), want)
		}
	}
}

func TestASnapshotTellsAboutItsSessionAndReachesIt(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := newFakeConn(h, 0)
	c.loop.Post(func() {
		s, err := h.Connect(linkedConn{c}, "/", &Handshake{Auth: []byte(`{"k":1}`)})
		c.change(func() { c.session, c.err = s, err })
	})
	c.wait(t, "the session", func() bool { return c.state == "accepted" && c.session != nil })
	c.on(func(s *Session) {
		s.Data = 42
		if err := s.Join("a"); err != nil {
			t.Error(err)
		}
	})
	snaps, err := h.To().Sessions()
	if err != nil || len(snaps) != 1 {
		t.Fatalf("%v, %v", snaps, err)
	}
	s := snaps[0]
	if s.ID != c.session.ID() || s.Namespace != "/" || s.Node != "" || string(s.Handshake.Auth) != `{"k":1}` || s.Data != 42 ||
		!slices.Equal(s.Rooms, []string{"a"}) || s.Transport != "websocket" || s.Connection != "c1" {
		t.Errorf("%+v", s)
	}
	if err := s.Emit("hi", 1); err != nil {
		t.Error(err)
	}
	if got := c.waitEvents(t, 1); got[0] != `["hi",1]` {
		t.Errorf("got %q", got)
	}
	if err := s.Join("b"); err != nil {
		t.Error(err)
	}
	s.Leave("a")
	again, err := s.Target().Sessions()
	if err != nil || len(again) != 1 || !slices.Equal(again[0].Rooms, []string{"b"}) {
		t.Errorf("then %+v, %v", again, err)
	}
	s.Disconnect("enough")
	c.wait(t, "the end", func() bool { return c.state == "left" })
	if err := s.Emit("too late"); err != nil {
		t.Errorf("emitting to a session that is gone: %v", err)
	}
}

// Handlers ask as well, and those who are not let in yet are not listed.
func TestSessionsFromAGreenlet(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	release := new(coop.Event)
	h.Of("/").Use(func(s *Session) error {
		if string(s.Handshake().Auth) == `"wait"` {
			if err := s.Join("a"); err != nil {
				return err
			}
			return release.Wait(s.Greenlet())
		}
		return nil
	})
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			all, err := h.To("a").To().Sessions()
			if err != nil {
				return err
			}
			if err := ev.Ack(len(all)); err != nil {
				return err
			}
		}
		return nil
	})
	pending := newFakeConn(h, 0)
	pending.begin("/", `"wait"`)
	pending.wait(t, "the session", func() bool { return pending.session != nil })
	for loop := range 2 {
		c := connect(t, h, loop, "/", "{}")
		c.on(func(s *Session) {
			if err := s.Join("a"); err != nil {
				t.Error(err)
			}
		})
		if got, want := c.call(t, 1, "list"), []string{"[1]", "[2]"}[loop]; got != want {
			t.Errorf("loop %d: %s, want %s", loop, got, want)
		}
	}
	pending.loop.Post(release.Set)
	pending.wait(t, "its turn", func() bool { return pending.state == "accepted" })
}

func TestSessionsCannotBeAskedForInACallback(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(*Session) {
		if _, err := h.To().Sessions(); !errors.Is(err, coop.ErrNotRunning) {
			t.Errorf("Sessions: %v", err)
		}
		if _, err := h.To().Ask("x"); !errors.Is(err, coop.ErrNotRunning) {
			t.Errorf("Ask: %v", err)
		}
	})
}

// A loop that is held up does not hold up the others' sessions: what is missing is named.
func TestSessionsOfABusyLoopAreMissing(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2, Node: "here"})
	mustHandle(t, h, "/", chatter)
	a := connect(t, h, 0, "/", "{}")
	b := connect(t, h, 1, "/", "{}")
	held, release := make(chan struct{}), make(chan struct{})
	b.loop.Post(func() { close(held); <-release })
	<-held
	got, err := h.To().Within(20 * time.Millisecond).Sessions()
	close(release)
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Nodes, []string{"here"}) || !errors.Is(err, coop.ErrTimeout) {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(err.Error(), "no answer of 1 node (here)") {
		t.Errorf("it says %q", err)
	}
	if want := []string{a.session.ID()}; !slices.Equal(ids(got), want) {
		t.Errorf("got %v, want %v", ids(got), want)
	}
}
