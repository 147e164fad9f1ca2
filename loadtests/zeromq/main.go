//go:build unix

// Command zeromq measures what it costs to send a room's messages to ZeroMQ subscribers, against libzmq's own
// XPUB socket, in one run on one machine: the same subscribers, C programs over libzmq, hear one and then the other.
// It needs a C compiler and libzmq's headers.
//
//	go run ./loadtests/zeromq [-quick]
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	_ "embed"

	"greenroom/hub"
	"greenroom/transports/zeromq"
)

//go:embed peer/peer.c
var source []byte

// row is one measurement.
type row struct {
	size, subscribers int
	count             int
	rate              float64 // messages a second, 0 for as fast as it goes
}

// result is what one publisher has done.
type result struct {
	heard   int
	seconds float64 // at the subscribers
	cpu     float64 // of the publisher
}

func main() {
	quick := flag.Bool("quick", false, "a tenth of the messages")
	flag.Parse()
	if err := run(*quick); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(quick bool) error {
	dir, err := os.MkdirTemp("", "greenroom-zeromq")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peer := filepath.Join(dir, "peer")
	if err := os.WriteFile(peer+".c", source, 0o600); err != nil {
		return err
	}
	if out, err := exec.Command("cc", "-O2", "-o", peer, peer+".c", "-lzmq").CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the peer: %w\n%s", err, out)
	}
	fmt.Printf("%6s %5s %8s  %-9s %12s %14s\n", "bytes", "subs", "rate", "who", "messages/s", "µs CPU/delivery")
	for _, r := range []row{{64, 1, 1_000_000, 0}, {1024, 1, 300_000, 0}, {64, 100, 10_000, 0}, {64, 100, 4000, 1000}} {
		if quick {
			r.count /= 10
		}
		for _, who := range []struct {
			name string
			fn   func(string, row) (result, error)
		}{{"libzmq", libzmq}, {"emit", func(p string, r row) (result, error) { return greenroom(p, r, false) }},
			{"publish", func(p string, r row) (result, error) { return greenroom(p, r, true) }}} {
			got, err := who.fn(peer, r)
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			fmt.Printf("%6d %5d %8.0f  %-9s %12.0f %14.3f", r.size, r.subscribers, r.rate, who.name,
				float64(got.heard/r.subscribers)/got.seconds, got.cpu*1e6/float64(got.heard))
			if got.heard != r.count*r.subscribers {
				fmt.Printf("  heard %d of %d", got.heard, r.count*r.subscribers)
			}
			fmt.Println()
		}
	}
	return nil
}

// subscribers starts the peer that hears; heard waits for what it says.
func subscribers(peer, endpoint string, n int) (heard func() (result, error), err error) {
	cmd := exec.Command(peer, "sub", endpoint, fmt.Sprint(n))
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

func libzmq(peer string, r row) (result, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return result{}, err
	}
	endpoint := "tcp://" + ln.Addr().String()
	if err := ln.Close(); err != nil {
		return result{}, err
	}
	heard, err := subscribers(peer, endpoint, r.subscribers)
	if err != nil {
		return result{}, err
	}
	out, err := exec.Command(peer, "pub", endpoint, fmt.Sprint(r.size), fmt.Sprint(r.count), fmt.Sprint(r.subscribers), fmt.Sprint(r.rate)).Output()
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

func greenroom(peer string, r row, publish bool) (result, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	h, err := hub.New(hub.Options{Loops: 1, Logger: log})
	if err != nil {
		return result{}, err
	}
	defer h.Close()
	h.Of("/")
	b, err := zeromq.Listen(h, zeromq.Options{
		Pub: "tcp://127.0.0.1:0", Logger: log,
		QueueBytes: 1 << 30, QueueMessages: 1 << 30, SlowAfter: time.Hour, // as libzmq without a high-water mark
	})
	if err != nil {
		return result{}, err
	}
	defer b.Close()
	heard, err := subscribers(peer, b.Addr("pub"), r.subscribers)
	if err != nil {
		return result{}, err
	}
	for b.Subscribers("/", "room") < r.subscribers {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	start, used := time.Now(), cpu()
	payload := strings.Repeat("x", r.size)
	send := func(event string, args ...any) error {
		if !publish {
			return h.To("room").Emit(event, args...)
		}
		_, err := h.Publish(hub.Publication{Room: "room", Event: event, Args: args})
		return err
	}
	for i := range r.count {
		if r.rate > 0 && i%10 == 0 {
			time.Sleep(time.Until(start.Add(time.Duration(float64(i) / r.rate * float64(time.Second)))))
		}
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
