package load_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"greenroom/hub"
	"greenroom/loadtests/load"
	"greenroom/transports/socketio"
)

// A server of one's own, measured within its own process.
func Example() {
	h, err := hub.New(hub.Options{EventRate: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close()
	err = h.Handle("/", func(s *hub.Session) {
		var room, text string
		for ev := range s.Events() {
			switch {
			case ev.Match("join", &room):
				s.Join(room)
				ev.Ack("ok")
			case ev.Match("pub", &room, &text):
				s.Hub().To(room).Emit("msg", text)
			}
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(socketio.New(h, socketio.Options{}))
	defer server.Close()
	defer server.CloseClientConnections()

	r, err := load.Run(context.Background(),
		load.Plan{Mode: load.Fanout, Clients: 50, Rate: 100, Duration: time.Second},
		load.Peer{Addr: server.Listener.Addr().String()})
	if err != nil {
		log.Fatal(err) // also when a message is missing, comes twice or in the wrong order
	}
	fmt.Println(r.Count > 0, r.PerSecond > 0, r.Latency.P99 > 0, r.Faults.Any())
	// Output: true true true false
}
