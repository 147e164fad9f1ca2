package hub

import (
	"encoding/json"
	"testing"
)

// namedComer is a client that may come back, and whose protocol says what its sessions are called.
type namedComer struct {
	*comer
	id string
}

func (c *namedComer) SessionID(string) string { return c.id }

func (c *namedComer) enter(t *testing.T, pid, offset string) *Session {
	t.Helper()
	c.loop.Post(func() {
		s, err := c.h.Reconnect(c, "/", &Handshake{Auth: json.RawMessage(`{}`)}, pid, offset)
		c.change(func() { c.session, c.err = s, err })
	})
	c.wait(t, "an answer to connect", func() bool { return c.state != "" && c.session != nil })
	return c.session
}

// Clients whose ids are given cannot take over another session's, so they do not come back: neither to their own
// sessions, which wait for nobody and push nobody out, nor to those of others.
func TestClientsWithIDsOfTheirOwnDoNotComeBack(t *testing.T) {
	h := recoveryHub(t, Options{Loops: 1}, Recovery{MaxSessions: 1}, stays)
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	pid, offset := a.ticketOf()
	a.leave("transport close")
	settled(h)

	b := &namedComer{&comer{fakeConn: newFakeConn(h, 0), h: h}, "mine"}
	if s := b.enter(t, pid, offset); s.Recovered() || s.ID() != "mine" {
		t.Errorf("recovered %v as %s", s.Recovered(), s.ID())
	}
	b.leave("transport close")
	settled(h)
	if c := come(t, h, 0, "/", pid, offset); !c.session.Recovered() {
		t.Errorf("not recovered: %v", h.Counters())
	}
	rec := h.Of("/").recovery
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if n := rec.away.Len(); n != 0 || len(rec.tickets) != 1 {
		t.Errorf("%d are away, %d tickets", n, len(rec.tickets))
	}
}
