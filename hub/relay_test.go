package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// answerOf decodes the object that a Relay call was acked with.
func answerOf(t *testing.T, ack string) map[string]any {
	t.Helper()
	var a []map[string]any
	if err := json.Unmarshal([]byte(ack), &a); err != nil || len(a) != 1 {
		t.Fatalf("ack %s: %v", ack, err)
	}
	return a[0]
}

func relayHub(t *testing.T, o Options, ro RelayOptions) *Hub {
	h := newTestHub(t, o)
	mustHandle(t, h, "/", Relay(ro))
	return h
}

func TestRelayPublish(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a := connect(t, h, 0, "/", `{"name":"Ann"}`)
	b := connect(t, h, 1, "/", `{"name":"Bob\u0007"}`)
	for _, c := range []*fakeConn{a, b} {
		if got := answerOf(t, c.call(t, 0, "join", "lobby")); got["ok"] != true {
			t.Fatalf("join: %v", got)
		}
	}
	ack := answerOf(t, a.call(t, 1, "publish", "lobby", "message", map[string]any{"text": "hi"}))
	if ack["ok"] != true || ack["id"] == "" {
		t.Fatalf("publish: %v", ack)
	}
	var got []json.RawMessage
	if err := json.Unmarshal([]byte(b.waitEvents(t, 1)[0]), &got); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Room, ID, Via string
		From          Sender
		At            int64
	}
	if err := json.Unmarshal(got[2], &m); err != nil {
		t.Fatal(err)
	}
	if string(got[0]) != `"message"` || string(got[1]) != `{"text":"hi"}` {
		t.Errorf("got %s", got)
	}
	if m.Room != "lobby" || m.ID != ack["id"] || m.From != (Sender{ID: a.session.ID(), Name: "Ann"}) || m.Via != "" ||
		time.Since(time.UnixMilli(m.At)) > time.Minute {
		t.Errorf("meta %+v", m)
	}
	// With echo the sender gets it too; binary data goes through; forged identities do not exist.
	a.call(t, 2, "publish", "lobby", "bin", []byte{1, 2}, map[string]any{"echo": true, "from": "x"})
	if e := a.waitEvents(t, 1)[0]; !strings.HasPrefix(e, `["bin",{"_placeholder":true,"num":0},{"room":"lobby"`) {
		t.Errorf("echo: %s", e)
	}
	// The same id twice is one message.
	id := map[string]any{"id": "once"}
	first := a.call(t, 3, "publish", "lobby", "m", 1, id)
	if second := a.call(t, 4, "publish", "lobby", "m", 1, id); first != second {
		t.Errorf("a duplicate was acked %s, want %s", second, first)
	}
	if got := b.waitEvents(t, 3); len(got) != 3 {
		t.Errorf("b got %q", got)
	}
	b.on(func(s *Session) {})
}

func TestRelayRefusals(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{MaxRooms: 2})
	a, b := connect(t, h, 0, "/", `{}`), connect(t, h, 0, "/", `{}`)
	a.call(t, 100, "join", "one")
	a.call(t, 101, "join", "two")
	for i, tc := range []struct {
		code, event string
		args        []any
	}{
		{"unknown_event", "shout", nil},
		{"bad_arguments", "join", nil},
		{"bad_arguments", "join", []any{7}},
		{"bad_arguments", "join", []any{"r", "x"}},
		{"bad_arguments", "join", []any{"r", map[string]any{"history": "x"}}},
		{"bad_room", "join", []any{""}},
		{"bad_room", "join", []any{"$presence:x"}},
		{"bad_room", "join", []any{strings.Repeat("x", 256)}},
		{"too_many_rooms", "join", []any{"three"}},
		{"bad_room", "leave", []any{"a\x00"}},
		{"bad_arguments", "publish", []any{"one"}},
		{"bad_room", "publish", []any{"", "m", 1}},
		{"bad_event", "publish", []any{"one", "", 1}},
		{"bad_event", "publish", []any{"one", strings.Repeat("e", 256), 1}},
		{"reserved_event", "publish", []any{"one", "connect", 1}},
		{"bad_arguments", "publish", []any{"one", "m", 1, map[string]any{"id": strings.Repeat("e", 256)}}},
		{"bad_arguments", "publish", []any{"one", "m", 1, 5}},
		{"bad_arguments", "history", []any{"one", map[string]any{"limit": -1}}},
		{"bad_arguments", "history", []any{"one", map[string]any{"after": 1}}},
		{"bad_room", "presence", []any{"$x"}},
	} {
		got := answerOf(t, a.call(t, int64(i), tc.event, tc.args...))
		e, _ := got["error"].(map[string]any)
		if got["ok"] != false || e["code"] != tc.code || e["message"] == "" {
			t.Errorf("%s%v: got %v, want code %s", tc.event, tc.args, got, tc.code)
		}
	}
	got := answerOf(t, b.call(t, 1, "join", a.session.ID()))
	if e, _ := got["error"].(map[string]any); e["code"] != "forbidden" {
		t.Errorf("another session's own room: %v", got)
	}
	// leaving makes room again
	a.call(t, 200, "leave", "one")
	if got := answerOf(t, a.call(t, 201, "join", "three")); got["ok"] != true {
		t.Errorf("after leaving: %v", got)
	}
}

func TestRelayRateLimit(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{Rate: 0.001, Burst: 3})
	c := connect(t, h, 0, "/", `{}`)
	for i := range 3 {
		if got := answerOf(t, c.call(t, int64(i), "presence", "r")); got["ok"] != true {
			t.Fatalf("call %d: %v", i, got)
		}
	}
	got := answerOf(t, c.call(t, 9, "presence", "r"))
	if e, _ := got["error"].(map[string]any); e["code"] != "rate_limited" || h.Counters()["relay_rate_limited"] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestRelayHistory(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, HistoryMessages: 5}, RelayOptions{})
	a := connect(t, h, 0, "/", `{"name":"Ann"}`)
	var ids []string
	for i := range 8 {
		var data any = fmt.Sprint("m", i)
		if i == 6 {
			data = []byte("bin")
		}
		ids = append(ids, answerOf(t, a.call(t, int64(i), "publish", "r", "message", data))["id"].(string))
	}
	a.call(t, 50, "publish", "r", "typing", true, map[string]any{"volatile": true})

	texts := func(ack string) (out []string) {
		for _, m := range answerOf(t, ack)["messages"].([]any) {
			m := m.(map[string]any)
			if m["id"] != m["meta"].(map[string]any)["id"] {
				t.Errorf("ids differ: %v", m)
			}
			out = append(out, fmt.Sprint(m["data"]))
		}
		return out
	}
	bin := "map[_placeholder:true num:0]"
	b := connect(t, h, 0, "/", `{}`)
	for i, tc := range []struct {
		opts     map[string]any
		want     string
		complete bool
	}{
		{nil, "m3 m4 m5 " + bin + " m7", true},
		{map[string]any{"limit": 2}, bin + " m7", true},
		{map[string]any{"after": ids[5]}, bin + " m7", true},
		{map[string]any{"after": ids[5], "limit": 1}, bin, true},
		{map[string]any{"after": ids[7]}, "", true},
		{map[string]any{"after": ids[2]}, "m3 m4 m5 " + bin + " m7", true},
		{map[string]any{"after": ids[1]}, "m3 m4 m5 " + bin + " m7", false},
		{map[string]any{"after": "abcdef-3", "limit": 1}, "m7", false},
		{map[string]any{"after": "junk", "limit": 1}, "m7", false},
		{map[string]any{"limit": 0}, "", true},
	} {
		ack := b.call(t, int64(i), "history", "r", tc.opts)
		if got := strings.Join(texts(ack), " "); got != tc.want || answerOf(t, ack)["complete"] != tc.complete {
			t.Errorf("%v: got %q complete %v, want %q %v", tc.opts, got, answerOf(t, ack)["complete"], tc.want, tc.complete)
		}
	}
	if got := strings.Join(texts(b.call(t, 60, "join", "r", map[string]any{"history": 2})), " "); got != bin+" m7" {
		t.Errorf("join with history: %q", got)
	}
	if n := h.Of("/").RoomCount(); n != 1 {
		t.Errorf("%d rooms", n)
	}
}

func TestRelayPresence(t *testing.T) {
	h := relayHub(t, Options{Loops: 2}, RelayOptions{})
	a := connect(t, h, 0, "/", `{"name":"Ann"}`)
	got := answerOf(t, a.call(t, 1, "join", "r", map[string]any{"presence": true}))
	if fmt.Sprint(got["members"]) != fmt.Sprintf("[map[id:%s name:Ann]]", a.session.ID()) || got["count"] != 1.0 {
		t.Errorf("members %v", got)
	}
	b := connect(t, h, 1, "/", `{"name":"Bob"}`)
	b.call(t, 1, "join", "r")
	seen := func(want string) func() bool {
		return func() bool { return strings.Contains(strings.Join(a.got, ""), want) }
	}
	a.wait(t, "Bob's join", seen(fmt.Sprintf(`{"id":%q,"name":"Bob"}],"left":[]`, b.session.ID())))
	if got := answerOf(t, a.call(t, 2, "presence", "r")); got["count"] != 2.0 {
		t.Errorf("presence: %v", got)
	}
	b.leave("transport close")
	a.wait(t, "Bob's leave", seen(fmt.Sprintf(`"left":[{"id":%q,"name":"Bob"}]`, b.session.ID())))
	if got := answerOf(t, a.call(t, 3, "presence", "nowhere")); got["count"] != 0.0 || fmt.Sprint(got["members"]) != "[]" {
		t.Errorf("presence of an unknown room: %v", got)
	}
	a.call(t, 4, "leave", "r")
	waitFor(t, func() bool { return h.Of("/").RoomCount() == 0 })
}

func TestPublishFromOutside(t *testing.T) {
	h := relayHub(t, Options{Loops: 1}, RelayOptions{})
	var tapped []string
	cancel := h.Tap(func(m *Message) { tapped = append(tapped, m.Room+" "+m.Event+" "+m.Via) })
	a := connect(t, h, 0, "/", `{}`)
	a.call(t, 1, "join", "r")
	p := Publication{Room: "r", Event: "price", Args: []any{json.RawMessage(`{"eur":4.2}`)}, From: &Sender{ID: "zeromq"}, Via: "zeromq", ID: "x"}
	id, err := h.Publish(p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.Publish(p); !errors.Is(err, ErrDuplicate) || again != id {
		t.Errorf("a duplicate: %q, %v", again, err)
	}
	if e := a.waitEvents(t, 1)[0]; !strings.HasPrefix(e, `["price",{"eur":4.2},{"room":"r","id":"`+id+`","seq":1,"from":{"id":"zeromq"},"at":`) || !strings.HasSuffix(e, `"via":"zeromq"}]`) {
		t.Errorf("got %s", e)
	}
	cancel()
	for _, bad := range []Publication{
		{Room: "", Event: "e"}, {Room: "$x", Event: "e"}, {Room: "r", Event: "connect"},
		{Room: "r", Event: "presence"}, {Room: "r", Event: "e", Namespace: "/nope"}, {Room: "r", Event: "e", Args: []any{json.RawMessage("{")}},
	} {
		var e *Error
		if _, err := h.Publish(bad); !errors.As(err, &e) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if len(tapped) != 1 || tapped[0] != "r price zeromq" {
		t.Errorf("tapped %q", tapped)
	}
}

func TestEmptyRoomsAreForgotten(t *testing.T) {
	h := relayHub(t, Options{Loops: 1, MaxEmptyRooms: 10}, RelayOptions{})
	for i := range 100 {
		if _, err := h.Publish(Publication{Room: fmt.Sprint("r", i), Event: "e"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.Of("/").RoomCount(); n != 10 {
		t.Errorf("%d rooms are kept, want 10", n)
	}
}
