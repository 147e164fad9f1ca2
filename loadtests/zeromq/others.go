//go:build unix

package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"greenroom/hub"
	"greenroom/loadtests/load"
	"greenroom/transports/socketio"
	"greenroom/transports/zeromq"
)

// benchmark runs a benchmark of the bridge's package once and returns its metrics: name → unit → value.
func (b *bench) benchmark(ctx context.Context, pattern, times string) (map[string]map[string]float64, error) {
	const pkg = "transports/zeromq"
	test := filepath.Join(b.dir, "zeromq.test")
	if _, err := os.Stat(test); err != nil {
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", test, "./"+pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(ctx, test, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", times, "-test.timeout", "2m")
	cmd.Dir = pkg
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	found := make(map[string]map[string]float64)
	for _, m := range regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`).FindAllStringSubmatch(string(out), -1) {
		found[m[1]] = make(map[string]float64)
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			if found[m[1]][words[i+1]], err = strconv.ParseFloat(words[i], 64); err != nil {
				return nil, fmt.Errorf("%q: %w", m[0], err)
			}
		}
	}
	return found, nil
}

// ofBenchmark is a row made of the sub-benchmarks libzmq/CASE and greenroom/CASE: what both do in a second, and what
// the second says beside.
func ofBenchmark(name, benchmark, which, times string, l line, beside ...line) row {
	l.Unit = "messages/s"
	return row{name: name, lines: append([]line{l}, beside...), round: func(ctx context.Context, b *bench) ([]pair, error) {
		pattern := "^" + benchmark + "$/^(libzmq|greenroom)$/^" + strings.ReplaceAll(which, "/", "$/^") + "$"
		got, err := b.benchmark(ctx, pattern, times)
		if err != nil {
			return nil, err
		}
		p := pair{got[benchmark+"/libzmq/"+which]["msg/s"], got[benchmark+"/greenroom/"+which]["msg/s"]}
		if p.theirs == 0 || p.ours == 0 {
			return nil, fmt.Errorf("%s/%s said nothing: is libzmq3-dev there?", benchmark, which)
		}
		pairs := []pair{p}
		for _, l := range beside {
			pairs = append(pairs, pair{ours: got[benchmark+"/greenroom/"+which][l.Unit]})
		}
		return pairs, nil
	}}
}

var ingressRows = []row{
	ingress("ingress-64-2", "bytes=64/frames=2", "ingress, 64 bytes, [room, payload]", .5),
	ingress("ingress-64-1", "bytes=64/frames=1", "ingress, 64 bytes, one frame of text", .5),
	ingress("ingress-1024-2", "bytes=1024/frames=2", "ingress, 1024 bytes, [room, payload]", .8),
	ingress("ingress-1024-1", "bytes=1024/frames=1", "ingress, 1024 bytes, one frame of text", .8),
}

func ingress(name, which, title string, bar float64) row {
	return ofBenchmark(name, "BenchmarkPush", which, "400000x", line{Title: title, Bar: bar},
		line{Title: title, Unit: "allocs/msg", Bar: 3, Most: true, Alone: true})
}

// controlRows have the round trips of a pyzmq REQ. Control is a ROUTER, so that a ROUTER of libzmq's is its like; how far
// a REP is from both is shown beside it.
var controlRows = []row{{
	name: "control",
	lines: []line{
		{Title: "control: ping by a pyzmq REQ, to pyzmq's ROUTER", Unit: "µs, p50", Bar: 1.5, Most: true},
		{Title: "control: ping by a pyzmq REQ, to pyzmq's REP", Unit: "µs, p50"},
		{Title: "control: publish by a pyzmq REQ, to pyzmq's ROUTER", Unit: "µs, p50", Bar: 1.5, Most: true},
	},
	round: func(ctx context.Context, b *bench) ([]pair, error) {
		got, err := b.benchmark(ctx, "^BenchmarkControlRoundTrip$", "1x")
		if err != nil {
			return nil, err
		}
		m := got["BenchmarkControlRoundTrip"]
		for _, unit := range []string{"ping_us", "publish_us", "libzmq_rep_us", "libzmq_router_us"} {
			if m[unit] == 0 {
				return nil, fmt.Errorf("BenchmarkControlRoundTrip has not said %s", unit)
			}
		}
		return []pair{
			{m["libzmq_router_us"], m["ping_us"]}, {m["libzmq_rep_us"], m["ping_us"]}, {m["libzmq_router_us"], m["publish_us"]},
		}, nil
	},
}}

var curveRows = []row{
	ofBenchmark("curve-ingress-64", "BenchmarkCurve", "bytes=64/curve", "100000x", line{Title: "CURVE ingress, 64 bytes"}),
	ofBenchmark("curve-ingress-1024", "BenchmarkCurve", "bytes=1024/curve", "100000x", line{Title: "CURVE ingress, 1024 bytes"}),
	curveEgress(64), curveEgress(1024),
}

func curveEgress(size int) row {
	r := egress(stream{size: size, subscribers: 1})
	r.name, r.lines[0].Title, r.lines[0].Bar = "curve-"+r.name, "CURVE "+r.lines[0].Title, 0
	r.round = func(ctx context.Context, b *bench) ([]pair, error) {
		server, err := zeromq.NewSecretKey()
		if err != nil {
			return nil, err
		}
		client, err := zeromq.NewSecretKey()
		if err != nil {
			return nil, err
		}
		return compare(ctx, b, stream{
			size: size, subscribers: 1, count: 100_000,
			server:   []string{"CURVE_SECRET=" + server.Z85(), "CURVE_PUBLIC=" + server.Public().String()},
			client:   []string{"CURVE_SECRET=" + client.Z85(), "CURVE_PUBLIC=" + client.Public().String(), "CURVE_SERVER=" + server.Public().String()},
			security: zeromq.Security{CurveKey: server, AllowAny: true},
		})
	}
	return r
}

// browserRows compare a fan-out to 1 000 clients that one of them publishes with one that a PUSH publishes.
var browserRows = []row{
	browsers("browsers-go", goClient, goPush, load.Plan{Window: 1}),
	browsers("browsers-go-4", goClient, goPush, load.Plan{Window: 4}),
	browsers("browsers-go-paced", goClient, goPush, load.Plan{Rate: 200}),
	browsers("browsers-python", pythonClient, pyzmqPush, load.Plan{Window: 1}),
	browsers("browsers-python-4", pythonClient, pyzmqPush, load.Plan{Window: 4}),
	browsers("browsers-python-paced", pythonClient, pyzmqPush, load.Plan{Rate: 200}),
	browsers("browsers-mixed-4", goClient, pyzmqPush, load.Plan{Window: 4}),
}

// starter starts a publisher, for an HTTP address or a PULL endpoint. A nil one is one of the clients that load has anyway.
type starter struct {
	title string
	start func(ctx context.Context, http, pull string) (*pusher, error)
}

var (
	goClient     = starter{"a client in Go", nil}
	pythonClient = starter{"a client in Python", func(ctx context.Context, http, _ string) (*pusher, error) {
		return python(ctx, clientSource, http)
	}}
	goPush    = starter{"a PUSH in Go", pushInGo}
	pyzmqPush = starter{"pyzmq's PUSH", func(ctx context.Context, _, pull string) (*pusher, error) {
		return python(ctx, pyzmqSource, "tcp://"+pull)
	}}
)

func browsers(name string, client, push starter, plan load.Plan) row {
	plan.Mode, plan.Clients, plan.Size, plan.Duration = load.Fanout, 1000, 64, 4*time.Second
	how := fmt.Sprintf("%d under way", plan.Window)
	if plan.Rate > 0 {
		how = fmt.Sprintf("%g/s", plan.Rate)
	}
	return row{
		name:  name,
		lines: []line{{Title: fmt.Sprintf("1000 browsers, %s: %s, %s", how, client.title, push.title), Unit: "µs CPU/delivery", Bar: 1.2, Most: true}},
		round: func(ctx context.Context, b *bench) ([]pair, error) {
			theirs, err := fanOut(ctx, plan, client)
			if err != nil {
				return nil, err
			}
			ours, err := fanOut(ctx, plan, push)
			return []pair{{theirs, ours}}, err
		},
	}
}

// fanOut is the server's microseconds for each delivery.
func fanOut(ctx context.Context, plan load.Plan, by starter) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	pull, err := freeAddr()
	if err != nil {
		return 0, err
	}
	http, err := freeAddr()
	if err != nil {
		return 0, err
	}
	var p *pusher
	if by.start != nil {
		plan.Publish = func(room string, text []byte) (err error) {
			if p == nil {
				if p, err = by.start(ctx, http, pull); err != nil {
					return err
				}
			}
			return p.send(room, text)
		}
	}
	got, err := load.Run(ctx, plan, load.Peer{Name: "greenroom", Protocol: load.Relay, Command: []string{self, "serve", "{port}", http, pull}})
	if p != nil {
		p.close()
	}
	if err != nil {
		return 0, err
	}
	return got.ServerMicros, nil
}

// pusher publishes.
type pusher struct {
	send  func(room string, text []byte) error
	close func()
}

func pushInGo(ctx context.Context, _, pull string) (*pusher, error) {
	push, err := zeromq.Push(ctx, "tcp://"+pull)
	if err != nil {
		return nil, err
	}
	return &pusher{
		send:  func(room string, text []byte) error { return push.Send([]byte(room), []byte("msg"), text) },
		close: func() { _ = push.Close() }, // the server is gone
	}, nil
}

// pyzmqSource pushes each line of its input, a room and a text.
const pyzmqSource = `
import sys, zmq
s = zmq.Context().socket(zmq.PUSH)
s.linger = 0
s.connect(sys.argv[1])
for line in sys.stdin.buffer:
    room, text = line.rstrip(b"\n").split(b" ", 1)
    s.send_multipart([room, b"msg", text])
`

// clientSource does the same as a Socket.IO client: without a library, which would take longer than the server.
const clientSource = `
import socket, struct, sys
host, port = sys.argv[1].rsplit(":", 1)
s = socket.create_connection((host, int(port)))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
f = s.makefile("rb")
def packet():
    first, n = f.read(2)
    return f.read(n if n < 126 else struct.unpack("!H", f.read(2))[0])
def send(b):
    head = bytes([0x81, 0x80 | len(b)]) if len(b) < 126 else struct.pack("!BBH", 0x81, 0xfe, len(b))
    s.sendall(head + bytes(4) + b)
s.sendall(("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % sys.argv[1]).encode())
while f.readline().strip(): pass
assert packet().startswith(b"0")
send(b"40")
assert packet().startswith(b"40")
for line in sys.stdin.buffer:
    room, text = line.rstrip(b"\n").split(b" ", 1)
    send(b'42["publish","' + room + b'","msg","' + text + b'"]')
`

// python runs a program that publishes the lines that it reads.
func python(ctx context.Context, source, at string) (*pusher, error) {
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", source, at)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var text []byte
	return &pusher{
		send: func(room string, message []byte) error {
			text = append(append(append(append(text[:0], room...), ' '), message...), '\n')
			_, err := in.Write(text)
			return err
		},
		close: func() { _, _ = in.Close(), cmd.Wait() }, // it has said on its standard error what was wrong
	}, nil
}

// serve is the server of browsers, and of a client of its own at another address.
func serve(port, own, pull string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	h, err := hub.New(hub.Options{EventRate: -1, Logger: log})
	if err != nil {
		return err
	}
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{Rate: -1})); err != nil {
		return err
	}
	if _, err := zeromq.Listen(h, zeromq.Options{Pull: "tcp://" + pull, Logger: log}); err != nil {
		return err
	}
	io := socketio.New(h, socketio.Options{})
	ended := make(chan error)
	for _, at := range []string{"127.0.0.1:" + port, own} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		go func() { ended <- http.Serve(io.Listener(l, nil), io) }()
	}
	return <-ended
}
