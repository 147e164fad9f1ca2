// Command googollee is the peer github.com/googollee/go-socket.io, which speaks Engine.IO 3 (Socket.IO 1 and 2):
//
//	googollee PORT
//
// The same three events as every other peer: join(room) with an ack, pub(room, text), which sends `msg` to
// everybody in the room, and echo(value) with an ack.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	socketio "github.com/googollee/go-socket.io"
	"github.com/googollee/go-socket.io/engineio"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: googollee PORT")
	}
	// The heartbeat of all peers: its own default is 20 s.
	io := socketio.NewServer(&engineio.Options{PingInterval: 25 * time.Second})
	io.OnConnect("/", func(socketio.Conn) error { return nil })
	io.OnEvent("/", "join", func(s socketio.Conn, room string) string {
		s.Join(room)
		return "ok"
	})
	io.OnEvent("/", "pub", func(_ socketio.Conn, room, text string) {
		io.BroadcastToRoom("/", room, "msg", text)
	})
	io.OnEvent("/", "echo", func(_ socketio.Conn, value any) any { return value })
	// Without these two it ends the process, or leaves the connection, when a client goes away.
	io.OnError("/", func(socketio.Conn, error) {})
	io.OnDisconnect("/", func(socketio.Conn, string) {})
	go func() { log.Fatal(io.Serve()) }()
	http.Handle("/socket.io/", io)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
