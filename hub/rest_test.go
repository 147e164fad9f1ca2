package hub

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"greenroom/coop"
)

// notes is a list that loops and tests write to.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, what)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.list)
}

// waitLeft waits until the server has ended the session.
func (c *fakeConn) waitLeft(t *testing.T) {
	t.Helper()
	c.wait(t, "the end", func() bool { return c.state == "left" })
}

// TestRestingSessions: whatever happens to a session of a table looks the same, whether it rests between events or waits
// on its stack, because a function of the application's is around it.
func TestRestingSessions(t *testing.T) {
	for name, happens := range map[string]func(t *testing.T, c *fakeConn){
		"an event passed over": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "wait")
			c.emit(t, NoAck, "note", "before")
			c.emit(t, NoAck, "note", "too")
			c.emit(t, NoAck, "go")
			c.call(t, 1, "sync")
		},
		"an event passed over at the beginning": func(t *testing.T, c *fakeConn) { c.call(t, 1, "sync") },
		"sleep": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "sleep")
			c.emit(t, NoAck, "note", "later")
			c.call(t, 1, "sync")
		},
		"panic": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "panic")
			c.emit(t, NoAck, "note", "late")
			c.waitLeft(t)
		},
		"disconnect": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "leave")
			c.emit(t, NoAck, "note", "late")
			c.waitLeft(t)
		},
		"a refused event": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "refuse")
			c.call(t, 1, "note", "refused")
		},
		"kill": func(t *testing.T, c *fakeConn) { c.on(func(s *Session) { s.Greenlet().Kill() }); c.waitLeft(t) },
		"kill with": func(t *testing.T, c *fakeConn) {
			c.on(func(s *Session) { s.Greenlet().KillWith(errors.New("enough")) })
			c.waitLeft(t)
		},
		"kill and an event": func(t *testing.T, c *fakeConn) {
			p, _ := EncodeArgs("note", "at once")
			c.on(func(s *Session) { s.Greenlet().Kill(); s.Deliver(NewEvent("note", p, NoAck)) })
			c.waitLeft(t)
		},
		"an event and kill": func(t *testing.T, c *fakeConn) {
			p, _ := EncodeArgs("note", "at once")
			c.on(func(s *Session) { s.Deliver(NewEvent("note", p, NoAck)); s.Greenlet().Kill() })
			c.waitLeft(t)
		},
		"disconnected while it rests": func(t *testing.T, c *fakeConn) {
			c.on(func(s *Session) { s.Disconnect("enough") })
			c.waitLeft(t)
		},
		"an event and disconnect": func(t *testing.T, c *fakeConn) {
			p, _ := EncodeArgs("note", "at once")
			c.on(func(s *Session) { s.Deliver(NewEvent("note", p, NoAck)); s.Disconnect("enough") })
			c.waitLeft(t)
		},
		"two events and disconnect": func(t *testing.T, c *fakeConn) {
			p, _ := EncodeArgs("note", "at once")
			c.on(func(s *Session) {
				s.Deliver(NewEvent("note", p, NoAck))
				s.Deliver(NewEvent("note", p, NoAck))
				s.Disconnect("enough")
			})
			c.waitLeft(t)
		},
		"the client goes while it is woken": func(t *testing.T, c *fakeConn) {
			p, _ := EncodeArgs("note", "last")
			c.on(func(s *Session) { s.Deliver(NewEvent("note", p, NoAck)); s.Closed("transport close") })
		},
		"the client goes while it sleeps": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "doze")
			c.emit(t, NoAck, "note", "later")
			c.leave("transport close")
		},
		"killed while it sleeps": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "doze")
			c.emit(t, NoAck, "note", "later")
			c.on(func(s *Session) { s.Greenlet().Kill() })
			c.waitLeft(t)
		},
		"a timeout around it": func(t *testing.T, c *fakeConn) {
			c.emit(t, NoAck, "limit")
			c.waitLeft(t)
		},
		"panic at the end":      func(t *testing.T, c *fakeConn) { c.emit(t, NoAck, "fuse"); c.leave("transport close") },
		"the client goes":       func(t *testing.T, c *fakeConn) { c.leave("transport close") },
		"the client goes early": func(t *testing.T, c *fakeConn) { c.emit(t, NoAck, "wait"); c.leave("transport close") },
	} {
		t.Run(name, func(t *testing.T) {
			scenario := func(rests bool) []string {
				n, fuse := &notes{}, false
				table := Events{
					"connect": func(s *Session) error {
						if name == "an event passed over at the beginning" {
							_, err := s.Wait("go", patience)
							return err
						}
						return nil
					},
					"disconnecting": func(_ *Session, reason string) { n.add("disconnecting: " + reason) },
					"disconnect": func(s *Session) {
						n.add("disconnect: " + s.Reason())
						if fuse {
							panic("boom")
						}
					},
					"note":  func(text string) { n.add(text) },
					"sync":  func() string { n.add("sync"); return "" },
					"panic": func() { panic("boom") },
					"leave": func(s *Session) error { n.add("leave"); return s.Disconnect("thanks") },
					"sleep": func(s *Session) error { n.add("sleep"); return s.Sleep(1) },
					"doze": func(s *Session) error {
						n.add("doze")
						err := s.Sleep(patience)
						n.add("awake: " + err.Error())
						return err
					},
					"limit": func(s *Session) { n.add("limit"); s.Greenlet().StartTimeout(1) },
					"fuse":  func() { fuse = true },
					"refuse": func(s *Session) {
						s.Use(func(ev *Event) error { return errors.New("not " + ev.Name) })
					},
					"wait": func(s *Session) error {
						_, err := s.Wait("go", patience)
						n.add("waited: " + map[bool]string{true: "gone", false: "not gone"}[errors.Is(err, ErrGone)])
						return nil
					},
				}
				h := newTestHub(t, Options{Loops: 1})
				var handler any = table
				if !rests {
					handler = func(s *Session) error { return s.Serve(table) }
				}
				mustHandle(t, h, "/", handler)
				c := connect(t, h, 0, "/", "")
				if name == "an event passed over at the beginning" {
					c.emit(t, NoAck, "note", "early")
					c.emit(t, NoAck, "go")
				}
				happens(t, c)
				c.leave("the end")
				var g *coop.Greenlet
				c.on(func(s *Session) { g = s.Greenlet() })
				if err := h.Loops().All()[0].Call(func(me *coop.Greenlet) error { g.Join(me); return nil }); err != nil {
					t.Fatal(err)
				}
				n.add(c.state)
				if left := h.Of("/").SessionCount(); left != 0 {
					t.Errorf("%d sessions are left", left)
				}
				return n.all()
			}
			want, got := scenario(false), scenario(true)
			if !slices.Equal(got, want) {
				t.Errorf("resting: %q\non a stack: %q", got, want)
			}
			if len(want) < 3 {
				t.Errorf("nothing happened: %q", want)
			}
		})
	}
}

// TestRestingSessionsAreToldOfTheHubsEnd: "disconnect" runs when the hub closes, as it does for others.
func TestRestingSessionsAreToldOfTheHubsEnd(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	n := &notes{}
	mustHandle(t, h, "/", Events{"disconnect": func(*Session) { n.add("disconnect") }})
	for i := range 10 {
		connect(t, h, i%2, "/", "")
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(n.all()); got != 10 {
		t.Errorf("%d sessions were told", got)
	}
}

// TestRelayWithinAHandler returns when the client has left, and not before.
func TestRelayWithinAHandler(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	n, done := &notes{}, make(chan struct{})
	relay := Relay(RelayOptions{})
	mustHandle(t, h, "/", func(s *Session) error {
		defer close(done)
		err := relay.Serve(s)
		n.add("behind it: " + s.Reason())
		return err
	})
	c := connect(t, h, 0, "/", "")
	if ack := c.call(t, 1, "join", "lobby"); ack != `[{"ok":true}]` {
		t.Errorf("join: %s", ack)
	}
	n.add("joined")
	c.leave("transport close")
	<-done
	if got, want := n.all(), []string{"joined", "behind it: transport close"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNilRelayHandler(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	if err := h.Handle("/", (*RelayHandler)(nil)); err == nil {
		t.Error("it was taken")
	}
}
