package socketio

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/internal/testenv"
)

// TestOfficialClient has socket.io-client, under Node.js, talk to a server of ours over each of its transports,
// with its own parser and with socket.io-msgpack-parser.
func TestOfficialClient(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir := testenv.JS(t)
	for _, parser := range []Parser{JSON, Msgpack} {
		for _, script := range []string{"relay.test.mjs", "session.test.mjs"} {
			for _, transport := range []string{"websocket", "polling", "upgrade"} {
				t.Run(parser.String()+"/"+script+"/"+transport, func(t *testing.T) {
					var o settings
					o.server.Parser = parser
					o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
					f := serve(t, o)
					p := newCutter(t, f.url)
					f.handle(t, "/", hub.Relay(hub.RelayOptions{}))
					officialApp(t, f, p)
					testenv.RunNode(t, dir, script, "GREENROOM_URL="+p.url, "GREENROOM_TRANSPORT="+transport,
						"GREENROOM_PARSER="+parser.String())
				})
			}
		}
	}
}

// TestBrowserBundleWithMsgpack runs the bundle that pages load, which brings a decoder of its own.
func TestBrowserBundleWithMsgpack(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	f := serve(t, msgpackSettings())
	officialApp(t, f, nil)
	testenv.RunNode(t, testenv.JS(t), "bundle.test.mjs", "GREENROOM_URL="+f.url, "GREENROOM_PARSER=msgpack")
}

// officialApp registers the namespaces that session.test.mjs talks to.
func officialApp(t *testing.T, f *fixture, p *cutter) {
	t.Helper()
	f.handle(t, "/app", func(s *hub.Session) error {
		a := app{s: s, cutter: p}
		for ev := range s.Events() {
			if err := a.event(ev); err != nil && !errors.Is(err, hub.ErrGone) {
				t.Errorf("event %q: %v", ev.Name, err)
				return err
			}
		}
		return s.Hub().Of("/app").To().Emit("left", s.ID(), s.Reason())
	})
	f.handle(t, "/table", hub.Events{
		"double": func(n int) int { return 2 * n },
		"bytes":  func(b []byte) int { return len(b) },
		"fail":   func() error { return &hub.Error{Code: "nope", Message: "not today"} },
	})
	f.hub.Of("/guarded").Use(func(s *hub.Session) error {
		var auth struct{ Token string }
		if json.Unmarshal(s.Handshake().Auth, &auth) != nil || auth.Token != "good" {
			return &hub.ConnectError{Message: "not authorized", Data: map[string]any{"code": "E_AUTH", "retry": false}}
		}
		return nil
	})
	f.handle(t, "/guarded", func(s *hub.Session) {
		for ev := range s.Events() {
			_ = ev.Ack(arguments(ev)...) // arguments that came in can go out
		}
	})
}

// app is one session of "/app".
type app struct {
	s      *hub.Session
	cutter *cutter
	notes  []any
}

// arguments are all of an event's, binary values as []byte.
func arguments(ev *hub.Event) []any {
	args := make([]any, len(ev.Raw()))
	into := make([]any, len(args))
	for i := range args {
		into[i] = &args[i]
	}
	if ev.Args(into...) != nil { // a *any takes everything
		return nil
	}
	return args
}

func (a *app) event(ev *hub.Event) error {
	s, args := a.s, arguments(ev)
	switch ev.Name {
	case "auth":
		return ev.Ack(s.Handshake().Auth)
	case "id":
		return ev.Ack(s.ID())
	case "echo":
		return ev.Ack(args...)
	case "ask me":
		answer, err := hub.Ask[any](s, patience, "question", args[0], []byte{1, 2})
		return errors.Join(err, ev.Ack(answer))
	case "ask briefly":
		if _, err := hub.Ask[any](s, 20*time.Millisecond, "question", 0, []byte{}); !errors.Is(err, coop.ErrTimeout) {
			return errors.Join(errors.New("want a timeout"), err)
		}
		return ev.Ack("timeout")
	case "silent":
	case "slow":
		_, err := s.Wait("now", patience)
		return errors.Join(err, ev.Ack(args...))
	case "send blob":
		return s.Emit("blob", []byte("first"), map[string]any{"list": []any{[]byte("second"), "text"}})
	case "count":
		for i := range int(args[0].(float64)) {
			var n any = i
			if i%7 == 0 {
				n = binary.BigEndian.AppendUint16(nil, uint16(i))
			}
			if err := s.Emit("number", n); err != nil {
				return err
			}
			if i%50 == 0 {
				if err := s.Sleep(time.Millisecond); err != nil {
					return err
				}
			}
		}
	case "disconnect me":
		return s.Disconnect("enough of you")
	case "cut everybody off":
		a.cutter.cut()
	case "note":
		a.notes = append(a.notes, args...)
	case "notes":
		return ev.Ack(append([]any{}, a.notes...))
	case "tick":
		// The pause lets it leave alone: with an ack in front nothing volatile goes into the same poll.
		err := s.Hub().Of("/app").To(s.ID()).Volatile().Emit("tick", args...)
		return errors.Join(err, s.Sleep(10*time.Millisecond), ev.Ack("ticked"))
	case "panic":
		panic("as asked for")
	}
	return nil
}

// cutter stands between clients and a server. When it is told to, it cuts the connections through it, those that
// come in the next moment, and the next one whenever it comes: a polling client may be between two of them.
type cutter struct {
	url  string
	work sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	until time.Time // of the moment
	next  bool
}

const cutMoment = 300 * time.Millisecond

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutter{url: u.Scheme + "://" + l.Addr().String(), conns: make(map[net.Conn]struct{})}
	p.work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.keep(client)
			p.work.Go(func() { p.forward(client, u.Host) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // fails when it is closed already
		p.cut()
		p.work.Wait()
	})
	return p
}

// forward copies both ways until one end is gone.
func (p *cutter) forward(client net.Conn, addr string) {
	defer p.drop(client)
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(server, client) // however it ends, the other way ends as well
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	<-done
}

func (p *cutter) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	if time.Now().Before(p.until) || p.next {
		_ = c.Close() // forward notices
	}
	p.next = false
}

func (p *cutter) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// cut closes every connection. Any goroutine.
func (p *cutter) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until, p.next = time.Now().Add(cutMoment), true
	for c := range p.conns {
		_ = c.Close() // forward notices, and hangs up on the server
	}
}
