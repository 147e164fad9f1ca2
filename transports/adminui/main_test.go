package adminui

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests. Nothing is decided by its length.
const patience = time.Minute

// fixture is a server in this process, with an application and the namespace of its administrators.
type fixture struct {
	hub   *hub.Hub
	admin *Admin
	url   string
}

func newHub(t testing.TB, o hub.Options) *hub.Hub {
	t.Helper()
	if o.Loops == 0 {
		o.Loops = 2
	}
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := hub.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// serve starts a server that ends with the test. Reports come at the end of an hour, unless o says otherwise.
func serve(t testing.TB, ho hub.Options, o Options) *fixture {
	t.Helper()
	return serveWith(t, socketio.Options{}, ho, o)
}

func serveWith(t testing.TB, so socketio.Options, ho hub.Options, o Options) *fixture {
	t.Helper()
	h := newHub(t, ho)
	so.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
	srv := socketio.New(h, so)
	if err := h.Handle("/", app); err != nil {
		t.Fatal(err)
	}
	if o.Interval == 0 {
		o.Interval = time.Hour
	}
	o.Engines = []*engineio.Server{srv.Engine()}
	a, err := New(h, o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(srv)
	t.Cleanup(func() {
		a.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return &fixture{h, a, web.URL}
}

// app does what it is asked for.
func app(s *hub.Session) error {
	for ev := range s.Events() {
		var err error
		switch ev.Name {
		case "join":
			var room string
			if err = ev.Args(&room); err == nil {
				err = s.Join(room)
			}
		case "data":
			var data map[string]any
			if err = ev.Args(&data); err == nil {
				s.SetData(data)
			}
		case "yo":
			err = s.Emit("yo", 1)
		case "binary":
			err = s.Emit("blob", []byte{1, 2, 3}, map[string]any{"n": 1})
		}
		if err = errors.Join(err, ev.Ack()); err != nil && !errors.Is(err, hub.ErrGone) {
			return err
		}
	}
	return nil
}

// client is a WebSocket of one session.
type client struct {
	t    testing.TB
	conn net.Conn
	r    io.Reader
	nsp  string // "" for "/"
	sid  string
}

// dial opens a connection.
func (f *fixture) dial(t testing.TB, nsp string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Cookie": {"secret=1"}, "User-Agent": {"test"}}}
	conn, r, _, err := d.Dial(ctx, "ws"+strings.TrimPrefix(f.url, "http")+"/socket.io/?EIO=4&transport=websocket&x=1")
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		r = bufio.NewReader(conn)
	}
	c := &client{t: t, conn: conn, r: r, nsp: strings.TrimPrefix(nsp, "/")}
	t.Cleanup(c.close)
	if c.next()[:1] != "0" {
		t.Fatal("no open packet")
	}
	return c
}

// close hangs up.
func (c *client) close() { _ = c.conn.Close() } // it may be closed already

// head is what stands in front of a packet's content.
func (c *client) head() string {
	if c.nsp == "" {
		return ""
	}
	return "/" + c.nsp + ","
}

// join connects to the namespace. It returns the server's answer when that is a refusal.
func (c *client) join(auth string) (refusal string) {
	c.t.Helper()
	c.send("40" + c.head() + auth)
	m := c.next()
	if body, ok := strings.CutPrefix(m, "44"+c.head()); ok {
		return body
	}
	body, ok := strings.CutPrefix(m, "40"+c.head())
	var reply struct{ SID string }
	if !ok || json.Unmarshal([]byte(body), &reply) != nil {
		c.t.Fatalf("connecting: %s", m)
	}
	c.sid = reply.SID
	return ""
}

// client connects to "/".
func (f *fixture) client(t testing.TB) *client {
	t.Helper()
	c := f.dial(t, "/")
	if no := c.join(""); no != "" {
		t.Fatal(no)
	}
	return c
}

// login connects to the administrators' namespace, and takes the configuration.
func (f *fixture) login(t testing.TB, auth string) *client {
	t.Helper()
	c := f.dial(t, "/admin")
	if no := c.join(auth); no != "" {
		t.Fatal(no)
	}
	return c
}

// settle waits until an administrator has been told everything, and overlooks that: it may be told twice if something
// happens meanwhile.
func (c *client) settle() {
	c.t.Helper()
	c.emit(`["emit","/admin","` + c.sid + `","settled"]`)
	for c.event() != `["settled"]` {
	}
}

func (c *client) send(packet string) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
	if err := wsutil.WriteClientText(c.conn, []byte(packet)); err != nil {
		c.t.Fatal(err)
	}
}

// emit sends an event, in JSON.
func (c *client) emit(event string) { c.t.Helper(); c.send("42" + c.head() + event) }

// call is emit that waits for the ack.
func (c *client) call(event string) {
	c.t.Helper()
	c.send("42" + c.head() + "7" + event)
	for {
		if c.next() == "43"+c.head()+"7[]" {
			return
		}
	}
}

// next is the next packet that is no ping.
func (c *client) next() string {
	c.t.Helper()
	m, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

func (c *client) receive() (string, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience)) // fails as the read will
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return "", err
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return "", err
		}
		if h.OpCode == ws.OpClose {
			return "", fmt.Errorf("closed: %q", body)
		}
		if string(body) == "2" {
			_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
			if err := wsutil.WriteClientText(c.conn, []byte("3")); err != nil {
				return "", err
			}
			continue
		}
		return string(body), nil
	}
}

var (
	dates   = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"`)
	issued  = regexp.MustCompile(`"issued":\d{13}`)
	times   = regexp.MustCompile(`"time":"\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT\+0000 \(Coordinated Universal Time\)"`)
	clients = regexp.MustCompile(`"clientId":"[\w-]{12}"`)
)

// event is the next event, with dates normalised.
func (c *client) event() string {
	c.t.Helper()
	m, ok := strings.CutPrefix(c.next(), "42"+c.head())
	if !ok {
		c.t.Fatalf("no event: %s", m)
	}
	m = dates.ReplaceAllString(m, `"DATE"`)
	m = issued.ReplaceAllString(m, `"issued":0`)
	m = times.ReplaceAllString(m, `"time":"TIME"`)
	return clients.ReplaceAllString(m, `"clientId":"CLIENT"`)
}

// want takes the next events; ID in them is the id of one client.
func (c *client) want(of *client, events ...string) {
	c.t.Helper()
	for _, want := range events {
		if of != nil {
			want = strings.ReplaceAll(want, "ID", of.sid)
		}
		if got := c.event(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// counted waits until a counter of the hub shows n.
func (f *fixture) counted(t testing.TB, reason string, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d %s", n, reason), func() bool { return f.hub.Counters()[reason] >= n })
	if got := f.hub.Counters()[reason]; got != n {
		t.Errorf("%s is %d, want %d", reason, got, n)
	}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// hashOf is a cheap hash of a password.
func hashOf(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}
