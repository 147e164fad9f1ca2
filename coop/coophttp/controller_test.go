package coophttp_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// plainAndBlocking runs fn on a server of each way to run h.
func plainAndBlocking(t *testing.T, h http.HandlerFunc, fn func(t *testing.T, s *server)) {
	for name, handler := range map[string]http.Handler{"greenlet": h, "goroutine": coophttp.Blocking(h)} {
		t.Run(name, func(t *testing.T) { fn(t, serve(t, &coophttp.Server{Handler: handler})) })
	}
}

func TestResponseControllerReadDeadline(t *testing.T) {
	got := make(chan error, 1)
	plainAndBlocking(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := errors.Join(rc.EnableFullDuplex(), rc.SetReadDeadline(time.Now().Add(20*time.Millisecond))); err != nil {
			t.Error(err)
		}
		_, err := io.ReadAll(r.Body)
		got <- err
	}, func(t *testing.T, s *server) {
		answer := exchange(t, "tcp", s.addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nx", false)
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading: %v", err)
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("got %q", answer)
		}
	})
}

func TestResponseControllerWriteDeadline(t *testing.T) {
	got := make(chan error, 1)
	plainAndBlocking(t, func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		_, err := w.Write(make([]byte, 64<<20))
		got <- err
	}, func(t *testing.T, s *server) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing: %v", err)
		}
	})
}

// A deadline is a request's, not the connection's.
func TestResponseControllerDeadlinesEndWithTheRequest(t *testing.T) {
	past := time.Now().Add(-time.Hour)
	plainAndBlocking(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			http.NewResponseController(w).SetReadDeadline(past)
			return
		}
		io.Copy(w, r.Body)
	}, func(t *testing.T, s *server) {
		got := exchange(t, "tcp", s.addr, "GET /first HTTP/1.1\r\nHost: x\r\n\r\n"+
			"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", true)
		if !strings.HasSuffix(got, "\r\n\r\nabc") {
			t.Errorf("got %q", got)
		}
	})
}

// Who keeps the writer or the body cannot reach into the next request.
func TestResponseIsOverAfterTheHandler(t *testing.T) {
	type kept struct {
		w http.ResponseWriter
		r *http.Request
	}
	var first kept
	errs := make(chan error, 8)
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			first = kept{w, r}
			return
		}
		first.w.WriteHeader(http.StatusTeapot)
		_, err := first.w.Write([]byte("x"))
		errs <- err
		errs <- http.NewResponseController(first.w).Flush()
		errs <- http.NewResponseController(first.w).SetReadDeadline(time.Now())
		_, _, err = http.NewResponseController(first.w).Hijack()
		errs <- err
		_, err = first.r.Body.Read(make([]byte, 1))
		errs <- err
		io.Copy(w, r.Body)
	})})
	got := exchange(t, "tcp", s.addr, "POST /first HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"+
		"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\ndef", true)
	if !strings.HasSuffix(got, "\r\n\r\ndef") || strings.Contains(got, "teapot") {
		t.Errorf("got %q", got)
	}
	s.loop.Call(func(*coop.Greenlet) error { close(errs); return nil })
	n := 0
	for err := range errs {
		n++
		if err == nil {
			t.Errorf("call %d had an effect", n)
		}
	}
	if n != 5 {
		t.Errorf("%d calls", n)
	}
}

// The context of a request is the greenlet's: it can be handed on, and leads back.
func TestRequestContext(t *testing.T) {
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := coophttp.Greenlet(r)
		if g == nil || g.Loop().Current() != g {
			t.Error("not the greenlet that runs")
		}
		if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok || a.String() == r.RemoteAddr {
			t.Errorf("local address %v", a)
		}
		g.WithTimeout(0, func() error {
			if !errors.Is(r.Context().Err(), coop.ErrTimeout) {
				t.Errorf("within a timeout: %v", r.Context().Err())
			}
			return nil
		})
	})})
	exchange(t, "tcp", s.addr, "GET / HTTP/1.0\r\n\r\n", true)
	if r, _ := http.NewRequest("GET", "/", nil); coophttp.Greenlet(r) != nil {
		t.Error("a greenlet of somebody else's request")
	}
}

// A handler that asks for it is told that its client went, once something could not be written.
func TestCloseNotify(t *testing.T) {
	began, left, done := make(chan bool, 1), make(chan bool, 1), make(chan bool, 1)
	plainAndBlocking(t, func(w http.ResponseWriter, r *http.Request) {
		ask := func() <-chan bool { return w.(interface{ CloseNotify() <-chan bool }).CloseNotify() }
		gone := ask()
		select {
		case <-gone:
			t.Error("told too early")
		default:
		}
		w.(http.Flusher).Flush()
		began <- true
		<-left
		for told := false; !told; {
			select {
			case told = <-gone:
			default:
				w.Write(make([]byte, 100_000))
			}
		}
		done <- true
	}, func(t *testing.T, s *server) {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-began
		c.Close()
		left <- true
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("never told")
		}
	})
}
