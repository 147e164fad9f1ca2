package main

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.uber.org/goleak"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	gin.DefaultErrorWriter = io.Discard // recovered panics are meant
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(io.Discard)
	goleak.VerifyTestMain(m)
}

// patience is how long anything may take.
const patience = time.Minute

// served is a framework's handler on a server of ours.
type served struct {
	*app
	t      *testing.T
	url    string
	loop   *coop.Loop
	server *coophttp.Server
	client *http.Client
}

// inEach runs fn with every framework. report is what blocks in the app.
func inEach(t *testing.T, report func(id string) string, fn func(s *served)) {
	for name, routes := range frameworks {
		t.Run(name, func(t *testing.T) { fn(start(t, &app{report: report}, routes)) })
	}
}

func reportOf(id string) string { return "report " + id }

func start(t *testing.T, a *app, routes func(*app) http.Handler) *served {
	t.Helper()
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	transport := &http.Transport{DisableCompression: true}
	s := &served{a, t, "http://" + nl.Addr().String(), l,
		&coophttp.Server{Handler: routes(a)}, &http.Client{Transport: transport, Timeout: patience}}
	ln := coop.NewListener(l, nl)
	l.Go(func(g *coop.Greenlet) error { return s.server.Serve(g, ln) })
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *served) do(method, path, body string) *http.Response {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp
}

// ask is do for what answers at once.
func (s *served) ask(method, path, body string) (status int, contentType, answer string) {
	s.t.Helper()
	resp := s.do(method, path, body)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(data)
}

// JSON both ways, path parameters, middleware that counts without a lock, refusals.
func TestRequests(t *testing.T) {
	inEach(t, reportOf, func(s *served) {
		for _, c := range []struct {
			method, path, body string
			status             int
			contentType        string // its beginning
			want               string // "" is anything
		}{
			{"GET", "/hello/Ann", "", 200, "application/json", `{"hello":"Ann","requests":1}`},
			{"GET", "/hello/B%C3%B6", "", 200, "application/json", `{"hello":"Bö","requests":2}`},
			{"POST", "/sum", `{"numbers":[1,2,39]}`, 200, "application/json", `{"sum":42}`},
			{"POST", "/sum", `{"numbers":`, 400, "", ""},
			{"POST", "/open", "", 204, "", ""},
			{"GET", "/nosuch", "", 404, "", ""},
			{"GET", "/report/7", "", 200, "text/plain", "report 7"},
			{"GET", "/await/8", "", 200, "text/plain", "report 8"},
			{"GET", "/ticks/3", "", 200, "text/plain", "tick\ntick\ntick\n"},
		} {
			status, contentType, got := s.ask(c.method, c.path, c.body)
			if status != c.status || !strings.HasPrefix(contentType, c.contentType) || c.want != "" && strings.TrimSuffix(got, "\n") != strings.TrimSuffix(c.want, "\n") {
				s.t.Errorf("%s %s: %d %s %q, want %d %s %q", c.method, c.path, status, contentType, got, c.status, c.contentType, c.want)
			}
		}
	})
}

// What was flushed arrives while the handler waits, and meanwhile others are served, one of whom wakes it.
func TestStreaming(t *testing.T) {
	inEach(t, reportOf, func(s *served) {
		resp := s.do("GET", "/wait", "")
		defer resp.Body.Close()
		r := bufio.NewReader(resp.Body)
		if line, err := r.ReadString('\n'); line != "waiting\n" || err != nil {
			s.t.Fatalf("%q, %v", line, err)
		}
		if status, _, _ := s.ask("POST", "/open", ""); status != 204 {
			s.t.Errorf("/open: %d", status)
		}
		if rest, err := io.ReadAll(r); string(rest) != "open\n" || err != nil {
			s.t.Errorf("%q, %v", rest, err)
		}
	})
}

// An endless stream ends when its client has gone.
func TestClientLeavesAStream(t *testing.T) {
	inEach(t, reportOf, func(s *served) {
		resp := s.do("GET", "/ticks/1000000000", "")
		if _, err := io.ReadFull(resp.Body, make([]byte, len("tick\ntick\n"))); err != nil {
			s.t.Error(err)
		}
		resp.Body.Close()
		for end := time.Now().Add(patience); ; {
			var conns int
			err := s.loop.Call(func(g *coop.Greenlet) error {
				conns = s.server.Conns()
				return g.Sleep(time.Millisecond)
			})
			if err != nil {
				s.t.Fatal(err)
			}
			if conns == 0 {
				break
			}
			if time.Now().After(end) {
				s.t.Fatalf("%d connections are left", conns)
			}
		}
	})
}

// A panic is a 500, by the framework's own recovery where it has one, and nobody else notices.
func TestPanic(t *testing.T) {
	inEach(t, reportOf, func(s *served) {
		for range 2 {
			if status, _, _ := s.ask("GET", "/panic", ""); status != 500 {
				s.t.Errorf("status %d", status)
			}
		}
		if status, _, body := s.ask("GET", "/hello/Ann", ""); status != 200 || !strings.Contains(body, `"requests":3`) {
			s.t.Errorf("afterwards: %d %q", status, body)
		}
	})
}

// Handlers that block do so at the same time, and hold up nobody.
func TestBlocking(t *testing.T) {
	const n = 4
	inside, release := make(chan bool, n), make(chan bool)
	report := func(id string) string {
		inside <- true
		<-release
		return id
	}
	inEach(t, report, func(s *served) {
		var all sync.WaitGroup
		for i := range n {
			path := []string{"/report/x", "/await/x"}[i%2]
			all.Go(func() {
				resp, err := s.client.Get(s.url + path)
				if err != nil {
					s.t.Error(err)
					return
				}
				defer resp.Body.Close()
				if body, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "x" || err != nil {
					s.t.Errorf("%s: %d %q, %v", path, resp.StatusCode, body, err)
				}
			})
		}
		for range n {
			select {
			case <-inside:
			case <-time.After(patience):
				s.t.Error("one holds up the others")
			}
		}
		if status, _, _ := s.ask("GET", "/hello/Ann", ""); status != 200 {
			s.t.Errorf("meanwhile: %d", status)
		}
		for range n {
			release <- true
		}
		all.Wait()
	})
}

// A panic on the goroutine of a blocking handler is the request's own as well.
func TestBlockingPanic(t *testing.T) {
	inEach(t, func(string) string { panic("as asked for") }, func(s *served) {
		if status, _, _ := s.ask("GET", "/report/x", ""); status != 500 {
			s.t.Errorf("status %d", status)
		}
		if status, _, _ := s.ask("GET", "/hello/Ann", ""); status != 200 {
			s.t.Errorf("afterwards: %d", status)
		}
	})
}
