package zeromq

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
)

// enter brings a session into the hub and returns its id.
func enter(t testing.TB, h *hub.Hub) string {
	t.Helper()
	m := &member{loop: h.Loops().All()[0]}
	id := make(chan string)
	m.loop.Post(func() {
		s, err := h.Connect(m, "/", &hub.Handshake{})
		if err != nil {
			t.Error(err)
			close(id)
			return
		}
		id <- s.ID()
	})
	return <-id
}

func receiveEvent(t testing.TB, s *Subscription) (topic string, e roomEvent) {
	t.Helper()
	line := receive(t, s)
	topic, object, _ := strings.Cut(line, "|")
	if err := json.Unmarshal([]byte(object), &e); err != nil {
		t.Fatalf("heard %q: %v", line, err)
	}
	return topic, e
}

func TestRoomTopic(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort})
	everything := subscribe(t, b, "")
	s := subscribe(t, b, "$room")
	eventually(t, "the watch", func() bool {
		b.egress.own.watching.Lock()
		defer b.egress.own.watching.Unlock()
		return b.egress.own.watch != nil
	})
	one, two, three := enter(t, h), enter(t, h), enter(t, h)
	next := func(want roomEvent) {
		t.Helper()
		if topic, got := receiveEvent(t, s); topic != "$room" || got != want {
			t.Errorf("heard %s %+v, want %+v", topic, got, want)
		}
	}
	if err := h.In(one).Join("r"); err != nil {
		t.Fatal(err)
	}
	next(roomEvent{"created", "/", "r", 1, 1, 0})
	if err := h.In(two, three).Join("r"); err != nil {
		t.Fatal(err)
	}
	h.In(two).Leave("r")
	joined, left := 0, 0
	for joined < 2 || left < 1 { // in one message, or two when a second ends between them
		_, e := receiveEvent(t, s)
		joined, left = joined+e.Joined, left+e.Left
		if e.Event != "members" || joined == 2 && left == 1 && e.Members != 2 {
			t.Errorf("heard %+v", e)
		}
	}
	h.In(one).Leave("r")
	h.In(three).Leave("r")
	for left < 3 {
		_, e := receiveEvent(t, s)
		left += e.Left
		if (e.Event == "emptied") != (left == 3) || (e.Members == 0) != (left == 3) {
			t.Errorf("heard %+v after %d leaves", e, left)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the watch", func() bool {
		b.egress.own.watching.Lock()
		defer b.egress.own.watching.Unlock()
		return b.egress.own.watch == nil
	})
	publish(t, h, hub.Publication{Room: "r", Args: []any{1}})
	if got := receive(t, everything); !strings.HasPrefix(got, "r|e|1|") {
		t.Errorf(`who has subscribed to everything heard %q`, got)
	}
}

// TestRoomTopicTellsNoSecrets: of rooms that a subscriber may not read it hears nothing.
func TestRoomTopicTellsNoSecrets(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort})
	b.anyone = &Principal{Read: Patterns{"open"}}
	s := subscribe(t, b, "$")
	eventually(t, "the watch", func() bool {
		b.egress.own.watching.Lock()
		defer b.egress.own.watching.Unlock()
		return b.egress.own.watch != nil
	})
	id := enter(t, h)
	for _, room := range []string{"closed", "open"} {
		if err := h.In(id).Join(room); err != nil {
			t.Fatal(err)
		}
	}
	for {
		topic, e := receiveEvent(t, s)
		if topic == "$hb" {
			continue
		}
		if topic != "$room" || e.Room != "open" {
			t.Errorf("heard %s %+v", topic, e)
		}
		return
	}
}

func TestDemandTopic(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	s := subscribe(t, b, "$demand")
	expect := func(want string) {
		t.Helper()
		if got := receive(t, s); got != `$demand|`+want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	a := subscribe(t, b, "prices")
	expect(`{"topic":"prices","wanted":true}`)
	c := subscribe(t, b, "prices", "news")
	expect(`{"topic":"news","wanted":true}`)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its leaving", func() bool { return b.egress.topics.size() == 3 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	said := receive(t, s) + receive(t, s)
	for _, topic := range []string{"prices", "news"} {
		if !strings.Contains(said, fmt.Sprintf(`{"topic":%q,"wanted":false}`, topic)) {
			t.Errorf("heard %s", said)
		}
	}
}

func TestPyzmqWelcomeAndHeartbeat(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort, Welcome: []string{"hello", "you are in"}, Heartbeat: 20 * time.Millisecond})
	p := python(t, "listen.py", b.Addr("pub"), "hello", "$hb")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, `"sent":0`); err != nil {
		t.Fatal(err, p.Output())
	}
	publish(t, h, hub.Publication{Room: "r", Args: []any{1}})
	publish(t, h, hub.Publication{Room: "r", Args: []any{1}})
	if err := p.WaitOutput(ctx, `"sent":2`); err != nil {
		t.Fatal(err, p.Output())
	}
	publish(t, h, hub.Publication{Room: "ctl", Event: "end"})
	lines := strings.Split(strings.TrimSpace(finished(t, p)), "\n")
	if lines[0] != "hello|you are in" {
		t.Errorf("the first message is %q", lines[0])
	}
	for _, line := range lines[1:] {
		object, ok := strings.CutPrefix(line, "$hb|")
		var beat heartbeat
		if err := json.Unmarshal([]byte(object), &beat); !ok || err != nil || beat.Epoch != h.Epoch() || beat.At == 0 {
			t.Errorf("heard %q", line)
		}
	}
}

// TestSubscriptionsAreEvents: each begins and ends once, the end of a connection included.
func TestSubscriptionsAreEvents(t *testing.T) {
	h := newFakeHub()
	var mu sync.Mutex
	var told []string
	note := func(what string) func(Subscriber, string) {
		return func(s Subscriber, topic string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, what+topic)
			if s.Remote == "" || topic == "panic" {
				panic("a mistake of the application")
			}
		}
	}
	b := listen(t, h, Options{Pub: anyPort, OnSubscribe: note("+"), OnUnsubscribe: note("-")})
	c := rawDial(t, b.Addr("pub"))
	if _, err := c.Write(concat(rawHello("SUB"), rawMessage("\x01a"), rawMessage("\x01a"), rawMessage("\x01panic"), rawMessage("\x01b"), rawMessage("\x00b"), rawMessage("\x00x"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its subscriptions", func() bool { mu.Lock(); defer mu.Unlock(); return len(told) == 4 })
	if b.Topics() != 2 || len(b.SubscriberStats()) != 1 || b.SubscriberStats()[0].Topics != 2 {
		t.Errorf("%d topics, subscribers %+v", b.Topics(), b.SubscriberStats())
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its leaving", func() bool { return b.Peers("pub") == 0 })
	h.waitCount(t, reasonHook, 2)
	mu.Lock()
	defer mu.Unlock()
	got := strings.Join(told, " ")
	if got != "+a +panic +b -b -a -panic" && got != "+a +panic +b -b -panic -a" {
		t.Errorf("told %s", got)
	}
}

func TestPlainStyle(t *testing.T) {
	h := realHub(t, hub.Options{Loops: 1})
	b := listen(t, h, Options{Pub: anyPort, PubStyle: Plain})
	s := subscribe(t, b, "")
	publish(t, h, hub.Publication{Room: "r", Args: []any{map[string]any{"a": 1}}})
	publish(t, h, hub.Publication{Room: "r"})
	publish(t, h, hub.Publication{Room: "r", Args: []any{"x", []byte("\x00")}})
	if err := h.To("r").Emit("e", "emitted"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`r|{"a":1}`, "r|", "r|x|\x00", "r|emitted"} {
		if got := receive(t, s); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}
