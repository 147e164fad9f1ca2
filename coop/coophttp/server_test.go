package coophttp_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

var dates = regexp.MustCompile(`Date: [^\r]*GMT\r\n`)

// exchange sends raw bytes and returns everything that comes back until the server closes, without dates.
// The client closes its side if half is set; otherwise it is the server that must.
func exchange(t *testing.T, network, addr, raw string, half bool) string {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	if half {
		c.(interface{ CloseWrite() error }).CloseWrite()
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %q: %v", got, err)
	}
	return dates.ReplaceAllString(string(got), "")
}

// lines joins lines as HTTP does.
func lines(l ...string) string { return strings.Join(l, "\r\n") }

// routes are handlers for the tests.
var routes = map[string]http.HandlerFunc{
	"/":      hello,
	"/empty": func(http.ResponseWriter, *http.Request) {},
	"/echo": func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, err)
			return
		}
		w.Header().Set("Content-Type", "x/y")
		fmt.Fprintf(w, "%q %v", b, r.Trailer)
	},
	"/stream": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		for _, p := range []string{"one", "three"} {
			io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	},
	"/trailers": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Trailer", "Declared")
		io.WriteString(w, "body")
		w.Header().Set("Declared", "a")
		w.Header().Set(http.TrailerPrefix+"Late", "b")
	},
	"/none": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
			panic(err)
		}
	},
	"/hints": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Content-Type", "x/y")
		io.WriteString(w, "x")
	},
	"/short": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "x")
	},
	"/long": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("Content-Length", "1")
		if _, err := io.WriteString(w, "xy"); !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
		io.WriteString(w, "x")
	},
	"/split": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header().Set("X", "a\r\nEvil: b")
		w.Header().Set("Not a token", "c")
	},
	"/panic": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X", "gone")
		io.WriteString(w, "nor this")
		panic("oh")
	},
	"/late-panic": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		panic("oh")
	},
	"/abort": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	"/close": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		hello(w, r)
	},
	"/forwarded": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	},
}

func router(w http.ResponseWriter, r *http.Request) {
	h := routes[r.URL.Path]
	if h == nil {
		h = http.NotFound
	}
	h(w, r)
}

// What goes over the wire, byte for byte. gevent: test__server_pywsgi.py.
func TestServerWire_79(t *testing.T) {
	const (
		ok       = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello World!"
		okLast   = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nHello World!"
		last     = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		bad      = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
		typed    = "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n"
		ownError = "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
	)
	cases := []struct{ name, in, want string }{
		{"keep-alive", "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + last, ok + okLast},
		{"pipelined", strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 20) + last, strings.Repeat(ok, 20) + okLast},
		{"blank lines between requests", "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + "\r\n" + last, ok + okLast},
		{"asked to close by the handler", lines("GET /close HTTP/1.1", "Host: x", "", ""), okLast},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", strings.ReplaceAll(okLast, "1.1", "1.0")},
		{"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
			"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\nHello World!" +
				strings.ReplaceAll(okLast, "1.1", "1.0")},
		{"HTTP/1.0 stream", "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
			"HTTP/1.0 200 OK\r\nContent-Type: x/y\r\nConnection: close\r\n\r\nonethree"},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n" + last, strings.TrimSuffix(ok, "Hello World!") + okLast},
		{"empty", "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n" + last, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + okLast},
		{"chunks out", "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			typed + "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n" + okLast},
		{"chunks in, with a trailer", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n" +
			"3;ext=1\r\none\r\n5\r\nthree\r\n0\r\nT: v\r\n\r\n" + last,
			typed + "Content-Length: 21\r\n\r\n\"onethree\" map[T:[v]]" + okLast},
		{"body with a length", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none" + last,
			typed + "Content-Length: 11\r\n\r\n\"one\" map[]" + okLast},
		{"body nobody reads", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none" + last, ok + okLast},
		{"trailers out", "GET /trailers HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nTrailer: Declared\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"4\r\nbody\r\n0\r\nDeclared: a\r\nLate: b\r\n\r\n" + okLast},
		{"204", "GET /none HTTP/1.1\r\nHost: x\r\n\r\n" + last, "HTTP/1.1 204 No Content\r\n\r\n" + okLast},
		{"103", "GET /hints HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + typed + "Content-Length: 1\r\n\r\nx" + okLast},
		{"shorter than declared", "GET /short HTTP/1.1\r\nHost: x\r\n\r\n" + last, typed + "Content-Length: 10\r\n\r\nx"},
		{"longer than declared", "GET /long HTTP/1.1\r\nHost: x\r\n\r\n" + last, typed + "Content-Length: 1\r\n\r\nx" + okLast},
		{"line ends in a header", "GET /split HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			typed + "X: a  Evil: b\r\nContent-Length: 0\r\n\r\n" + okLast},
		{"panic before the head left", "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			"HTTP/1.1 500 Internal Server Error\r\n" + ownError + "Content-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n"},
		{"panic behind pipelined answers", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /panic HTTP/1.1\r\nHost: x\r\n\r\n",
			ok + "HTTP/1.1 500 Internal Server Error\r\n" + ownError + "Content-Length: 22\r\nConnection: close\r\n\r\nInternal Server Error\n"},
		{"panic after the head left", "GET /late-panic HTTP/1.1\r\nHost: x\r\n\r\n" + last,
			typed + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"},
		{"abort", "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n" + last, ""},
		{"expect 100", "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx" + last,
			"HTTP/1.1 100 Continue\r\n\r\n" + typed + "Content-Length: 9\r\n\r\n\"x\" map[]" + okLast},
		{"expect 100 that nobody reads", "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", okLast},
		{"expect 100 for nothing", "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n" + last, ok + okLast},
		{"expect what nobody knows", "POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 417 Expectation Failed\r\n" + ownError + "Content-Length: 19\r\nConnection: close\r\n\r\nExpectation Failed\n"},
		{"too long a body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n",
			"HTTP/1.1 413 Request Entity Too Large\r\n" + ownError + "Content-Length: 25\r\nConnection: close\r\n\r\nRequest Entity Too Large\n"},
		{"too many chunks", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n",
			"HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 28\r\nConnection: close\r\n\r\nhttp: request body too large"},
		{"too long a head", "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
			strings.ReplaceAll(bad, "400 Bad Request", "431 Request Header Fields Too Large")},
		{"forwarded", "GET /forwarded HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n" + last,
			typed + "Content-Length: 7\r\n\r\n1.2.3.4" + okLast},
		{"no request", "nonsense\r\n\r\n", bad},
		{"no version", "GET /\r\n\r\n", bad},
		{"no method", " / HTTP/1.1\r\nHost: x\r\n\r\n", bad},
		{"a header without a colon", "GET / HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n", bad},
		{"a header with a space", "GET / HTTP/1.1\r\nHost: x\r\nbad : x\r\n\r\n", bad + ": invalid header name"},
		{"a control character", "GET / HTTP/1.1\r\nHost: x\r\nX: a\x01b\r\n\r\n", bad},
		{"another control character", "GET / HTTP/1.1\r\nHost: x\r\nX: a\x7fb\r\n\r\n", bad},
		{"no host", "GET / HTTP/1.1\r\n\r\n", bad + ": missing required Host header"},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: x\r\n\r\n",
			strings.ReplaceAll(bad, "400 Bad Request", "505 HTTP Version Not Supported") + ": unsupported protocol version"},
		{"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", bad},
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", bad},
		{"nothing", "", ""},
		{"half a request", "GET / HT", ""},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\no",
			"HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 14\r\nConnection: close\r\n\r\nunexpected EOF"},
	}
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		var mu sync.Mutex
		panics := 0
		s := serveOn(t, &coophttp.Server{
			Handler:        http.HandlerFunc(router),
			MaxHeaderBytes: 8 << 10,
			MaxBodyBytes:   1000,
			OnPanic: func(r *http.Request, p *coop.PanicError) {
				mu.Lock()
				defer mu.Unlock()
				if p.Value != "oh" || !bytes.Contains(p.Stack, []byte("server_test.go")) {
					t.Errorf("panic %v, stack %s", p.Value, p.Stack)
				}
				panics++
			},
		}, network, address)
		for _, tc := range cases {
			t.Run(network+"/"+tc.name, func(t *testing.T) {
				if got := exchange(t, network, s.addr, tc.in, true); got != tc.want {
					t.Errorf("got\n%q\nwant\n%q", got, tc.want)
				}
			})
		}
		mu.Lock()
		if panics != 3 {
			t.Errorf("%d panics were reported", panics)
		}
		mu.Unlock()
	}
}

// Bodies larger than any buffer, both ways at once.
func TestServerStreamsLargeBodies_79(t *testing.T) {
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	for name, body := range map[string]io.Reader{"length": bytes.NewReader(data), "chunked": io.MultiReader(bytes.NewReader(data))} {
		t.Run(name, func(t *testing.T) {
			resp, err := client(t).Post("http://"+s.addr, "x/y", body)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d of %d bytes, %v", len(got), len(data), err)
			}
		})
	}
}

// client is net/http's, whose connections end with the test.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// Handlers are greenlets: while one waits the others are served, without another goroutine.
func TestServerHandlersPark_79(t *testing.T) {
	var gate coop.Event
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/open" {
			gate.Set()
			return
		}
		if err := gate.Wait(coophttp.Greenlet(r)); err != nil {
			t.Error(err)
		}
		io.WriteString(w, "through")
	})})
	c := client(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			resp, err := c.Get("http://" + s.addr + "/wait")
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, _ := io.ReadAll(resp.Body); string(got) != "through" {
				t.Errorf("got %q", got)
			}
		})
	}
	await(t, "all wait", func() bool { return s.loop.Stats().Greenlets >= 21 })
	resp, err := c.Get("http://" + s.addr + "/open")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	wg.Wait()
}

// await polls a condition.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never came true: " + what)
		}
	}
}

func TestServerTimeouts_79(t *testing.T) {
	const short = time.Second // and still longer than a busy machine takes for what comes in time
	s := serve(t, &coophttp.Server{
		Handler:       http.HandlerFunc(router),
		HeaderTimeout: short,
		IdleTimeout:   short,
		StallTimeout:  short,
	})
	for _, tc := range []struct{ name, in, want string }{
		{"idle from the start", "", ""},
		{"half a head", "GET / HTTP/1.1\r\nHo", "HTTP/1.1 408 Request Timeout"},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\no", "HTTP/1.1 418 I'm a teapot"},
		{"idle after a request", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // they wait at the same time
			got, _, _ := strings.Cut(exchange(t, "tcp", s.addr, tc.in, false), "\r\n")
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// A client that takes nothing of a large answer is cut off.
func TestServerCutsStalledReaders_79(t *testing.T) {
	cut := make(chan error, 1)
	s := serve(t, &coophttp.Server{
		StallTimeout: 50 * time.Millisecond,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write(make([]byte, 64<<20))
			cut <- err
		}),
	})
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	var ne net.Error
	if err := <-cut; !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("got %v", err)
	}
	await(t, "the connection is gone", func() bool { return s.loop.Stats().Streams == 0 })
}

func TestServerHijack_79(t *testing.T) {
	handed := make(chan struct{})
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("a write afterwards: %v", err)
		}
		// It outlives the handler.
		coophttp.Greenlet(r).Spawn(func(*coop.Greenlet) error {
			defer c.Close()
			<-handed // closed before the handler's greenlet let us run, or it holds the loop
			line, err := rw.ReadString('\n')
			fmt.Fprintf(c, "%s%v", line, err)
			return nil
		})
		close(handed)
	})})
	got := exchange(t, "tcp", s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\nread ahead\n", false)
	if got != "read ahead\n<nil>" {
		t.Errorf("got %q", got)
	}
}

func TestServerLog_79(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	common := coophttp.CommonLog(&log)
	cuts := 0
	s := serve(t, &coophttp.Server{
		Handler: http.HandlerFunc(router),
		OnPanic: func(*http.Request, *coop.PanicError) {},
		Log: func(a coophttp.Access) {
			mu.Lock()
			defer mu.Unlock()
			if a.Took < 0 || a.Start.IsZero() {
				t.Errorf("%+v", a)
			}
			if a.Cut {
				cuts++
			}
			a.Start = time.Unix(0, 0).UTC()
			common(a)
		},
	})
	for _, path := range []string{"/", "/missing", "/stream", "/panic", "/late-panic", "/abort"} {
		exchange(t, "tcp", s.addr, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true)
	}
	const head = "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] "
	want := head + `"GET / HTTP/1.1" 200 12` + "\n" +
		head + `"GET /missing HTTP/1.1" 404 19` + "\n" +
		head + `"GET /stream HTTP/1.1" 200 8` + "\n" +
		head + `"GET /panic HTTP/1.1" 500 22` + "\n" +
		head + `"GET /late-panic HTTP/1.1" 200 1` + "\n" +
		head + `"GET /abort HTTP/1.1" 0 0` + "\n"
	mu.Lock()
	defer mu.Unlock()
	if log.String() != want || cuts != 2 {
		t.Errorf("%d cut, got\n%s\nwant\n%s", cuts, log.String(), want)
	}
}

func TestServerStop_79(t *testing.T) {
	began, gate := make(chan struct{}), new(coop.Event)
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(began)
			gate.Wait(coophttp.Greenlet(r))
		}
		hello(w, r)
	})})
	idle, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	idle.SetDeadline(time.Now().Add(patience))
	io.WriteString(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(idle)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)

	slow := make(chan string, 1)
	go func() {
		slow <- exchange(t, "tcp", s.addr, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", false)
	}()
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- s.loop.Call(s.Stop) }()
	if _, err := r.ReadByte(); err != io.EOF { // the idle one is closed at once
		t.Errorf("the idle connection: %v", err)
	}
	if c, err := net.Dial("tcp", s.addr); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	select {
	case err := <-stopped:
		t.Errorf("stopped with a request in flight: %v", err)
	default:
	}
	s.loop.Post(gate.Set)
	if got := <-slow; !strings.HasPrefix(got, "HTTP/1.1 200") || !strings.Contains(got, "Connection: close") || strings.Count(got, "HTTP/1.1") != 1 {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestServerStopCutsWhoStaysTooLong_79(t *testing.T) {
	began := make(chan struct{})
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		if err := new(coop.Event).Wait(coophttp.Greenlet(r)); !errors.Is(err, coop.ErrKilled) {
			t.Errorf("the handler's wait: %v", err)
		}
		panic(http.ErrAbortHandler)
	})})
	got := make(chan string, 1)
	go func() { got <- exchange(t, "tcp", s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false) }()
	<-began
	err := s.loop.Call(func(g *coop.Greenlet) error {
		return g.WithTimeout(10*time.Millisecond, func() error { return s.Stop(g) })
	})
	if !errors.Is(err, coop.ErrTimeout) {
		t.Errorf("Stop: %v", err)
	}
	if got := <-got; got != "" {
		t.Errorf("got %q", got)
	}
}
