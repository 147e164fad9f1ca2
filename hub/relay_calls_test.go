package hub

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

// TestRelayWrongCalls makes every call wrongly, as raw JSON, the way any client can. Each is acked
// {ok:false, error:{code, message}}, and nobody else notices.
func TestRelayWrongCalls(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{MaxRooms: 4})
	ann, bob := connect(t, h, 0, "/", `{"name":"Ann"}`), connect(t, h, 1, "/", `{"name":"Bob"}`)
	ann.call(t, 100_000, "join", "lobby")
	bob.call(t, 100_000, "join", "lobby")
	long := strings.Repeat("x", 256)
	id := int64(0)
	wrong := func(event, args, code string, attachments ...[]byte) {
		t.Helper()
		id++
		text := `["` + event + `"` + args + `]`
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is no JSON", text)
		}
		ack := id
		ann.on(func(s *Session) {
			if err := s.Deliver(NewEvent(event, Payload{JSON: []byte(text), Attachments: attachments}, ack)); err != nil {
				t.Error(err)
			}
		})
		ann.wait(t, "the ack of "+text, func() bool { return ann.acks[ack] != "" })
		got := answerOf(t, ann.acks[ack])
		e, _ := got["error"].(map[string]any)
		message, _ := e["message"].(string)
		if len(got) != 2 || got["ok"] != false || e["code"] != code || message == "" || len(message) > 300 {
			t.Errorf("%.80s: %v, want code %s", text, got, code)
		}
	}

	for _, call := range []string{"join", "leave", "presence", "history"} {
		for args, code := range map[string]string{
			``:                   "bad_arguments",
			`,null`:              "bad_room",
			`,""`:                "bad_room",
			`,7`:                 "bad_arguments",
			`,true`:              "bad_arguments",
			`,["lobby"]`:         "bad_arguments",
			`,{"room":"lobby"}`:  "bad_arguments",
			`,"` + long + `"`:    "bad_room",
			`,"a\u0000"`:         "bad_room",
			`,"a\nb"`:            "bad_room",
			`,"\u007f"`:          "bad_room",
			`,"\u0085"`:          "bad_room",
			`,"$"`:               "bad_room",
			`,"$presence:lobby"`: "bad_room",
		} {
			wrong(call, args, code)
		}
		wrong(call, `,{"_placeholder":true,"num":0}`, "bad_arguments", []byte("lobby"))
		for _, options := range []string{`7`, `"history"`, `[1]`, `[]`, `true`, `""`, `{},1`, `null,null`} {
			wrong(call, `,"lobby",`+options, "bad_arguments")
		}
		wrong(call, `,"lobby",{"_placeholder":true,"num":0}`, "bad_arguments", []byte("options"))
	}
	for args, code := range map[string]string{
		`,"lobby",{"history":-1}`:     "bad_arguments",
		`,"lobby",{"history":"all"}`:  "bad_arguments",
		`,"lobby",{"history":1.5}`:    "bad_arguments",
		`,"lobby",{"history":1e300}`:  "bad_arguments",
		`,"lobby",{"presence":"yes"}`: "bad_arguments",
		`,"lobby",{"history":[]}`:     "bad_arguments",
		`,"` + ann.session.ID() + `"`: "forbidden",
		`,"` + bob.session.ID() + `"`: "forbidden",
	} {
		wrong("join", args, code)
	}
	for args, code := range map[string]string{
		`,"lobby",{"limit":-1}`:                   "bad_arguments",
		`,"lobby",{"limit":"2"}`:                  "bad_arguments",
		`,"lobby",{"limit":99999999999999999999}`: "bad_arguments",
		`,"lobby",{"after":7}`:                    "bad_arguments",
		`,"lobby",{"after":{}}`:                   "bad_arguments",
	} {
		wrong("history", args, code)
	}
	for args, code := range map[string]string{
		``:                                     "bad_arguments",
		`,"lobby"`:                             "bad_arguments",
		`,"lobby","e"`:                         "bad_arguments",
		`,"lobby","e",1,{},"more"`:             "bad_arguments",
		`,null,null,null`:                      "bad_room",
		`,"lobby",null,1`:                      "bad_event",
		`,"lobby","",1`:                        "bad_event",
		`,"lobby",7,1`:                         "bad_arguments",
		`,"lobby",{},1`:                        "bad_arguments",
		`,7,"e",1`:                             "bad_arguments",
		`,"","e",1`:                            "bad_room",
		`,"$presence:lobby","presence",1`:      "bad_room",
		`,"lobby","` + long + `",1`:            "bad_event",
		`,"` + long + `","e",1`:                "bad_room",
		`,"lobby","e",1,7`:                     "bad_arguments",
		`,"lobby","e",1,"echo"`:                "bad_arguments",
		`,"lobby","e",1,[]`:                    "bad_arguments",
		`,"lobby","e",1,{"echo":"yes"}`:        "bad_arguments",
		`,"lobby","e",1,{"volatile":1}`:        "bad_arguments",
		`,"lobby","e",1,{"id":7}`:              "bad_arguments",
		`,"lobby","e",1,{"id":"` + long + `"}`: "bad_arguments",
		// Forged updates on who is here would be believed.
		`,"lobby","presence",{"room":"lobby","joined":[],"left":[]}`: "reserved_event",
	} {
		wrong("publish", args, code)
	}
	for name := range reservedEvents {
		wrong("publish", `,"lobby","`+name+`",1`, "reserved_event")
	}
	for _, name := range []string{"", "Join", "join ", "message", "constructor", strings.Repeat("e", 5000), "é" + strings.Repeat("é", 70)} {
		wrong(name, `,"lobby"`, "unknown_event")
	}
	for i := range 3 {
		ann.call(t, 200_000+int64(i), "join", fmt.Sprint("more", i))
	}
	wrong("join", `,"one too many"`, "too_many_rooms")

	// Nobody else has noticed, and both still work.
	if got := bob.events(); len(got) != 0 {
		t.Errorf("the other got %q", got)
	}
	if n := h.Counters()["event_refused"]; n != uint64(id) {
		t.Errorf("%d refusals counted, want %d", n, id)
	}
	if got := answerOf(t, ann.call(t, 300_000, "publish", "lobby", "e", "fine")); got["ok"] != true {
		t.Errorf("a right call: %v", got)
	}
	bob.waitEvents(t, 1)
	if got := answerOf(t, bob.call(t, 1, "history", "lobby")); len(got["messages"].([]any)) != 1 {
		t.Errorf("history: %v", got)
	}
}

// TestRelayOddCallsThatAreFine: unusual, but the meaning is clear.
func TestRelayOddCallsThatAreFine(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 0, "/", "{}")
	b.call(t, 1, "join", "r")
	for i, args := range [][]any{
		{"join", "r"},
		{"join", "r"}, // again
		{"join", "r", nil},
		{"join", "r", map[string]any{"unknown": 1, "history": 0}},
		{"join", strings.Repeat("x", 255)},
		{"join", "r é 😀 a#b / \\ \""},
		{"leave", "r"},
		{"leave", "r"}, // not in it
		{"leave", "never seen"},
		{"publish", "r", "e", nil, nil},
		{"publish", "r", "e", 1, map[string]any{"newer": true}},
		{"publish", "not a member", "e", 1},
		{"publish", b.session.ID(), "e", "a room nobody can join"},
		{"history", "never seen", map[string]any{"limit": 1 << 40}},
		{"presence", "never seen", map[string]any{"newer": true}},
		{"leave", "never seen", nil},
	} {
		got := answerOf(t, a.call(t, int64(i), args[0].(string), args[1:]...))
		if got["ok"] != true {
			t.Errorf("%q: %v", args, got)
		}
	}
	b.on(func(*Session) {})
	var events []string
	for _, e := range b.events() {
		name, _, _ := strings.Cut(e, `,{"room"`)
		events = append(events, name)
	}
	if want := []string{`["e",null`, `["e",1`}; !slices.Equal(events, want) {
		t.Errorf("the other got %q, want %q", events, want)
	}
}

// FuzzRelay calls a session of Relay with any event, and compares what it answers with what the calls
// promise: one ack, ok or a code; the neighbour works on; nothing of the hub's own is touched.
func FuzzRelay(f *testing.F) {
	h, err := New(Options{Loops: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MaxEmptyRooms: 50})
	if err != nil {
		f.Fatal(err)
	}
	defer h.Close()
	if err := h.Handle("/", Relay(RelayOptions{Rate: -1, MaxRooms: 3})); err != nil {
		f.Fatal(err)
	}
	neighbour := connect(f, h, 0, "/", `{"name":"neighbour"}`)
	neighbour.call(f, 0, "join", "neighbours")
	calls := int64(0)
	f.Fuzz(func(t *testing.T, event string, args []byte, attachment []byte, calledTwice bool) {
		name, err := json.Marshal(event)
		if err != nil {
			t.Skip()
		}
		text := append(append([]byte("["), name...), args...)
		text = append(text, ']')
		var parts []json.RawMessage
		if json.Unmarshal(text, &parts) != nil || len(text) > 64<<10 {
			t.Skip() // the transport has refused it
		}
		if err := json.Unmarshal(parts[0], &event); err != nil {
			t.Skip()
		}
		p := Payload{JSON: text}
		if len(attachment) > 0 {
			p.Attachments = [][]byte{attachment}
		}
		c := connect(t, h, 0, "/", "{}")
		times := 1
		if calledTwice {
			times = 2
		}
		for i := range times {
			c.on(func(s *Session) {
				if err := s.Deliver(NewEvent(event, p, int64(i))); err != nil {
					t.Error(err)
				}
			})
		}
		c.wait(t, "an answer to every call", func() bool { return len(c.acks) == times })
		for _, ack := range c.acks {
			var answers []struct {
				OK    *bool
				Error *Error
			}
			if err := json.Unmarshal([]byte(ack), &answers); err != nil || len(answers) != 1 || answers[0].OK == nil {
				t.Fatalf("%s: acked %s, %v", text, ack, err)
			}
			if e := answers[0].Error; *answers[0].OK == (e != nil) || e != nil && (e.Code == "" || e.Code == "internal" || e.Message == "") {
				t.Fatalf("%s: acked %s", text, ack)
			}
		}
		c.on(func(s *Session) {
			if s.named() > 3 {
				t.Errorf("%s: in rooms %q", text, s.Rooms())
			}
			for _, room := range s.Rooms() {
				if err := CheckRoom(strings.TrimPrefix(room, presenceRoom(""))); err != nil {
					t.Errorf("%s: in room %q: %v", text, room, err)
				}
			}
		})
		for _, e := range c.events() {
			if !json.Valid([]byte(e)) {
				t.Errorf("%s: got %s, which is no JSON", text, e)
			}
		}
		c.leave("transport close")
		calls++
		if got := neighbour.call(t, calls, "presence", "neighbours"); !strings.Contains(got, `"count":1`) && event != "join" {
			t.Errorf("%s: the neighbour got %s", text, got)
		}
		neighbour.change(func() {
			clear(neighbour.acks)
			neighbour.got = nil
		})
		if n := h.Of("/").RoomCount(); n > 60 {
			t.Errorf("%d rooms are kept", n)
		}
		if n := h.Counters()["handler_failed"]; n != 0 {
			t.Fatalf("%s: a handler panicked", text)
		}
	})
}
