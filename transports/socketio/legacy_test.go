package socketio

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// TestLegacyClients has socket.io-client 1.7.4 and 2.5.0, under Node.js, talk to a server of ours and, in its rooms, to
// version 4.8.4. The same script is run against the Node.js server, so that it asks nothing of us that does not hold there.
func TestLegacyClients(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, err := filepath.Abs("testdata/legacy")
	if err != nil {
		t.Fatal(err)
	}
	o := allowed()
	o.server.Engine.PingInterval = 300 * time.Millisecond
	o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
	f := serve(t, o)
	legacyApp(t, f)
	refusing := serve(t, settings{})
	servers := map[string]string{"greenroom": f.url, "Node.js": nodeServer(t, dir)}
	for name, url := range servers {
		for _, client := range []string{"client1", "client2"} {
			for _, transport := range []string{"websocket", "polling", "upgrade"} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, client, transport), func(t *testing.T) {
					testenv.RunNode(t, dir, "legacy.test.mjs", "NODE_OPTIONS=--no-deprecation",
						"GREENROOM_URL="+url, "REFUSING_URL="+refusing.url, "CLIENT="+client, "TRANSPORT="+transport)
				})
			}
		}
	}
}

// nodeServer starts server.mjs.
func nodeServer(t *testing.T, dir string) (url string) {
	t.Helper()
	testenv.NPM(t, dir)
	port := strconv.Itoa(testenv.FreePort(t))
	addr := "127.0.0.1:" + port
	testenv.Start(t, testenv.Command{
		Path:  testenv.Node(t),
		Args:  []string{"server.mjs"},
		Dir:   dir,
		Env:   []string{"PORT=" + port},
		Ready: testenv.ReadyTCP(addr),
	})
	return "http://" + addr
}

// legacyApp says what server.mjs says.
func legacyApp(t *testing.T, f *fixture) {
	t.Helper()
	for _, namespace := range []string{"/", "/custom", "/guarded"} {
		f.handle(t, namespace, func(s *hub.Session) error {
			err := s.Emit("hello", s.ID())
			for ev := range s.Events() {
				err = errors.Join(err, legacyEvent(s, ev))
			}
			if err != nil && !errors.Is(err, hub.ErrGone) {
				t.Error(err)
			}
			return err
		})
	}
	f.hub.Of("/guarded").Use(func(s *hub.Session) error {
		var auth struct{ With string }
		if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
			t.Error(err)
		}
		if auth.With == "data" {
			return &hub.ConnectError{Message: "nope", Data: map[string]any{"code": 1}}
		}
		return errors.New("nope")
	})
}

func legacyEvent(s *hub.Session, ev *hub.Event) error {
	args := arguments(ev)
	switch ev.Name {
	case "message":
		return s.Emit("message-back", args...)
	case "ack":
		return ev.Ack(args...)
	case "whoami":
		return ev.Ack(s.ID(), s.Handshake().Auth)
	case "join":
		return errors.Join(s.Join(args[0].(string)), ev.Ack("ok"))
	case "say":
		return s.Hub().Of(s.Namespace()).To(args[0].(string)).Emit("said", args[1:]...)
	case "ask me":
		answer, err := hub.Ask[any](s, patience, "question", args[0])
		return errors.Join(err, ev.Ack("heard", answer))
	case "disconnect me":
		return s.Disconnect("as asked for")
	}
	return nil
}
