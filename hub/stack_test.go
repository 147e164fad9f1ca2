//go:build !race

package hub

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// typical is a handler as users write them: some variables, some calls in a switch.
func typical(s *Session) error {
	var room, msg string
	var x json.RawMessage
	for ev := range s.Events() {
		switch {
		case ev.Match("join", &room):
			if err := s.Join(room); err != nil {
				return err
			}
			ev.Ack("ok")
		case ev.Match("pub", &room, &msg):
			s.Hub().To(room).Emit("msg", msg)
		case ev.Match("echo", &x):
			ev.Ack(x)
		}
	}
	return nil
}

// A stack begins at 2 KB, and one that has grown to 4 KB does not shrink while a session waits, so an idle
// session must not need more on its way there: neither in our functions nor in its handler's first part. Nor may it use
// more than 1120 bytes while it waits: with a margin of 928 that is what the runtime gives to new goroutines, at the next
// power of two, as soon as it has seen many such stacks.
func TestIdleSessionsKeepTheSmallestStackAtScale(t *testing.T) {
	const n = 1000
	table := Events{"join": func(s *Session, room string) string { s.Join(room); return "ok" }}
	for name, handler := range map[string]any{
		"typical": typical, "relay": Relay(RelayOptions{}).Serve, "relay at rest": Relay(RelayOptions{}),
		"table": func(s *Session) error { return s.Serve(table) }, "table at rest": table, "observed": typical,
		"recovery": typical, "listening": listening,
	} {
		o := Options{Loops: 1}
		if name == "recovery" {
			o.Recovery = &Recovery{}
		}
		h := newTestHub(t, o)
		if name == "observed" {
			h.Observe(Observer{Connected: deep, Joined: func(s *Session, _ string) { deep(s) }})
			h.Of("/").Use(func(s *Session) error { return s.Join("all") })
		}
		if err := h.Handle("/", handler); err != nil {
			t.Fatal(err)
		}
		connect(t, h, 0, "/", `{"name":"first"}`)
		before := stacks()
		for _, batch := range []string{"first", "second"} { // which get what the first use on average
			for range n {
				connect(t, h, 0, "/", `{"name":"Ann"}`)
			}
			now := stacks()
			t.Logf("%s: %d bytes of stack an idle session of the %s batch", name, (now-before)/n, batch)
			most := int64(2500)
			if strings.HasSuffix(name, "at rest") {
				most = 200
			}
			if (now-before)/n > most {
				t.Errorf("%s: too much", name)
			}
			before = now
		}
	}
}

// listening has all that a session can listen to.
func listening(s *Session) error {
	s.Use(func(*Event) error { return nil })
	s.OnAny(func(*Event) {})
	s.OnAnyOutgoing(func(*Message) {})
	s.OnDisconnecting(func(string) {})
	var room string
	for ev := range s.Events() {
		if ev.Match("join", &room) {
			ev.Ack(s.Join(room) == nil)
		}
	}
	return nil
}

// deep is an observer that needs some kilobytes of stack.
func deep(s *Session) {
	var scratch [8 << 10]byte
	for i := range scratch {
		scratch[i] = byte(i) ^ s.id[0]
	}
	if scratch[5] == scratch[6] {
		panic("bytes that differ are the same")
	}
}

func stacks() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}
