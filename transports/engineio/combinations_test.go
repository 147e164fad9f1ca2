package engineio

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gobwas/ws"

	"greenroom/coop"
	"greenroom/internal/testenv"
)

// overTLS serves s once more, by TLS and HTTP/2, and returns the address and the configuration of clients.
func (s *server) overTLS(t testing.TB) (addr string, client *tls.Config) {
	t.Helper()
	authority := testenv.NewAuthority(t)
	web := httptest.NewUnstartedServer(s.Server)
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.TLS, web.EnableHTTP2, web.Listener = authority.Server(), true, coop.Detachable(web.Listener)
	web.StartTLS()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String(), &tls.Config{RootCAs: authority.Pool}
}

// attachTLS is attach over TLS.
func attachTLS(t testing.TB, addr string, config *tls.Config, target string, headers ...string) *socket {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &socket{raw: &raw{conn, t, bufio.NewReader(conn)}}
	c.write(upgradeRequest(target, headers...))
	a := c.response()
	if a.status != 101 {
		t.Fatalf("upgrade: %v %v", a, a.header)
	}
	c.deflate = a.header.Get("Sec-WebSocket-Extensions") != ""
	return c
}

// Compression in both directions, over TLS on the loop, of both protocols, with messages of many records that do and do
// not get shorter, of sessions that begin on the WebSocket and such that come to it.
func TestCompressionOverTLS(t *testing.T) {
	s := serve3(t, Options{MaxPayload: 8 << 20, PerMessageDeflate: &Deflate{}})
	addr, config := s.overTLS(t)
	messages := map[string]struct {
		plain  string
		shrink bool
	}{
		"nothing":            {"", false},
		"short":              {"é", false},
		"text":               {strings.Repeat("häufig ", 60_000), true},
		"noise":              {noise(1 << 20), false},
		"more than a loop's": {strings.Repeat("0123456789", inflateMax/4), true},
	}
	for _, version := range []int{4, 3} {
		for _, how := range []string{"websocket", "upgrade"} {
			t.Run(fmt.Sprintf("protocol %d/%s", version, how), func(t *testing.T) {
				target, prefix := wsTarget, ""
				if version == 3 {
					target, prefix = wsTarget3, "\x04"
				}
				var sid string
				if how == "upgrade" {
					if sid = s.poll(t).sid; version == 3 {
						sid = s.poll3(t, "").sid
					}
					target += "&sid=" + sid
				}
				c := attachTLS(t, addr, config, target, deflateOffer...)
				if !c.deflate {
					t.Fatal("not negotiated")
				}
				if how == "upgrade" {
					c.write(packedText(pack(t, 9, "2probe"))) // a client may compress whatever it wants
					c.wantText("3probe")
					c.write(packedText(pack(t, 9, "5")))
				} else {
					_, open := c.next()
					sid = parseOpen(t, open).SID
				}
				for name, m := range messages {
					c.write(packedBinary(pack(t, 6, prefix+m.plain)))
					if c.want(ws.OpBinary, prefix+m.plain); c.packed != m.shrink {
						t.Errorf("%s: compressed: %v", name, c.packed)
					}
				}
				text := "4" + messages["text"].plain
				c.write(packedText(pack(t, 6, text)))
				c.wantText(text)
				c.write(textFrame(text))
				c.wantText(text)
				s.on(t, sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
				c.wantClose(1005)
				s.waitClosed(t, sid, ReasonForcedClose)
			})
		}
	}
}

// The greeting, by every way in.
func TestInitialPacketEverywhere(t *testing.T) {
	long := strings.Repeat("héllo ", 400)
	s := serve3(t, Options{InitialPacket: long, PerMessageDeflate: &Deflate{}})
	units := len([]rune(long)) + 1
	bodies := map[string]func() string{
		"polling":   func() string { return s.do("GET", pollTarget, "").body },
		"polling 3": func() string { return s.do("GET", pollTarget3, "").body },
		"base64":    func() string { return s.do("GET", pollTarget3+"&b64=1", "").body },
		"JSONP":     func() string { return unscript(t, s.do("GET", pollTarget3+"&j=0", "").body) },
	}
	for name, body := range bodies {
		got := body()
		if want := "\x1e4" + long; name == "polling" {
			if !strings.HasSuffix(got, want) {
				t.Errorf("%s: %q", name, got)
			}
		} else if want := fmt.Sprintf("}%d:4%s", units, long); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, target := range map[string]string{"websocket": wsTarget, "websocket 3": wsTarget3, "base64": wsTarget3 + "&b64=1"} {
		c := s.attach(t, target, deflateOffer...)
		if _, open := c.next(); !strings.HasPrefix(open, "0{") {
			t.Errorf("%s: %q", name, open)
		}
		if c.wantText("4" + long); !c.packed {
			t.Errorf("%s: not compressed", name)
		}
	}
}

// A polling session over HTTP/2: what goes wrong with one request says nothing about the others on its connection.
func TestPollingOverHTTP2(t *testing.T) {
	s := serve(t, Options{MaxPayload: 100_000})
	addr, config := s.overTLS(t)
	var dialed atomic.Int32
	tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Add(1)
		config := config.Clone()
		config.NextProtos = []string{"h2"}
		return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	do := func(ctx context.Context, method, target string, body io.Reader, headers ...string) answer {
		r, err := http.NewRequestWithContext(ctx, method, "https://"+addr+target, body)
		if err != nil {
			return answer{err: err}
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := tr.RoundTrip(r)
		if err != nil {
			return answer{err: err}
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if resp.ProtoMajor != 2 {
			t.Errorf("%s %s over %s", method, target, resp.Proto)
		}
		return answer{resp.StatusCode, string(b), resp.Header, err}
	}
	ctx, patient := context.WithTimeout(context.Background(), patience)
	defer patient()
	want := func(a answer, status int, body string) {
		t.Helper()
		if a.err != nil || a.status != status || a.body != body {
			t.Errorf("%v, wanted %d %q", a, status, body)
		}
	}
	open := func() (sid, target string) {
		t.Helper()
		sid = parseOpen(t, do(ctx, "GET", pollTarget, nil).body).SID
		return sid, pollTarget + "&sid=" + sid
	}
	steady, steadyTarget := open() // lives through all of it
	hanging := make(chan answer, 1)
	go func() { hanging <- do(ctx, "GET", steadyTarget, nil) }()
	s.waitPolling(t, steady)

	t.Run("a GET is cancelled", func(t *testing.T) {
		sid, target := open()
		ctx, cancel := context.WithCancel(ctx)
		got := make(chan answer, 1)
		go func() { got <- do(ctx, "GET", target, nil) }()
		s.waitPolling(t, sid)
		cancel()
		<-got
		s.waitClosed(t, sid, ReasonTransportError)
	})
	t.Run("a POST is cancelled", func(t *testing.T) {
		sid, target := open()
		ctx, cancel := context.WithCancel(ctx)
		body, w := io.Pipe()
		got := make(chan answer, 1)
		go func() { got <- do(ctx, "POST", target, body) }()
		_, _ = io.WriteString(w, "4half")
		s.eventuallyOn(t, sid, "the POST", func(sock *Socket) bool { return sock.post.Load() != nil })
		cancel()
		<-got
		s.waitClosed(t, sid, ReasonTransportError)
	})
	t.Run("the session is closed during a POST", func(t *testing.T) {
		sid, target := open()
		body, w := io.Pipe()
		got := make(chan answer, 1)
		go func() { got <- do(ctx, "POST", target, body) }()
		_, _ = io.WriteString(w, "4half")
		s.eventuallyOn(t, sid, "the POST", func(sock *Socket) bool { return sock.post.Load() != nil })
		s.on(t, sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
		wantAnswer(t, got, 400, `{"code":3,"message":"Body incomplete"}`)
		_ = w.Close()
		want(do(ctx, "GET", target, nil), 200, "6\x1e1")
		s.waitClosed(t, sid, ReasonForcedClose)
	})
	t.Run("two GETs", func(t *testing.T) {
		sid, target := open()
		got := make(chan answer, 1)
		go func() { got <- do(ctx, "GET", target, nil) }()
		s.waitPolling(t, sid)
		want(do(ctx, "GET", target, nil), 400, `{"code":3,"message":"Another GET is waiting"}`)
		wantAnswer(t, got, 200, "1")
		s.waitClosed(t, sid, ReasonTransportError)
	})
	t.Run("too large", func(t *testing.T) {
		sid, target := open()
		for name, body := range map[string]io.Reader{
			"announced":     strings.NewReader("4" + strings.Repeat("x", 200_000)),
			"not announced": io.MultiReader(strings.NewReader("4"), strings.NewReader(strings.Repeat("x", 200_000))),
		} {
			if a := do(ctx, "POST", target, body); a.status != 413 {
				t.Errorf("%s: %v", name, a)
			}
		}
		want(do(ctx, "POST", target, strings.NewReader("4lives")), 200, "ok")
		s.wantMessages(t, sid, "lives")
	})
	t.Run("methods", func(t *testing.T) {
		_, target := open()
		for _, method := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} {
			want(do(ctx, method, target, nil), 500, "")
		}
		if a := do(ctx, "HEAD", pollTarget, nil); a.status != 400 || a.body != "" || a.err != nil {
			t.Errorf("HEAD: %v", a)
		}
		want(do(ctx, "GET", target, strings.NewReader("4x")), 400, `{"code":3,"message":"Bad request"}`)
		want(do(ctx, "GET", wsTarget, nil), 400, `{"code":3,"message":"Bad request"}`)
		want(do(ctx, "POST", target, strings.NewReader("1")), 200, "ok")
	})
	t.Run("compressed", func(t *testing.T) {
		_, target := open()
		long := "4" + strings.Repeat("long ", 1000)
		want(do(ctx, "POST", target, strings.NewReader(long)), 200, "ok")
		a := do(ctx, "GET", target, nil, "Accept-Encoding", "gzip")
		z, err := gzip.NewReader(strings.NewReader(a.body))
		if err != nil {
			t.Fatalf("%v %v", a, err)
		}
		if b, err := io.ReadAll(z); err != nil || string(b) != long {
			t.Errorf("%q %v", b, err)
		}
	})
	s.on(t, steady, func(sock *Socket) { sock.SendText([]byte("still here")) })
	wantAnswer(t, hanging, 200, "4still here")
	if n := dialed.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
