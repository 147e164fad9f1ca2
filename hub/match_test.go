package hub

import (
	"encoding/json"
	"fmt"
	"testing"
)

type matchOptions struct {
	A, B int
	List []int
}

// matcher answers each event with what its variables, which live as long as the session, hold.
func matcher(s *Session) error {
	var text string
	var raw json.RawMessage
	var bin []byte
	var x any
	var o matchOptions
	var list []int
	var kept []json.RawMessage
	for ev := range s.Events() {
		switch {
		case ev.Match("text", &text):
			ev.Ack(text)
		case ev.Match("raw", &raw):
			kept = append(kept, raw)
			ev.Ack(raw)
		case ev.Match("kept"):
			ev.Ack(kept)
		case ev.Match("bytes", &bin):
			ev.Ack(len(bin))
		case ev.Match("any", &x):
			ev.Ack(x)
		case ev.Match("options", &o):
			ev.Ack(o)
		case ev.Match("list", &list):
			ev.Ack(list)
		case ev.Match("second", nil, &text):
			ev.Ack(text)
		case ev.Match("twice", &text), ev.Match("twice", &x):
			ev.Ack("matched")
		default:
			ev.Refuse(refusal("unknown_event", "no such event"))
		}
	}
	return nil
}

func TestMatch(t *testing.T) {
	const bad = `[{"error":{"code":"bad_arguments","message":%q},"ok":false}]`
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", matcher)
	c := connect(t, h, 0, "/", "{}")
	refused := uint64(0)
	for i, tc := range []struct {
		event, args, want string
		refused           bool
	}{
		{"text", `,"a"`, `["a"]`, false},
		{"text", `,null`, `[""]`, false}, // and not the "a" of before
		{"text", ``, fmt.Sprintf(bad, "text: want 1 argument, got 0"), true},
		{"text", `,7`, fmt.Sprintf(bad, "text: argument 1: want a string, got a number"), true},
		{"raw", `,{"first":1}`, `[{"first":1}]`, false},
		{"raw", `,[2]`, `[[2]]`, false},
		{"kept", ``, `[[{"first":1},[2]]]`, false}, // the second did not write over the first
		{"any", `,{"a":1}`, `[{"a":1}]`, false},
		{"any", `,{"b":2}`, `[{"b":2}]`, false},
		{"any", `,null`, `[null]`, false},
		{"options", `,{"A":1,"List":[1,2]}`, `[{"A":1,"B":0,"List":[1,2]}]`, false},
		{"options", `,{"B":2}`, `[{"A":0,"B":2,"List":null}]`, false},
		{"options", `,null`, `[{"A":0,"B":0,"List":null}]`, false},
		{"options", `,{"A":"x"}`, fmt.Sprintf(bad, "options: argument 1: A: want a whole number, got a string"), true},
		{"options", `,[]`, fmt.Sprintf(bad, "options: argument 1: want an object, got an array"), true},
		{"list", `,[1,2,3]`, `[[1,2,3]]`, false},
		{"list", `,[4]`, `[[4]]`, false},
		{"bytes", `,"text"`, fmt.Sprintf(bad, "bytes: argument 1: want binary data, got a string"), true},
		{"second", `,1,"b","more"`, `["b"]`, false},
		{"twice", `,"a"`, `["matched"]`, false},
		{"twice", `,7`, fmt.Sprintf(bad, "twice: argument 1: want a string, got a number"), true},
		{"Text", `,"a"`, `[{"error":{"code":"unknown_event","message":"no such event"},"ok":false}]`, true},
	} {
		id := int64(i)
		c.on(func(s *Session) {
			if err := s.Deliver(NewEvent(tc.event, Payload{JSON: []byte(`["` + tc.event + `"` + tc.args + `]`)}, id)); err != nil {
				t.Error(err)
			}
		})
		c.wait(t, "an ack", func() bool { return c.acks[id] != "" })
		if got := c.acks[id]; got != tc.want {
			t.Errorf("%s%s: got %s, want %s", tc.event, tc.args, got, tc.want)
		}
		if tc.refused {
			refused++
		}
		if n := h.Counters()["event_refused"]; n != refused {
			t.Errorf("%s%s: %d refusals counted, want %d", tc.event, tc.args, n, refused)
		}
	}
}
