package socketio

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests. Nothing is decided by its length.
const patience = time.Minute

// fixture is a server in this process.
type fixture struct {
	hub *hub.Hub
	sio *Server
	url string      // "http://127.0.0.1:port"
	tls *tls.Config // a client's, for a server that speaks TLS
}

// settings of a fixture; the zero value is two loops and the defaults.
type settings struct {
	hub    hub.Options
	server Options
	tls    *testenv.Authority // for HTTPS, with HTTP/2
}

// serve starts a server that ends with the test.
func serve(t testing.TB, o settings) *fixture {
	t.Helper()
	if o.hub.Loops == 0 {
		o.hub.Loops = 2
	}
	if o.hub.Logger == nil {
		o.hub.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h, err := hub.New(o.hub)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{hub: h, sio: New(h, o.server)}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(f.sio.Close(ctx), h.Close()); err != nil {
			t.Error(err)
		}
	})
	f.listen(t, o.tls)
	return f
}

// listen serves the fixture's server at f.url, over TLS if there is an authority. Its clean-up waits for the
// requests that are being served, which the server's end cuts off.
func (f *fixture) listen(t testing.TB, a *testenv.Authority) {
	t.Helper()
	web := httptest.NewUnstartedServer(f.sio)
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that clients cut off
	if a != nil {
		f.tls = &tls.Config{RootCAs: a.Pool}
		web.TLS, web.EnableHTTP2, web.Listener = a.Server(), true, coop.Detachable(web.Listener)
		web.StartTLS()
	} else {
		web.Listener = f.sio.Listener(web.Listener, nil) // as most applications have it
		web.Start()
	}
	f.url = web.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := f.sio.Close(ctx)
		web.Close()
		if err != nil {
			t.Error(err)
		}
	})
}

// handle registers a handler, which must fit.
func (f *fixture) handle(t testing.TB, namespace string, handler any) {
	t.Helper()
	if err := f.hub.Handle(namespace, handler); err != nil {
		t.Fatal(err)
	}
}

// serveEcho starts a server with two namespaces, "/" and "/custom". Each says `auth` with what came in
// the CONNECT packet. `message` comes back as `message-back`, `ack` as the ack, both with their
// arguments; `join` enters a room and `say` sends to one.
func serveEcho(t testing.TB, o settings) *fixture {
	t.Helper()
	f := serve(t, o)
	for _, namespace := range []string{"/", "/custom"} {
		f.handle(t, namespace, echo)
	}
	return f
}

func echo(s *hub.Session) error {
	if err := s.Emit("auth", s.Handshake().Auth); err != nil {
		return err
	}
	for ev := range s.Events() {
		args := make([]any, len(ev.Raw()))
		into := make([]any, len(args))
		for i := range args {
			into[i] = &args[i]
		}
		if err := ev.Args(into...); err != nil {
			return err
		}
		var err error
		switch ev.Name {
		case "message":
			err = s.Emit("message-back", args...)
		case "ack":
			err = ev.Ack(args...)
		case "join":
			err = errors.Join(s.Join(args[0].(string)), ev.Ack("ok"))
		case "say":
			err = s.Hub().Of(s.Namespace()).To(args[0].(string)).Emit("said", args[1:]...)
		case "panic":
			panic(args[0])
		}
		if err != nil && !errors.Is(err, hub.ErrGone) {
			return err
		}
	}
	return nil
}

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// counted waits until a counter of the hub shows n.
func (f *fixture) counted(t testing.TB, reason string, n uint64) {
	t.Helper()
	eventually(t, "counter "+reason, func() bool { return f.hub.Counters()[reason] >= n })
	if got := f.hub.Counters()[reason]; got != n {
		t.Errorf("%s is %d, want %d", reason, got, n)
	}
}

// empty waits until nothing of any session is left: the books of both layers, greenlets, streams.
func (f *fixture) empty(t testing.TB) {
	t.Helper()
	f.left(t, 0)
}

// left waits until n connections with one session each are what is left.
func (f *fixture) left(t testing.TB, n int) {
	t.Helper()
	eventually(t, "sessions to go", func() bool {
		greenlets, streams := f.load()
		return f.sio.Engine().Sessions() == n && f.hub.SessionCount() == n && greenlets == int64(n) && streams <= int64(n)
	})
}

// load counts what lives on the loops.
func (f *fixture) load() (greenlets, streams int64) {
	for _, l := range f.hub.Loops().All() {
		st := l.Stats()
		greenlets += st.Greenlets
		streams += st.Streams
	}
	return greenlets, streams
}

// wsURL is where WebSocket sessions open.
func (f *fixture) wsURL() string {
	return strings.Replace(f.url, "http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket"
}
