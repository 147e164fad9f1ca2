// Command greenroom is the peer that load tests measure: a Socket.IO server written with the library
// as a user would write it.
//
//	go run ./loadtests/peers/greenroom PORT
//
// Clients call join(room, ack), pub(room, msg) and echo(x, ack).
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"

	"greenroom/hub"
	"greenroom/transports/socketio"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: greenroom PORT")
	}
	h, err := hub.New(hub.Options{})
	if err != nil {
		log.Fatal(err)
	}
	err = h.Handle("/", func(s *hub.Session) error { // one greenlet per client
		var room, msg string
		var x json.RawMessage
		for ev := range s.Events() {
			switch ev.Name {
			case "join":
				if err := ev.Args(&room); err != nil {
					ev.Refuse(err)
				} else if err := s.Join(room); err != nil {
					ev.Refuse(err)
				} else {
					ev.Ack("ok")
				}
			case "pub":
				if err := ev.Args(&room, &msg); err != nil {
					ev.Refuse(err)
				} else if err := h.To(room).Emit("msg", msg); err != nil {
					ev.Refuse(err)
				}
			case "echo":
				if err := ev.Args(&x); err != nil {
					ev.Refuse(err)
				} else {
					ev.Ack(x)
				}
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], socketio.New(h, socketio.Options{})))
}
