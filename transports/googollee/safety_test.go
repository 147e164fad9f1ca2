package googollee_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/engineio/transport"
	"github.com/googollee/go-socket.io/engineio/transport/polling"
	"github.com/googollee/go-socket.io/engineio/transport/websocket"

	socketio "greenroom/transports/googollee"
)

// The CheckOrigin that counts is the one of the transport that the engine opens, which of a repeated parameter takes
// the last.
func TestCheckOriginOfTheTransport(t *testing.T) {
	opts := &engineio.Options{Transports: []transport.Transport{
		&polling.Transport{CheckOrigin: func(*http.Request) bool { return false }},
		&websocket.Transport{CheckOrigin: allowAll},
	}}
	_, url := start(t, opts, func(*socketio.Server) {})
	for query, want := range map[string]int{
		"transport=polling":                     http.StatusForbidden,
		"transport=websocket&transport=polling": http.StatusForbidden,
	} {
		req, err := http.NewRequest(http.MethodGet, url+"/socket.io/?EIO=4&"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://elsewhere.example")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s %v", query, resp.Status, resp.Header)
		}
	}
}

// No function of the program takes the process with it when it panics.
func TestPanicsOfAllHandlers(t *testing.T) {
	ends := make(chan string, 2)
	_, url := start(t, nil, func(server *socketio.Server) {
		server.OnEvent("/", "fail", func(socketio.Conn) error { return errors.New("x") })
		server.OnEvent("/", "panic", func(socketio.Conn) { panic("OnEvent, on purpose") })
		server.OnEvent("/", "ask", func(s socketio.Conn) {
			s.Emit("question", func(string) { panic("an answer's function, on purpose") })
		})
		server.OnError("/", func(socketio.Conn, error) { panic("OnError, on purpose") })
		server.OnDisconnect("/", func(_ socketio.Conn, reason string) {
			ends <- reason
			panic("OnDisconnect, on purpose")
		})
	})
	c := dial(t, url, "/")
	c.send(`420["panic"]`)
	c.want(`430[`)
	c.send(`421["ask",1]`)
	c.want(`420["question"]`)
	c.send(`430[1]`) // an argument of the wrong type: OnError, for an answer
	c.want(`431[]`)
	c.send(`42["ask",1]`)
	c.want(`421["question"]`)
	c.send(`431["a"]`)
	c.conn.Close()
	receive(t, "end", ends)
	c = dial(t, url, "/")
	c.send("41")
	receive(t, "end", ends)
	dial(t, url, "/")
}
