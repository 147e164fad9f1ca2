package coophttp_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello World!")
}

// BenchmarkHello compares requests per second and per CPU second, over 100 keep-alive connections, with
// net/http. The clients are in the same process and the same for both.
//
//	go test -run '^$' -bench Hello ./coop/coophttp
//
// From outside: go run ./coop/examples/httpserver, then wrk -c 100 -t 1 -d 10 http://127.0.0.1:8088/
func BenchmarkHello(b *testing.B) {
	b.Run("coop", func(b *testing.B) {
		s := serve(b, &coophttp.Server{Handler: http.HandlerFunc(hello)})
		storm(b, s.addr)
	})
	b.Run("net", func(b *testing.B) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(hello)}
		go s.Serve(ln)
		b.Cleanup(func() { s.Close() })
		storm(b, ln.Addr().String())
	})
}

func storm(b *testing.B, addr string) {
	const conns = 100
	var all []net.Conn
	for range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var wg sync.WaitGroup
	for i, c := range all {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() { ask(b, c, n) })
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

// ask is a client that costs little: it knows the answer's length after the first one.
func ask(b *testing.B, c net.Conn, n int) {
	question := []byte("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	answer := make([]byte, 1024)
	length := 0
	for i := range n {
		if _, err := c.Write(question); err != nil {
			b.Error(err)
			return
		}
		if i == 0 {
			r := bufio.NewReader(io.TeeReader(c, counter{&length}))
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			continue
		}
		if _, err := io.ReadFull(c, answer[:length]); err != nil {
			b.Error(err)
			return
		}
	}
}

type counter struct{ n *int }

func (c counter) Write(p []byte) (int, error) { *c.n += len(p); return len(p), nil }

// server is a Server on a loop of its own.
type server struct {
	*coophttp.Server
	loop *coop.Loop
	ln   *coop.Listener
	addr string
}

// serve starts s and has the test stop it.
func serve(t testing.TB, s *coophttp.Server) *server {
	t.Helper()
	return serveOn(t, s, "tcp", "127.0.0.1:0")
}

func serveOn(t testing.TB, s *coophttp.Server, network, address string) *server {
	t.Helper()
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nl, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	ln := coop.NewListener(l, nl)
	l.Go(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{s, l, ln, nl.Addr().String()}
}
