//go:build !race

package hub

import (
	"encoding/json"
	"runtime"
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
// session must not need more on its way there: neither in our functions nor in its handler's first part.
func TestIdleSessionsKeepTheSmallestStackAtScale(t *testing.T) {
	const n = 1000
	for name, handler := range map[string]any{"typical": typical, "relay": Relay(RelayOptions{})} {
		h := newTestHub(t, Options{Loops: 1})
		if err := h.Handle("/", handler); err != nil {
			t.Fatal(err)
		}
		connect(t, h, 0, "/", `{"name":"first"}`)
		before := stacks()
		for range n {
			connect(t, h, 0, "/", `{"name":"Ann"}`)
		}
		if each := (stacks() - before) / n; each > 2500 {
			t.Errorf("%s: %d bytes of stack an idle session", name, each)
		} else {
			t.Logf("%s: %d bytes of stack an idle session", name, each)
		}
	}
}

func stacks() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.StackInuse)
}
