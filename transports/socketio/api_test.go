package socketio

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// What package hub offers to a whole server, with the official client under Node.js on its other side.
func TestOfficialClientAndTheAPI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir := testenv.JS(t)
	for _, transport := range []string{"websocket", "polling", "upgrade"} {
		t.Run(transport, func(t *testing.T) {
			var o settings
			o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
			f := serve(t, o)
			apiApp(t, f)
			var upgrades atomic.Int64
			f.hub.Observe(hub.Observer{Updated: func(s *hub.Session) {
				if s.Data == nil && s.Snapshot().Transport == "websocket" {
					upgrades.Add(1)
				}
			}})
			testenv.RunNode(t, dir, "api.test.mjs", "GREENROOM_URL="+f.url, "GREENROOM_TRANSPORT="+transport)
			if told := upgrades.Load() > 0; told != (transport == "upgrade") {
				t.Errorf("observers were told of %d upgrades", upgrades.Load())
			}
		})
	}
}

// apiApp registers the namespaces that api.test.mjs talks to.
func apiApp(t *testing.T, f *fixture) {
	t.Helper()
	ns := f.hub.Of("/api")
	ask := func(within time.Duration, room string, blob []byte) (any, error) {
		answers, err := ns.To(room).Within(within).Ask("vote?", blob)
		missing := new(hub.MissingError)
		if err != nil && !errors.As(err, &missing) {
			return nil, err
		}
		said := []string{}
		for _, a := range answers {
			var word string
			var blob []byte
			if err := a.Args(&word, &blob); err != nil {
				return nil, err
			}
			said = append(said, word+" "+string(blob))
		}
		slices.Sort(said)
		return map[string]any{"answers": said, "missing": len(missing.Sessions)}, nil
	}
	f.handle(t, "/api", func(s *hub.Session) error {
		in, out := []string{}, []string{}
		s.Use(func(ev *hub.Event) error {
			if ev.Name == "forbidden" {
				return errors.New("forbidden")
			}
			return nil
		})
		s.OnAny(func(ev *hub.Event) { in = append(in, ev.Name) })
		s.OnAnyOutgoing(func(m *hub.Message) { out = append(out, m.Event) })
		return s.Serve(hub.Events{
			"join": func(room string) error { return s.Join(room) },
			"ask":  func(room string, blob []byte) (any, error) { return ask(patience, room, blob) },
			"ask briefly": func(room string, blob []byte, ms int) (any, error) {
				return ask(time.Duration(ms)*time.Millisecond, room, blob)
			},
			"data": func(v any) { s.SetData(v) },
			"list": func(room string) (list []map[string]any, err error) {
				sessions, err := ns.In(room).Sessions()
				for _, x := range sessions {
					list = append(list, map[string]any{
						"id": x.ID, "rooms": x.Rooms, "data": x.Data, "auth": x.Handshake.Auth,
						"transport": x.Transport, "connection": x.Connection,
					})
				}
				return list, err
			},
			"move": func(from, to string) error {
				if err := ns.In(from).Join(to); err != nil {
					return err
				}
				_, err := ns.In(to).Sessions() // behind the joins on each loop
				return err
			},
			"tell":  func(room, except string) error { return ns.To(room).Except(except).Emit("news") },
			"kick":  func(room string) { ns.In(room).Disconnect("kicked") },
			"emit":  func(event string) (string, error) { return "ok", s.Emit(event) },
			"seen":  func() any { return map[string]any{"in": in, "out": out} },
			"close": func() { s.CloseConn("enough") },
			"namespaces": func() (names []string) {
				for _, ns := range f.hub.Namespaces() {
					names = append(names, ns.Name())
				}
				return names
			},
			"disconnecting": func(s *hub.Session, reason string) {
				for _, room := range s.Rooms() {
					_ = s.To(room).Emit("ending", s.ID(), reason) // strings always encode
				}
			},
		})
	})
	if _, err := f.hub.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), hub.Events{
		"where": func(s *hub.Session) string { return s.Namespace() },
	}); err != nil {
		t.Fatal(err)
	}
}

func TestClosingTheWholeConnectionSaysSoInEachNamespace(t *testing.T) {
	f := serveEcho(t, settings{})
	ends := make(chan string, 2)
	f.hub.Observe(hub.Observer{Disconnected: func(s *hub.Session) { ends <- s.Namespace() + " " + s.Reason() }})
	c, sid := f.join(t, "/")
	c.connect("/custom", "")
	c.want(`42/custom,["auth",{}]`)
	f.hub.To(sid).CloseConn("enough")
	c.want("41", "41/custom,")
	c.wantClosed(1005) // as ever: there is nothing to say
	if got, want := []string{<-ends, <-ends}, []string{"/ enough", "/custom server namespace disconnect"}; !slices.Equal(got, want) {
		t.Errorf("ended %q, want %q", got, want)
	}
	f.empty(t)
}

func TestOneNamespaceTooManyOfAFamilyIsRefused(t *testing.T) {
	f := serve(t, settings{hub: hub.Options{MaxNamespaces: 1}})
	if _, err := f.hub.HandleFamily(func(string, *hub.Handshake) bool { return true }, echo); err != nil {
		t.Fatal(err)
	}
	c := f.dial(t)
	c.connect("/a", "")
	c.want(`42/a,["auth",{}]`)
	c.send("40/b,")
	c.want(`44/b,{"message":"Too many namespaces"}`)
	f.counted(t, "socketio_too_many_namespaces", 1)
	c.send(`42/a,0["ack",1]`)
	c.want(`43/a,0[1]`)
}

func TestAPollingSessionSaysSo(t *testing.T) {
	f := serveEcho(t, settings{})
	p := f.poll(t)
	p.post("40")
	if got := p.get(); !strings.Contains(got, `42["auth",{}]`) {
		t.Fatalf("connected with %q", got)
	}
	sessions, err := f.hub.To().Sessions()
	if err != nil || len(sessions) != 1 || sessions[0].Transport != "polling" || len(sessions[0].Connection) != 12 {
		t.Errorf("%+v, %v", sessions, err)
	}
}

// A client that publishes as fast as it can costs itself its connection, and another one in the same room nothing.
func TestAStormOfEventsEndsItsConnectionOnly(t *testing.T) {
	const burst = 50
	f := serve(t, settings{hub: hub.Options{Loops: 1, EventRate: 1, EventBurst: burst}})
	f.handle(t, "/", echo)
	bystander, _ := f.join(t, "/")
	bystander.send(`420["join","room"]`)
	bystander.want(`430["ok"]`)
	storm, _ := f.join(t, "/")
	storm.send(`420["join","room"]`)
	storm.want(`430["ok"]`)
	var frames bytes.Buffer
	const sent = 50 * burst // even the slowest machine does not need the minutes in which so many are too few
	for range sent {
		if err := ws.WriteFrame(&frames, ws.MaskFrame(ws.NewTextFrame([]byte(`421["ack","x"]`)))); err != nil {
			t.Fatal(err)
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = storm.conn.Write(frames.Bytes()) // the server closes the connection meanwhile
	}()
	var answered, refused int
	for {
		m, err := storm.receive()
		if err != nil {
			break
		}
		switch {
		case m.text == `431["x"]`:
			answered++
		case strings.HasPrefix(m.text, `431[{"error":{"code":"rate_limited"`):
			refused++
		default:
			t.Fatalf("got %s", m)
		}
	}
	if answered > burst+10 {
		t.Errorf("%d events were handled", answered)
	}
	f.counted(t, "event_rate_disconnected", 1)
	f.left(t, 1)
	if err := f.hub.To("room").Emit("still", "here"); err != nil {
		t.Error(err)
	}
	bystander.want(`42["still","here"]`)
	bystander.alive()
	if limited := f.hub.Counters()["event_rate_limited"]; int(limited) < refused || int(limited) > sent {
		t.Errorf("%d events counted as refused, %d acked so", limited, refused)
	}
	storm.conn.Close()
	<-written
}
