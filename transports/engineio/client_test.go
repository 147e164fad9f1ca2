package engineio

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// answer is what came back of an HTTP request.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

func (a answer) String() string { return fmt.Sprintf("%d %q %v", a.status, a.body, a.err) }

// do makes one request. headers are pairs of name and value.
func (s *server) do(method, target, body string, headers ...string) answer {
	r, err := http.NewRequest(method, "http://"+s.addr+target, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header, err}
}

// poller is a polling client.
type poller struct {
	t   testing.TB
	s   *server
	sid string
}

// openPacket is the handshake's JSON.
type openPacket struct {
	SID          string   `json:"sid"`
	Upgrades     []string `json:"upgrades"`
	PingInterval int      `json:"pingInterval"`
	PingTimeout  int      `json:"pingTimeout"`
	MaxPayload   int      `json:"maxPayload"`
}

func parseOpen(t testing.TB, packet string) (o openPacket) {
	t.Helper()
	rest, ok := strings.CutPrefix(packet, "0")
	if !ok || json.Unmarshal([]byte(rest), &o) != nil {
		t.Fatalf("no open packet: %q", packet)
	}
	return o
}

const pollTarget = "/socket.io/?EIO=4&transport=polling"

// poll opens a session by polling.
func (s *server) poll(t testing.TB) *poller {
	t.Helper()
	a := s.do("GET", pollTarget, "")
	if a.status != 200 {
		t.Fatal(a)
	}
	return &poller{t, s, parseOpen(t, a.body).SID}
}

func (c *poller) target() string { return pollTarget + "&sid=" + c.sid }

func (c *poller) get() answer { return c.s.do("GET", c.target(), "") }

func (c *poller) post(body string) answer {
	return c.s.do("POST", c.target(), body, "Content-Type", "text/plain;charset=UTF-8")
}

// begin starts a GET and waits until it hangs at the server.
func (c *poller) begin() <-chan answer {
	c.t.Helper()
	got := c.start()
	c.s.waitPolling(c.t, c.sid)
	return got
}

func (c *poller) start() <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- c.get() }()
	return got
}

func (c *poller) wantGet(want string) {
	c.t.Helper()
	if a := c.get(); a.status != 200 || a.body != want {
		c.t.Fatalf("GET: %v, wanted %q", a, want)
	}
}

func (c *poller) wantPost(body string) {
	c.t.Helper()
	if a := c.post(body); a.status != 200 || a.body != "ok" {
		c.t.Fatalf("POST %q: %v", body, a)
	}
}

// wantGone checks that the session is not known any more.
func (c *poller) wantGone() {
	c.t.Helper()
	if a := c.get(); a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
		c.t.Errorf("GET after the end: %v", a)
	}
}

func wantAnswer(t testing.TB, got <-chan answer, status int, body string) {
	t.Helper()
	select {
	case a := <-got:
		if a.status != status || a.body != body {
			t.Fatalf("the waiting GET: %v, wanted %d %q", a, status, body)
		}
	case <-time.After(patience):
		t.Fatal("the waiting GET is not answered")
	}
}

// raw is a bare TCP connection to the server.
type raw struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (s *server) dial(t testing.TB) *raw {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &raw{c, t, bufio.NewReader(c)}
}

// bound gives what follows its time.
func (c *raw) bound() {
	_ = c.SetDeadline(time.Now().Add(patience)) // a closed connection is noticed by what follows
}

func (c *raw) write(b []byte) {
	c.t.Helper()
	c.bound()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// response reads one HTTP response. Its body is read whole unless it is a 101.
func (c *raw) response() answer {
	c.bound()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return answer{err: err}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return answer{status: resp.StatusCode, header: resp.Header}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header, err}
}

// wantEOF checks that the server closes the connection.
func (c *raw) wantEOF() {
	c.t.Helper()
	c.bound()
	var ne net.Error
	if _, err := io.Copy(io.Discard, c.r); errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

// upgradeRequest is a WebSocket handshake for target.
func upgradeRequest(target string, headers ...string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", target)
	have := map[string]bool{}
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", headers[i], headers[i+1])
		have[headers[i]] = true
	}
	for _, h := range [][2]string{{"Host", "chat.example"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}} {
		if !have[h[0]] {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	return []byte(b.String() + "\r\n")
}

// socket is a WebSocket client.
type socket struct {
	*raw
	sid     string
	deflate bool // compressed messages may come
	packed  bool // the last one was
}

const wsTarget = "/socket.io/?EIO=4&transport=websocket"

// connect opens a session on a WebSocket.
func (s *server) connect(t testing.TB) *socket {
	t.Helper()
	return s.connectWith(t)
}

// connectWith is connect with more headers.
func (s *server) connectWith(t testing.TB, headers ...string) *socket {
	t.Helper()
	c := s.attach(t, wsTarget, headers...)
	op, data := c.next()
	if op != ws.OpText {
		t.Fatalf("the first frame is %v %q", op, data)
	}
	c.sid = parseOpen(t, data).SID
	return c
}

// attach makes a WebSocket and reads nothing from it.
func (s *server) attach(t testing.TB, target string, headers ...string) *socket {
	t.Helper()
	c := &socket{raw: s.dial(t)}
	c.write(upgradeRequest(target, headers...))
	a := c.response()
	if a.status != 101 || a.header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("upgrade: %v %v", a, a.header)
	}
	c.deflate = strings.HasPrefix(a.header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	return c
}

// frame sends one frame; text a text frame.
func (c *socket) frame(op ws.OpCode, fin bool, payload string) {
	c.t.Helper()
	c.write(clientFrame(op, fin, payload))
}

func (c *socket) text(s string) { c.t.Helper(); c.frame(ws.OpText, true, s) }

func (c *socket) next() (ws.OpCode, string) {
	c.t.Helper()
	c.bound()
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		c.t.Fatalf("reading a frame: %v", err)
	}
	if c.packed = h.Rsv != 0; c.packed && (!c.deflate || h.Rsv != rsvPacked || h.OpCode.IsControl()) || h.Masked || !h.Fin {
		c.t.Fatalf("a server's frame has header %+v", h)
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.t.Fatalf("reading a frame of %d bytes: %v", h.Length, err)
	}
	if c.packed {
		return h.OpCode, unpack(c.t, string(payload))
	}
	return h.OpCode, string(payload)
}

func (c *socket) want(op ws.OpCode, data string) {
	c.t.Helper()
	if gotOp, got := c.next(); gotOp != op || got != data {
		c.t.Fatalf("received %v %q, wanted %v %q", gotOp, got, op, data)
	}
}

func (c *socket) wantText(data string) { c.t.Helper(); c.want(ws.OpText, data) }

// wantClose is wantCloseFrame; the client then closes too, and sees the
// connection end.
func (c *socket) wantClose(code ws.StatusCode) {
	c.t.Helper()
	c.wantCloseFrame(code)
	_, _ = c.Write(clientFrame(ws.OpClose, true, "")) // the server may have closed already
	c.wantEOF()
}

// wantCloseFrame reads up to the close frame and checks its status, 1005 for none. A status comes with a
// reason.
func (c *socket) wantCloseFrame(code ws.StatusCode) {
	c.t.Helper()
	for {
		op, data := c.next()
		if op != ws.OpClose {
			continue
		}
		got := ws.StatusNoStatusRcvd
		if len(data) >= 2 {
			got = ws.StatusCode(binary.BigEndian.Uint16([]byte(data)))
		}
		if got != code || (got == 1002 || got == 1008 || got == 1009) && (len(data) < 6 || !utf8.ValidString(data[2:])) {
			c.t.Fatalf("closed with %d %q, wanted %d", got, data, code)
		}
		return
	}
}
