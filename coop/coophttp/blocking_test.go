package coophttp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// What a handler says over the wire is the same on a goroutine.
func TestBlockingSaysTheSame_79(t *testing.T) {
	o := coophttp.Server{MaxBodyBytes: 1000, OnPanic: func(*http.Request, *coop.PanicError) {}}
	plain, blocking := o, o
	plain.Handler = http.HandlerFunc(router)
	blocking.Handler = coophttp.Blocking(http.HandlerFunc(router))
	p, b := serve(t, &plain), serve(t, &blocking)
	for path := range routes {
		for _, raw := range []string{
			"GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n",
			"POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
			"POST " + path + " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
			"POST " + path + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + strings.Repeat("x", 1001) + "\r\n0\r\n\r\n",
		} {
			want, got := exchange(t, "tcp", p.addr, raw, true), exchange(t, "tcp", b.addr, raw, true)
			if got != want {
				t.Errorf("%q:\n got %q\nwant %q", raw, got, want)
			}
		}
	}
}

func TestBlockingHandlersRunAtOnce_72(t *testing.T) {
	const n = 10
	var all sync.WaitGroup
	all.Add(n)
	s := serve(t, &coophttp.Server{Handler: coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coophttp.Greenlet(r) != nil {
			t.Error("a greenlet on a goroutine")
		}
		all.Done()
		all.Wait() // blocks until all are here
		io.Copy(w, r.Body)
	}))})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	c := client(t)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			resp, err := c.Post("http://"+s.addr, "x/y", bytes.NewReader(data))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
}

func TestBlockingHijack_79(t *testing.T) {
	s := serve(t, &coophttp.Server{Handler: coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		line, err := rw.ReadString('\n')
		fmt.Fprintf(c, "%s%v", line, err)
	}))})
	got := exchange(t, "tcp", s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\nread ahead\n", false)
	if got != "read ahead\n<nil>" {
		t.Errorf("got %q", got)
	}
}

// The goroutine cannot be ended, but it learns that nobody listens any more.
func TestBlockingHandlerOfAStoppedServer_79(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	s := serve(t, &coophttp.Server{Handler: coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		close(began)
		<-r.Context().Done()
		if err := r.Context().Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("the context: %v", err)
		}
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 100_000))
		}
		if !errors.Is(err, net.ErrClosed) && !errors.Is(err, coop.ErrKilled) {
			t.Errorf("a write: %v", err)
		}
	}))})
	got := make(chan string, 1)
	go func() { got <- exchange(t, "tcp", s.addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false) }()
	<-began
	err := s.loop.Call(func(g *coop.Greenlet) error {
		return g.WithTimeout(10*time.Millisecond, func() error { return s.Stop(g) })
	})
	if !errors.Is(err, coop.ErrTimeout) {
		t.Errorf("Stop: %v", err)
	}
	if got := <-got; strings.HasSuffix(got, "0\r\n\r\n") {
		t.Error("the response is complete")
	}
	<-ended
}

type userKey struct{}

// What routers and middleware put into the request's context arrives on the goroutine: values and deadlines.
func TestBlockingKeepsTheContext(t *testing.T) {
	h := coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coophttp.Greenlet(r) != nil {
			t.Error("a greenlet on a goroutine")
		}
		if r.URL.Path == "/deadline" {
			<-r.Context().Done()
		}
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		fmt.Fprint(w, r.Context().Value(userKey{}), " ", addr, " ", r.Context().Err())
	}))
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), userKey{}, "Ann")
		if r.URL.Path == "/deadline" {
			var cancel func()
			ctx, cancel = context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
		}
		if r.URL.Path == "/bare" {
			ctx = r.Context()
		}
		h.ServeHTTP(w, r.WithContext(ctx))
	})})
	for path, want := range map[string]string{
		"/bare":     "<nil> " + s.addr + " <nil>",
		"/values":   "Ann " + s.addr + " <nil>",
		"/deadline": "Ann " + s.addr + " context deadline exceeded",
	} {
		got := exchange(t, "tcp", s.addr, "GET "+path+" HTTP/1.0\r\n\r\n", false)
		if _, body, _ := strings.Cut(got, "\r\n\r\n"); body != want {
			t.Errorf("%s: got %q, want %q", path, body, want)
		}
	}
}
