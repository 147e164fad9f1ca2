package engineio

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"greenroom/hub"
)

// inflate undoes a content coding with the standard library.
func inflate(t testing.TB, coding, body string) string {
	t.Helper()
	var r io.Reader
	var err error
	switch coding {
	case "":
		return body
	case "gzip":
		r, err = gzip.NewReader(strings.NewReader(body))
	case "deflate":
		r, err = zlib.NewReader(strings.NewReader(body))
	default:
		t.Fatalf("coding %q", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Section 1.9: httpCompression.
func TestHTTPCompression(t *testing.T) {
	message := func(size int) *hub.Message {
		return &hub.Message{Payload: hub.Payload{JSON: bytes.Repeat([]byte("a"), size-1)}} // the packet is one byte longer
	}
	plain := func(size int) *hub.Message {
		m := message(size)
		m.NoCompress = true
		return m
	}
	tests := []struct {
		row      string
		o        HTTPCompression
		accept   []string
		messages []*hub.Message
		want     string
	}{
		{"gzip", HTTPCompression{}, []string{"gzip"}, []*hub.Message{message(2001)}, "gzip"},
		{"deflate", HTTPCompression{}, []string{"deflate"}, []*hub.Message{message(2001)}, "deflate"},
		{"gzip is preferred", HTTPCompression{}, []string{"deflate, gzip, br"}, []*hub.Message{message(2001)}, "gzip"},
		{"on two lines", HTTPCompression{}, []string{"br", "deflate"}, []*hub.Message{message(2001)}, "deflate"},
		{"neither", HTTPCompression{}, []string{"br, identity"}, []*hub.Message{message(2001)}, ""},
		{"no header", HTTPCompression{}, nil, []*hub.Message{message(2001)}, ""},
		{"at the threshold", HTTPCompression{}, []string{"gzip"}, []*hub.Message{message(1024)}, "gzip"},
		{"below the threshold", HTTPCompression{}, []string{"gzip"}, []*hub.Message{message(1023)}, ""},
		{"own threshold", HTTPCompression{Threshold: 10}, []string{"gzip"}, []*hub.Message{message(10)}, "gzip"},
		{"the body counts, not the packet", HTTPCompression{}, []string{"gzip"}, []*hub.Message{message(600), message(600)}, "gzip"},
		{"off", HTTPCompression{Off: true}, []string{"gzip"}, []*hub.Message{message(2001)}, ""},
		{"compress:false", HTTPCompression{}, []string{"gzip"}, []*hub.Message{plain(2001)}, ""},
		{"compress:false on some packets only", HTTPCompression{}, []string{"gzip"}, []*hub.Message{plain(2001), message(2)}, "gzip"},
	}
	for _, c := range tests {
		t.Run(c.row, func(t *testing.T) {
			s := serve(t, Options{HTTPCompression: c.o})
			p := s.poll(t)
			var want []string
			s.on(t, p.sid, func(sock *Socket) {
				for _, m := range c.messages {
					sock.Send(hub.MessageFrame(m))
					want = append(want, "4"+string(m.Payload.JSON))
				}
			})
			a := s.rawGet(t, p, c.accept)
			coding := a.header.Get("Content-Encoding")
			if coding != c.want || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
				t.Errorf("headers %v, wanted the coding %q", a.header, c.want)
			}
			if body := inflate(t, coding, a.body); body != join(want...) {
				t.Errorf("a body of %d bytes, wanted %d", len(body), len(join(want...)))
			}
			if coding != "" && len(a.body) > 100+len(join(want...))/4 {
				t.Errorf("compressed to %d bytes", len(a.body))
			}
		})
	}
}

// rawGet is a GET by a client that does not unpack what it gets.
func (s *server) rawGet(t testing.TB, p *poller, accept []string) answer {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	var lines strings.Builder
	for _, a := range accept {
		lines.WriteString("Accept-Encoding: " + a + "\r\n")
	}
	c.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", p.target(), lines.String()))
	return c.response()
}

func TestAcceptedCoding(t *testing.T) {
	tests := []struct{ header, want string }{
		{"", ""},
		{"gzip", "gzip"},
		{"GZIP", "gzip"},
		{"gzip;q=0", ""},
		{"gzip; q=0.5, deflate", "deflate"},
		{"gzip;q=0.5, deflate;q=0.5", "gzip"},
		{"gzip;q=0.001", "gzip"},
		{"*", "gzip"},
		{"*;q=0", ""},
		{"gzip;q=0, *", "deflate"},
		{"identity, *;q=0", ""},
		{"gzip;q=x", ""},
		{"gzip;q=-1", ""},
		{"gzipx, xdeflate", ""},
		{",,, ,;;, gzip ;q=1,", "gzip"},
		{"br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"},
		{strings.Repeat("a,", 100_000) + "deflate", "deflate"},
	}
	for _, c := range tests {
		got := ""
		if e := accepted([]string{c.header}); e != nil {
			got = e.name
		}
		if got != c.want {
			t.Errorf("%.60q: %q, wanted %q", c.header, got, c.want)
		}
	}
}

// The compressors are shared: what one answer leaves behind must not show in another.
func TestCompressorsAreShared(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 50 {
				body := make([]byte, 1+r.IntN(5000))
				for j := range body {
					body[j] = byte(r.IntN(20))
				}
				for _, e := range encodings {
					if got := inflate(t, e.name, string(e.compress(body))); got != string(body) {
						t.Errorf("%s: %d bytes became %d", e.name, len(body), len(got))
					}
				}
			}
		})
	}
	wg.Wait()
}

// Go's client, like browsers, asks for gzip and unpacks it unseen.
func TestCompressedPollsWithAnOrdinaryClient(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	text := strings.Repeat("€ 😀 ", 1000)
	p.wantPost("4" + text)
	r, err := http.NewRequest("GET", "http://"+s.addr+p.target(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "4"+text || !resp.Uncompressed {
		t.Errorf("%d bytes, %v, unpacked %v", len(body), err, resp.Uncompressed)
	}
}

func BenchmarkCompress(b *testing.B) {
	var body []byte
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; len(body) < 8<<10; i++ {
		body = fmt.Appendf(body, "42[\"price\",{\"symbol\":\"S%d\",\"bid\":%f,\"ask\":%f}]\x1e", r.IntN(1000), r.Float64()*100, r.Float64()*100)
	}
	for _, e := range encodings {
		b.Run(e.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				e.compress(body)
			}
		})
	}
}
