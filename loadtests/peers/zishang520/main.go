// Command zishang520 is the peer github.com/zishang520/socket.io, the most complete port of Socket.IO 4 to Go:
//
//	zishang520 PORT [deflate]
//
// The same three events as every other peer: join(room) with an ack, pub(room, text), which sends `msg` to
// everybody in the room, and echo(value) with an ack.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/zishang520/socket.io/servers/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: zishang520 PORT [deflate]")
	}
	opts := socket.DefaultServerOptions()
	opts.SetServeClient(false)
	opts.SetHttpCompression(nil) // the load test compares servers without compression
	if len(os.Args) > 2 && os.Args[2] == "deflate" {
		opts.SetPerMessageDeflate(&types.PerMessageDeflate{Threshold: 0})
	}
	io := socket.NewServer(nil, opts)
	err := io.On("connection", func(clients ...any) {
		s := clients[0].(*socket.Socket)
		on(s, "join", func(args []any, ack socket.Ack) {
			s.Join(socket.Room(args[0].(string)))
			if ack != nil {
				ack([]any{"ok"}, nil)
			}
		})
		on(s, "pub", func(args []any, _ socket.Ack) {
			if err := io.To(socket.Room(args[0].(string))).Emit("msg", args[1]); err != nil {
				log.Print(err)
			}
		})
		on(s, "echo", func(args []any, ack socket.Ack) {
			if ack != nil {
				ack(args[:1], nil)
			}
		})
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], io.ServeHandler(nil)))
}

// on takes the acknowledgement, which the library hands over as the last argument, off the others.
func on(s *socket.Socket, event string, f func(args []any, ack socket.Ack)) {
	err := s.On(event, func(args ...any) {
		var ack socket.Ack
		if n := len(args); n > 0 {
			if a, ok := args[n-1].(socket.Ack); ok {
				args, ack = args[:n-1], a
			}
		}
		f(args, ack)
	})
	if err != nil {
		log.Fatal(err)
	}
}
