// Command greenroom is the peer that load tests measure: a Socket.IO server written with the library
// as a user would write it.
//
//	go run ./loadtests/peers/greenroom PORT [deflate]
//
// Clients call join(room, ack), pub(room, msg) and echo(x, ack).
package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"os"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: greenroom PORT [deflate]")
	}
	h, err := hub.New(hub.Options{
		EventRate:     -1, // the others have no bound either
		ReleaseMemory: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := h.Handle("/", table); err != nil {
		log.Fatal(err)
	}
	var options socketio.Options
	if len(os.Args) > 2 && os.Args[2] == "deflate" {
		options.Engine.PerMessageDeflate = &engineio.Deflate{Threshold: 1} // small messages too
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	io := socketio.New(h, options)
	log.Fatal(http.Serve(io.Listener(l, nil), io))
}

// table handles a client's events. A session of a table has no stack while its client is silent.
var table = hub.Events{
	"join": func(s *hub.Session, room string) (string, error) { return "ok", s.Join(room) },
	"pub":  func(s *hub.Session, room, msg string) error { return s.Hub().To(room).Emit("msg", msg) },
	"echo": hub.Reply(func(_ *hub.Session, x json.RawMessage) (json.RawMessage, error) { return x, nil }),
}
