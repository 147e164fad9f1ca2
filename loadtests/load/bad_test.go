package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// raw serves connections with fn, which gets the request's head.
func raw(t *testing.T, fn func(c net.Conn, request string)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() {
		close(ended)
		l.Close()
		conns.Wait()
	})
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					select {
					case <-ended:
						c.Close()
					case <-stop:
					}
				}()
				r := bufio.NewReader(c)
				q, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				fn(c, q.URL.String())
				io.Copy(io.Discard, r) // until the client leaves
			})
		}
	})
	return l.Addr().String()
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + wsAccept + "\r\n\r\n"

func TestBadServers(t *testing.T) {
	open := func(c net.Conn, frames ...string) {
		io.WriteString(c, switching)
		for _, f := range frames {
			io.WriteString(c, f)
		}
	}
	text := func(s string) string { return "\x81" + string(rune(len(s))) + s }
	const hello = `0{"sid":"a","pingInterval":25000}`
	body := func(status, s string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(s), s)
	}
	for _, c := range []struct {
		name      string
		transport string
		protocol  string
		serve     func(c net.Conn, request string)
		says      string
	}{
		{"closes", WebSocket, EIO4, func(c net.Conn, _ string) { c.Close() }, "closed the connection"},
		{"refuses", WebSocket, EIO4, func(c net.Conn, _ string) { io.WriteString(c, body("503 Service Unavailable", "busy")) }, "the server answers 503 Service Unavailable"},
		{"is another", WebSocket, EIO4, func(c net.Conn, _ string) { io.WriteString(c, "SSH-2.0-OpenSSH_9.9\r\n\r\n") }, "does not speak HTTP"},
		{"babbles", WebSocket, EIO4, func(c net.Conn, _ string) { io.WriteString(c, strings.Repeat("x", maxAnswer+1)) }, "no end"},
		{"switches wrongly", WebSocket, EIO4, func(c net.Conn, _ string) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
		}, "not WebSocket's"},
		{"compresses unasked", WebSocket, EIO4, func(c net.Conn, _ string) {
			io.WriteString(c, strings.Replace(switching, "Upgrade: w", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: w", 1))
		}, "not offered"},
		{"closes after the handshake", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, "\x88\x06\x03\xf3full"); c.Close() }, `the server closed the connection: "full"`},
		{"masks", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, "\x81\x81abcdx") }, "masked"},
		{"sends binary", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, "\x82\x01x") }, "did not ask for"},
		{"compresses one frame", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, "\xc1\x01x") }, "although nothing was agreed on"},
		{"sends far too much", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff") }, "a frame of more than"},
		{"opens with nonsense", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, text("0nonsense")) }, "not Engine.IO"},
		{"refuses the namespace", WebSocket, EIO4, func(c net.Conn, _ string) { open(c, text(hello), text(`44{"message":"no"}`)) }, `44{\"message\":\"no\"}`},
		{"has no interval", WebSocket, EIO3, func(c net.Conn, _ string) { open(c, text(`0{"sid":"a"}`)) }, "ping interval"},
		{"refuses to connect", WebSocket, Centrifuge, func(c net.Conn, _ string) { open(c, text(`{"id":1,"error":{"code":101}}`)) }, "101"},
		{"answers polls with an error", Polling, EIO4, func(c net.Conn, _ string) { io.WriteString(c, body("400 Bad Request", `{"code":5}`)) }, `answers 400 Bad Request: "{\"code\":5}"`},
		{"answers polls with nonsense", Polling, EIO4, func(c net.Conn, _ string) { io.WriteString(c, body("200 OK", `<html>`)) }, "not Engine.IO"},
		{"answers polls with nothing", Polling, EIO4, func(c net.Conn, _ string) { io.WriteString(c, body("200 OK", ``)) }, "not Engine.IO"},
		{"does not count", Polling, EIO3, func(c net.Conn, _ string) { io.WriteString(c, body("200 OK", hello)) }, "not Engine.IO 3"},
		{"cuts off", Polling, EIO3, func(c net.Conn, _ string) { io.WriteString(c, body("200 OK", "99:0{}")) }, "cut off"},
		{"closes a poll", Polling, EIO4, func(c net.Conn, _ string) { c.Close() }, "closed the connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := raw(t, c.serve)
			r, err := Run(within(t), short(func(p *Plan) { p.Clients = 3; p.Transport = c.transport }), Peer{Addr: addr, Protocol: c.protocol})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "client ") || r.Seconds > 0 {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(within(t), Plan{}, Peer{Addr: addr}); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
}

// A server that says nothing does not hold an interrupt up.
func TestInterruptedWhileConnecting(t *testing.T) {
	for _, transport := range []string{WebSocket, Polling} {
		ctx, cancel := context.WithCancel(within(t))
		asked := make(chan struct{}, 100)
		addr := raw(t, func(net.Conn, string) { asked <- struct{}{} })
		go func() {
			<-asked
			cancel()
		}()
		began := time.Now()
		if _, err := Run(ctx, Plan{Clients: 3, Transport: transport}, Peer{Addr: addr}); !errors.Is(err, errInterrupted) || time.Since(began) > handshakeWithin {
			t.Errorf("%s: %v after %s", transport, err, time.Since(began))
		}
		cancel()
	}
}

// One client less ends the run, and what was measured until then is there.
func TestServerThatCloses(t *testing.T) {
	addr := newLiar(t, func(m, n int, push string) []string {
		if m == 1 && n == 200 {
			return []string{hangUp}
		}
		return []string{push}
	})
	r, err := Run(within(t), short(func(p *Plan) { p.Duration = time.Hour; p.WarmUp = -1 }), Peer{Addr: addr, Protocol: Centrifuge})
	if err == nil || !strings.Contains(err.Error(), "of 20") || !strings.Contains(err.Error(), "clos") && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	if r.Count == 0 || r.Seconds <= 0 {
		t.Errorf("%d in %g s", r.Count, r.Seconds)
	}
}

func TestPeerThatDies(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("this test needs sh")
	}
	p := Peer{Name: "sh", Command: []string{"sh", "-c", "echo no such option; exit 2", "{port}"}}
	if _, err := Run(within(t), Plan{}, p); err == nil || !strings.Contains(err.Error(), "ended before it listened: no such option") {
		t.Error(err)
	}
	p.Command[0] = "no-such-program"
	if _, err := Run(within(t), Plan{}, p); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Error(err)
	}
}

// A peer that never listens is given up with the context.
func TestPeerThatNeverListens(t *testing.T) {
	if _, err := exec.LookPath("sleep"); err != nil {
		t.Skip("this test needs sleep")
	}
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	p := Peer{Name: "sleep", Command: []string{"sh", "-c", "sleep 1000 & wait", "{port}"}}
	if _, err := Run(ctx, Plan{}, p); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
