package engineio

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothWays{m}) }

// atDoor has test servers accept through [Server.Listener].
var atDoor bool

// hadServer are the names of the tests that have started a server for which a door makes a difference.
var hadServer sync.Map

// bothWays runs all tests with servers that net/http alone accepts for, and those with a server again with a door in
// front.
type bothWays struct{ m *testing.M }

func (b bothWays) Run() int {
	if code := b.m.Run(); code != 0 {
		return code
	}
	var again []string
	for name := range hadServer.Range {
		again = append(again, name.(string))
	}
	if len(again) == 0 {
		return 0
	}
	atDoor = true
	if err := flag.Set("test.run", "^("+strings.Join(again, "|")+")$"); err != nil {
		panic(err)
	}
	return b.m.Run()
}

// patience is how long a test waits for what must happen. Nothing is decided by
// its length.
const patience = time.Minute

var testWires = Wires{
	WebSocket: hub.RegisterWire("test websocket", func(m *hub.Message) []byte {
		return EncodeWebSocket(m.Payload.JSON, m.Payload.Attachments)
	}),
	Polling: hub.RegisterWire("test polling", func(m *hub.Message) []byte {
		return EncodePolling(m.Payload.JSON, m.Payload.Attachments)
	}),
	V3: &Wires3{
		WebSocket:       testWire3("test websocket 3", EncodeWebSocket3, false),
		WebSocketBase64: testWire3("test websocket 3 base64", EncodeWebSocket3, true),
		Polling:         testWire3("test polling 3", EncodePolling3, false),
		PollingBase64:   testWire3("test polling 3 base64", EncodePolling3, true),
	},
}

// server is a Server on a loopback port. Its handler records what happens, and
// sends every message back unless onMessage is set.
type server struct {
	*Server
	hub  *hub.Hub
	addr string

	http   *http.Server
	door   net.Listener // nil without one
	client *http.Client

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced at every change
	seen      map[string]*session
	onOpen    func(*Socket)
	onMessage func(s *Socket, text string, binary bool)
	onClose   func(*Socket)
	connState func(net.Conn, http.ConnState)
}

// session is what a server has seen of one client. It implements Handler.
type session struct {
	srv      *server
	sock     *Socket
	messages []string // binary ones with "b:" in front
	closes   []string
}

// wrap changes the handler that net/http sees.
type wrap func(http.Handler) http.Handler

// serve starts a server that the test's end closes.
func serve(t testing.TB, o Options, setup ...any) *server {
	t.Helper()
	s := &server{changed: make(chan struct{}), seen: make(map[string]*session)}
	hubOptions := hub.Options{Loops: 2}
	door := true
	var wrapper wrap = func(h http.Handler) http.Handler { return h }
	for _, f := range setup {
		switch f := f.(type) {
		case func(*server):
			f(s)
		case hub.Options:
			hubOptions = f
		case wrap:
			wrapper, door = f, false // it is not called for what is taken at the door
		}
	}
	if hubOptions.Logger == nil {
		hubOptions.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h, err := hub.New(hubOptions)
	if err != nil {
		t.Fatal(err)
	}
	o.Wires = testWires
	s.hub, s.Server = h, New(h, o, s.open)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if door {
		name, _, _ := strings.Cut(t.Name(), "/")
		hadServer.Store(name, nil)
		door = atDoor
	}
	s.http = &http.Server{Handler: wrapper(s.Server), ReadHeaderTimeout: patience, ConnState: s.connState, ErrorLog: log.New(io.Discard, "", 0)}
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	if door {
		l = s.Listener(l, nil)
		s.door = l
	}
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = s.Close(ctx) // cuts off what is left
		s.client.CloseIdleConnections()
		_ = s.http.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *server) open(sock *Socket) Handler {
	rec := &session{srv: s, sock: sock}
	s.change(func() { s.seen[sock.ID()] = rec })
	if s.onOpen != nil {
		s.onOpen(sock)
	}
	return rec
}

// OnMessage implements Handler.
func (r *session) OnMessage(s *Socket, data []byte, binary bool) {
	text := string(data)
	r.srv.change(func() {
		if binary {
			r.messages = append(r.messages, "b:"+text)
		} else {
			r.messages = append(r.messages, text)
		}
	})
	switch {
	case r.srv.onMessage != nil:
		r.srv.onMessage(s, text, binary)
	case binary:
		s.SendBinary(bytes.Clone(data))
	default:
		s.SendText(bytes.Clone(data))
	}
}

// OnClose implements Handler.
func (r *session) OnClose(s *Socket, reason string) {
	r.srv.change(func() { r.closes = append(r.closes, reason) })
	if r.srv.onClose != nil {
		r.srv.onClose(s)
	}
}

func (s *server) change(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until ok, which runs with the records locked, is true.
func (s *server) wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// session waits for the server's side of sid.
func (s *server) session(t testing.TB, sid string) (rec *session) {
	t.Helper()
	s.wait(t, "the session "+sid, func() bool { rec = s.seen[sid]; return rec != nil })
	return rec
}

// waitClosed waits for OnClose and checks that it came once, with reason.
func (s *server) waitClosed(t testing.TB, sid, reason string) {
	t.Helper()
	rec := s.session(t, sid)
	s.wait(t, "OnClose", func() bool { return len(rec.closes) > 0 })
	eventually(t, "the end of the session", func() bool { return rec.sock.State() == StateClosed })
	s.on(t, sid, func(sock *Socket) {
		if sock.heartbeat.Active() || sock.aux != nil && sock.aux.Active() {
			t.Error("a timer is left")
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(rec.closes) != 1 || rec.closes[0] != reason {
		t.Errorf("OnClose: %q, wanted %q once", rec.closes, reason)
	}
}

// waitMessages waits until the server has got n messages of sid, and returns them.
func (s *server) waitMessages(t testing.TB, sid string, n int) (got []string) {
	t.Helper()
	rec := s.session(t, sid)
	s.wait(t, fmt.Sprintf("%d messages", n), func() bool {
		got = append(got[:0], rec.messages...)
		return len(got) >= n
	})
	return got
}

func (s *server) count(reason string) uint64 { return s.hub.Counters()[reason] }

func (s *server) waitCount(t testing.TB, reason string, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d × %s", n, reason), func() bool { return s.count(reason) >= n })
}

// on runs fn on the session's loop and waits for it.
func (s *server) on(t testing.TB, sid string, fn func(*Socket)) {
	t.Helper()
	sock := s.session(t, sid).sock
	done := make(chan struct{})
	if !sock.Loop().Post(func() { defer close(done); fn(sock) }) {
		t.Fatal("the loop has ended")
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the loop does not answer")
	}
}

// eventuallyOn waits until ok is true on the session's loop.
func (s *server) eventuallyOn(t testing.TB, sid, what string, ok func(*Socket) bool) {
	t.Helper()
	eventually(t, what, func() (done bool) {
		s.on(t, sid, func(sock *Socket) { done = ok(sock) })
		return done
	})
}

// waitPolling waits until a GET of sid hangs at the server.
func (s *server) waitPolling(t testing.TB, sid string) {
	t.Helper()
	s.eventuallyOn(t, sid, "a waiting GET", func(sock *Socket) bool { return sock.poll != nil })
}

// eventually polls what has no event to wait for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func join(packets ...string) string { return strings.Join(packets, "\x1e") }
