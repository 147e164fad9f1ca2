package coophttp_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// FuzzServer sends anything to a server. Whatever it is, the answer is a sequence of complete HTTP
// responses, no handler panics, and the connection ends.
func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		"",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET /trailers HTTP/1.1\nHost: x\n\n",
		"GET /hints HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\n\r\n",
		"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n",
		"\r\n\r\n\r\n",
		"\x16\x03\x01\x00\x05hello",
	} {
		f.Add([]byte(seed))
	}
	s := serveOn(f, &coophttp.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/", "/echo", "/stream", "/trailers", "/none", "/hints":
				router(w, r)
			}
		}),
		MaxHeaderBytes: 4 << 10,
		MaxBodyBytes:   1000,
		OnPanic:        func(_ *http.Request, err *coop.PanicError) { panic(err) },
	}, "unix", filepath.Join(f.TempDir(), "s")) // a port would soon be out of pairs in TIME_WAIT
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := net.Dial("unix", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		go func() {
			c.Write(in)
			c.(*net.UnixConn).CloseWrite()
		}()
		r := bufio.NewReader(c)
		if strings.Contains(string(in), http.MethodHead) {
			io.Copy(io.Discard, r) // where an answer ends depends on the request
			return
		}
		for {
			if _, err := r.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection does not end")
			} else if err != nil {
				return // over
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("not a response: %v", err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatalf("not a whole response: %v", err)
			}
		}
	})
}
