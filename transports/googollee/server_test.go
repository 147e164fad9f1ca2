package googollee_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/googollee/go-socket.io/engineio"

	socketio "greenroom/transports/googollee"
)

const patience = 30 * time.Second

// client is a client of version 4 on a WebSocket.
type client struct {
	t    *testing.T
	conn net.Conn
	rw   io.ReadWriter
}

// dial opens a connection and joins a namespace.
func dial(t *testing.T, url, namespace string) *client {
	t.Helper()
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"X-Test": {"yes"}}}
	conn, early, _, err := dialer.Dial(context.Background(), "ws"+strings.TrimPrefix(url, "http")+"/socket.io/?EIO=4&transport=websocket&q=1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, rw: conn}
	if early != nil {
		c.rw = struct {
			io.Reader
			io.Writer
		}{io.MultiReader(early, conn), conn}
	}
	conn.SetDeadline(time.Now().Add(patience))
	c.want("0{")
	c.send("40" + namespace + ",")
	c.want("40" + strings.TrimPrefix(namespace+",", "/,"))
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := wsutil.WriteClientText(c.conn, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// want reads a message that begins with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	data, err := wsutil.ReadServerText(c.rw)
	if err != nil {
		c.t.Fatalf("waiting for %q: %v", prefix, err)
	}
	if !strings.HasPrefix(string(data), prefix) {
		c.t.Fatalf("got %q, want %q…", data, prefix)
	}
	return string(data)
}

// wantEnd reads until the connection ends.
func (c *client) wantEnd() {
	c.t.Helper()
	for {
		if _, err := wsutil.ReadServerText(c.rw); err != nil {
			return
		}
	}
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func TestRoomsFromOutside(t *testing.T) {
	conns := make(chan socketio.Conn, 2)
	server, url := start(t, nil, func(server *socketio.Server) {
		server.OnConnect("/", func(s socketio.Conn) error {
			s.Join("everybody")
			conns <- s
			return nil
		})
	})
	one, two := dial(t, url, "/"), dial(t, url, "/")
	a, b := receive(t, "connection", conns), receive(t, "connection", conns)
	if n := server.RoomLen("/", "everybody"); n != 2 {
		t.Errorf("%d are in the room", n)
	}
	var each []string
	server.ForEach("/", "everybody", func(c socketio.Conn) { each = append(each, c.ID()) })
	if slices.Sort(each); !slices.Equal(each, sorted(a.ID(), b.ID())) {
		t.Errorf("ForEach: %q", each)
	}
	if rooms := server.Rooms("/"); !slices.Equal(sorted(rooms...), sorted("everybody", a.ID(), b.ID())) {
		t.Errorf("rooms: %q", rooms)
	}
	server.BroadcastToRoom("/", a.ID(), "private")
	server.BroadcastToRoom("/", b.ID(), "private")
	for _, c := range []*client{one, two} {
		c.want(`42["private"]`)
	}
	server.LeaveRoom("/", "everybody", a)
	if n := server.RoomLen("/", "everybody"); n != 1 {
		t.Errorf("%d are in the room after one has left", n)
	}
	server.ClearRoom("/", "everybody")
	if n := server.RoomLen("/", "everybody"); n != 0 {
		t.Errorf("%d are in the room after all have left", n)
	}
	server.LeaveAllRooms("/", b)
	server.BroadcastToRoom("/", "everybody", "nobody hears it")
	server.BroadcastToNamespace("/", "last")
	for _, c := range []*client{one, two} {
		c.want(`42["last"]`)
	}
	if n := server.Count(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// Each way to end is told once, with its reason, and leaves nothing behind.
func TestDisconnect(t *testing.T) {
	conns := make(chan socketio.Conn, 1)
	ends := make(chan string, 2)
	server, url := start(t, nil, func(server *socketio.Server) {
		server.OnConnect("/x", func(s socketio.Conn) error { s.Join("r"); conns <- s; return nil })
		server.OnDisconnect("/x", func(s socketio.Conn, reason string) {
			s.Join("too late")
			s.Emit("too late")
			s.Close()
			ends <- reason + fmt.Sprint(s.Rooms())
		})
	})
	for name, how := range map[string]struct {
		end  func(c *client, s socketio.Conn)
		want string
	}{
		"client leaves": {func(c *client, _ socketio.Conn) { c.send("41/x,") }, "client namespace disconnect[]"},
		"client closes": {func(c *client, _ socketio.Conn) { c.conn.Close() }, "transport close[]"},
		"Close":         {func(_ *client, s socketio.Conn) { s.Close() }, "server namespace disconnect[]"},
		"Remove":        {func(_ *client, s socketio.Conn) { server.Remove(s.ID()) }, "server namespace disconnect[]"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, url, "/x")
			s := receive(t, "connection", conns)
			how.end(c, s)
			if got := receive(t, "end", ends); got != how.want {
				t.Errorf("ended with %q, want %q", got, how.want)
			}
			if name != "client closes" {
				if name == "client leaves" {
					c.conn.Close()
				}
				c.wantEnd()
			}
			if rooms := server.Rooms("/x"); len(rooms) != 0 {
				t.Errorf("rooms %q are left", rooms)
			}
		})
	}
	if len(ends) != 0 {
		t.Error("an end was told twice")
	}
}

func TestConnInitor(t *testing.T) {
	conns := make(chan socketio.Conn, 1)
	opts := &engineio.Options{ConnInitor: func(r *http.Request, c engineio.Conn) {
		if _, _, err := c.NextReader(); err == nil {
			t.Error("it could read")
		}
		if _, err := c.NextWriter(0); err == nil {
			t.Error("it could write")
		}
		c.SetContext(r.URL.Query().Get("q") + r.Header.Get("X-Test") + r.Host)
	}}
	_, url := start(t, opts, func(server *socketio.Server) {
		server.OnConnect("/", func(s socketio.Conn) error { conns <- s; return nil })
	})
	c := dial(t, url, "/")
	s := receive(t, "connection", conns)
	local, remote := c.conn.LocalAddr().String(), c.conn.RemoteAddr().String()
	if got := s.Context(); got != "1yes"+remote {
		t.Errorf("context: %v", got)
	}
	u := s.URL()
	if u.Path != "/socket.io/" || s.RemoteHeader().Get("X-Test") != "yes" || s.Namespace() != "/" ||
		s.RemoteAddr().String() != local || s.LocalAddr().String() != remote {
		t.Errorf("%v %v %v %v", u, s.RemoteHeader(), s.RemoteAddr(), s.LocalAddr())
	}
}

func sorted(s ...string) []string {
	slices.Sort(s)
	return s
}
