package googollee_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	socketio "greenroom/transports/googollee"
)

// The chat of the library's README, on Greenroom: only the import of socketio is another.
func Example() {
	server := socketio.NewServer(nil)

	server.OnConnect("/", func(s socketio.Conn) error {
		s.SetContext("")
		s.Join("lobby")
		return nil
	})
	server.OnEvent("/", "notice", func(s socketio.Conn, msg string) {
		server.BroadcastToRoom("/", "lobby", "reply", "have "+msg)
	})
	server.OnEvent("/chat", "msg", func(s socketio.Conn, msg string) string {
		s.SetContext(msg)
		return "recv " + msg
	})
	server.OnError("/", func(s socketio.Conn, e error) { fmt.Println("meet error:", e) })
	server.OnDisconnect("/", func(s socketio.Conn, reason string) { fmt.Println("closed", reason) })

	go server.Serve()
	defer server.Close()

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	web := httptest.NewServer(mux) // http.ListenAndServe in a program
	defer web.Close()

	fmt.Println(server.Count(), "clients,", server.RoomLen("/", "lobby"), "of them in the lobby")
	// Output: 0 clients, 0 of them in the lobby
}
