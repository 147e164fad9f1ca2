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

// benchmark runs benchmarks of the bridge's package and returns their metrics: name → unit → what each round said.
func (b *bench) benchmark(ctx context.Context, pattern, times string) (map[string]map[string][]float64, error) {
	const pkg = "transports/zeromq"
	test := filepath.Join(b.dir, "zeromq.test")
	if _, err := os.Stat(test); err != nil {
		if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", test, "./"+pkg).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the benchmarks: %w\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(ctx, test, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", times,
		"-test.count", fmt.Sprint(b.rounds), "-test.timeout", "10m")
	cmd.Dir = pkg
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	found := make(map[string]map[string][]float64)
	for _, m := range regexp.MustCompile(`(?m)^(Benchmark\S+?)(?:-\d+)?\s+\d+\s+(.*)$`).FindAllStringSubmatch(string(out), -1) {
		if found[m[1]] == nil {
			found[m[1]] = make(map[string][]float64)
		}
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			v, err := strconv.ParseFloat(words[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", m[0], err)
			}
			found[m[1]][words[i+1]] = append(found[m[1]][words[i+1]], v)
		}
	}
	return found, nil
}

// pairs makes lines of a benchmark's sub-benchmarks libzmq/X and greenroom/X.
func pairs(got map[string]map[string][]float64, benchmark string, all []line, names []string) ([]line, error) {
	for i, name := range names {
		theirs, ours := got[benchmark+"/libzmq/"+name]["msg/s"], got[benchmark+"/greenroom/"+name]["msg/s"]
		if len(theirs) == 0 || len(ours) == 0 {
			return nil, fmt.Errorf("%s/%s said nothing: is libzmq3-dev there?", benchmark, name)
		}
		all[i].Unit, all[i].Theirs, all[i].Ours = "messages/s", median(theirs), median(ours)
	}
	return all, nil
}

func ingress(ctx context.Context, b *bench) ([]line, error) {
	got, err := b.benchmark(ctx, "^BenchmarkPush$", "400000x")
	if err != nil {
		return nil, err
	}
	return pairs(got, "BenchmarkPush", []line{
		{Title: "ingress, 64 bytes, [room, payload]", Bar: .5}, {Title: "ingress, 64 bytes, one frame of text", Bar: .5},
		{Title: "ingress, 1024 bytes, [room, payload]", Bar: .8}, {Title: "ingress, 1024 bytes, one frame of text", Bar: .8},
	}, []string{"bytes=64/frames=2", "bytes=64/frames=1", "bytes=1024/frames=2", "bytes=1024/frames=1"})
}

func control(ctx context.Context, b *bench) ([]line, error) {
	got, err := b.benchmark(ctx, "^BenchmarkControlRoundTrip$", "1x")
	if err != nil {
		return nil, err
	}
	m := got["BenchmarkControlRoundTrip"]
	for _, unit := range []string{"ping_us", "publish_us", "libzmq_rep_us", "libzmq_router_us"} {
		if len(m[unit]) == 0 {
			return nil, fmt.Errorf("BenchmarkControlRoundTrip has not said %s", unit)
		}
	}
	return []line{
		{Title: "control: ping by a pyzmq REQ, to pyzmq's ROUTER", Unit: "µs, p50", Theirs: median(m["libzmq_router_us"]), Ours: median(m["ping_us"]), Bar: 1.5, Most: true},
		{Title: "control: ping by a pyzmq REQ, to pyzmq's REP", Unit: "µs, p50", Theirs: median(m["libzmq_rep_us"]), Ours: median(m["ping_us"])},
		{Title: "control: publish by a pyzmq REQ, to pyzmq's ROUTER", Unit: "µs, p50", Theirs: median(m["libzmq_router_us"]), Ours: median(m["publish_us"]), Bar: 1.5, Most: true},
	}, nil
}

func curve(ctx context.Context, b *bench) ([]line, error) {
	got, err := b.benchmark(ctx, "^BenchmarkCurve$/.*/.*/^curve$", "100000x")
	if err != nil {
		return nil, err
	}
	lines, err := pairs(got, "BenchmarkCurve", []line{{Title: "CURVE ingress, 64 bytes"}, {Title: "CURVE ingress, 1024 bytes"}},
		[]string{"bytes=64/curve", "bytes=1024/curve"})
	if err != nil {
		return nil, err
	}
	server, err := zeromq.NewSecretKey()
	if err != nil {
		return nil, err
	}
	client, err := zeromq.NewSecretKey()
	if err != nil {
		return nil, err
	}
	for _, size := range []int{64, 1024} {
		l, err := compare(ctx, b, stream{
			size: size, subscribers: 1, count: 100_000,
			server:   []string{"CURVE_SECRET=" + server.Z85(), "CURVE_PUBLIC=" + server.Public().String()},
			client:   []string{"CURVE_SECRET=" + client.Z85(), "CURVE_PUBLIC=" + client.Public().String(), "CURVE_SERVER=" + server.Public().String()},
			security: zeromq.Security{CurveKey: server, AllowAny: true},
		})
		if err != nil {
			return nil, err
		}
		l.Title, l.Bar = "CURVE "+l.Title, 0
		lines = append(lines, l)
	}
	return lines, nil
}

// browsers compares a fan-out to 1 000 clients that one of them publishes with one that a PUSH publishes.
func browsers(ctx context.Context, b *bench) ([]line, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	plan := load.Plan{Mode: load.Fanout, Clients: 1000, Size: 64, Window: 4, Duration: 4 * time.Second}
	var byClient, byPush []float64
	for range b.rounds {
		for _, pushed := range []bool{false, true} {
			addr, err := freeAddr()
			if err != nil {
				return nil, err
			}
			p, into := plan, &byClient
			var push *zeromq.Pusher
			if pushed {
				into = &byPush
				p.Publish = func(room string, text []byte) (err error) {
					if push == nil {
						if push, err = zeromq.Push(ctx, "tcp://"+addr); err != nil {
							return err
						}
					}
					return push.Send([]byte(room), []byte("msg"), text)
				}
			}
			got, err := load.Run(ctx, p, load.Peer{Name: "greenroom", Protocol: load.Relay, Command: []string{self, "serve", "{port}", addr}})
			if push != nil {
				_ = push.Close() // the server is gone
			}
			if err != nil {
				return nil, err
			}
			*into = append(*into, got.ServerMicros)
		}
	}
	return []line{{
		Title: "1000 browsers, 64 bytes: a Socket.IO client's, and a PUSH's", Unit: "µs CPU/delivery",
		Theirs: median(byClient), Ours: median(byPush), Bar: 1.2, Most: true,
	}}, nil
}

// serve is the server of browsers.
func serve(port, pull string) error {
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
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	io := socketio.New(h, socketio.Options{})
	return http.Serve(io.Listener(l, nil), io)
}
