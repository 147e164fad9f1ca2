package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestHandleChecksShapes(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	for name, handler := range map[string]any{
		"nil":           nil,
		"number":        7,
		"nil func":      (func(*Session) error)(nil),
		"reserved":      Events{"connect_error": func() {}},
		"bad connect":   Events{"connect": func() {}},
		"no function":   Events{"x": 1},
		"variadic":      Events{"x": func(...int) {}},
		"channel":       Events{"x": func(chan int) {}},
		"nil in table":  Events{"x": nil},
		"typed nil fun": Events{"x": (func())(nil)},
	} {
		if err := h.Handle("/", handler); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, ns := range []string{"", "chat", "/a,b", "/\n"} {
		if err := h.Handle(ns, func(*Session) error { return nil }); err == nil {
			t.Errorf("namespace %q was taken", ns)
		}
	}
}

func TestEventTable(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type point struct{ X, Y int }
	ended := make(chan string, 1)
	mustHandle(t, h, "/", Events{
		"connect":    func(s *Session) error { s.Data = "data"; return nil },
		"disconnect": func(s *Session) { ended <- s.Reason() },
		"join":       func(s *Session, room string) string { s.Join(room); return "ok" },
		"sum":        func(p point, more []int) (int, error) { return p.X + p.Y + len(more), nil },
		"two":        func() (int, string) { return 1, "b" },
		"fail":       func() error { return &Error{Code: "no", Message: "not now"} },
		"echo":       func(x json.RawMessage) json.RawMessage { return x },
		"bytes":      func(b []byte) int { return len(b) },
		"data":       func(s *Session) any { return s.Data },
	})
	c := connect(t, h, 0, "/", "{}")
	for i, tc := range []struct {
		event string
		args  []any
		want  string
	}{
		{"join", []any{"r"}, `["ok"]`},
		{"sum", []any{point{1, 2}, []int{9}}, `[4]`},
		{"two", nil, `[1,"b"]`},
		{"fail", nil, `[{"error":{"code":"no","message":"not now"},"ok":false}]`},
		{"echo", []any{map[string]int{"a": 1}}, `[{"a":1}]`},
		{"bytes", []any{[]byte("abc")}, `[3]`},
		{"data", nil, `["data"]`},
		{"join", nil, `[{"error":{"code":"bad_arguments","message":"join: want 1 argument, got 0"},"ok":false}]`},
		{"nope", nil, `[{"error":{"code":"unknown_event","message":"no such event: \"nope\""},"ok":false}]`},
	} {
		if got := c.call(t, int64(i), tc.event, tc.args...); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.event, got, tc.want)
		}
	}
	c.leave("ping timeout")
	if got := <-ended; got != "ping timeout" {
		t.Errorf("disconnect saw %q", got)
	}
}

type tree struct {
	Name     string `json:"name"`
	Children []*tree
	_        chan int
	Skipped  func() `json:"-"`
}

// TestHandlerSignatures: every wrong kind is an error when the table is registered, and says what is wrong.
func TestHandlerSignatures(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	for _, tc := range []struct {
		name string
		fn   any
		err  string // part of it; "" for a good one
	}{
		{"nothing", func() {}, ""},
		{"session only", func(*Session) {}, ""},
		{"all that JSON has", func(*Session, string, bool, int8, uint64, float32, []int, [2]string, map[string]any, any) {}, ""},
		{"keys that are numbers or text", func(map[int]string, map[*big.Int]int) {}, ""},
		{"types that decode themselves", func(time.Time, *big.Int, json.Number) {}, ""},
		{"binary", func([]byte, Binary, []Binary) {}, ""},
		{"raw", func(json.RawMessage) json.RawMessage { return nil }, ""},
		{"a type that holds itself", func(tree, *tree) *tree { return nil }, ""},
		{"an interface as result", func() (fmt.Stringer, any) { return nil, nil }, ""},
		{"error only", func() error { return nil }, ""},
		{"results and error", func() (int, string, error) { return 0, "", nil }, ""},

		{"nil", nil, "is not a function"},
		{"a nil function", (func())(nil), "is not a function"},
		{"a string", "join", "is not a function"},
		{"a pointer to a function", new(func()), "is not a function"},
		{"variadic", func(...string) {}, "variadic"},
		{"a channel", func(chan int) {}, "parameter 1 is chan int: no client can send that"},
		{"a function", func(string, func()) {}, "parameter 2 is func(): no client can send that"},
		{"a channel in a slice", func([]chan int) {}, "no client can send that"},
		{"a channel in a map", func(map[string]chan int) {}, "no client can send that"},
		{"a channel in a struct", func(struct{ C chan int }) {}, "field C: no client can send that"},
		{"a channel in a tagged field", func(struct {
			C chan int `json:"sea,omitempty"`
		}) {
		}, "field sea: no client can send that"},
		{"a complex number", func(complex128) {}, "no client can send that"},
		{"an interface with methods", func(io.Reader) {}, "no client can send that"},
		{"an error as parameter", func(error) {}, "no client can send that"},
		{"keys that are no text", func(map[struct{}]int) {}, "keys of type struct {}"},
		{"the session last", func(string, *Session) {}, "only the first parameter can be the session"},
		{"a session by value", func(Session) {}, "only the first parameter can be the session"},
		{"two sessions", func(_, _ *Session) {}, "only the first parameter can be the session"},
		{"a channel as result", func() chan int { return nil }, "result 1 is chan int: JSON has no such value"},
		{"a function as second result", func() (int, func()) { return 0, nil }, "result 2 is func()"},
		//lint:ignore ST1008 that is what must be refused
		{"an error that is not last", func() (error, int) { return nil, 0 }, "a last result of type error"},
		{"two errors", func() (error, error) { return nil, nil }, "a last result of type error"},
		{"an error of its own type", func() *Error { return nil }, "a last result of type error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := h.Handle("/"+strings.ReplaceAll(tc.name, " ", "-"), Events{"event": tc.fn})
			switch {
			case tc.err == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.err != "" && err == nil:
				t.Error("taken")
			case tc.err != "" && (!strings.Contains(err.Error(), tc.err) || !strings.Contains(err.Error(), `"event"`)):
				t.Errorf("%v; want %s", err, tc.err)
			}
		})
	}
	for name, fn := range map[string]any{
		"connect":    func(*Session) {},
		"disconnect": func(*Session) error { return nil },
	} {
		if err := h.Handle("/x", Events{name: fn}); err == nil || !strings.Contains(err.Error(), "want func(*hub.Session)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range reservedEvents {
		if err := h.Handle("/x", Events{name: func() {}}); err == nil {
			t.Errorf("the reserved name %q was taken", name)
		}
	}
}

func TestHandleAfterClose(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Handle("/", chatter); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestTableArguments: whatever a client sends, it gets an answer and its session lives.
func TestTableArguments(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	type point struct{ X, Y int }
	mustHandle(t, h, "/", Events{
		"text":   func(s string) string { return s },
		"number": func(n int) int { return n },
		"small":  func(n uint8) uint8 { return n },
		"list":   func(l []int) int { return len(l) },
		"object": func(p point) point { return p },
		"bytes":  func(b []byte) int { return len(b) },
		"any":    func(x any) string { return fmt.Sprintf("%T", x) },
		"when":   func(at time.Time) int { return at.Year() },
		"two":    func(a, b string) string { return a + b },
		"none":   func() {},
		"ping":   func() string { return "pong" },
	})
	const bad = `"code":"bad_arguments"`
	c := connect(t, h, 0, "/", "{}")
	for i, tc := range []struct {
		event, json string
		attachments [][]byte
		want        string // part of the ack
	}{
		{"text", `"a"`, nil, `["a"]`},
		{"text", ``, nil, `text: want 1 argument, got 0`},
		{"text", `"a","b"`, nil, `["a"]`}, // more than wanted is ignored, as a JavaScript function would
		{"text", `7`, nil, `text: argument 1: want a string, got a number`},
		{"text", `{}`, nil, `want a string, got an object`},
		{"text", `[]`, nil, bad},
		{"text", `true`, nil, `want a string, got a boolean`},
		{"text", `{"_placeholder":true,"num":0}`, [][]byte{[]byte("abc")}, `want a string, got binary data`},
		{"text", `null`, nil, `[""]`}, // as encoding/json has it
		{"text", `"\ud800"`, nil, "[\"\ufffd\"]"},
		{"number", `1`, nil, `[1]`},
		{"number", `1.5`, nil, `want a whole number, got 1.5`},
		{"number", `1e999`, nil, bad},
		{"number", `99999999999999999999`, nil, `want a whole number from -9223372036854775808 to 9223372036854775807, got 99999999999999999999`},
		{"number", `"1"`, nil, bad},
		{"small", `255`, nil, `[255]`},
		{"small", `256`, nil, `want a whole number from 0 to 255, got 256`},
		{"small", `-1`, nil, bad},
		{"list", `[1,2]`, nil, `[2]`},
		{"list", `[1,"2"]`, nil, `want a whole number, got a string`},
		{"list", `{"length":2}`, nil, `want an array, got an object`},
		{"object", `{"X":1,"Y":2,"Z":3}`, nil, `[{"X":1,"Y":2}]`},
		{"object", `{"X":{}}`, nil, `object: argument 1: X: want a whole number, got an object`},
		{"object", `[1,2]`, nil, `want an object, got an array`},
		{"bytes", `{"_placeholder":true,"num":0}`, [][]byte{[]byte("abc")}, `[3]`},
		{"bytes", `{"_placeholder":true,"num":1}`, [][]byte{[]byte("abc")}, `want binary data, got an object`},
		{"bytes", `{"_placeholder":true,"num":-1}`, [][]byte{[]byte("abc")}, bad},
		{"bytes", `{"_placeholder":true,"num":0}`, nil, bad},
		{"bytes", `"YWJj"`, nil, `want binary data, got a string`},
		{"bytes", `[97]`, nil, `want binary data, got an array`},
		{"bytes", `7`, nil, `want binary data, got a number`},
		{"bytes", `false`, nil, `want binary data, got a boolean`},
		{"bytes", `null`, nil, `want binary data, got null`},
		{"any", `{"_placeholder":true,"num":0}`, [][]byte{[]byte("abc")}, `["[]uint8"]`},
		{"any", `[{"_placeholder":true,"num":9}]`, [][]byte{[]byte("abc")}, `["[]interface {}"]`},
		{"any", `1e999`, nil, bad},
		{"any", `null`, nil, `["<nil>"]`},
		{"when", `"2026-01-02T03:04:05Z"`, nil, `[2026]`},
		{"when", `"yesterday"`, nil, bad},
		{"two", `"a"`, nil, `two: want 2 arguments, got 1`},
		{"two", `"a",2`, nil, `two: argument 2: want a string, got a number`},
		{"none", `1,2,3`, nil, `[]`},
		{"nothing of that name", ``, nil, `"code":"unknown_event"`},
		{"connect", ``, nil, `"code":"unknown_event"`},
		{"disconnect", ``, nil, `"code":"unknown_event"`},
		{"", ``, nil, `"code":"unknown_event"`},
		{strings.Repeat("long", 100), ``, nil, `"no such event: \"longlong`},
	} {
		text := `["` + tc.event + `"`
		if tc.json != "" {
			text += "," + tc.json
		}
		id := int64(i)
		c.on(func(s *Session) {
			p := Payload{JSON: []byte(text + "]"), Attachments: tc.attachments}
			if err := s.Deliver(NewEvent(tc.event, p, id)); err != nil {
				t.Error(err)
			}
		})
		c.wait(t, "the ack of "+text, func() bool { _, ok := c.acks[id]; return ok })
		if got := c.acks[id]; !strings.Contains(got, tc.want) || len(got) > 300 {
			t.Errorf("%s(%s): got %s, want %s", tc.event, tc.json, got, tc.want)
		}
	}
	if got := c.call(t, 1000, "ping"); got != `["pong"]` {
		t.Errorf("afterwards: %s", got)
	}
	if n := h.Counters()["handler_failed"]; n != 0 {
		t.Errorf("%d handlers failed", n)
	}
}

func TestTableResults(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", Events{
		"none":     func() {},
		"two":      func() (int, string) { return 1, "b" },
		"fine":     func() (int, error) { return 1, nil },
		"refused":  func() (int, error) { return 1, &Error{Code: "no", Message: "not now"} },
		"wrapped":  func() error { return fmt.Errorf("today: %w", &Error{Code: "no", Message: "not now"}) },
		"plain":    func() error { return io.ErrUnexpectedEOF },
		"binary":   func() []byte { return []byte("abc") },
		"nil":      func() any { return nil },
		"nil raw":  func() json.RawMessage { return nil },
		"bad raw":  func() json.RawMessage { return json.RawMessage("{") },
		"hidden":   func() any { return make(chan int) },
		"by hand":  func() string { return "x" },
		"nil list": func() []int { return nil },
	})
	c := connect(t, h, 0, "/", "{}")
	for i, tc := range []struct{ event, want string }{
		{"none", `[]`},
		{"two", `[1,"b"]`},
		{"fine", `[1]`},
		{"refused", `[{"error":{"code":"no","message":"not now"},"ok":false}]`},
		{"wrapped", `[{"error":{"code":"no","message":"not now"},"ok":false}]`},
		{"plain", `[{"error":{"code":"error","message":"unexpected EOF"},"ok":false}]`},
		{"binary", `[{"_placeholder":true,"num":0}]`},
		{"nil", `[null]`},
		{"nil raw", `[null]`},
		{"bad raw", `[{"error":{"code":"error","message":"acking \"bad raw\": encoding argument 0: invalid raw JSON"},"ok":false}]`},
		{"hidden", `[{"error":{"code":"error","message":"acking \"hidden\": encoding argument 0: json: unsupported type: chan int"},"ok":false}]`},
		{"nil list", `[null]`},
	} {
		if got := c.call(t, int64(i), tc.event); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.event, got, tc.want)
		}
	}
	if n := h.Counters()["event_refused"]; n != 5 {
		t.Errorf("%d refusals counted, want 5", n)
	}
	// Without an ack id nothing is answered, whatever the result.
	for _, event := range []string{"two", "refused", "hidden"} {
		c.emit(t, NoAck, event)
	}
	c.call(t, 100, "none")
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.acks) != 13 || len(c.got) != 0 {
		t.Errorf("acks %v, events %q", c.acks, c.got)
	}
}

// TestTablePanics: a handler that panics ends its own session, which is told, and "disconnect" still runs, behind
// "disconnecting" and with the reason.
func TestTablePanics(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	ended := make(chan string, 2)
	mustHandle(t, h, "/", Events{
		"disconnecting": func(s *Session, reason string) { ended <- s.ID() + " ends: " + reason },
		"disconnect":    func(s *Session) { ended <- s.ID() + " ended: " + s.Reason() },
		"boom":          func(m map[string]int) { m["x"] = 1 / len(m) },
		"ping":          func() string { return "pong" },
	})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	a.emit(t, 1, "boom", map[string]int{})
	a.wait(t, "the end of the session", func() bool { return a.state == "left" })
	for _, what := range []string{" ends: ", " ended: "} {
		if got, want := <-ended, a.session.ID()+what+"server namespace disconnect"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := b.call(t, 1, "ping"); got != `["pong"]` {
		t.Errorf("the other session: %s", got)
	}
	waitFor(t, func() bool { return h.SessionCount() == 1 })
	a.on(func(s *Session) {
		if s.Reason() != "server namespace disconnect" || s.Connected() {
			t.Errorf("reason %q", s.Reason())
		}
	})
}

func TestTableConnectRefuses(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	ended := make(chan string, 1)
	mustHandle(t, h, "/", Events{
		"connect":    func(*Session) error { return errors.New("not today") },
		"disconnect": func(s *Session) { ended <- s.Reason() },
	})
	c := connect(t, h, 0, "/", "{}")
	c.wait(t, "the server's disconnect", func() bool { return c.state == "left" })
	if reason := <-ended; reason != "server namespace disconnect" {
		t.Errorf("reason %q", reason)
	}
	if n := h.Counters()["handler_error"]; n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}

func TestEventAcksOnce(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			if !ev.WantsAck() {
				t.Error("no ack is wanted")
			}
			if err := ev.Ack(make(chan int)); err == nil {
				t.Error("a channel was acked")
			}
			if err := ev.Ack("first"); err != nil {
				t.Error(err)
			}
			if err := ev.Ack(make(chan int)); err != nil || ev.WantsAck() {
				t.Errorf("a second ack: %v", err)
			}
			ev.Refuse(errors.New("too late"))
			if ev.Session() != s {
				t.Error("another session's event")
			}
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	if got := c.call(t, 1, "e"); got != `["first"]` {
		t.Errorf("got %s", got)
	}
	c.call(t, 2, "e") // the first event's handling is over
	if got := c.acks[1]; got != `["first"]` {
		t.Errorf("then got %s", got)
	}
}
