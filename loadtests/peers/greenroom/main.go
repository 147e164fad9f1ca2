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
	if err := h.Handle("/", session); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], socketio.New(h, socketio.Options{})))
}

// session serves one client, in a greenlet of its own.
func session(s *hub.Session) error {
	for ev := range s.Events() {
		if err := answer(s, ev); err != nil {
			ev.Refuse(err)
		}
	}
	return nil
}

func answer(s *hub.Session, ev *hub.Event) (err error) {
	var room, msg string
	var x json.RawMessage
	switch ev.Name {
	case "join":
		if err = ev.Args(&room); err == nil {
			err = s.Join(room)
		}
		if err == nil {
			err = ev.Ack("ok")
		}
	case "pub":
		if err = ev.Args(&room, &msg); err == nil {
			err = s.Hub().To(room).Emit("msg", msg)
		}
	case "echo":
		if err = ev.Args(&x); err == nil {
			err = ev.Ack(x)
		}
	}
	return err
}
