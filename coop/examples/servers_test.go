package examples

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a program may take to listen, and to answer.
const patience = 30 * time.Second

// listening builds and starts an example with a free port, and returns a connection to it.
func listening(t *testing.T, name string) (dial func() net.Conn) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), name+".exe") // Windows insists
	if out, err := exec.Command("go", "build", "-o", bin, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	program := exec.Command(bin, address)
	var stderr strings.Builder
	program.Stderr = &stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		program.Process.Kill()
		program.Wait()
	})
	return func() net.Conn {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.SetDeadline(time.Now().Add(patience))
				t.Cleanup(func() { c.Close() })
				return c
			}
			if time.Now().After(end) {
				t.Fatalf("%v; it said %s", err, stderr.String())
			}
		}
	}
}

func TestHTTPServer(t *testing.T) {
	dial := listening(t, "httpserver")
	c := dial()
	r := bufio.NewReader(c)
	for _, tc := range []struct{ path, status, body string }{
		{"/", "200 OK", "Hello World!"},
		{"/other", "404 Not Found", "Not Found"},
		{"/?x", "200 OK", "Hello World!"},
	} {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", tc.path)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Status != tc.status || resp.Header.Get("Content-Type") != "text/plain" || string(body) != tc.body || err != nil {
			t.Errorf("%s: %s, %s, %q, %v", tc.path, resp.Status, resp.Header.Get("Content-Type"), body, err)
		}
	}
}

// The two pieces come as two chunks.
func TestWSGI(t *testing.T) {
	c := listening(t, "wsgi")()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(got), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "\r\nContent-Type: text/html\r\n") {
		t.Errorf("head %q", head)
	}
	if want := "8\r\n<p>Hello\r\n9\r\nWorld</p>\r\n0\r\n\r\n"; body != want {
		t.Errorf("body %q, want %q", body, want)
	}
}
