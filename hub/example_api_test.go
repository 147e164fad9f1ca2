package hub_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"greenroom/hub"
)

// A room votes. Who does not answer is named.
func ExampleTarget_Ask() {
	h, err := hub.New(hub.Options{Loops: 1, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		s.Join("voters")
		s.Emit("welcome")
		for range s.Events() {
		}
		return nil
	})
	votes := func(answer string, ok bool) func(string) (string, bool) {
		return func(string) (string, bool) { return answer, ok }
	}
	for name, c := range map[string]*client{
		"ann": newClient(h, votes(`["tea"]`, true)), "bob": newClient(h, votes(`["coffee"]`, true)), "eve": newClient(h, votes("", false)),
	} {
		c.connect(h, name)
		c.next() // in the room now
	}

	answers, err := h.To("voters").Within(50 * time.Millisecond).Ask("what would you like?")
	var drinks []string
	for _, a := range answers {
		var drink string
		if a.Args(&drink) == nil {
			drinks = append(drinks, drink)
		}
	}
	slices.Sort(drinks)
	fmt.Println(drinks)
	fmt.Println(readable([]byte(err.Error())))
	// Output:
	// [coffee tea]
	// no answer of 1 session (eve): timed out
}

// Who is here, on all loops and nodes, and what can be done with them.
func ExampleTarget_Sessions() {
	h, err := hub.New(hub.Options{Loops: 2, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		s.Data = "a guest"
		s.Join("lobby")
		s.Emit("welcome")
		for range s.Events() {
		}
		return nil
	})
	ann := connect(h, "ann")
	ann.next() // she is in the lobby

	sessions, err := h.In("lobby").Sessions()
	for _, s := range sessions {
		fmt.Println(string(s.Handshake.Auth), s.Data, s.Rooms, err)
		s.Emit("you are", s.Data)
	}
	fmt.Println(ann.next())
	// Output:
	// {"name":"ann"} a guest [lobby] <nil>
	// ["you are","a guest"]
}

// A namespace for each game, made for its first player.
func ExampleHub_HandleFamily() {
	h, err := hub.New(hub.Options{Loops: 1, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	_, err = h.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), hub.Events{
		"where": func(s *hub.Session) string { return s.Namespace() },
	})
	if err != nil {
		panic(err)
	}
	ann := newClient(h, nil)
	ann.connectTo(h, "/game-42", "ann")
	fmt.Println(ann.call("where"))
	fmt.Println(len(h.Namespaces()), "namespace")
	// Output:
	// ["/game-42"]
	// 1 namespace
}

// A table whose functions share the variables of a session, with a middleware in front and a typed line.
func ExampleSession_Serve() {
	h, err := hub.New(hub.Options{Loops: 1, Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		said := 0
		s.Use(func(ev *hub.Event) error {
			if said == 2 {
				return &hub.Error{Code: "enough", Message: "two are enough"}
			}
			return nil
		})
		return s.Serve(hub.Events{
			"say": hub.Reply(func(s *hub.Session, text string) (string, error) {
				said++
				return strings.ToUpper(text), nil
			}),
			"hello": hub.Once(func() string { return "hello" }),
			"*":     func(ev *hub.Event) { ev.Ack("what is " + ev.Name + "?") },
		})
	})
	ann := connect(h, "ann")
	for range 2 {
		fmt.Println(ann.call("hello"))
	}
	for _, word := range []string{"one", "two", "three"} {
		fmt.Println(ann.call("say", word))
	}
	// Output:
	// ["hello"]
	// ["what is hello?"]
	// ["ONE"]
	// ["TWO"]
	// [{"error":{"code":"enough","message":"two are enough"},"ok":false}]
}

// Two hubs as one: what is emitted on one node reaches the clients of both, and the nodes talk to each other.
func ExampleCluster() {
	var cluster hub.Cluster
	var nodes []*hub.Hub
	for _, name := range []string{"one", "two"} {
		h, err := hub.New(hub.Options{Loops: 1, Logger: quiet, Adapter: cluster.Adapter(), Node: name})
		if err != nil {
			panic(err)
		}
		defer h.Close()
		h.Handle("/", func(s *hub.Session) error {
			s.Join("lobby")
			s.Emit("welcome")
			for range s.Events() {
			}
			return nil
		})
		h.Of("/").OnServer("load", func() int { return h.SessionCount() })
		nodes = append(nodes, h)
	}
	ann, bob := connect(nodes[0], "ann"), connect(nodes[1], "bob")
	ann.next() // both are in the lobby now
	bob.next()
	sessions, err := nodes[0].In("lobby").Sessions()
	fmt.Println(len(sessions), "sessions", err)
	nodes[0].To("lobby").Emit("news", 1)
	fmt.Println(ann.next(), bob.next())

	answers, err := nodes[0].Of("/").ServerAsk(10*time.Second, "load")
	for _, a := range answers {
		fmt.Println(a.Node, string(a.Payload.JSON), err)
	}
	// Output:
	// 2 sessions <nil>
	// ["news",1] ["news",1]
	// two [1] <nil>
}
