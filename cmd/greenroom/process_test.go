package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq"
)

// process is the real program, in a process of its own.
type process struct {
	*testenv.Process
	url, pull, pub, sub string
}

// start runs the program with all endpoints on free ports.
func start(t *testing.T, bin string, args ...string) *process {
	t.Helper()
	args = append([]string{"--listen", "127.0.0.1:0", "--zmq-pull", "tcp://127.0.0.1:*",
		"--zmq-pub", "tcp://127.0.0.1:*", "--zmq-sub", "tcp://127.0.0.1:*", "--zmq-control", "off", "--zmq-workers", "off"}, args...)
	p := &process{Process: testenv.Start(t, testenv.Command{
		Path: bin, Args: args, Ready: testenv.ReadyOutput("connect PUB sockets here"), StopWithin: patience,
	})}
	for line := range strings.Lines(p.Output()) {
		for _, word := range strings.Fields(line) {
			switch {
			case strings.HasPrefix(word, "http://"), strings.HasPrefix(word, "https://"):
				p.url = word
			case !strings.HasPrefix(word, "tcp://"):
			case strings.Contains(line, "push here"):
				p.pull = word
			case strings.Contains(line, "subscribe here"):
				p.pub = word
			default:
				p.sub = word
			}
		}
	}
	return p
}

// ended waits for the process and checks that it exits with 0, and does not wait for clients that have gone until
// their pings would have timed out.
func (p *process) ended(t *testing.T, since time.Time) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatalf("still running:\n%s", p.Output())
	}
	if took := time.Since(since); took > 40*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := p.Stop(); err != nil { // of a process that has ended: its exit status
		t.Errorf("%v\n%s", err, p.Output())
	}
	if out := p.Output(); strings.Contains(out, "level=ERROR") || strings.Contains(out, "panic") {
		t.Errorf("it said\n%s", out)
	}
}

// poller is a raw polling client.
type poller struct {
	t   testing.TB
	url string // with the session id
}

func newPoller(t testing.TB, server string) *poller {
	t.Helper()
	p := &poller{t, server + "/socket.io/?EIO=4&transport=polling"}
	var open struct{ SID string }
	if body := p.get(); json.Unmarshal([]byte(strings.TrimPrefix(body, "0")), &open) != nil || open.SID == "" {
		t.Fatalf("handshake: %q", body)
	}
	p.url += "&sid=" + open.SID
	res, err := http.Post(p.url, "text/plain;charset=UTF-8", strings.NewReader("40"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if body := p.get(); !strings.HasPrefix(body, "40") {
		t.Fatalf("connect: %q", body)
	}
	return p
}

func (p *poller) get() string {
	res, err := http.Get(p.url)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Error(err)
	}
	return string(body)
}

// TestSignals: clients of every kind are connected when the signal comes. All are told, and the process
// ends in good order.
func TestSignals(t *testing.T) {
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	for name, sig := range map[string]os.Signal{"SIGTERM": syscall.SIGTERM, "SIGINT": os.Interrupt} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(http.DefaultClient.CloseIdleConnections)
			p := start(t, bin)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()

			socket, err := dialSocketIO(ctx, p.url, "Ann")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			if err := socket.Call(ctx, nil, "join", "lobby"); err != nil {
				t.Fatal(err)
			}
			told := make(chan error, 1)
			go func() {
				for {
					if _, err := socket.read(ctx); err != nil {
						told <- err
						return
					}
				}
			}()
			poll := newPoller(t, p.url)
			polled := make(chan string, 1)
			go func() { polled <- poll.get() }()

			pusher, err := zeromq.Push(ctx, p.pull)
			if err != nil {
				t.Fatal(err)
			}
			defer pusher.Close()
			subscriber, err := zeromq.Subscribe(ctx, p.pub, "lobby")
			if err != nil {
				t.Fatal(err)
			}
			defer subscriber.Close()
			heard := make(chan error, 1)
			go func() {
				for {
					_, err := subscriber.Receive(ctx)
					if heard <- err; err != nil {
						return
					}
				}
			}()
			awaitSubscription(t, pusher, heard)

			since := time.Now()
			if err := p.Signal(sig); err != nil {
				t.Fatal(err)
			}
			var closed wsutil.ClosedError
			if err := <-told; !errors.As(err, &closed) {
				t.Errorf("the WebSocket client was not told: %v", err)
			}
			if body := <-polled; body != "1" && body != "6\x1e1" { // whether it waited already or came just now
				t.Errorf("the polling client was told %q", body)
			}
			for err = range heard {
				if err != nil {
					break
				}
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("the subscriber: %v", err)
			}
			p.ended(t, since)
			if pusher.Send([]byte("lobby"), []byte("x")) == nil && pusher.Close() == nil {
				t.Error("the publisher was not told")
			}
		})
	}
}

// awaitSubscription publishes until the subscriber hears it.
func awaitSubscription(t testing.TB, p *zeromq.Pusher, heard <-chan error) {
	t.Helper()
	for deadline := time.After(patience); ; {
		if err := p.Send([]byte("lobby"), []byte("are you there?")); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-heard:
			if err != nil {
				t.Fatal(err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("the subscriber hears nothing")
		}
	}
}

// TestReadinessWhileDraining: a polling client that does not poll any more keeps the server from ending at
// once. Meanwhile it lives, is not ready, and takes nobody in. It ends in time all the same.
func TestReadinessWhileDraining(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	p := start(t, testenv.Build(t, "greenroom/cmd/greenroom"))
	if code, body := get(t, p.url+"/readyz"); code != 200 || body != "ready\n" {
		t.Errorf("before: %d %q", code, body)
	}
	newPoller(t, p.url)
	since := time.Now()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, "stopping"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		code, body := get(t, p.url+"/readyz")
		if code == 503 && body == "stopping\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz: %d %q", code, body)
		}
	}
	if code, body := get(t, p.url+"/healthz"); code != 200 {
		t.Errorf("/healthz: %d %q", code, body)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		code, body := get(t, p.url+"/socket.io/?EIO=4&transport=polling")
		if code == 503 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a newcomer: %d %q", code, body)
		}
	}
	if _, err := zeromq.Push(ctx, p.pull); err == nil {
		t.Error("a publisher is let in")
	}
	p.ended(t, since)
}

// TestSecondSignalEndsAtOnce, for who cannot wait.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	p := start(t, testenv.Build(t, "greenroom/cmd/greenroom"))
	newPoller(t, p.url) // keeps the server for some seconds
	// Not SIGINT, which shells ignore for what runs in the background.
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.WaitOutput(ctx, "stopping"); err != nil {
		t.Fatal(err)
	}
	for gone := false; !gone; { // the first ones may come before it has begun to listen for the second
		_ = p.Signal(syscall.SIGTERM)
		select {
		case <-p.Done():
			gone = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	var status *exec.ExitError
	if err := p.Stop(); !errors.As(err, &status) || status.ExitCode() == 0 {
		t.Errorf("it ended with %v", err)
	}
}

// TestWithoutPages: a program built without the web assets serves the rest and says how to build them. The
// build sees an empty web/dist through an overlay.
func TestWithoutPages(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	dist, err := filepath.Abs("../../web/dist")
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	err = filepath.WalkDir(dist, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".gitkeep" {
			replace[path] = "" // not there
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, testenv.Build(t, "greenroom/cmd/greenroom", "-overlay", file))
	if !strings.Contains(p.Output(), "make web") {
		t.Errorf("the banner does not say how to build the pages:\n%s", p.Output())
	}
	for path, want := range map[string]string{"/": "make web", "/socket.io/socket.io.js": "make web"} {
		if code, body := get(t, p.url+path); code != 503 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, code, body)
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/socket.io/?EIO=4&transport=polling": `0{"sid"`} {
		code, body := get(t, p.url+path)
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, code, body)
		} else if strings.HasPrefix(body, want) && want[0] == '0' {
			leave(t, p.url, body)
		}
	}
}

// TestBusyPorts: one clear sentence, and no exit code of success, whichever endpoint it is.
func TestBusyPorts(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	addr := busy.Addr().String()
	free := []string{"--listen", "127.0.0.1:0", "--zmq-pull", anyPort, "--zmq-pub", anyPort, "--zmq-sub", anyPort, "--zmq-control", anyPort, "--zmq-workers", anyPort}
	for flag, value := range map[string]string{"--listen": addr, "--zmq-pull": "tcp://" + addr, "--zmq-pub": "tcp://" + addr, "--zmq-sub": "tcp://" + addr,
		"--zmq-control": "tcp://" + addr, "--zmq-workers": "tcp://" + addr} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var out, errs bytes.Buffer
		code := run(ctx, append(free[:len(free):len(free)], flag, value), nil, &out, &errs)
		cancel()
		if said := errs.String(); code != 1 || !strings.Contains(said, "address already in use") || !strings.Contains(said, addr) ||
			!strings.HasPrefix(said, "greenroom: "+flag+": ") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: exit %d, said %q", flag, code, said)
		}
	}
}

const anyPort = "tcp://127.0.0.1:*"

// Example_version is what scripts may rely on.
func Example_version() {
	var out bytes.Buffer
	code := run(context.Background(), []string{"version"}, nil, &out, os.Stderr)
	name, _, _ := strings.Cut(out.String(), " ")
	fmt.Println(code, name)
	// Output: 0 greenroom
}
