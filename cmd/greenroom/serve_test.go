package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/transports/zeromq"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. Nothing is decided by its length.
const patience = time.Minute

// running is a server in this process.
type running struct {
	url, pull, pub, sub string
	stop                context.CancelFunc
	code                chan int
	log                 *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts a server on free ports and reads from its banner where it is.
func serve(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, code: make(chan int, 1), log: &lockedBuffer{}}
	pr, pw := io.Pipe()
	args = append([]string{"--listen", "127.0.0.1:0", "--zmq-pull", "tcp://127.0.0.1:0",
		"--zmq-pub", "tcp://127.0.0.1:0", "--zmq-sub", "tcp://127.0.0.1:0", "--zmq-control", "off", "--zmq-workers", "off"}, args...)
	go func() {
		r.code <- run(ctx, args, strings.NewReader(""), pw, r.log)
		pw.Close()
	}()
	lines := bufio.NewScanner(pr)
	for lines.Scan() {
		for _, word := range strings.Fields(lines.Text()) {
			switch {
			case strings.HasPrefix(word, "http://"):
				r.url = word
			case strings.HasPrefix(word, "tcp://") && strings.Contains(lines.Text(), "push"):
				r.pull = word
			case strings.HasPrefix(word, "tcp://") && strings.Contains(lines.Text(), "subscribe"):
				r.pub = word
			case strings.HasPrefix(word, "tcp://"):
				r.sub = word
			}
		}
		if r.url != "" && r.pull != "" && r.pub != "" && r.sub != "" {
			break
		}
	}
	if r.sub == "" {
		t.Fatalf("the server did not start: exit %d\n%s", <-r.code, r.log)
	}
	go io.Copy(io.Discard, pr)
	t.Cleanup(func() {
		cancel()
		select {
		case code := <-r.code:
			if code != 0 {
				t.Errorf("exit code %d\n%s", code, r.log)
			}
		case <-time.After(patience):
			t.Error("the server did not stop")
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// getAs is get with a Host and an Origin header, "" for the usual ones.
func getAs(t *testing.T, url, host, origin string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// leave ends a polling session that the answer open of a handshake has begun: the server's end would wait for it.
func leave(t *testing.T, server, open string) {
	t.Helper()
	var hello struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(open, "0")), &hello); err != nil {
		t.Fatalf("handshake: %q", open)
	}
	res, err := http.Post(server+"/socket.io/?EIO=4&transport=polling&sid="+hello.SID, "text/plain;charset=UTF-8", strings.NewReader("1"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func TestServeHTTP(t *testing.T) {
	r := serve(t)
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/metrics": "greenroom_sessions 0", "/": "Greenroom",
	} {
		if code, body := get(t, r.url+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, code, body)
		}
	}
	if code, body := get(t, r.url+"/socket.io/?EIO=4&transport=polling"); code != 200 || !strings.HasPrefix(body, `0{"sid":`) {
		t.Errorf("handshake: %d %s", code, body)
	} else {
		leave(t, r.url, body)
	}
	if code, _ := get(t, r.url+"/no/such/page"); code != 404 {
		t.Errorf("an unknown page: %d", code)
	}
}

// command runs the command line and returns what it printed.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader("from stdin\n"), &out, &errs)
	return code, out.String(), errs.String()
}

// listen runs `listen` in the background and returns its lines.
func listen(t *testing.T, args ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	lines, done := make(chan string, 16), make(chan int, 1)
	pr, pw := io.Pipe()
	var errs lockedBuffer
	go func() {
		done <- run(ctx, append([]string{"listen", "--json"}, args...), nil, pw, &errs)
		pw.Close()
	}()
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(pr); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range lines {
		}
		if code := <-done; code != 0 {
			t.Errorf("listen %v: exit %d: %s", args, code, &errs)
		}
	})
	return lines
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(patience):
		t.Fatal("nothing came")
		return ""
	}
}

func TestPublishAndListen(t *testing.T) {
	r := serve(t)
	zmq := listen(t, "--from", r.pub, "lobby")
	sio := listen(t, "--from", r.url, "--name", "ear", "lobby")
	say := func(args ...string) {
		t.Helper()
		if code, _, errs := command(t, append([]string{"publish"}, args...)...); code != 0 {
			t.Fatalf("publish %v: exit %d: %s", args, code, errs)
		}
	}
	// Both listeners are there when they hear; until then, say it again.
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for _, l := range []<-chan string{zmq, sio} {
			for line := range l {
				if strings.Contains(line, "marker") {
					break
				}
			}
		}
	}()
	for ready := false; !ready; {
		say("--to", r.pull, "lobby", "marker")
		select {
		case <-heard:
			ready = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	drain := func(l <-chan string) string {
		for {
			if line := next(t, l); !strings.Contains(line, "marker") {
				return line
			}
		}
	}
	say("--to", r.pull, "lobby", "price", `{"eur": 4.2}`)
	for name, l := range map[string]<-chan string{"zmq": zmq, "sio": sio} {
		if line := drain(l); !strings.Contains(line, `"event":"price"`) || !strings.Contains(line, `"eur"`) || !strings.Contains(line, `"via":"zeromq"`) {
			t.Errorf("%s heard %s", name, line)
		}
	}
	say("--to", r.url, "--name", "Ann", "lobby", "-")
	for name, l := range map[string]<-chan string{"zmq": zmq, "sio": sio} {
		if line := drain(l); !strings.Contains(line, `"from stdin"`) || !strings.Contains(line, `"name":"Ann"`) {
			t.Errorf("%s heard %s", name, line)
		}
	}
}

func TestPublishErrors(t *testing.T) {
	r := serve(t)
	for _, args := range [][]string{
		{"publish", "lobby"},
		{"publish", "lobby", "a", "b", "c"},
		{"publish", "--to", r.url, "$x", "hello"},
		{"publish", "--to", r.url, "lobby", "connect", "hello"},
		{"publish", "--to", "tcp://127.0.0.1:1", "--timeout", "300ms", "lobby", "hello"},
		{"publish", "--to", "http://127.0.0.1:1", "lobby", "hello"},
		{"no-such-command"},
		{"--no-such-flag"},
	} {
		if code, _, errs := command(t, args...); code == 0 || !strings.Contains(errs, "greenroom:") {
			t.Errorf("%v: exit %d, said %q", args, code, errs)
		}
	}
}

// TestGauges: who is connected, on which side, with a session or without.
func TestGauges(t *testing.T) {
	r := serve(t)
	client, err := dialSocketIO(t.Context(), r.url, "Ann")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	code, open := get(t, r.url+"/socket.io/?EIO=4&transport=polling") // and no CONNECT
	if code != 200 {
		t.Fatalf("%d %s", code, open)
	}
	defer leave(t, r.url, open)
	push, err := zeromq.Push(t.Context(), r.pull)
	if err != nil {
		t.Fatal(err)
	}
	defer push.Close()
	wants := []string{"greenroom_sessions 1\n", "greenroom_socketio_connections 2\n", `greenroom_zeromq_peers{endpoint="pull"} 1` + "\n",
		`greenroom_zeromq_peers{endpoint="pub"} 0` + "\n", `greenroom_zeromq_peers{endpoint="sub"} 0` + "\n"}
	for deadline := time.Now().Add(patience); len(wants) > 0; time.Sleep(time.Millisecond) {
		_, body := get(t, r.url+"/metrics")
		for len(wants) > 0 && strings.Contains(body, wants[0]) {
			wants = wants[1:]
		}
		if len(wants) > 0 && time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", wants[0], body)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	if code, out, _ := command(t, "version"); code != 0 || !strings.HasPrefix(out, "greenroom ") {
		t.Errorf("version: %d %q", code, out)
	}
	code, out, _ := command(t, "--help")
	for _, want := range []string{"publish", "listen", "--zmq-pull", "$GREENROOM_"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("help: exit %d, misses %q in\n%s", code, want, out)
		}
	}
}

// silentServer accepts connections and says nothing.
func silentServer(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var conns []net.Conn
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
	})
	return ln.Addr().String()
}
