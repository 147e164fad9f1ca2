package hub

import (
	"errors"
	"strings"
	"testing"
)

func TestTypedHandlers(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type point struct{ X, Y int }
	mustHandle(t, h, "/", Events{
		"note":  On(func(s *Session, text string) error { s.Data = text; return nil }),
		"data":  Reply(func(s *Session, _ *int) (any, error) { return s.Data, nil }),
		"add":   Reply(func(_ *Session, p point) (int, error) { return p.X + p.Y, nil }),
		"bytes": Reply(func(_ *Session, b []byte) ([]byte, error) { return append([]byte("re: "), b...), nil }),
		"fail":  On(func(*Session, any) error { return &Error{Code: "no", Message: "not now"} }),
		"sorry": Reply(func(*Session, any) (int, error) { return 1, errors.New("sorry") }),
		"event": func(s *Session, ev *Event, n int) error { return ev.Ack(ev.Name, n, len(ev.Raw())) },
		"later": func(ev *Event) { s := ev.Session(); s.loop.Post(func() { ev.Ack("later") }) },
	})
	c := connect(t, h, 0, "/", "{}")
	for i, tc := range []struct {
		event string
		args  []any
		want  string
	}{
		{"note", []any{"x"}, `[]`},
		{"data", []any{nil}, `["x"]`},
		{"note", []any{7}, `[{"error":{"code":"bad_arguments","message":"note: argument 1: want a string, got a number"},"ok":false}]`},
		{"note", nil, `[{"error":{"code":"bad_arguments","message":"note: want 1 argument, got 0"},"ok":false}]`},
		{"add", []any{point{1, 2}}, `[3]`},
		{"add", []any{"x"}, `[{"error":{"code":"bad_arguments","message":"add: argument 1: want an object, got a string"},"ok":false}]`},
		{"bytes", []any{[]byte("b")}, `[{"_placeholder":true,"num":0}]`},
		{"fail", []any{1}, `[{"error":{"code":"no","message":"not now"},"ok":false}]`},
		{"sorry", []any{1}, `[{"error":{"code":"error","message":"sorry"},"ok":false}]`},
		{"event", []any{1, "x"}, `["event",1,2]`},
		{"later", nil, `["later"]`},
	} {
		if got := c.call(t, int64(i), tc.event, tc.args...); got != tc.want {
			t.Errorf("%s%v: %s, want %s", tc.event, tc.args, got, tc.want)
		}
	}
}

func TestTypedHandlersAreCheckedWhenTheyAreRegistered(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	for name, tc := range map[string]struct {
		line any
		err  string
	}{
		"a channel":        {On(func(*Session, chan int) error { return nil }), `"x": the argument is chan int: no client can send that`},
		"a result":         {Reply(func(*Session, int) (func(), error) { return nil, nil }), `"x": the result is func(): JSON has no such value`},
		"nil":              {On[int](nil), `"x": a nil handler`},
		"nil with a reply": {Reply[int, int](nil), `"x": a nil handler`},
		"zero":             {Handler{}, `"x": a nil handler`},
		"once":             {Once(7), `"x": int is not a function`},
		"event last":       {func(int, *Event) {}, `"x": parameter 2 is *hub.Event`},
	} {
		if err := h.Handle("/", Events{"x": tc.line}); err == nil || !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %v, want %s", name, err, tc.err)
		}
	}
	for name, fn := range map[string]any{"disconnect": func() {}, "disconnecting": func(*Session) {}, "connect": 1} {
		if err := h.Handle("/", Events{name: fn}); err == nil || !strings.Contains(err.Error(), "want func(*hub.Session") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOnceAndTheRestOfATable(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", Events{
		"hello": Once(func() string { return "hello" }),
		"typed": Once(Reply(func(_ *Session, n int) (int, error) { return n, nil })),
	})
	mustHandle(t, h, "/rest", Events{
		"hello": Once(func() string { return "hello" }),
		"*":     func(ev *Event) error { return ev.Ack("rest", ev.Name) },
	})
	const unknown = `[{"error":{"code":"unknown_event","message":"no such event: \"hello\""},"ok":false}]`
	for range 2 { // every session has a first time
		c := connect(t, h, 0, "/", "{}")
		if got := c.call(t, 1, "hello"); got != `["hello"]` {
			t.Errorf("first %s", got)
		}
		if got := c.call(t, 2, "hello"); got != unknown {
			t.Errorf("then %s", got)
		}
		if got := c.call(t, 3, "typed", 5); got != `[5]` {
			t.Errorf("typed %s", got)
		}
		c = connect(t, h, 0, "/rest", "{}")
		for i, tc := range []struct{ event, want string }{
			{"hello", `["hello"]`}, {"hello", `["rest","hello"]`}, {"x", `["rest","x"]`}, {"*", `["rest","*"]`},
		} {
			if got := c.call(t, int64(i), tc.event); got != tc.want {
				t.Errorf("%s: %s, want %s", tc.event, got, tc.want)
			}
		}
	}
}

func TestServingATableInAHandler(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	errs := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		n := 0
		errs <- s.Serve(Events{"count": func() int { n++; return n }})
		return nil
	})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	for i, c := range []*fakeConn{a, a, b} {
		if got, want := c.call(t, int64(i), "count"), []string{"[1]", "[2]", "[1]"}[i]; got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
	a.leave("transport close")
	if err := <-errs; err != nil {
		t.Errorf("at the end: %v", err)
	}
	mustHandle(t, h, "/bad", func(s *Session) error {
		errs <- s.Serve(Events{"x": 1})
		return nil
	})
	connect(t, h, 0, "/bad", "{}")
	if err := <-errs; err == nil {
		t.Error("a number is a handler")
	}
}
