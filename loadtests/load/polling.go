package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"greenroom/coop"
)

// pollLink is a session over HTTP long-polling: one greenlet polls, and another posts while there is something to.
// Each has a connection of its own, as browsers do.
type pollLink struct {
	u       *user
	polls   *httpConn
	posts   *httpConn
	sid     string
	out     []string // packets that nobody has posted yet
	posting bool
	posted  coop.Event // nobody posts
	leaving bool
	closed  bool
}

// httpConn is a connection with keep-alive, for one request at a time.
type httpConn struct {
	run  *run
	conn *coop.Conn
	r    *bufio.Reader
}

func (r *run) dialHTTP(g *coop.Greenlet) (*httpConn, error) {
	c, err := coop.Dial(g, "tcp", r.peer.Addr)
	if err != nil {
		return nil, err
	}
	return &httpConn{run: r, conn: c, r: bufio.NewReader(c)}, nil
}

// do sends a request, and returns the answer's body.
func (c *httpConn) do(method, target, body string) (string, error) {
	head := method + " " + target + " HTTP/1.1\r\nHost: " + c.run.peer.Addr + "\r\n"
	if method == http.MethodPost {
		head += "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	if _, err := io.WriteString(c.conn, head+"\r\n"+body); err != nil {
		return "", err
	}
	a, err := http.ReadResponse(c.r, nil)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", errEnded
	}
	if err != nil {
		return "", fmt.Errorf("polling: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(a.Body, maxFrame+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("polling: %w", err)
	case len(text) > maxFrame:
		return "", fmt.Errorf("polling: an answer of more than %d bytes", maxFrame)
	case a.StatusCode != http.StatusOK:
		return "", fmt.Errorf("polling: the server answers %s: %.100q", a.Status, text)
	}
	return string(text), nil
}

func (l *pollLink) open(g *coop.Greenlet) (err error) {
	if l.polls, err = l.u.run.dialHTTP(g); err != nil {
		return err
	}
	text, err := l.polls.do(http.MethodGet, l.u.run.target(Polling), "")
	if err != nil {
		return err
	}
	packets, err := l.split(text)
	if err != nil {
		return err
	}
	var open struct {
		SID string `json:"sid"`
	}
	if len(packets) == 0 || len(packets[0]) == 0 || json.Unmarshal([]byte(packets[0][1:]), &open) != nil || open.SID == "" {
		return fmt.Errorf("polling: the server opens with %.100q, which is not Engine.IO", text)
	}
	l.sid = open.SID
	if err := l.received(packets); err != nil {
		return err
	}
	g.Loop().Spawn(l.poll)
	return nil
}

func (l *pollLink) target() string { return l.u.run.target(Polling) + "&sid=" + l.sid }

// poll is the greenlet that receives.
func (l *pollLink) poll(*coop.Greenlet) error {
	target := l.target()
	for !l.closed {
		text, err := l.polls.do(http.MethodGet, target, "")
		if err == nil {
			var packets []string
			if packets, err = l.split(text); err == nil {
				err = l.received(packets)
			}
		}
		if err != nil {
			l.fail(err)
			break
		}
	}
	return nil
}

func (l *pollLink) received(packets []string) error {
	now := l.u.run.now()
	for _, p := range packets {
		if p == "1" {
			return errEnded
		}
		if err := l.u.packet([]byte(p), now); err != nil {
			return err
		}
	}
	return nil
}

// recordSeparator stands between the packets of a payload of Engine.IO 4.
const recordSeparator = "\x1e"

// split takes a payload apart. Engine.IO 3 puts each packet's length, in UTF-16 units, before it.
func (l *pollLink) split(text string) ([]string, error) {
	if !l.counted() {
		return strings.Split(text, recordSeparator), nil
	}
	var packets []string
	for text != "" {
		size, rest, ok := strings.Cut(text, ":")
		units, err := strconv.Atoi(size)
		if !ok || err != nil || units < 0 {
			return nil, fmt.Errorf("polling: a payload that is not Engine.IO 3: %.100q", text)
		}
		end := 0
		for units > 0 && end < len(rest) {
			c, n := utf8.DecodeRuneInString(rest[end:])
			end += n
			units--
			if c > 0xffff {
				units--
			}
		}
		if units != 0 {
			return nil, fmt.Errorf("polling: a payload that is cut off: %.100q", text)
		}
		packets = append(packets, rest[:end])
		text = rest[end:]
	}
	return packets, nil
}

func (l *pollLink) join(packets []string) string {
	if !l.counted() {
		return strings.Join(packets, recordSeparator)
	}
	var b strings.Builder
	for _, p := range packets { // what we send is ASCII
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return b.String()
}

func (l *pollLink) counted() bool { return l.u.run.peer.Protocol == EIO3 }

func (l *pollLink) send(buf []byte) error { return l.ping(string(buf[frameSpace:])) }

func (l *pollLink) ping(text string) error {
	if l.closed {
		return errEnded
	}
	l.out = append(l.out, text)
	if !l.posting {
		l.posting = true
		l.posted.Clear()
		l.u.run.loop.Spawn(l.post)
	}
	return nil
}

// post is the greenlet that sends. What comes while it waits for an answer leaves with the next request.
func (l *pollLink) post(g *coop.Greenlet) error {
	for len(l.out) > 0 && !l.closed {
		if err := l.postOnce(g); err != nil {
			l.fail(err)
			break
		}
	}
	l.posting = false
	l.posted.Set()
	return nil
}

func (l *pollLink) postOnce(g *coop.Greenlet) (err error) {
	if l.posts == nil {
		if l.posts, err = l.u.run.dialHTTP(g); err != nil {
			return err
		}
		if l.closed { // meanwhile
			return l.posts.conn.Close()
		}
	}
	packets := l.out
	l.out = nil
	_, err = l.posts.do(http.MethodPost, l.target(), l.join(packets))
	return err
}

func (l *pollLink) fail(err error) {
	switch {
	case l.closed:
	case l.leaving: // the server answers the poll, or ends it
		l.close()
	default:
		l.close()
		l.u.ended(err)
	}
}

// leave tells the server, which would otherwise keep the session until its time is out.
func (l *pollLink) leave(g *coop.Greenlet) {
	if l.sid != "" && !l.leaving && l.ping("1") == nil {
		l.leaving = true
		_ = g.AtMost(handshakeWithin, func() error { return l.posted.Wait(g) }) // it is the end in any case
	}
	l.close()
}

func (l *pollLink) close() {
	l.closed = true
	if l.polls != nil {
		l.polls.conn.Close()
	}
	if l.posts != nil {
		l.posts.conn.Close()
	}
}
