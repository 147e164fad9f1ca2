package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/loadtests/load"
)

const project = "../.."

// ready builds a peer for a test. What the machine has not is skipped, or fails where all peers are required.
func ready(t *testing.T, p peer) {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds and starts the peers")
	}
	if p.name == "nodejs" {
		testenv.Node(t)
		testenv.NPM(t, filepath.Join(project, "loadtests/peers/nodejs"))
	}
	if len(p.needs) > 0 {
		testenv.Python(t, p.needs...)
	}
	if err := p.build(project); err != nil {
		t.Fatal(err)
	}
}

// Every peer does what the generator asks of it: all members of a room get all messages in order, and a call its
// answer. On a small scale, and whatever it costs.
func TestPeersDoTheWork(t *testing.T) {
	plans := map[string]load.Plan{
		"fanout": {Mode: load.Fanout, Clients: 6, Rooms: 2, Window: 2, Size: 2000},
		"paced":  {Mode: load.Fanout, Clients: 3, Rate: 20},
		"echo":   {Mode: load.Echo, Clients: 2},
	}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			ready(t, p)
			for name, plan := range plans {
				check(t, p, name, plan)
			}
			if p.polling && p.name != "googollee" { // which announces sessions before it knows them
				check(t, p, "polling", load.Plan{Mode: load.Fanout, Transport: load.Polling, Clients: 2, Rate: 20})
			}
			if p.deflate {
				check(t, p, "deflate", load.Plan{Mode: load.Fanout, Deflate: true, Clients: 3, Window: 2})
			}
		})
	}
}

func check(t *testing.T, p peer, name string, plan load.Plan) {
	t.Helper()
	plan.Duration, plan.WarmUp = 200*time.Millisecond, -1
	res, err := load.Run(t.Context(), plan, p.server(project, row{plan: plan}))
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if res.Count == 0 && plan.Rate == 0 { // a slow machine may not get to a paced one in time
		t.Errorf("%s: nothing was counted", name)
	}
}

// The official client agrees with the generator.
func TestPeersServeTheOfficialClient(t *testing.T) {
	client, _ := peerNamed("nodejs")
	for _, p := range peers {
		if p.protocol != load.EIO4 {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			ready(t, client)
			ready(t, p)
			addr := start(t, p, row{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			script := filepath.Join(project, "loadtests/peers/nodejs/events.mjs")
			if out, err := exec.CommandContext(ctx, testenv.Node(t), script, "http://"+addr).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// Those that take part in the row of compression do compress the small messages of that row, and otherwise nobody
// does: a client may offer what it likes.
func TestPeersCompressWhenAsked(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			ready(t, p)
			if compresses(t, p, load.Plan{}) {
				t.Error("compresses without being asked to")
			}
			if p.deflate && !compresses(t, p, load.Plan{Deflate: true}) {
				t.Error("does not compress")
			}
		})
	}
}

// compresses reports whether the peer compresses what the row's publisher sends, to a client that offers it.
func compresses(t *testing.T, p peer, plan load.Plan) bool {
	t.Helper()
	conn, err := net.Dial("tcp", start(t, p, row{plan: plan}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	path, says := "/socket.io/?EIO=4&transport=websocket", []string{"40", `420["join","r"]`, `42["pub","r","%s"]`}
	switch p.protocol {
	case load.EIO3:
		path, says = "/socket.io/?EIO=3&transport=websocket", says[1:]
	case load.Centrifuge:
		path, says = "/connection/websocket", []string{
			`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"r"}}`, `{"id":3,"publish":{"channel":"r","data":"%s"}}`,
		}
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", path, conn.RemoteAddr())
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res.Status)
	}
	agreed := strings.Contains(res.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	if !agreed {
		return false
	}
	text := strings.Repeat("0123456789abcdef", 4)
	for _, say := range says {
		if strings.Contains(say, "%s") {
			say = fmt.Sprintf(say, text)
		}
		if _, err := conn.Write(masked(say)); err != nil {
			t.Fatal(err)
		}
	}
	// The message is the one frame with that text in it, unless it is compressed.
	for {
		first, payload, err := frame(r)
		if err != nil {
			t.Fatalf("no message came: %v", err)
		}
		if first&0x40 != 0 { // RSV1
			return true
		}
		if strings.Contains(payload, text) {
			return false
		}
	}
}

// masked is a client's text frame, with a mask of zeros. text has less than 126 bytes.
func masked(text string) []byte {
	return append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
}

func frame(r *bufio.Reader) (first byte, payload string, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, "", err
	}
	size := int(head[1])
	if size == 126 {
		long := make([]byte, 2)
		if _, err := io.ReadFull(r, long); err != nil {
			return 0, "", err
		}
		size = int(long[0])<<8 | int(long[1])
	}
	body := make([]byte, size)
	_, err = io.ReadFull(r, body)
	return head[0], string(body), err
}

// start runs a peer as a row would, and returns its address.
func start(t *testing.T, p peer, r row) string {
	t.Helper()
	addr := testenv.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	s := p.server(project, r)
	args := make([]string, len(s.Command))
	for i, a := range s.Command {
		args[i] = strings.ReplaceAll(a, "{port}", port)
	}
	path := args[0]
	if strings.HasPrefix(path, "./") { // of the project, where it is started
		abs, err := filepath.Abs(filepath.Join(project, path))
		if err != nil {
			t.Fatal(err)
		}
		path = abs
	}
	testenv.Start(t, testenv.Command{Path: path, Args: args[1:], Dir: project, Ready: testenv.ReadyTCP(addr)})
	return addr
}
