package hub_test

import (
	"encoding/json"
	"fmt"

	"greenroom/hub"
)

// A client whose connection breaks comes back to its session. The handler runs anew, and sees in Recovered
// that it need not begin at the beginning.
func ExampleRecovery() {
	h, err := hub.New(hub.Options{Loops: 1, Recovery: &hub.Recovery{}})
	if err != nil {
		panic(err)
	}
	defer h.Close()
	h.Handle("/", func(s *hub.Session) error {
		if !s.Recovered() {
			s.Join("lobby")
			s.Data = 1
		}
		s.Emit("visit", s.Data)
		for range s.Events() {
		}
		s.Data = s.Data.(int) + 1 // the next visit's, if there is one
		return nil
	})

	ann := connect(h, "ann")
	event, offset := placed(ann.next())
	fmt.Println(event)
	pid := ann.session.RecoveryID()
	ann.leave()
	if err := h.To("lobby").Emit("news"); err != nil {
		panic(err)
	}

	again := newClient(h, nil)
	again.loop.Post(func() {
		// A Socket.IO client says pid and offset by itself.
		s, err := h.Reconnect(again, "/", &hub.Handshake{Auth: json.RawMessage(`{}`)}, pid, offset)
		if err != nil {
			panic(err)
		}
		again.session = s
	})
	for range 2 {
		event, _ = placed(again.next())
		fmt.Println(event)
	}
	fmt.Println(again.session.ID() == ann.session.ID())
	// Output:
	// ["visit",1]
	// ["news"]
	// ["visit",2]
	// true
}

// placed takes the offset off the end of an event.
func placed(text string) (event, offset string) {
	var list []any
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		panic(err)
	}
	last := len(list) - 1
	rest, err := json.Marshal(list[:last])
	if err != nil {
		panic(err)
	}
	return string(rest), list[last].(string)
}
