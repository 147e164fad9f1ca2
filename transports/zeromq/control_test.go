package zeromq

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// controlled is a hub with Relay in "/" and a control endpoint.
func controlled(t testing.TB, o Options) (*hub.Hub, *Bridge) {
	t.Helper()
	h := newHub(t, hub.Options{Loops: 2})
	h.Of("/").Use(func(s *hub.Session) error {
		if user := strings.Trim(string(s.Handshake().Auth), `"`); user != "" {
			return s.Identify(user)
		}
		return nil
	})
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		t.Fatal(err)
	}
	o.Control = anyPort
	return h, listen(t, h, o)
}

// TestControlEnvelopes: what stands in front of a request comes back, up to the first empty frame.
func TestControlEnvelopes(t *testing.T) {
	_, b := controlled(t, Options{})
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	const ping = `{"method":"ping","id":"x"}`
	for _, envelope := range [][]string{{}, {""}, {"id", ""}, {"\x00id", "other", ""}} {
		a.send(append(envelope, ping)...)
		got := a.receive()
		if len(got) != len(envelope)+1 || strings.Join(got[:len(envelope)], "|") != strings.Join(envelope, "|") {
			t.Errorf("%q came back as %q", envelope, got)
		}
		if !strings.HasPrefix(got[len(got)-1], `{"id":"x","ok":true,"result":{"node":`) {
			t.Errorf("answered %q", got)
		}
	}
	r := ask(t, b.Addr("control"), zmq4.Req)
	r.send("", ping)
	if got := r.receive(); len(got) != 2 || got[0] != "" {
		t.Errorf("a REQ got %q", got)
	}
}

func TestControlPublish(t *testing.T) {
	h, b := controlled(t, Options{Principal: "ops"})
	c := comeIn(t, h, "/", `"alice"`)
	c.emit(1, "join", "lobby")
	c.want(t, "ack 1")
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	result := a.must("publish", map[string]any{"room": "lobby", "event": "say", "args": []any{1, "x"}, "id": "once"})
	first := regexp.MustCompile(`^\{"room":"lobby","id":"(\S+)-1","epoch":"\S+","seq":1\}$`).FindStringSubmatch(result)
	if first == nil {
		t.Fatalf("answered %s", result)
	}
	if got := c.want(t, `["say"`); !strings.Contains(got, `["say",1,"x",{"room":"lobby","id":"`+first[1]+`-1","seq":1,"from":{"id":"zeromq","name":"ops"}`) {
		t.Errorf("the member got %s", got)
	}
	// Lazy Pirate: the same again, from another connection.
	again := ask(t, b.Addr("control"), zmq4.Dealer).must("publish", map[string]any{"room": "lobby", "event": "say", "args": []any{1, "x"}, "id": "once"})
	if want := `{"room":"lobby","id":"` + first[1] + `-1","duplicate":true}`; again != want {
		t.Errorf("the second time: %s, want %s", again, want)
	}
	a.must("publish", map[string]any{"room": "lobby", "event": "blob", "data": "d", "bin": []string{"AAE="}}, "\xff", "")
	if got := c.want(t, `["blob"`); !strings.Contains(got, `"d",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1},{"_placeholder":true,"num":2},{`) {
		t.Errorf("binary: %s", got)
	}
	many := a.must("publish", map[string]any{"room": []string{"lobby", "other"}, "event": "both"})
	if !strings.Contains(many, `"published":[{"room":"lobby"`) || strings.Count(many, `"seq":`) != 3 {
		t.Errorf("two rooms: %s", many)
	}
	batch := a.must("publish_batch", map[string]any{"messages": []any{
		map[string]any{"room": "lobby", "event": "b1"}, map[string]any{"room": "$no", "event": "b2"}, map[string]any{"room": "lobby", "event": "b3", "nsp": "/none"},
		map[string]any{"room": "lobby", "event": "b4"}, 5,
	}})
	for i, want := range []string{`{"ok":true,"room":"lobby"`, `{"ok":false,"code":"bad_room"`, `{"ok":false,"code":"unknown_namespace"`, `{"ok":true,"room"`, `{"ok":false,"code":"bad_envelope"`} {
		if !strings.Contains(batch, want) {
			t.Errorf("batch, %d: no %s in %s", i, want, batch)
		}
	}
	c.want(t, `["b1"`)
	c.want(t, `["b4"`)
	for _, got := range c.seen {
		if strings.Count(strings.Join(c.seen, ""), `["say"`) != 1 {
			t.Fatalf("said twice: %s", got)
		}
	}
}

func TestControlSessions(t *testing.T) {
	h, b := controlled(t, Options{})
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	var clients []*browser
	for _, user := range []string{"alice", "alice", "bob"} {
		clients = append(clients, comeIn(t, h, "/", `"`+user+`"`))
	}
	alice, bob := clients[0].session.ID(), clients[2].session.ID()
	for i, c := range []struct {
		method string
		params map[string]any
		want   string
	}{
		{"join", map[string]any{"session": alice, "room": "one"}, `{"sessions":1}`},
		{"join", map[string]any{"user": "alice", "room": "both"}, `{"sessions":2}`},
		{"join", map[string]any{"session": []string{alice, bob}, "room": "two"}, `{"sessions":2}`},
		{"join", map[string]any{"user": "nobody", "room": "both"}, `{"sessions":0}`},
		{"leave", map[string]any{"session": bob, "room": "two"}, `{"sessions":1}`},
		{"rooms", nil, `{"rooms":[{"room":"both","members":2},{"room":"one","members":1},{"room":"two","members":1}]}`},
		{"rooms", map[string]any{"limit": 2}, `{"rooms":[{"room":"both","members":2},{"room":"one","members":1}],"next":"one"}`},
		{"rooms", map[string]any{"prefix": "t", "after": "one"}, `{"rooms":[{"room":"two","members":1}]}`},
		{"members", map[string]any{"room": "one"}, `{"sessions":[{"id":"` + alice + `","user":"alice","rooms":["one","both","two"]}]}`},
		{"sessions", map[string]any{"user": "bob"}, `{"sessions":[{"id":"` + bob + `","user":"bob","rooms":[]}]}`},
		{"presence", map[string]any{"room": "one"}, `{"count":0,"members":[]}`},
		{"kick", map[string]any{"user": "alice", "reason": "enough"}, `{"sessions":2}`},
		{"kick", map[string]any{"session": bob, "close": true}, `{"sessions":1}`},
		{"sessions", nil, `{"sessions":[]}`},
	} {
		if got := a.must(c.method, c.params); got != c.want {
			t.Errorf("%d: %s %v: %s, want %s", i, c.method, c.params, got, c.want)
		}
	}
	for _, c := range clients {
		c.want(t, "left")
	}
	if reason := clients[0].session.Reason(); reason != "enough" {
		t.Errorf("alice was kicked for %q", reason)
	}
	var all int
	for range 250 {
		comeIn(t, h, "/", `""`)
	}
	for after, pages := "", 0; ; pages++ {
		var page struct {
			Sessions []struct{ ID string }
			Next     string
		}
		if err := json.Unmarshal([]byte(a.must("sessions", map[string]any{"after": after})), &page); err != nil {
			t.Fatal(err)
		}
		all += len(page.Sessions)
		if after = page.Next; after == "" || pages > 3 {
			break
		}
	}
	if all != 250 {
		t.Errorf("%d sessions on all pages, want 250", all)
	}
}

func TestControlHistory(t *testing.T) {
	h, b := controlled(t, Options{})
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	var ids []string
	for i := range 5 {
		id, err := h.Publish(hub.Publication{Room: "r", Event: "n", Args: []any{i, []byte{0, byte(i)}}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var got struct {
		Messages []struct {
			ID, Event string
			Seq       int
			Args      []json.RawMessage
			Bin       []string
			Meta      struct{ Room, Epoch string }
		}
		Complete bool
	}
	if err := json.Unmarshal([]byte(a.must("history", map[string]any{"room": "r", "after": ids[1], "limit": 2})), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Complete || len(got.Messages) != 2 || got.Messages[0].ID != ids[2] || got.Messages[0].Seq != 3 || got.Messages[1].Meta.Room != "r" || got.Messages[1].Meta.Epoch != h.Epoch() ||
		string(got.Messages[1].Args[0]) != "3" || got.Messages[1].Bin[0] != base64.StdEncoding.EncodeToString([]byte{0, 3}) {
		t.Errorf("%+v", got)
	}
	if err := json.Unmarshal([]byte(a.must("history", map[string]any{"room": "r", "limit": 1})), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 1 || got.Messages[0].ID != ids[4] {
		t.Errorf("the newest: %+v", got)
	}
	if got := a.must("history", map[string]any{"room": "none", "after": "x-1"}); got != `{"messages":[],"complete":false}` {
		t.Errorf("of nothing: %s", got)
	}
	if _, err := h.Publish(hub.Publication{Room: "r1", Event: "v", Args: []any{1}, Retain: true}); err != nil {
		t.Fatal(err)
	}
	for params, want := range map[string]string{
		`{}`:                         `"rooms":[{"room":"r","seq":5,"members":0},{"room":"r1","seq":1,"members":0,"retained":{"id":"`,
		`{"limit":1}`:                `"rooms":[{"room":"r","seq":5,"members":0}],"next":"r"}`,
		`{"prefix":"r","after":"r"}`: `"rooms":[{"room":"r1",`,
		`{"room":"r"}`:               `"rooms":[{"room":"r","seq":5,"members":0}]}`,
		`{"room":"none"}`:            `"rooms":[]}`,
	} {
		if got := a.must("snapshot", json.RawMessage(params)); !strings.HasPrefix(got, `{"epoch":"`+h.Epoch()+`",`+want) {
			t.Errorf("snapshot %s: %s, want %s", params, got, want)
		}
	}
	stats := a.must("stats", nil)
	for _, want := range []string{`"sessions":0`, `"namespaces":[{"name":"/","sessions":0,"rooms":2}]`, `"peers":{"control":1}`, `"counters":{`} {
		if !strings.Contains(stats, want) {
			t.Errorf("no %s in %s", want, stats)
		}
	}
}

// badRequests are refused with a code, and cost nobody else anything.
var badRequests = []struct{ code, frames string }{
	{"bad_request", ""}, {"bad_request", "["}, {"bad_request", "{"}, {"bad_request", "[]"}, {"bad_request", "null"}, {"bad_request", "{}"},
	{"bad_request", `{"method":5}`}, {"bad_request", `{"Method":"ping"}`}, {"bad_request", `{"method":"ping","id":{}}`},
	{"bad_request", `{"method":"ping","id":"` + strings.Repeat("i", 300) + `"}`}, {"json_too_deep", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100)},
	{"unknown_method", `{"method":"nope"}`}, {"bad_request", `{"method":"publish"}`}, {"bad_envelope", `{"method":"publish","params":5}`},
	{"bad_envelope", `{"method":"publish","params":{}}`}, {"bad_room", `{"method":"publish","params":{"room":"$x"}}`},
	{"bad_event", `{"method":"publish","params":{"room":"r","event":"connect"}}`}, {"unknown_namespace", `{"method":"publish","params":{"room":"r","nsp":"/none"}}`},
	{"too_many_binaries", `{"method":"publish","params":{"room":"r"}}` + strings.Repeat("|x", 11)},
	{"placeholder", `{"method":"publish","params":{"room":"r","data":{"_placeholder":true,"num":0}}}|x`},
	{"bad_request", `{"method":"publish_batch"}`}, {"bad_request", `{"method":"publish_batch","params":{"messages":[{}]}}|x`},
	{"bad_request", `{"method":"join"}` /* no room, no session */}, {"bad_request", `{"method":"join","params":{"room":"r"}}`},
	{"bad_request", `{"method":"join","params":{"room":"r","session":"s","user":"u"}}`}, {"bad_room", `{"method":"join","params":{"room":"","session":"s"}}`},
	{"bad_request", `{"method":"kick","params":{"session":"$user:alice"}}`}, {"bad_request", `{"method":"kick","params":{"session":"lobby"}}`},
	{"unknown_namespace", `{"method":"kick","params":{"session":"s","nsp":"/none"}}`}, {"bad_user", `{"method":"kick","params":{"user":"a\nb"}}`},
	{"bad_request", `{"method":"kick","params":{"user":"u","reason":"` + strings.Repeat("r", 300) + `"}}`},
	{"bad_request", `{"method":"rooms","params":{"limit":-1}}`}, {"bad_request", `{"method":"rooms","params":{"limit":1001}}`},
	{"bad_request", `{"method":"rooms","params":{"limit":"x"}}`}, {"bad_room", `{"method":"history","params":{"room":"$hb"}}`},
	{"bad_room", `{"method":"members","params":{}}`}, {"bad_user", `{"method":"sessions","params":{"user":"\u0000"}}`},
}

func TestControlBadRequests(t *testing.T) {
	h, b := controlled(t, Options{})
	if _, err := h.Publish(hub.Publication{Room: "lobby", Event: "e"}); err != nil {
		t.Fatal(err)
	}
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	for _, c := range badRequests {
		a.send(append([]string{""}, strings.Split(c.frames, "|")...)...)
		got := a.receive()
		var ans answered
		if err := json.Unmarshal([]byte(got[len(got)-1]), &ans); err != nil {
			t.Fatal(err)
		}
		if c.code == "bad_request" && strings.HasPrefix(c.frames, `{"method":"join"}`) {
			c.code = "bad_room"
		}
		if ans.OK || ans.Code != c.code || ans.Error == "" {
			t.Errorf("%.80s: %+v, want %s", c.frames, ans, c.code)
		}
	}
	a.must("ping", nil)
}

func TestControlPermissions(t *testing.T) {
	h, b := controlled(t, Options{})
	e := b.endpoints["control"]
	who := &Principal{User: "feed", Publish: Patterns{"in.*"}, Read: Patterns{"out.*"}}
	p := &peer{endpoint: e, guard: guard.New(fakeNet{}, "ROUTER", guard.Limits{})}
	defer func() { _ = p.guard.Close(); p.guard.Wait() }()
	p.is(who)
	bucket := newTestBucket()
	for _, room := range []string{"in.a", "out.a"} {
		if _, err := h.Publish(hub.Publication{Room: room, Event: "e"}); err != nil {
			t.Fatal(err)
		}
	}
	for request, want := range map[string]string{
		`{"method":"ping"}`:                                                   `{"ok":true`,
		`{"method":"publish","params":{"room":"in.a"}}`:                       `{"ok":true`,
		`{"method":"publish","params":{"room":["in.a","out.a"]}}`:             `{"ok":false,"code":"forbidden"`,
		`{"method":"history","params":{"room":"out.a"}}`:                      `{"ok":true`,
		`{"method":"history","params":{"room":"in.a"}}`:                       `{"ok":false,"code":"forbidden"`,
		`{"method":"presence","params":{"room":"in.a"}}`:                      `{"ok":false,"code":"forbidden"`,
		`{"method":"rooms"}`:                                                  `{"ok":true,"result":{"rooms":[{"room":"out.a","members":0}]}}`,
		`{"method":"members","params":{"room":"out.a"}}`:                      `{"ok":false,"code":"forbidden"`,
		`{"method":"sessions"}`:                                               `{"ok":false,"code":"forbidden"`,
		`{"method":"stats"}`:                                                  `{"ok":false,"code":"forbidden"`,
		`{"method":"join","params":{"session":"x","room":"out.a"}}`:           `{"ok":false,"code":"forbidden"`,
		`{"method":"leave","params":{"session":"x","room":"out.a"}}`:          `{"ok":false,"code":"forbidden"`,
		`{"method":"kick","params":{"session":"x"}}`:                          `{"ok":false,"code":"forbidden"`,
		`{"method":"publish_batch","params":{"messages":[{"room":"out.a"}]}}`: `{"ok":true,"result":{"messages":[{"ok":false,"code":"forbidden"`,
	} {
		if got := string(b.control.respond(p, [][]byte{[]byte(request)}, bucket)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	for _, room := range []string{"a", "out.b", "z"} {
		if _, err := h.Publish(hub.Publication{Room: room, Event: "e", Retain: true}); err != nil {
			t.Fatal(err)
		}
	}
	// next names no room that is not for it, and pages are full.
	for request, want := range map[string]string{
		`{"method":"snapshot","params":{"limit":1}}`:                 `"rooms":[{"room":"out.a","seq":1,"members":0}],"next":"out.a"}}`,
		`{"method":"snapshot","params":{"limit":1,"after":"out.a"}}`: `"rooms":[{"room":"out.b",`,
		`{"method":"snapshot","params":{"limit":9,"after":"out.b"}}`: `"rooms":[]}}`,
		`{"method":"snapshot","params":{"room":"out"}}`:              `{"ok":false,"code":"forbidden"`,
		`{"method":"snapshot","params":{"room":"out.b"}}`:            `"rooms":[{"room":"out.b",`,
	} {
		got := string(b.control.respond(p, [][]byte{[]byte(request)}, bucket))
		if !strings.Contains(got, want) || strings.Contains(got, `"next":"out.b"`) || strings.Contains(got, `"next":"in.a"`) || strings.Contains(got, `"next":"a"`) {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	if h.Counters()[reasonForbidden] == 0 {
		t.Error("nothing was counted")
	}
}

func TestControlRate(t *testing.T) {
	_, b := controlled(t, Options{ControlRate: 5})
	a, other := ask(t, b.Addr("control"), zmq4.Dealer), ask(t, b.Addr("control"), zmq4.Dealer)
	limited := 0
	for range 50 {
		if a.call("ping", nil).Code == "rate_limited" {
			limited++
		}
	}
	if limited == 0 {
		t.Error("50 requests at once, of 5 a second, and none was refused")
	}
	if code := ask(t, b.Addr("control"), zmq4.Dealer).call("publish_batch", map[string]any{"messages": make([]struct{}, 20)}).Code; code != "rate_limited" {
		t.Errorf("a batch of 20: %q", code)
	}
	other.must("ping", nil) // has a rate of its own
}

// TestControlHostile: peers that flood and never read, that claim one identity, that leave before the answer. Another
// one is served all the time.
func TestControlHostile(t *testing.T) {
	h, b := controlled(t, Options{QueueBytes: 64 << 10, SlowAfter: 50 * time.Millisecond})
	a := ask(t, b.Addr("control"), zmq4.Req)
	served := func() {
		t.Helper()
		a.send("", `{"method":"ping"}`)
		if got := a.receive(); !strings.Contains(got[1], `"ok":true`) {
			t.Fatalf("%q", got)
		}
	}
	served()
	returned := footprint(t)
	t.Run("never reads", func(t *testing.T) {
		c := rawDial(t, b.Addr("control"))
		if _, err := c.Write(rawHello("DEALER")); err != nil {
			t.Fatal(err)
		}
		flood := []byte(strings.Repeat(string(rawMessage(strings.Repeat("e", 10_000), "", `{"method":"ping"}`)), 100))
		for { // until it is cut off
			if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(flood); err != nil {
				if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
					t.Fatal("it is not cut off")
				}
				break
			}
			served()
		}
		eventually(t, "a counter", func() bool {
			n := h.Counters()
			return n[reasonSlow]+n[guard.ReasonWriteTimeout] > 0
		})
		_ = c.Close()
	})
	t.Run("one identity", func(t *testing.T) {
		ready := "\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x04same"
		var peers []net.Conn
		for range 2 {
			c := rawDial(t, b.Addr("control"))
			if _, err := c.Write(concat(rawGreeting(), rawCommand("READY", ready))); err != nil {
				t.Fatal(err)
			}
			peers = append(peers, c)
		}
		for i, c := range peers {
			if _, err := c.Write(rawMessage(fmt.Sprintf(`{"method":"ping","id":%d}`, i))); err != nil {
				t.Fatal(err)
			}
			if got := readMessage(t, c); !strings.Contains(got, fmt.Sprintf(`{"id":%d,`, i)) {
				t.Errorf("peer %d got %q", i, got)
			}
			_ = c.Close()
		}
	})
	t.Run("leaves", func(t *testing.T) {
		for range 20 {
			c := rawDial(t, b.Addr("control"))
			_, _ = c.Write(concat(rawHello("REQ"), rawMessage("", `{"method":"stats"}`)))
			_ = c.Close()
			served()
		}
	})
	t.Run("shapes", func(t *testing.T) {
		c := ask(t, b.Addr("control"), zmq4.Dealer)
		for _, frames := range [][]string{{""}, {"", ""}, {"", "", "{}"}, {"x"}, {"x", "y"}, {"\xff\xfe", "", "\xff"}, {"", "{", ""}, {"{}", "", ""}} {
			c.send(frames...)
			got := c.receive()
			if !strings.Contains(got[len(got)-1], `"ok":false,"code":"bad_request"`) {
				t.Errorf("%q: %q", frames, got)
			}
			served()
		}
		c.close()
	})
	returned()
	served()
}

// TestControlNeedsAHub: what only publishes and listens cannot be asked.
func TestControlNeedsAHub(t *testing.T) {
	for _, o := range []Options{{Control: anyPort, Pull: anyPort}, {Workers: anyPort}} {
		_, err := Listen(newFakeHub(), o)
		if e := (*BindError)(nil); !errors.As(err, &e) || !errors.Is(err, errNeedsHub) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzControlRequest(f *testing.F) {
	for _, c := range badRequests {
		f.Add(c.frames)
	}
	for _, seed := range []string{"|{\"method\":\"ping\",\"id\":1}", "a||{\"method\":\"publish\",\"params\":{\"room\":\"r\",\"args\":[1]}}|\xff", "{\"method\":\"snapshot\",\"params\":{\"prefix\":\"a\"}}"} {
		f.Add(seed)
	}
	h := newHub(f, hub.Options{Loops: 1})
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		f.Fatal(err)
	}
	b := listen(f, h, Options{Control: anyPort})
	p := &peer{endpoint: b.endpoints["control"], guard: guard.New(fakeNet{}, "ROUTER", guard.Limits{})}
	f.Cleanup(func() { _ = p.guard.Close(); p.guard.Wait() })
	p.is(anyone(""))
	f.Fuzz(func(t *testing.T, text string) {
		var frames [][]byte
		for part := range strings.SplitSeq(text, "|") {
			frames = append(frames, []byte(part))
		}
		envelope, body, ok := splitEnvelope(frames, beginsControl)
		if n := len(envelope) + len(body); ok && n != len(frames) {
			t.Fatalf("%d of %d frames", n, len(frames))
		}
		var ans answered
		raw := b.control.respond(p, body, newTestBucket())
		if err := json.Unmarshal(raw, &ans); err != nil || ans.OK == (ans.Code != "") || ans.Code == "internal" {
			t.Fatalf("%q: %s, %v", text, raw, err)
		}
	})
}
