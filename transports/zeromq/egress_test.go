package zeromq

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

func TestEgressFormat(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	s := subscribe(t, b)
	cases := []struct {
		namespace, room, event string
		args                   []any
		want                   string
	}{
		{"/", "r", "e", nil, "r|e"},
		{"/", "r", "e", []any{"text", 42, true, nil, 1.5}, "r|e|text|42|true|null|1.5"},
		{"/", "r", "e", []any{`quo"te é \`, "a\nb"}, "r|e|quo\"te é \\|a\nb"},
		{"/", "r", "e", []any{""}, "r|e|"},
		{"/", "r", "e", []any{[]byte("\x00\xff"), map[string]any{"a": []any{1, "x"}}}, "r|e|\x00\xff|{\"a\":[1,\"x\"]}"},
		{"/", "r", "e", []any{map[string]any{"img": []byte("hi"), "s": `{"_placeholder":true,"num":0}`}, []byte("raw")},
			`r|e|{"img":"aGk=","s":"{\"_placeholder\":true,\"num\":0}"}|raw`},
		{"/chat", "r", "e", []any{"x"}, "/chat#r|e|x"},
		{"", "r", "e", []any{"x"}, "r|e|x"},
		{"/", "/chat", "e", []any{"x"}, "/chat|e|x"},
		{"/", "/chat#r", "e", []any{"not of /chat"}, "/#/chat#r|e|not of /chat"},
		{"/", "größe", "tür", []any{map[string]any{"room": "größe"}}, `größe|tür|{"room":"größe"}`},
	}
	for _, c := range cases {
		p, err := hub.EncodeArgs(c.event, c.args...)
		if err != nil {
			t.Fatal(err)
		}
		h.tap(&hub.Message{Namespace: "/", Room: "$secret", Event: "e", Payload: p})
		h.tap(&hub.Message{Namespace: "/", Room: "", Event: "e", Payload: p})
		h.tap(&hub.Message{Namespace: c.namespace, Room: c.room, Event: c.event, Payload: p})
		got := receive(t, s)
		if strings.Contains(c.want, `"img"`) && strings.Index(got, `"s"`) < strings.Index(got, `"img"`) {
			c.want = strings.Replace(c.want, `{"img":"aGk=","s":"{\"_placeholder\":true,\"num\":0}"}`, `{"s":"{\"_placeholder\":true,\"num\":0}","img":"aGk="}`, 1)
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestSubscriptionsSelect(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	room1, both, all := subscribe(t, b, "room1"), subscribe(t, b, "room1", "room", "x"), subscribe(t, b, "")
	for _, room := range []string{"room2", "room1", "x", "end-room1", "room10"} {
		h.emit(t, room, "e", "1")
	}
	expect := func(s *Subscription, rooms ...string) {
		t.Helper()
		for _, r := range rooms {
			if got := receive(t, s); got != r+"|e|1" {
				t.Fatalf("heard %q, want room %s", got, r)
			}
		}
	}
	expect(room1, "room1", "room10")
	expect(both, "room2", "room1", "x", "room10")
	expect(all, "room2", "room1", "x", "end-room1", "room10")
}

func TestTooManyTopics(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort, MaxTopics: 100})
	c := rawDial(t, b.Addr("pub"))
	input := rawHello("SUB")
	for i := range 1000 {
		input = append(input, rawMessage(fmt.Sprintf("\x01topic-%d", i))...)
	}
	if _, err := c.Write(input); err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, reasonManyTopics, 900)
	if n := b.egress.topics.size(); n != 100 {
		t.Fatalf("%d subscriptions", n)
	}
}

// TestSlowSubscriberIsEnded: one that reads, but always too little, is disconnected too.
func TestSlowSubscriberIsEnded(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort, QueueBytes: 16 << 10, SlowAfter: 300 * time.Millisecond})
	c := rawDial(t, b.Addr("pub"))
	if _, err := c.Write(concat(rawHello("SUB"), rawMessage("\x01"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its subscription", func() bool { return b.egress.topics.size() == 1 })
	trickle := make(chan struct{})
	go func() {
		defer close(trickle)
		buf := make([]byte, 4096)
		for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
			if _, err := c.Read(buf); err != nil {
				tick.Stop()
				return
			}
		}
	}()
	body := strings.Repeat("x", 4096)
	eventually(t, "its end", func() bool {
		for range 50 {
			h.emit(t, "room", "e", body)
		}
		return b.Peers("pub") == 0
	})
	h.wait(t, "the reason", func() bool {
		return h.counts[reasonSlow]+h.counts[guard.ReasonWriteTimeout]+h.counts[guard.ReasonLate] == 1
	})
	<-trickle
}

func TestCloseEndsEverything(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort, Sub: anyPort})
	p, s := push(t, b.Addr("pull")), subscribe(t, b)
	silent, greeted := rawDial(t, b.Addr("sub")), rawDial(t, b.Addr("sub"))
	if _, err := greeted.Write(rawHello("PUB")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the peers", func() bool { return b.Peers("pull")+b.Peers("pub")+b.Peers("sub") == 3 })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, silent)
	waitClosed(t, greeted)
	<-p.left
	if _, err := s.Receive(context.Background()); err == nil {
		t.Fatal("the subscriber's connection lives")
	}
	h.emit(t, "room", "e") // a call that was under way
	if _, err := Push(context.Background(), b.Addr("pull")); err == nil {
		t.Fatal("still listening")
	}
	if len(h.counts) > 0 {
		t.Fatalf("closing counted %v", h.counts)
	}
}
