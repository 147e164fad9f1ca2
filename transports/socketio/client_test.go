package socketio

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// client is the client's end of one WebSocket. It sends exactly what it is told to and checks what comes
// byte by byte; only pings are answered by themselves. One goroutine may send and one receive.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader

	inflated int // compressed messages that came
}

// newClient is the client's end of a connection. r has what came with the upgrade, or is nil. The
// connection ends with the test.
func newClient(t testing.TB, conn net.Conn, r *bufio.Reader) *client {
	if r == nil {
		r = bufio.NewReaderSize(conn, 512)
	}
	c := &client{t: t, conn: conn, r: r}
	if t != nil {
		t.Cleanup(func() { c.conn.Close() })
	}
	return c
}

// dial opens a session and takes its open packet.
func (f *fixture) dial(t testing.TB) *client {
	t.Helper()
	c, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, c.conn, c.r)
}

// open is dial for callers that look after the connection themselves.
func (f *fixture) open() (*client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, r, _, err := ws.Dialer{TLSConfig: f.tls}.Dial(ctx, f.wsURL())
	if err != nil {
		return nil, err
	}
	c := newClient(nil, conn, r)
	m, err := c.receive()
	if err == nil && !strings.HasPrefix(m.text, `0{"sid":"`) {
		err = fmt.Errorf("opened with %s", m)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// join dials and connects to a namespace of serveEcho.
func (f *fixture) join(t testing.TB, namespace string) (c *client, sid string) {
	t.Helper()
	c = f.dial(t)
	sid = c.connect(namespace, "")
	head := ""
	if namespace != "/" {
		head = namespace + ","
	}
	c.want(`42` + head + `["auth",{}]`)
	return c, sid
}

// message is what one frame carried.
type message struct {
	text   string
	data   []byte
	binary bool
}

func (m message) String() string {
	if m.binary {
		return fmt.Sprintf("binary %x", m.data)
	}
	return fmt.Sprintf("%.200q", m.text)
}

// errClosed is the end of a connection: the status of the close frame, 1005 when it had none.
type errClosed struct{ status int }

func (e errClosed) Error() string { return fmt.Sprintf("closed with status %d", e.status) }

// receive reads the next message and answers pings meanwhile.
func (c *client) receive() (message, error) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience)) // fails as the read will
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			return message{}, err
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return message{}, err
		}
		if h.Rsv1() {
			if body, err = io.ReadAll(flate.NewReader(bytes.NewReader(append(body, "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...)))); err != nil {
				return message{}, err
			}
			c.inflated++
		}
		switch {
		case h.OpCode == ws.OpClose:
			status := 1005
			if len(body) >= 2 {
				status = int(body[0])<<8 | int(body[1])
			}
			return message{}, errClosed{status}
		case !h.Fin || h.Masked:
			return message{}, fmt.Errorf("a frame that this server does not send: %+v", h)
		case h.OpCode == ws.OpText && string(body) == "2":
			if err := c.write(ws.OpText, []byte("3")); err != nil {
				return message{}, err
			}
		case h.OpCode == ws.OpText:
			return message{text: string(body)}, nil
		default:
			return message{data: body, binary: true}, nil
		}
	}
}

func (c *client) write(op ws.OpCode, body []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
	return ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, body)))
}

// send sends Engine.IO packets as text frames, in one write, so that they arrive together.
func (c *client) send(packets ...string) {
	c.t.Helper()
	var b bytes.Buffer
	for _, p := range packets {
		if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame([]byte(p)))); err != nil {
			c.t.Fatal(err)
		}
	}
	c.sendRaw(b.Bytes())
}

// sendBinary sends binary frames.
func (c *client) sendBinary(frames ...[]byte) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.write(ws.OpBinary, bytes.Clone(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) sendRaw(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next is receive for a message that must come.
func (c *client) next() message {
	c.t.Helper()
	m, err := c.receive()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return m
}

// want takes the next messages, which must be these texts.
func (c *client) want(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		if m := c.next(); m.binary || m.text != text {
			c.t.Fatalf("got %s, want %.200q", m, text)
		}
	}
}

// wantBinary takes the next messages, which must be these binary ones.
func (c *client) wantBinary(frames ...[]byte) {
	c.t.Helper()
	for _, f := range frames {
		if m := c.next(); !m.binary || !bytes.Equal(m.data, f) {
			c.t.Fatalf("got %s, want binary %x", m, f)
		}
	}
}

// wantClosed reads to the end of the connection, which must be a close frame of this status, and hangs up.
func (c *client) wantClosed(status int) {
	c.t.Helper()
	for {
		_, err := c.receive()
		if err == nil {
			continue
		}
		var closed errClosed
		if !errors.As(err, &closed) || closed.status != status {
			c.t.Fatalf("ended with %v, want a close frame with status %d", err, status)
		}
		c.conn.Close()
		return
	}
}

// alive proves that the server still answers this client, and that nothing else has been sent to it.
func (c *client) alive() {
	c.t.Helper()
	c.send(`42["message","alive"]`)
	c.want(`42["message-back","alive"]`)
}

// ping waits until the server has read everything that was sent, by a ping of the WebSocket. Nothing else
// may be on its way.
func (c *client) ping() {
	c.t.Helper()
	if err := c.write(ws.OpPing, []byte("ping")); err != nil {
		c.t.Fatal(err)
	}
	h, err := ws.ReadHeader(c.r)
	if err != nil || h.OpCode != ws.OpPong {
		c.t.Fatalf("got %+v, %v, want a pong", h, err)
	}
	if _, err := io.CopyN(io.Discard, c.r, h.Length); err != nil {
		c.t.Fatal(err)
	}
}

// connect joins a namespace and returns the session's id.
func (c *client) connect(namespace, auth string) (sid string) {
	c.t.Helper()
	head := ""
	if namespace != "/" {
		head = namespace + ","
	}
	c.send("40" + head + auth)
	m := c.next()
	var reply struct{ SID string }
	body, ok := strings.CutPrefix(m.text, "40"+head)
	if !ok || json.Unmarshal([]byte(body), &reply) != nil || len(reply.SID) != 20 {
		c.t.Fatalf("connecting to %s: got %s", namespace, m)
	}
	if body != `{"sid":"`+reply.SID+`"}` {
		c.t.Fatalf("connecting to %s: got %s, want the key sid alone", namespace, body)
	}
	return reply.SID
}
