package engineio

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
)

func TestPolling(t *testing.T) {
	s := serve(t, Options{})
	tests := []struct {
		name, body string
		want       string // of the GET
	}{
		{"text", "4hello", "4hello"},
		{"empty message", "4", "4"},
		{"several", join("4test1", "4test2", "4test3"), join("4test1", "4test2", "4test3")},
		{"text and binary", join("4hello", "bAQIDBA=="), join("4hello", "bAQIDBA==")},
		{"empty binary", "b", "b"},
		{"other base64", "b-_8", "b+/8="},
		{"UTF-8", "4€ 😀 é", "4€ 😀 é"},
		{"packets that mean nothing here", join("0{}", "5", "6", "3", "4x"), "4x"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := s.poll(t)
			a := p.post(c.body)
			if a.status != 200 || a.body != "ok" || a.header.Get("Content-Type") != "text/html" || a.header.Get("Content-Length") != "2" {
				t.Fatalf("POST: %v %v", a, a.header)
			}
			a = p.get()
			if a.status != 200 || a.body != c.want || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
				t.Errorf("GET: %v %v", a, a.header)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Length") != fmt.Sprint(len(c.want)) {
				t.Errorf("GET: %v", a.header)
			}
		})
	}
}

func TestWaitingGETIsAnsweredByWhatIsSent(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	for i := range 3 {
		got := p.begin()
		s.on(t, p.sid, func(sock *Socket) {
			sock.SendText(fmt.Append(nil, "a", i))
			sock.SendBinary([]byte{byte(i)})
		})
		wantAnswer(t, got, 200, join(fmt.Sprint("4a", i), string(AppendPollingBinary(nil, []byte{byte(i)}))))
	}
}

// A client's own messages keep their order through many POSTs and GETs.
func TestPollingKeepsOrder(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	const n = 200
	var want []string
	for i := 0; i < n; i += 4 {
		var body []string
		for j := i; j < i+4; j++ {
			body = append(body, fmt.Sprint("4", j))
			want = append(want, fmt.Sprint("4", j))
		}
		p.wantPost(join(body...))
	}
	var got []string
	for len(got) < n {
		a := p.get()
		if a.status != 200 {
			t.Fatal(a)
		}
		got = append(got, strings.Split(a.body, "\x1e")...)
	}
	if join(got...) != join(want...) {
		t.Errorf("got %v", got)
	}
}

func TestWrongPOSTsCloseTheSession(t *testing.T) {
	const notAPacket = `{"code":3,"message":"Not an Engine.IO packet"}`
	tests := []struct {
		name, body, contentType string
		status                  int
		answer, reason, counter string
		delivered               int
	}{
		{"no packet", "abc", "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 0},
		{"unknown type", "7", "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 0},
		{"empty", "", "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 0},
		{"trailing separator", join("4a", ""), "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 1},
		{"doubled separator", join("4a", "", "4b"), "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 1},
		{"rubbish after a good packet", join("4a", "4b", "x", "4c"), "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 2},
		{"no UTF-8", "4\xff", "", 400, notAPacket, ReasonParseError, "engineio_bad_packet", 0},
		{"ping", "2", "", 200, "ok", ReasonTransportError, "engineio_ping_from_client", 0},
		{"probe", "2probe", "", 200, "ok", ReasonTransportError, "engineio_ping_from_client", 0},
		{"binary body", "4a", "application/octet-stream", 400, `{"code":3,"message":"A body is text"}`, ReasonTransportError, "engineio_binary_body", 0},
		{"close", "1", "", 200, "ok", ReasonTransportClose, "", 0},
		{"close, and then more", join("4a", "1", "4b"), "", 200, "ok", ReasonTransportClose, "", 1},
	}
	s := serve(t, Options{})
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := s.poll(t)
			before := s.count(c.counter)
			contentType := c.contentType
			if contentType == "" {
				contentType = "text/plain"
			}
			a := s.do("POST", p.target(), c.body, "Content-Type", contentType)
			if a.status != c.status || a.body != c.answer {
				t.Errorf("POST: %v, wanted %d %q", a, c.status, c.answer)
			}
			s.waitClosed(t, p.sid, c.reason)
			if got := s.waitMessages(t, p.sid, 0); len(got) != c.delivered {
				t.Errorf("delivered %q, wanted %d", got, c.delivered)
			}
			if c.counter != "" && s.count(c.counter) != before+1 {
				t.Errorf("%s went from %d to %d", c.counter, before, s.count(c.counter))
			}
			p.wantGone()
		})
	}
}

func TestBodyAtAndOverTheLimit(t *testing.T) {
	s := serve(t, Options{MaxPayload: 1000})
	p := s.poll(t)
	p.wantPost("4" + strings.Repeat("x", 999))
	big := "4" + strings.Repeat("x", 1000)
	if a := p.post(big); a.status != http.StatusRequestEntityTooLarge ||
		a.body != `{"code":3,"message":"Body larger than maxPayload"}` || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("with a length: %v", a)
	}
	r, err := http.NewRequest("POST", "http://"+s.addr+p.target(), struct{ *bytes.Reader }{bytes.NewReader([]byte(big))})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r) // chunked: the reader's type hides its length
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d", resp.StatusCode)
	}
	if n := s.count("engineio_body_too_large"); n != 2 {
		t.Errorf("counted %d", n)
	}
	p.wantPost("4still here")
	p.wantGet("4" + strings.Repeat("x", 999))
	p.wantGet("4still here")
}

func TestSecondGETClosesTheSession(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	first := p.begin()
	if a := p.get(); a.status != 400 || a.body != `{"code":3,"message":"Another GET is waiting"}` {
		t.Errorf("the second GET: %v", a)
	}
	wantAnswer(t, first, 200, "1")
	s.waitClosed(t, p.sid, ReasonTransportError)
	p.wantGone()
	if n := s.count("engineio_poll_overlap"); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// uploading begins a POST of size bytes and sends only part of it.
func (p *poller) uploading(size int, part string) *raw {
	p.t.Helper()
	c := p.s.dial(p.t)
	c.write(fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", p.target(), size, part))
	return c
}

// upload is uploading, and waits until the server has seen it.
func (p *poller) upload(size int, part string) *raw {
	p.t.Helper()
	c := p.uploading(size, part)
	p.s.eventuallyOn(p.t, p.sid, "the upload", func(s *Socket) bool { return s.post.Load() != nil })
	return c
}

func TestSecondPOSTClosesTheSession(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	first := p.upload(100, "4abc")
	if a := p.post("4x"); a.status != 400 || a.body != `{"code":3,"message":"Another POST is under way"}` {
		t.Errorf("the second POST: %v", a)
	}
	s.waitClosed(t, p.sid, ReasonTransportError)
	first.wantEOF()
	p.wantGone()
	if got := s.waitMessages(t, p.sid, 0); len(got) != 0 {
		t.Errorf("delivered %q", got)
	}
	if n := s.count("engineio_post_overlap"); n != 1 {
		t.Errorf("counted %d", n)
	}
}

func TestAbortedRequestsCloseTheSession(t *testing.T) {
	s := serve(t, Options{})
	t.Run("GET", func(t *testing.T) {
		p := s.poll(t)
		c := s.dial(t)
		c.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", p.target()))
		s.waitPolling(t, p.sid)
		c.Close()
		s.waitClosed(t, p.sid, ReasonTransportError)
		p.wantGone()
	})
	t.Run("POST", func(t *testing.T) {
		p := s.poll(t)
		p.upload(100, "4abc").Close()
		s.waitClosed(t, p.sid, ReasonTransportError)
		p.wantGone()
	})
	for _, reason := range []string{"engineio_poll_aborted", "engineio_post_aborted"} {
		if n := s.count(reason); n != 1 {
			t.Errorf("%s: %d", reason, n)
		}
	}
}

// shortBody is a BodyTimeout for tests that wait for its end. The bodies and answers that are good have to be
// quicker, on the slowest machine.
const shortBody = time.Second

// A POST that never ends is cut at BodyTimeout, and the session with it.
func TestSlowPOST(t *testing.T) {
	s := serve(t, Options{BodyTimeout: shortBody})
	p := s.poll(t)
	c := p.uploading(100, "4")
	s.waitClosed(t, p.sid, ReasonTransportError)
	if a := c.response(); a.err == nil && a.status != 400 {
		t.Error(a)
	}
	c.wantEOF()
}

// A body that never comes holds no goroutine of the server, whatever the
// request was refused for.
func TestRefusedRequestsDoNotWaitForTheirBodies(t *testing.T) {
	s := serve(t, Options{BodyTimeout: shortBody, MaxPayload: 100})
	p := s.poll(t)
	conns := map[string]*raw{} // they wait at the same time
	for name, request := range map[string]string{
		"unknown session": "POST " + pollTarget + "&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: 100",
		"no session":      "POST " + pollTarget + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100",
		"too large":       "POST " + p.target() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 200",
		"chunked":         "POST " + pollTarget + "&sid=x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked",
		"poll with body":  "GET " + p.target() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100",
		"PUT":             "PUT " + p.target() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100",
	} {
		conns[name] = s.dial(t)
		conns[name].write([]byte(request + "\r\n\r\n"))
	}
	for name, c := range conns {
		t.Run(name, func(t *testing.T) {
			if a := c.response(); a.err == nil && a.status < 400 {
				t.Error(a)
			}
			c.wantEOF()
		})
	}
	p.wantPost("4x")
	p.wantGet("4x")
}

// A client that does not take its answer is cut at BodyTimeout. What the answer
// held is lost, so the session ends.
func TestSlowReaderOfAPoll(t *testing.T) {
	s := serve(t, Options{BodyTimeout: shortBody, MaxPayload: 64 << 20}, hub.Options{Loops: 1, OutboxBytes: 128 << 20})
	p := s.poll(t)
	c := s.dial(t)
	c.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", p.target()))
	s.waitPolling(t, p.sid)
	s.on(t, p.sid, func(sock *Socket) { sock.SendText(bytes.Repeat([]byte("x"), 32<<20)) })
	s.waitClosed(t, p.sid, ReasonTransportError)
	s.waitCount(t, "engineio_poll_aborted", 1)
	c.wantEOF()
}

// What waits for a client that does not poll is bounded by the outbox.
func TestClientThatDoesNotPoll(t *testing.T) {
	s := serve(t, Options{}, hub.Options{Loops: 1, OutboxBytes: 1000})
	p := s.poll(t)
	s.on(t, p.sid, func(sock *Socket) {
		for range 200 {
			sock.SendText([]byte("0123456789"))
		}
		if sock.Open() || sock.out.Bytes() > 1000 {
			t.Errorf("open %v with %d bytes waiting", sock.Open(), sock.out.Bytes())
		}
	})
	s.waitClosed(t, p.sid, ReasonTransportError)
	p.wantGone()
	if n := s.count("slow_consumer_disconnected"); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// One answer holds no more than MaxPayload, as far as packets allow.
func TestPollAnswersAreSplit(t *testing.T) {
	s := serve(t, Options{MaxPayload: 100})
	p := s.poll(t)
	x := strings.Repeat("x", 40)
	s.on(t, p.sid, func(sock *Socket) {
		for _, m := range []string{x, x, x, strings.Repeat("y", 150), x} {
			sock.SendText([]byte(m))
		}
	})
	p.wantGet(join("4"+x, "4"+x))
	p.wantGet("4" + x)
	p.wantGet("4" + strings.Repeat("y", 150))
	p.wantGet("4" + x)
}

func TestOtherMethodsOnASession(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"} {
		if a := s.do(method, p.target(), ""); a.status != 500 || a.body != "" {
			t.Errorf("%s: %v", method, a)
		}
	}
	p.wantPost("4x")
	p.wantGet("4x")
}

// plainWriter is what many middlewares make of a ResponseWriter: no flush, no
// deadlines, nothing to unwrap.
type plainWriter struct{ w http.ResponseWriter }

func (p plainWriter) Header() http.Header         { return p.w.Header() }
func (p plainWriter) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plainWriter) WriteHeader(status int)      { p.w.WriteHeader(status) }

func TestPollingBehindAMiddleware(t *testing.T) {
	s := serve(t, Options{}, wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plainWriter{w}, r) })
	}))
	p := s.poll(t)
	for i := range 3 {
		p.wantPost(fmt.Sprint("4", i))
		p.wantGet(fmt.Sprint("4", i))
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget))
	if a := conn.response(); a.status != 500 {
		t.Errorf("an upgrade that cannot be: %v", a)
	}
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 1 })
}

// A GET whose answer is lost must not leave a newer one without any.
func TestLostAnswerWhileANewerGETWaits(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	got := p.begin()
	s.on(t, p.sid, func(sock *Socket) { sock.pollLost(&pollRequest{s: sock, taken: true}) })
	wantAnswer(t, got, 200, "1")
	s.waitClosed(t, p.sid, ReasonTransportError)
}

// brokenWriter is a connection that has gone.
type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("connection lost") }

// A session whose client never learned its id does not wait for it.
func TestLostOpenPacket(t *testing.T) {
	s := serve(t, Options{}, wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(brokenWriter{w}, r) })
	}))
	s.do("GET", pollTarget, "")
	var rec *session
	s.wait(t, "the session", func() bool {
		for _, rec = range s.seen {
		}
		return rec != nil
	})
	s.waitClosed(t, rec.sock.ID(), ReasonTransportError)
}

// A client that is cut off in the middle of its POST sees a broken connection and never the answer.
func TestTooLargeBodyIsReadBeforeItIsRefused(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	for range 3 {
		if a := p.post("4" + strings.Repeat("x", 3_000_000)); a.status != 413 {
			t.Error(a)
		}
	}
	p.wantPost("4and goes on")
	p.wantGet("4and goes on")
}
