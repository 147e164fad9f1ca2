package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"greenroom/coop"
	"greenroom/coop/coophttp"
	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/socketio"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	goleak.VerifyTestMain(m)
}

// The official client has in every framework what it has of a server alone: over each of its transports at
// /socket.io/, and with the change from polling to WebSocket below a prefix.
func TestOfficialClient(t *testing.T) {
	for name, routes := range frameworks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, routes, onNetHTTP)
			for name, env := range map[string][]string{
				"all":      {"GREENROOM_PATH=/socket.io/"},
				"group":    {"GREENROOM_PATH=/live/socket.io/", "GREENROOM_TRANSPORT=upgrade"},
				"stripped": {"GREENROOM_PATH=/stripped/socket.io/", "GREENROOM_TRANSPORT=upgrade"},
			} {
				t.Run(name, func(t *testing.T) {
					testenv.RunNode(t, testenv.JS(t), "relay.test.mjs", append(env, "GREENROOM_URL="+m.url)...)
				})
			}
			for _, path := range []string{"/socket.io/", "/live/socket.io/", "/stripped/socket.io/"} {
				if m.requests(path) == 0 {
					t.Errorf("no request to %s has passed the middleware", path)
				}
			}
		})
	}
}

// Coop's server will do as well in front: a poll that waits then holds a goroutine, as it does in net/http.
func TestOfficialClientOnCoop(t *testing.T) {
	t.Parallel()
	m := start(t, onChi, onCoop)
	testenv.RunNode(t, testenv.JS(t), "relay.test.mjs", "GREENROOM_URL="+m.url)
	if m.requests("/socket.io/") == 0 {
		t.Error("no request has passed the middleware")
	}
}

// The framework's own routes are where they were, and a path below that is none of Socket.IO's is refused.
func TestOtherRoutes(t *testing.T) {
	for name, routes := range frameworks {
		t.Run(name, func(t *testing.T) {
			m := start(t, routes, onNetHTTP)
			for _, c := range []struct {
				path   string
				status int
				body   string
			}{
				{"/hello", 200, "hello"},
				{"/socket.io/", 400, `{"code":0,"message":"Transport unknown"}`},
				{"/live/socket.io/?EIO=4&transport=polling&sid=none", 400, `{"code":1,"message":"Session ID unknown"}`},
				{"/stripped/other/", 404, "404 page not found\n"},
			} {
				resp, err := http.Get(m.url + c.path)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != c.status || string(body) != c.body {
					t.Errorf("%s: %d %q, %v; want %d %q", c.path, resp.StatusCode, body, err, c.status, c.body)
				}
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

// mounted is a framework with Greenroom in it.
type mounted struct {
	url string

	mu   sync.Mutex
	seen []string
}

// onNetHTTP serves h with net/http.
func onNetHTTP(_ *testing.T, h http.Handler) (url string, stop func()) {
	s := httptest.NewServer(h)
	return s.URL, s.Close
}

// onCoop serves h with coophttp.
func onCoop(t *testing.T, h http.Handler) (url string, stop func()) {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	s := &coophttp.Server{Handler: coophttp.Blocking(h)}
	ln := coop.NewListener(l, nl)
	l.Go(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
	return "http://" + nl.Addr().String(), func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func start(t *testing.T, routes func(io, live http.Handler, seen func(string)) http.Handler, serve func(*testing.T, http.Handler) (string, func())) *mounted {
	t.Helper()
	h, err := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		t.Fatal(err)
	}
	var o socketio.Options
	o.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
	io, live := servers(h, o)
	m := &mounted{}
	url, stop := serve(t, routes(io, live, m.saw))
	m.url = url
	t.Cleanup(func() {
		for _, s := range []*socketio.Server{io, live} {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
		stop()
	})
	return m
}

func (m *mounted) saw(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, path)
}

func (m *mounted) requests(path string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.seen {
		if p == path {
			n++
		}
	}
	return n
}
