//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq"
)

// metaBytes is about what the meta of a publication takes.
const metaBytes = 112

// stream is what is sent to subscribers.
type stream struct {
	size, subscribers, count int
	meta                     bool
	server, client           []string // keys for CURVE, as the peer's environment
	security                 zeromq.Security
}

// result is what one publisher has done.
type result struct {
	heard   int
	seconds float64 // at the subscribers
	cpu     float64 // of the publisher
}

// egressRows compare what subscribers of libzmq's hear from libzmq's XPUB and from ours.
var egressRows = []row{
	egress(stream{size: 64, subscribers: 1, count: 400_000}), egress(stream{size: 64, subscribers: 1, count: 400_000, meta: true}),
	egress(stream{size: 1024, subscribers: 1, count: 100_000}), egress(stream{size: 1024, subscribers: 1, count: 100_000, meta: true}),
	egress(stream{size: 64, subscribers: 100, count: 3000}), egress(stream{size: 64, subscribers: 100, count: 3000, meta: true}),
}

func egress(s stream) row {
	how := "emit"
	if s.meta {
		how = "publish"
	}
	l := line{Title: fmt.Sprintf("%s, %d bytes, to one SUB", how, s.size), Unit: "messages/s", Bar: .5}
	if s.subscribers > 1 {
		l = line{Title: fmt.Sprintf("%s, %d bytes, to %d SUBs", how, s.size, s.subscribers), Unit: "µs CPU/delivery", Bar: 1, Most: true}
	}
	return row{
		name: fmt.Sprintf("egress-%s-%d-%d", how, s.size, s.subscribers), lines: []line{l},
		round: func(ctx context.Context, b *bench) ([]pair, error) { return compare(ctx, b, s) },
	}
}

// compare has both send s.
func compare(ctx context.Context, b *bench, s stream) ([]pair, error) {
	var got [2]float64
	for i, send := range []func(context.Context, string, stream) (result, error){libzmq, greenroom} {
		r, err := send(ctx, b.peer, s)
		if err != nil {
			return nil, err
		}
		if r.heard != s.count*s.subscribers {
			return nil, fmt.Errorf("heard %d of %d", r.heard, s.count*s.subscribers)
		}
		got[i] = float64(s.count) / r.seconds
		if s.subscribers > 1 {
			got[i] = r.cpu * 1e6 / float64(r.heard)
		}
	}
	return []pair{{got[0], got[1]}}, nil
}

// subscribers starts the peer that hears; heard waits for what it says.
func subscribers(ctx context.Context, peer, endpoint string, s stream) (heard func() (result, error), err error) {
	cmd := exec.CommandContext(ctx, peer, "sub", endpoint, fmt.Sprint(s.subscribers))
	cmd.Env = append(os.Environ(), s.client...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() (r result, err error) {
		line, err := bufio.NewReader(out).ReadString('\n')
		if err == nil {
			_, err = fmt.Sscan(line, &r.heard, &r.seconds)
		}
		if ended := cmd.Wait(); err == nil {
			err = ended
		}
		return r, err
	}, nil
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

func libzmq(ctx context.Context, peer string, s stream) (result, error) {
	addr, err := freeAddr()
	if err != nil {
		return result{}, err
	}
	heard, err := subscribers(ctx, peer, "tcp://"+addr, s)
	if err != nil {
		return result{}, err
	}
	meta := 0
	if s.meta {
		meta = metaBytes
	}
	pub := exec.CommandContext(ctx, peer, "pub", "tcp://"+addr, fmt.Sprint(s.size), fmt.Sprint(s.count), fmt.Sprint(s.subscribers), fmt.Sprint(meta))
	pub.Env = append(os.Environ(), s.server...)
	out, err := pub.Output()
	if err != nil {
		return result{}, err
	}
	got, err := heard()
	if err != nil {
		return got, err
	}
	var seconds float64
	_, err = fmt.Sscan(string(out), &seconds, &got.cpu)
	return got, err
}

func greenroom(ctx context.Context, peer string, s stream) (result, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	h, err := hub.New(hub.Options{Loops: 1, Logger: log})
	if err != nil {
		return result{}, err
	}
	defer h.Close()
	h.Of("/")
	b, err := zeromq.Listen(h, zeromq.Options{
		Pub: "tcp://127.0.0.1:0", Logger: log, Security: s.security,
		QueueBytes: 1 << 30, QueueMessages: 1 << 30, SlowAfter: time.Hour, MaxLag: time.Hour, // as libzmq without a high-water mark
	})
	if err != nil {
		return result{}, err
	}
	defer b.Close()
	heard, err := subscribers(ctx, peer, b.Addr("pub"), s)
	if err != nil {
		return result{}, err
	}
	for b.Subscribers("/", "room") < s.subscribers {
		if ctx.Err() != nil {
			return result{}, ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	used := cpu()
	payload := strings.Repeat("x", s.size)
	send := func(event string, args ...any) error {
		if !s.meta {
			return h.To("room").Emit(event, args...)
		}
		_, err := h.Publish(hub.Publication{Room: "room", Event: event, Args: args})
		return err
	}
	for range s.count {
		if err := send("tick", payload); err != nil {
			return result{}, err
		}
	}
	if err := send("end"); err != nil {
		return result{}, err
	}
	got, err := heard()
	got.cpu = cpu() - used
	return got, err
}

// cpu is what this process has used, in seconds.
func cpu() float64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()).Seconds()
}
