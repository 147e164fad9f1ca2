package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

// A chat as straight-line code, one greenlet per client. The clients here are in the same process; a
// server puts socketio.New(h, …) in front.
func Example() {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		s.Join("lobby")
		s.To("lobby").Emit("joined", s.ID())
		for ev := range s.Events() { // parks this greenlet, not a thread; ends when the client leaves
			var text string
			switch {
			case ev.Match("say", &text): // a say without a text is refused, and its ack gets the error
				s.To("lobby").Emit("said", s.ID(), text) // everyone in the room but me
				ev.Ack(len(text))
			}
		}
		h.To("lobby").Emit("left", s.ID(), s.Reason())
		return nil
	})

	ann, bob := connect(h, "ann"), connect(h, "bob")
	fmt.Println("ann gets", ann.next())
	fmt.Println("acked   ", ann.call("say", "hello"))
	fmt.Println("bob gets", bob.next())
	fmt.Println("acked   ", bob.call("say", 7))
	bob.leave()
	fmt.Println("ann gets", ann.next())
	// Output:
	// ann gets ["joined","bob"]
	// acked    [5]
	// bob gets ["said","ann","hello"]
	// acked    [{"error":{"code":"bad_arguments","message":"say: argument 1: want a string, got a number"},"ok":false}]
	// ann gets ["left","bob","transport close"]
}

// A quiz that reads down the page: it waits for its client, asks, and lets it take its time, but not too
// much of it. The clock is a fake one, so that nobody has to wait for real.
func ExampleAsk() {
	h, err := hub.New(hub.Options{Loops: 1, Clock: coop.NewFakeClock()})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	questions := []struct{ text, right string }{
		{"the sky", "blue"}, {"grass", "green"}, {"the night", "black"},
	}
	h.Handle("/", func(s *hub.Session) error {
		score := 0
		for n, q := range questions {
			answer, err := hub.Ask[string](s, 10*time.Second, "question", n, q.text) // emit, wait for the ack
			switch {
			case errors.Is(err, coop.ErrTimeout):
				s.Emit("too slow")
			case err != nil:
				return err // the client is gone
			case answer == q.right:
				score++
			}
			if err := s.Sleep(time.Second); err != nil {
				return err
			}
		}
		return s.Emit("score", score)
	})

	answers := []string{`["blue"]`, `["red"]`} // and none to the third
	ann := newClient(h, func(event string) (string, bool) {
		if event != "question" || len(answers) == 0 {
			return "", false
		}
		a := answers[0]
		answers = answers[1:]
		return a, true
	})
	ann.connect(h, "ann")
	for range 5 {
		fmt.Println(ann.next())
	}
	// Output:
	// ["question",0,"the sky"]
	// ["question",1,"grass"]
	// ["question",2,"the night"]
	// ["too slow"]
	// ["score",1]
}

// Wait passes over what does not belong to the question; Events brings it later.
func ExampleSession_Wait() {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		if _, err := s.Wait("ready", 30*time.Second); err != nil {
			return s.Disconnect("nobody there")
		}
		s.Emit("welcome")
		for ev := range s.Events() {
			s.Emit("then came", ev.Name)
		}
		return nil
	})
	ann := connect(h, "ann")
	ann.emit("hello")
	ann.emit("ready")
	fmt.Println(ann.next())
	fmt.Println(ann.next())
	// Output:
	// ["welcome"]
	// ["then came","hello"]
}

// The same as a table: arguments are decoded into the parameters, results become the ack, an error refuses.
// Signatures are checked once, when the table is registered.
func ExampleEvents() {
	h, err := hub.New(hub.Options{Loops: 1, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", hub.Events{
		"join": func(s *hub.Session, room string) string { s.Join(room); return "ok" },
		"pub":  func(s *hub.Session, room, text string) { h.To(room).Emit("msg", text) },
		"echo": func(s *hub.Session, x json.RawMessage) json.RawMessage { return x },
		"rename": func(name string) (string, error) {
			if name == "" {
				return "", &hub.Error{Code: "no_name", Message: "a name is not empty"}
			}
			return strings.ToUpper(name), nil
		},
	})
	fmt.Println(h.Handle("/other", hub.Events{"join": func(notify chan string) {}}))

	ann := connect(h, "ann")
	fmt.Println(ann.call("join", "lobby"))
	fmt.Println(ann.call("pub", "lobby", "hi"), ann.next())
	fmt.Println(ann.call("echo", map[string]int{"n": 1}))
	fmt.Println(ann.call("rename", "ann"))
	fmt.Println(ann.call("rename", ""))
	fmt.Println(ann.call("rename"))
	// Output:
	// handler for namespace "/other": "join": parameter 1 is chan string: no client can send that
	// ["ok"]
	// [] ["msg","hi"]
	// [{"n":1}]
	// ["ANN"]
	// [{"error":{"code":"no_name","message":"a name is not empty"},"ok":false}]
	// [{"error":{"code":"bad_arguments","message":"rename: want 1 argument, got 0"},"ok":false}]
}

// Modifiers are values: each returns a copy.
func ExampleTarget() {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", hub.Events{"join": func(s *hub.Session, room string) { s.Join(room) }})
	ann, bob, cy := connect(h, "ann"), connect(h, "bob"), connect(h, "cy")
	ann.call("join", "a")
	bob.call("join", "b")
	cy.call("join", "a")
	cy.call("join", "b")

	both := h.To("a", "b") // cy, who is in both, gets one
	both.Emit("tick", 1)
	both.Except(ann.session.ID()).Volatile().Emit("tick", 2)
	h.In("a").Join("c") // takes effect on each loop in turn
	ann.call("join", "a")
	h.To("c").Except("b").Emit("tick", 3)
	h.To(bob.session.ID()).Emit("tick", 4)
	h.To().Emit("tick", 5)

	for _, c := range []*client{ann, bob, cy} {
		var got []string
		for tick := ""; tick != `["tick",5]`; {
			tick = c.next()
			got = append(got, tick)
		}
		fmt.Println(readable([]byte(c.session.ID())), got)
	}
	h.In("b").Disconnect("closing")
	<-bob.left
	<-cy.left
	// Output:
	// ann [["tick",1] ["tick",3] ["tick",5]]
	// bob [["tick",1] ["tick",2] ["tick",4] ["tick",5]]
	// cy [["tick",1] ["tick",2] ["tick",5]]
}

// A middleware lets clients in, or not.
func ExampleNamespace_Use() {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		s.Emit("hello", s.Data)
		for range s.Events() {
		}
		return nil
	})
	h.Of("/").Use(func(s *hub.Session) error {
		var auth struct{ Name string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil || auth.Name == "" {
			return &hub.ConnectError{Message: "who are you?"}
		}
		s.Data = auth.Name
		return nil
	})
	fmt.Println(connect(h, "ann").next())
	// Output:
	// ["hello","ann"]
}

// Relay serves clients that bring their own meaning; Publish reaches them from the server's side, or from
// another transport.
func ExampleRelay() {
	h, err := hub.New(hub.Options{Loops: 1})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", hub.Relay(hub.RelayOptions{}))

	ann := connect(h, "ann")
	fmt.Println(ann.call("join", "lobby"))
	if _, err := h.Publish(hub.Publication{Room: "lobby", Event: "price", Args: []any{4.2}}); err != nil {
		panic(err)
	}
	price := ann.next()
	fmt.Println(price[:strings.Index(price, `"id"`)], "…")
	fmt.Println(ann.call("join", "$secret"))
	// Output:
	// [{"ok":true}]
	// ["price",4.2,{"room":"lobby", …
	// [{"error":{"code":"bad_room","message":"room names starting with \"$\" are reserved"},"ok":false}]
}
