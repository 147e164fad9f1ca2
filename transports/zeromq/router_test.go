package zeromq

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/time/rate"

	"greenroom/coop"
	"greenroom/hub"
)

// newHub is a hub that the test's end closes.
func newHub(t testing.TB, o hub.Options) *hub.Hub {
	t.Helper()
	o.Logger = quiet
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

// browser is a client of a real hub: what it is sent is text in a channel.
type browser struct {
	loop    *coop.Loop
	session *hub.Session
	got     chan string // events as they come, acks as "ack 1 […]", "accepted", "refused …", "left"
	mu      sync.Mutex
	seen    []string
}

func (c *browser) Loop() *coop.Loop      { return c.loop }
func (c *browser) Writable() bool        { return true }
func (c *browser) Send(f *hub.Frame)     { c.got <- string(f.Message().Payload.JSON) }
func (c *browser) Accepted(*hub.Session) { c.got <- "accepted" }
func (c *browser) Refused(_ *hub.Session, err error) {
	data := ""
	if e, ok := err.(*hub.ConnectError); ok {
		raw, _ := marshal(e.Data)
		data = " " + string(raw)
	}
	c.got <- "refused " + err.Error() + data
}
func (c *browser) Ack(_ *hub.Session, id int64, p hub.Payload) {
	c.got <- fmt.Sprintf("ack %d %s", id, p.JSON)
}
func (c *browser) Leave(*hub.Session, bool) { c.got <- "left" }

// browse connects a client, without waiting for what comes of it.
func browse(t testing.TB, h *hub.Hub, namespace, auth string) *browser {
	t.Helper()
	c := &browser{loop: h.Loops().Least(), got: make(chan string, 10_000)}
	connected := make(chan error, 1)
	c.loop.Post(func() {
		s, err := h.Connect(c, namespace, &hub.Handshake{Auth: json.RawMessage(auth)})
		c.session = s
		connected <- err
	})
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	return c
}

// join connects a client and waits until it is in.
func comeIn(t testing.TB, h *hub.Hub, namespace, auth string) *browser {
	t.Helper()
	c := browse(t, h, namespace, auth)
	c.want(t, "accepted")
	return c
}

// want waits for something that starts with text, and returns it. What comes before is kept in seen.
func (c *browser) want(t testing.TB, text string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case got := <-c.got:
			c.mu.Lock()
			c.seen = append(c.seen, got)
			c.mu.Unlock()
			if strings.HasPrefix(got, text) {
				return got
			}
		case <-timeout:
			t.Fatalf("waited in vain for %q; got %.2000q", text, c.seen)
		}
	}
}

// emit sends an event, with an ack's id or hub.NoAck.
func (c *browser) emit(ack int64, event string, args ...any) {
	p, err := hub.EncodeArgs(event, args...)
	if err != nil {
		panic(err)
	}
	c.loop.Post(func() { _ = c.session.Deliver(hub.NewEvent(event, p, ack)) })
}

// leave ends the client.
func (c *browser) leave() { c.loop.Post(func() { c.session.Closed("transport close") }) }

// asker is a REQ or DEALER socket with one connection.
type asker struct {
	*client
	t testing.TB
}

func ask(t testing.TB, endpoint string, typ zmq4.SocketType) *asker {
	t.Helper()
	c, err := connect(context.Background(), endpoint, typ)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return &asker{c, t}
}

func (a *asker) send(frames ...string) {
	a.t.Helper()
	raw := make([][]byte, len(frames))
	for i, f := range frames {
		raw[i] = []byte(f)
	}
	if err := a.conn.SendMsg(zmq4.NewMsgFrom(raw...)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asker) receive() []string {
	a.t.Helper()
	if err := a.guard.SetReadDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	msg, err := a.conn.RecvMsg()
	if err != nil {
		a.t.Fatal(err)
	}
	var frames []string
	for _, f := range msg.Frames {
		frames = append(frames, string(f))
	}
	return frames
}

// answered is what comes of a request without an envelope.
type answered struct {
	ID          json.RawMessage
	OK          bool
	Result      json.RawMessage
	Code, Error string
}

// call sends a request as a DEALER does and returns the answer.
func (a *asker) call(method string, params any, frames ...string) answered {
	a.t.Helper()
	raw, err := json.Marshal(map[string]any{"id": 7, "method": method, "params": params})
	if err != nil {
		a.t.Fatal(err)
	}
	a.send(slices.Concat([]string{string(raw)}, frames)...)
	got := a.receive()
	var ans answered
	if err := json.Unmarshal([]byte(got[len(got)-1]), &ans); err != nil || len(got) != 1 {
		a.t.Fatalf("%q: %v", got, err)
	}
	if string(ans.ID) != "7" {
		a.t.Fatalf("answered with the id %s", ans.ID)
	}
	return ans
}

// must is call for requests that are served, with the result.
func (a *asker) must(method string, params any, frames ...string) string {
	a.t.Helper()
	ans := a.call(method, params, frames...)
	if !ans.OK {
		a.t.Fatalf("%s: %s: %s", method, ans.Code, ans.Error)
	}
	return string(ans.Result)
}

func TestSplitEnvelope(t *testing.T) {
	split := func(s string) [][]byte {
		var frames [][]byte
		for f := range strings.SplitSeq(s, "|") {
			frames = append(frames, []byte(f))
		}
		return frames
	}
	for frames, want := range map[string]string{
		"|{}":       "[] [{}]",
		"a|b||{}|x": "[a b ] [{} x]",
		"{}":        "<nil> [{}]",
		"{}||":      "<nil> [{}  ]",
		"||":        "[] [ ]",
		"a":         "no",
		"":          "[] []",
		strings.Repeat("a|", maxEnvelope) + "|{}":   "[" + strings.Repeat("a ", maxEnvelope) + "] [{}]",
		strings.Repeat("a|", maxEnvelope+1) + "|{}": "no",
	} {
		envelope, body, ok := splitEnvelope(split(frames), beginsControl)
		got := fmt.Sprintf("%s %s", envelope, body)
		if envelope == nil {
			got = fmt.Sprintf("<nil> %s", body)
		}
		if !ok {
			got = "no"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", frames, got, want)
		}
	}
}

// fakeNet is a connection on which nothing ever comes, and what is written goes nowhere.
type fakeNet struct{ net.Conn }

func (fakeNet) Close() error                     { return nil }
func (fakeNet) Write(b []byte) (int, error)      { return len(b), nil }
func (fakeNet) SetWriteDeadline(time.Time) error { return nil }
func (fakeNet) SetReadDeadline(time.Time) error  { return nil }
func (fakeNet) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

func newTestBucket() *rate.Limiter { return rate.NewLimiter(rate.Inf, 1) }

// readMessage reads from a raw connection, past the greeting and READY, until a message is whole, and returns what came.
func readMessage(t testing.TB, c net.Conn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte("}}")) {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, buf[:n]...)
	}
	return string(got)
}

// TestRequestsArePrincipals: who has shaken hands as somebody is that one to the endpoints that answer.
func TestRequestsArePrincipals(t *testing.T) {
	domains := make(chan string, 2)
	_, b := controlled(t, Options{Workers: anyPort, Security: Security{Authenticator: func(_ context.Context, r AuthRequest) (Principal, error) {
		domains <- r.Domain
		return Principal{User: "feed", Publish: Patterns{"in.*"}}, nil
	}}})
	a := ask(t, b.Addr("control"), zmq4.Dealer)
	if got := a.must("publish", map[string]any{"room": "in.a"}); !strings.Contains(got, `"seq":1`) {
		t.Errorf("published: %s", got)
	}
	for method, params := range map[string]map[string]any{
		"publish": {"room": "out"}, "history": {"room": "in.a"}, "snapshot": {"room": "in.a"}, "kick": {"user": "u"}, "stats": nil,
	} {
		if code := a.call(method, params).Code; code != "forbidden" {
			t.Errorf("%s: %q", method, code)
		}
	}
	w := ask(t, b.Addr("workers"), zmq4.Dealer)
	w.send("READY", `{"version":1,"events":["*"]}`)
	if got := w.receive(); got[0] != "ERROR" || !strings.Contains(got[1], `"code":"forbidden"`) {
		t.Errorf("registered: %q", got)
	}
	if first, second := <-domains, <-domains; first != "control" || second != "workers" {
		t.Errorf("domains %s, %s", first, second)
	}
}
