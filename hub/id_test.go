package hub

import "testing"

// namedConn is a client whose protocol says what its sessions are called.
type namedConn struct {
	*fakeConn
	id string
}

func (c *namedConn) SessionID(namespace string) string {
	if namespace == "/" {
		return ""
	}
	return namespace + "#" + c.id
}

func TestIdentifier(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	entered, leave := make(chan *Session, 3), make(chan struct{})
	for _, namespace := range []string{"/", "/n"} {
		mustHandle(t, h, namespace, func(s *Session) error {
			entered <- s
			for range s.Events() {
			}
			return nil
		})
	}
	c := &namedConn{newFakeConn(h, 0), "one"}
	join := func(namespace string) *Session {
		c.loop.Post(func() {
			if _, err := h.Connect(c, namespace, &Handshake{}); err != nil {
				t.Error(err)
			}
		})
		return <-entered
	}
	if s := join("/"); len(s.ID()) != 20 {
		t.Errorf("id %q", s.ID())
	}
	first := join("/n")
	if first.ID() != "/n#one" || h.Of("/n").Session("/n#one") != first {
		t.Errorf("id %q", first.ID())
	}
	// A successor of the same name comes before the first one's greenlet has ended, whose end does not take it away.
	c.loop.Post(func() {
		defer close(leave)
		first.Closed("gone")
		if _, err := h.Connect(c, "/n", &Handshake{}); err != nil {
			t.Error(err)
		}
	})
	<-leave
	second := <-entered
	for !first.Greenlet().Ended() {
		c.on(func(*Session) {}) // its loop goes on
	}
	if got := h.Of("/n").Session("/n#one"); got != second {
		t.Errorf("found %p, wanted %p", got, second)
	}
	if err := h.Of("/n").To("/n#one").Emit("hello"); err != nil {
		t.Error(err)
	}
	if got := c.waitEvents(t, 1); got[0] != `["hello"]` {
		t.Errorf("got %q", got)
	}
}
