package load

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"greenroom/hub"
	"greenroom/transports/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what takes moments on an idle machine.
const patience = 60 * time.Second

// greenroom serves the events of loadtests/peers in this process.
func greenroom(t testing.TB, change func(*socketio.Options)) string {
	t.Helper()
	h, err := hub.New(hub.Options{EventRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Handle("/", func(s *hub.Session) {
		var room, msg string
		var x json.RawMessage
		for ev := range s.Events() {
			switch {
			case ev.Match("join", &room):
				s.Join(room)
				ev.Ack("ok")
			case ev.Match("pub", &room, &msg):
				s.Hub().To(room).Emit("msg", msg)
			case ev.Match("echo", &x):
				ev.Ack(x)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var o socketio.Options
	o.Engine.AllowEIO3 = true
	if change != nil {
		change(&o)
	}
	s := httptest.NewServer(socketio.New(h, o))
	t.Cleanup(func() {
		s.CloseClientConnections()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	return s.Listener.Addr().String()
}

// A lie is what a member gets instead of its n-th push.
type lie func(member, n int, push string) []string

// A liar speaks Centrifuge's protocol, and hands each delivery over to its lie.
type liar struct {
	lie lie

	mu      sync.Mutex
	members []*member
}

// hangUp, instead of what a member gets, ends its connection.
const hangUp = ""

type member struct {
	conn   net.Conn
	pushes int
}

// newLiar serves on a free port. lie nil is an honest server.
func newLiar(t *testing.T, lie lie) string {
	t.Helper()
	if lie == nil {
		lie = func(_, _ int, push string) []string { return []string{push} }
	}
	l := &liar{lie: lie}
	var conns sync.WaitGroup
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/connection/websocket" {
			http.NotFound(w, q)
			return
		}
		conns.Add(1)
		defer conns.Done()
		conn, _, _, err := ws.UpgradeHTTP(q, w)
		if err != nil {
			return
		}
		defer conn.Close()
		l.serve(conn)
	}))
	t.Cleanup(func() {
		l.mu.Lock()
		for _, m := range l.members {
			m.conn.Close()
		}
		l.mu.Unlock()
		s.Close()
		conns.Wait()
	})
	return s.Listener.Addr().String()
}

func (l *liar) serve(conn net.Conn) {
	for {
		p, op, err := wsutil.ReadClientData(conn)
		if err != nil || op != ws.OpText {
			return
		}
		var c struct {
			ID        int
			Connect   *struct{}
			Subscribe *struct{ Channel string }
			Publish   *struct{ Channel, Data string }
			RPC       *struct{ Data string }
		}
		if string(p) == "{}" {
			continue // a pong
		}
		if json.Unmarshal(p, &c) != nil {
			return
		}
		id, _ := json.Marshal(c.ID)
		reply := func(s string) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			// Behind the reply, in the same frame, is a ping.
			return wsutil.WriteServerText(conn, []byte(`{"id":`+string(id)+`,`+s+"}\n{}\n"))
		}
		switch {
		case c.Connect != nil:
			err = reply(`"connect":{"client":"x","ping":25,"pong":true}`)
		case c.Subscribe != nil:
			l.mu.Lock()
			l.members = append(l.members, &member{conn: conn})
			l.mu.Unlock()
			err = reply(`"subscribe":{}`)
		case c.RPC != nil:
			err = reply(`"rpc":{"data":"` + c.RPC.Data + `"}`)
		case c.Publish != nil:
			l.deliver(`{"push":{"channel":"` + c.Publish.Channel + `","pub":{"data":"` + c.Publish.Data + `"}}}`)
			err = reply(`"publish":{}`)
		}
		if err != nil {
			return
		}
	}
}

func (l *liar) deliver(push string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, m := range l.members {
		out := l.lie(i, m.pushes, push)
		m.pushes++
		if len(out) > 0 && out[0] == hangUp {
			m.conn.Close()
		} else if len(out) > 0 {
			_ = wsutil.WriteServerText(m.conn, []byte(strings.Join(out, "\n")))
		}
	}
}
