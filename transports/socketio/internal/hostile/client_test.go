package hostile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

const (
	pollTarget = "/socket.io/?EIO=4&transport=polling"
	wsTarget   = "/socket.io/?EIO=4&transport=websocket"
)

// request is the text of an HTTP request; each header is a line.
func request(method, target, body string, headers ...string) string {
	head := []string{method + " " + target + " HTTP/1.1", "Host: x"}
	if body != "" {
		head = append(head, fmt.Sprint("Content-Length: ", len(body)))
	}
	return strings.Join(append(append(head, headers...), "", ""), "\r\n") + body
}

// upgrade is a request for a WebSocket.
func upgrade(target string, headers ...string) string {
	return request("GET", target, "", append([]string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...)...)
}

// answer reads a response.
func answer(r *bufio.Reader) (status int, header http.Header, body string, err error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(b), err
}

// do sends a request on a connection of its own. A session that it opens ends at once.
func (s *site) do(t testing.TB, bytes string) (status int, header http.Header, body string) {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		t.Fatal(err)
	}
	status, header, body, err := answer(bufio.NewReader(c))
	if err != nil {
		t.Fatal(err)
	}
	var open struct{ SID string }
	if text, ok := strings.CutPrefix(body, "0"); ok && json.Unmarshal([]byte(text), &open) == nil {
		defer s.do(t, request("POST", pollTarget+"&sid="+open.SID, "1"))
	}
	return status, header, body
}

// polling is the client's end of a polling session.
type polling struct {
	site   *site
	sid    string
	client *http.Client
	queue  []string
}

// poll opens a polling session, which ends with t.
func (s *site) poll(t testing.TB) *polling {
	t.Helper()
	p := &polling{site: s, client: &http.Client{Transport: new(http.Transport)}}
	packets := p.get(t)
	var open struct{ SID string }
	if len(packets) != 1 || json.Unmarshal([]byte(strings.TrimPrefix(packets[0], "0")), &open) != nil || len(open.SID) != 20 {
		t.Fatalf("opened with %q", packets)
	}
	p.sid = open.SID
	t.Cleanup(func() {
		_ = p.try("1") // it may have ended before, and its end waits for a poll
		_, _ = p.read(p.client.Get(p.url()))
		p.client.CloseIdleConnections()
	})
	return p
}

func (p *polling) url() string {
	if p.sid == "" {
		return "http://" + p.site.addr + pollTarget
	}
	return "http://" + p.site.addr + pollTarget + "&sid=" + p.sid
}

func (p *polling) read(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("%d %s", res.StatusCode, b)
	}
	return string(b), err
}

// get is a poll.
func (p *polling) get(t testing.TB) []string {
	t.Helper()
	body, err := p.read(p.client.Get(p.url()))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(body, "\x1e")
}

// try sends a body of Engine.IO packets.
func (p *polling) try(body string) error {
	got, err := p.read(p.client.Post(p.url(), "text/plain;charset=UTF-8", strings.NewReader(body)))
	if err == nil && got != "ok" {
		err = fmt.Errorf("answered %q", got)
	}
	return err
}

func (p *polling) post(t testing.TB, body string) {
	t.Helper()
	if err := p.try(body); err != nil {
		t.Fatal(err)
	}
}

// receive returns the next packet of Socket.IO, and answers pings meanwhile.
func (p *polling) receive() (string, error) {
	for {
		for len(p.queue) == 0 {
			body, err := p.read(p.client.Get(p.url()))
			if err != nil {
				return "", err
			}
			p.queue = strings.Split(body, "\x1e")
		}
		packet := p.queue[0]
		p.queue = p.queue[1:]
		switch packet {
		case "2":
			if err := p.try("3"); err != nil {
				return "", err
			}
		case "1", "6":
		default:
			return packet, nil
		}
	}
}

// peer is the client's end of a WebSocket. It sends what it is told to.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// errClosed is the end of a connection with a close frame.
type errClosed struct{ status int }

func (e errClosed) Error() string { return fmt.Sprintf("closed with status %d", e.status) }

// open opens a session on a WebSocket. early is sent in the same segment as the request.
func (s *site) open(t testing.TB, early string, headers ...string) *peer {
	t.Helper()
	p := &peer{t: t, conn: s.dial(t)}
	p.r = bufio.NewReader(p.conn)
	p.raw(upgrade(wsTarget, headers...) + early)
	res, err := http.ReadResponse(p.r, nil)
	if err != nil || res.StatusCode != 101 {
		t.Fatalf("%v, %v", res, err)
	}
	if packet := p.next(); !strings.HasPrefix(packet, `0{"sid":"`) {
		t.Fatalf("opened with %q", packet)
	}
	return p
}

// join opens a session that is in the room.
func (s *site) join(t testing.TB) *peer {
	t.Helper()
	p := s.open(t, "")
	p.connect()
	p.text(`420["join","` + room + `"]`)
	p.want(`430[{"ok":true}]`)
	return p
}

// connect joins the main namespace and returns the session's id.
func (p *peer) connect() (sid string) {
	p.t.Helper()
	p.text("40")
	packet := p.next()
	sid, ok := strings.CutPrefix(packet, `40{"sid":"`)
	if !ok {
		p.t.Fatalf("got %.200q", packet)
	}
	return strings.TrimSuffix(sid, `"}`)
}

func frame(op ws.OpCode, fin bool, payload string) string {
	var b bytes.Buffer
	_ = ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))) // a buffer takes everything
	return b.String()
}

func text(packet string) string { return frame(ws.OpText, true, packet) }

func (p *peer) write(packet string) error {
	bound(p.conn)
	_, err := io.WriteString(p.conn, text(packet))
	return err
}

func (p *peer) text(packets ...string) {
	p.t.Helper()
	for _, packet := range packets {
		if err := p.write(packet); err != nil {
			p.t.Fatal(err)
		}
	}
}

// raw sends bytes as they are. The server may close before all are sent, which is for the reader to find.
func (p *peer) raw(bytes string) {
	bound(p.conn)
	_, _ = io.WriteString(p.conn, bytes)
}

// receive returns the next message, binary ones with "b:" in front, and answers pings meanwhile.
func (p *peer) receive() (string, error) {
	for {
		bound(p.conn)
		h, err := ws.ReadHeader(p.r)
		if err != nil {
			return "", err
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(p.r, body); err != nil {
			return "", err
		}
		switch {
		case h.OpCode == ws.OpClose && len(body) >= 2:
			return "", errClosed{int(body[0])<<8 | int(body[1])}
		case h.OpCode == ws.OpClose:
			return "", errClosed{1005}
		case h.OpCode == ws.OpText && string(body) == "2":
			if err := p.write("3"); err != nil {
				return "", err
			}
		case h.OpCode == ws.OpText:
			return string(body), nil
		case h.OpCode == ws.OpBinary:
			return "b:" + string(body), nil
		}
	}
}

// next returns the next message that is not what is said in the room.
func (p *peer) next() string {
	p.t.Helper()
	for {
		packet, err := p.receive()
		if err != nil {
			p.t.Fatal(err)
		}
		if !strings.HasPrefix(packet, `42["tick",`) {
			return packet
		}
	}
}

func (p *peer) want(packets ...string) {
	p.t.Helper()
	for _, want := range packets {
		if got := p.next(); got != want {
			p.t.Fatalf("got %.200q, want %.200q", got, want)
		}
	}
}

// wantPart takes the next message, in which this text must stand.
func (p *peer) wantPart(part string) {
	p.t.Helper()
	if got := p.next(); !strings.Contains(got, part) {
		p.t.Fatalf("got %.200q, want %q in it", got, part)
	}
}

// wantClosed reads to the end, which must be a close frame, and hangs up.
func (p *peer) wantClosed(status int) {
	p.t.Helper()
	for {
		_, err := p.receive()
		if err == nil {
			continue
		}
		var closed errClosed
		if !errors.As(err, &closed) || closed.status != status {
			p.t.Fatalf("ended with %v, want a close frame of status %d", err, status)
		}
		p.conn.Close()
		return
	}
}

// wantEnd reads to the end, whatever comes.
func wantEnd(t testing.TB, c net.Conn) {
	t.Helper()
	bound(c)
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection did not end")
	}
}
