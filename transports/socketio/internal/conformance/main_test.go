package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests. Nothing is decided by its length.
const patience = 30 * time.Second

// pace is how the server's clocks run. The suites' own are for the checks that see them; all others get clocks
// that a slow machine cannot miss.
type pace int

const (
	suite   pace = iota // as the suites want it
	beating             // pings as often, and a client may be late
	hasty               // a client has to connect as soon, and hears no pings
	quiet               // nothing happens by itself
)

func (p pace) args() []string {
	switch p {
	case beating:
		return []string{"-ping-timeout", "20s", "-connect-timeout", "20s"}
	case hasty:
		return []string{"-ping-interval", "60s", "-ping-timeout", "20s"}
	case quiet:
		return []string{"-ping-interval", "60s", "-ping-timeout", "20s", "-connect-timeout", "20s"}
	}
	return nil
}

// check is one test of a suite, under its name there.
type check struct {
	name string
	pace pace
	run  func(t *testing.T, s *target)
}

// target is a running server.
type target struct {
	url    string // of its endpoint
	engine bool   // it echoes
	web    *http.Client
}

// runChecks starts the servers that the checks need, and makes them.
func runChecks(t *testing.T, engine bool, checks []check) {
	servers := make(map[pace]*target)
	for _, c := range checks {
		if servers[c.pace] == nil {
			servers[c.pace] = start(t, engine, c.pace)
		}
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.run(t, servers[c.pace]) })
	}
}

// start starts a server that ends with the test.
func start(t *testing.T, engine bool, p pace, more ...string) *target {
	t.Helper()
	args := append(append([]string{"-port", "0"}, p.args()...), more...)
	path := "/socket.io/"
	if engine {
		args, path = append(args, "-engine"), "/engine.io/"
	}
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, w)
		_ = w.CloseWithError(errors.Join(err, io.EOF)) // never fails
		done <- err
	}()
	s := &target{engine: engine, web: &http.Client{Timeout: patience, Transport: &http.Transport{}}}
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.web.CloseIdleConnections()
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s.url = strings.TrimPrefix(strings.TrimSpace(line), "listening on ") + path
	return s
}

// answer is a response's status and body.
type answer struct {
	status int
	body   string
}

func (s *target) do(method, query, body string) (answer, error) {
	req, err := http.NewRequest(method, s.url+"?"+query, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	res, err := s.web.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(b)}, err
}

// want makes a request, whose answer must be this one; a body of "*" is any.
func (s *target) want(t *testing.T, method, query, body string, status int, want string) {
	t.Helper()
	a, err := s.do(method, query, body)
	if err != nil {
		t.Fatal(err)
	}
	if a.status != status || want != "*" && a.body != want {
		t.Fatalf("%s %s %.100q: got %d %.200q, want %d %q", method, query, body, a.status, a.body, status, want)
	}
}

const polling = "EIO=4&transport=polling"

// open opens a polling session and returns the query of its requests.
func (s *target) open(t *testing.T) (query string) {
	t.Helper()
	a, err := s.do("GET", polling, "")
	if err != nil {
		t.Fatal(err)
	}
	return polling + "&sid=" + url.QueryEscape(readOpen(t, a.body).SID)
}

// socket is a client's WebSocket.
type socket struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dial connects a WebSocket.
func (s *target) dial(query string) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, r, _, err := ws.Dial(ctx, strings.Replace(s.url, "http", "ws", 1)+"?"+query)
	if err == nil && r == nil {
		r = bufio.NewReader(conn)
	}
	return conn, r, err
}

// connect connects a WebSocket that ends with the test.
func (s *target) connect(t *testing.T, query string) *socket {
	t.Helper()
	conn, r, err := s.dial(query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &socket{t, conn, r}
}

// wantRefused tries to connect a WebSocket that the server does not want, or closes at once.
func (s *target) wantRefused(t *testing.T, query string) {
	t.Helper()
	conn, r, err := s.dial(query)
	if err != nil {
		var status ws.StatusError
		if !errors.As(err, &status) {
			t.Fatalf("%s: %v, want an answer", query, err)
		}
		return
	}
	defer conn.Close()
	(&socket{t, conn, r}).wantClosed()
}

var errClosed = errors.New("closed")

// receive reads the next message; a binary one is its hex digits behind a "b".
func (c *socket) receive() (string, error) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(patience)) // fails as the read will
		h, err := ws.ReadHeader(c.r)
		if errors.Is(err, io.EOF) {
			return "", errClosed
		}
		if err != nil {
			return "", err
		}
		body := make([]byte, h.Length)
		if _, err := io.ReadFull(c.r, body); err != nil {
			return "", err
		}
		switch h.OpCode {
		case ws.OpClose:
			return "", errClosed
		case ws.OpText:
			return string(body), nil
		case ws.OpBinary:
			return fmt.Sprintf("b%x", body), nil
		}
	}
}

func (c *socket) next() string {
	c.t.Helper()
	m, err := c.receive()
	if err != nil {
		c.t.Fatalf("waiting for a message: %v", err)
	}
	return m
}

func (c *socket) want(messages ...string) {
	c.t.Helper()
	for _, want := range messages {
		if m := c.next(); m != want {
			c.t.Fatalf("got %.200q, want %.200q", m, want)
		}
	}
}

// wantClosed waits for the end; what comes before does not matter.
func (c *socket) wantClosed() {
	c.t.Helper()
	for {
		m, err := c.receive()
		if errors.Is(err, errClosed) {
			return
		}
		if err != nil {
			c.t.Fatalf("waiting for the end, after %.100q: %v", m, err)
		}
	}
}

// send sends text frames, in one write.
func (c *socket) send(messages ...string) {
	c.t.Helper()
	var b bytes.Buffer
	for _, m := range messages {
		if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewTextFrame([]byte(m)))); err != nil {
			c.t.Fatal(err)
		}
	}
	c.write(b.Bytes())
}

func (c *socket) sendBinary(data ...byte) {
	c.t.Helper()
	var b bytes.Buffer
	if err := ws.WriteFrame(&b, ws.MaskFrame(ws.NewBinaryFrame(data))); err != nil {
		c.t.Fatal(err)
	}
	c.write(b.Bytes())
}

func (c *socket) write(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience)) // fails as the write will
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func TestCommandLine(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-h"}, &out); err != nil || !strings.Contains(out.String(), "default 3000") {
		t.Errorf("help: %v\n%s", err, out.String())
	}
	if err := run(t.Context(), []string{"-port", "x"}, io.Discard); err == nil {
		t.Error("a port that is no number: no error")
	}
	if err := run(t.Context(), []string{"-port", "65536"}, io.Discard); err == nil {
		t.Error("a port that does not exist: no error")
	}
}
