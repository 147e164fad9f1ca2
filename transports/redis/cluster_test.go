//go:build unix

package redis

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/socketio"
)

// goNode is a Greenroom node with a server for clients.
type goNode struct {
	hub     *hub.Hub
	adapter *Adapter
	url     string
	served  *served
}

// served is what other nodes' events were served.
type served struct {
	mu     sync.Mutex
	events []any
}

func (s *served) add(x any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, x)
}

func (s *served) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}

func (s *served) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = nil
}

// newGoNode starts a node, which serves namespaces as the Node.js nodes of tests do. It ends with the test.
func newGoNode(t testing.TB, name string, o Options, namespaces ...string) *goNode {
	t.Helper()
	return newGoNodeWith(t, o, hub.Options{Node: name}, namespaces...)
}

func newGoNodeWith(t testing.TB, o Options, ho hub.Options, namespaces ...string) *goNode {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ho.Loops, ho.Adapter = 2, a
	if ho.Logger == nil {
		ho.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	h, err := hub.New(ho)
	if err != nil {
		t.Fatal(err)
	}
	heard := new(served)
	if len(namespaces) == 0 {
		namespaces = []string{"/"}
	}
	for _, name := range namespaces {
		if err := h.Handle(name, serveAsPeers); err != nil {
			t.Fatal(err)
		}
		if err := h.Of(name).OnServer("sse", func(x any) []any {
			heard.add(x)
			return []any{"go", x}
		}); err != nil {
			t.Fatal(err)
		}
	}
	sio := socketio.New(h, socketio.Options{})
	web := httptest.NewServer(sio)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err := sio.Close(ctx)
		web.Close()
		if err := errors.Join(err, h.Close()); err != nil {
			t.Error(err)
		}
	})
	n := &goNode{hub: h, adapter: a, url: web.URL, served: heard}
	n.waitReady(t)
	return n
}

// waitReady waits until the node hears all that it wants to.
func (n *goNode) waitReady(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(patience); n.adapter.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(n.adapter.Ready())
		}
	}
}

// serveAsPeers is what the sockets of Node.js peers do, see testdata/peer/peer.mjs.
func serveAsPeers(s *hub.Session) error {
	var auth struct {
		Rooms []string
		Data  any
	}
	_ = json.Unmarshal(s.Handshake().Auth, &auth)
	if !s.Recovered() {
		s.Data = auth.Data
		for _, room := range auth.Rooms {
			if err := s.Join(room); err != nil {
				return err
			}
		}
	}
	for ev := range s.Events() {
		var room string
		var value any
		switch ev.Name {
		case "join":
			_ = errors.Join(ev.Args(&room), s.Join(room), ev.Ack("ok"))
		case "leave":
			_ = ev.Args(&room)
			s.Leave(room)
			_ = ev.Ack("ok")
		case "data":
			_ = ev.Args(&value)
			s.SetData(value)
			_ = ev.Ack("ok")
		case "say":
			raw := ev.Raw()
			var rooms []string
			var event string
			_ = errors.Join(json.Unmarshal(raw[0], &rooms), json.Unmarshal(raw[1], &event))
			var args []any
			for _, r := range raw[2:] {
				args = append(args, r)
			}
			_ = s.To(rooms...).Emit(event, args...)
		}
	}
	return nil
}

// peerNode starts a Node.js node.
func peerNode(t testing.TB, r *testenv.Redis, adapter string, options map[string]any, namespaces ...string) *testenv.Peer {
	t.Helper()
	p := testenv.NewPeer(t)
	p.Serve(testenv.PeerNode{Redis: r.URL(), Adapter: adapter, Options: options, Namespaces: namespaces})
	return p
}
