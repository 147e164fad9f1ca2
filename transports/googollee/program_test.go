package googollee_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/engineio/transport"
	"github.com/googollee/go-socket.io/engineio/transport/polling"
	"github.com/googollee/go-socket.io/engineio/transport/websocket"
	"github.com/googollee/go-socket.io/parser"

	"greenroom/internal/testenv"
	socketio "greenroom/transports/googollee"
)

// document is what a program of the library has in its structs.
type document struct {
	Name  string           `json:"name"`
	N     int64            `json:"n"`
	Blobs []*parser.Buffer `json:"blobs"`
}

// program is written as one for go-socket.io is: nothing in it knows what it runs on.
func program(server *socketio.Server) {
	// The library's own example.
	server.OnConnect("/", func(s socketio.Conn) error {
		s.SetContext("")
		return nil
	})
	server.OnEvent("/", "notice", func(s socketio.Conn, msg string) {
		s.SetContext("have " + msg)
		s.Emit("reply", "have "+msg)
	})
	server.OnEvent("/chat", "msg", func(s socketio.Conn, msg string) string {
		s.SetContext(msg)
		return "recv " + msg
	})
	server.OnEvent("/", "bye", func(s socketio.Conn) string {
		last := s.Context().(string)
		s.Emit("bye", last)
		s.Close()
		return last
	})

	server.OnEvent("/rooms", "join", func(s socketio.Conn, room string) int {
		server.JoinRoom("/rooms", room, s)
		return server.RoomLen("/rooms", room)
	})
	server.OnEvent("/rooms", "leave", func(s socketio.Conn, room string) int {
		s.Leave(room)
		return server.RoomLen("/rooms", room)
	})
	server.OnEvent("/rooms", "rooms", func(s socketio.Conn) []string { return s.Rooms() })
	server.OnEvent("/rooms", "broadcast", func(s socketio.Conn, event, room, text string) {
		if event == "to all" {
			server.BroadcastToNamespace("/rooms", event, text)
		} else {
			server.BroadcastToRoom("/rooms", room, event, text)
		}
	})

	server.OnEvent("/binary", "buffer", func(s socketio.Conn, b *parser.Buffer) *parser.Buffer { return b })
	server.OnEvent("/binary", "document", func(s socketio.Conn, d document) document { return d })
	server.OnEvent("/binary", "any", func(s socketio.Conn, v interface{}) interface{} { return v })

	var mu sync.Mutex
	var failures []string
	release := make(chan struct{})
	server.OnError("/calls", func(s socketio.Conn, err error) {
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, s.ID()+err.Error())
	})
	server.OnEvent("/calls", "errors", func(s socketio.Conn) []string {
		mu.Lock()
		defer mu.Unlock()
		var mine []string
		for _, f := range failures {
			if len(f) > len(s.ID()) && f[:len(s.ID())] == s.ID() {
				mine = append(mine, f[len(s.ID()):])
			}
		}
		return mine
	})
	server.OnEvent("/calls", "ask me", func(s socketio.Conn, a, b int) {
		s.Emit("question", a, b, func(sum int, blob *parser.Buffer) { s.Emit("you said", sum, string(blob.Data)) })
	})
	server.OnEvent("/calls", "add", func(s socketio.Conn, a, b int) (int, string) { return a + b, "ok" })
	server.OnEvent("/calls", "sum", func(s socketio.Conn, all ...int) (sum int) {
		for _, n := range all {
			sum += n
		}
		return sum
	})
	server.OnEvent("/calls", "silent", func(socketio.Conn) {})
	server.OnEvent("/calls", "panic", func(socketio.Conn) { panic("on purpose") })
	server.OnEvent("/calls", "wait for release", func(socketio.Conn) string { <-release; return "released" })
	server.OnEvent("/calls", "release", func(socketio.Conn) { release <- struct{}{} })

	server.OnConnect("/closed", func(socketio.Conn) error { return errors.New("not today") })
}

// start serves a program and returns its address.
func start(t *testing.T, opts *engineio.Options, program func(*socketio.Server)) (*socketio.Server, string) {
	t.Helper()
	server := socketio.NewServer(opts)
	program(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve() }()
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		web.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server, web.URL
}

// TestClients has clients of versions 1, 2 and 4 talk to a program written for the library.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	_, url := start(t, &engineio.Options{PingInterval: time.Second, PingTimeout: 20 * time.Second}, program)
	for _, client := range []string{"client1", "client2", "client4"} {
		for _, how := range []string{"websocket", "polling", "upgrade"} {
			t.Run(fmt.Sprintf("%s/%s", client, how), func(t *testing.T) {
				testenv.RunNode(t, dir, "clients.test.mjs", "NODE_OPTIONS=--no-deprecation",
					"GREENROOM_URL="+url, "CLIENT="+client, "TRANSPORT="+how)
			})
		}
	}
}

// allowAll is what most programs of the library have in their transports.
func allowAll(*http.Request) bool { return true }

func TestOptions(t *testing.T) {
	checked := 0
	opts := &engineio.Options{
		Transports: []transport.Transport{&polling.Transport{CheckOrigin: allowAll}, &websocket.Transport{}},
		RequestChecker: func(r *http.Request) (http.Header, error) {
			checked++
			if r.URL.Query().Get("token") == "" {
				return nil, errors.New("no token")
			}
			return http.Header{"X-Checked": {"yes"}}, nil
		},
	}
	_, url := start(t, opts, func(*socketio.Server) {})
	get := func(query, origin string) *http.Response {
		req, err := http.NewRequest(http.MethodGet, url+"/socket.io/?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if r := get("EIO=3&transport=polling", ""); r.StatusCode != http.StatusForbidden {
		t.Errorf("without a token: %s", r.Status)
	}
	r := get("EIO=3&transport=polling&token=1", "http://elsewhere.example")
	if r.StatusCode != http.StatusOK || r.Header.Get("X-Checked") != "yes" ||
		r.Header.Get("Access-Control-Allow-Origin") != "http://elsewhere.example" || r.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("with a token, from elsewhere: %s %v", r.Status, r.Header)
	}
	if checked != 2 {
		t.Errorf("checked %d times", checked)
	}
}

func TestMistakesAreReturnedByServe(t *testing.T) {
	for name, handler := range map[string]any{
		"no function": 1, "nil": nil, "no Conn": func(string) {}, "nothing at all": func() {},
	} {
		t.Run(name, func(t *testing.T) {
			server := socketio.NewServer(nil)
			defer server.Close()
			server.OnEvent("/", "x", handler)
			if err := server.Serve(); err == nil {
				t.Error("no error")
			}
		})
	}
	server := socketio.NewServer(nil)
	defer server.Close()
	server.OnEvent("/", "disconnect", func(socketio.Conn) {})
	if server.Serve() == nil {
		t.Error("a reserved name was taken")
	}
	if ok, err := server.Adapter(nil); ok || !errors.Is(err, socketio.ErrNoAdapter) {
		t.Errorf("Adapter: %v, %v", ok, err)
	}
}

func TestNamespacesThatDoNotExist(t *testing.T) {
	server := socketio.NewServer(nil)
	defer server.Close()
	if server.BroadcastToRoom("/x", "r", "e") || server.BroadcastToNamespace("/x", "e") || server.ClearRoom("/x", "r") ||
		server.ForEach("/x", "r", nil) || server.RoomLen("/x", "r") != -1 || server.Rooms("/x") != nil {
		t.Error("a namespace that does not exist is there")
	}
	server.OnEvent("", "e", func(socketio.Conn) {})
	if server.RoomLen("/", "r") != 0 || !slices.Equal(server.Rooms(""), []string{}) {
		t.Error(`"" is not "/"`)
	}
}
