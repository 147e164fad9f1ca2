//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// options are the command line.
type options struct {
	clients  int
	window   int
	size     int
	rate     float64
	duration time.Duration
	warmUp   time.Duration
	gather   time.Duration
	idle     bool
	rounds   int
	jsonPath string
	peers    []peer
}

// maxWindow keeps the ring of outstanding messages small enough for the processor's cache.
const maxWindow = 4096

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func parse(args []string, errors io.Writer) (options, error) {
	var o options
	var seconds, warm float64
	var url string
	var pid int
	f := flag.NewFlagSet("fanout", flag.ContinueOnError)
	f.SetOutput(errors)
	f.IntVar(&o.clients, "clients", 100, "WebSocket clients in the room; one of them publishes")
	f.IntVar(&o.window, "window", 1, "messages that may be under way at once")
	f.IntVar(&o.size, "size", 70, "bytes of text in a message, at least 8")
	f.Float64Var(&o.rate, "rate", 0, "messages a second; 0: the next as soon as the window has room")
	f.Float64Var(&seconds, "seconds", 5, "how long to measure")
	f.Float64Var(&warm, "warm", 1, "seconds to run before measuring")
	f.DurationVar(&o.gather, "gather", 50*time.Microsecond, "how long to let deliveries gather before reading them; the latencies include it")
	f.BoolVar(&o.idle, "idle", false, "connect the clients and measure what they cost doing nothing")
	f.IntVar(&o.rounds, "rounds", 1, "measure every peer this often, taking turns; the median counts")
	f.StringVar(&o.jsonPath, "json", "", "also write the results to this file (- for standard output)")
	f.StringVar(&url, "url", "", "measure a server that runs already: host:port")
	f.IntVar(&pid, "pid", 0, "that server's process, to read its CPU time and memory")
	f.Func("cmd", "name[+dialect]=command with {port}; repeat for more peers. Dialects: pub (default), relay", func(s string) error {
		p, err := parsePeer(s)
		o.peers = append(o.peers, p)
		return err
	})
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if url != "" {
		o.peers = append(o.peers, peer{name: url, addr: url, pid: pid, dialect: dialects["pub"]})
	}
	o.duration = time.Duration(seconds * float64(time.Second))
	o.warmUp = time.Duration(warm * float64(time.Second))
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case len(o.peers) == 0:
		return o, fmt.Errorf("nothing to measure: give -cmd or -url")
	case o.clients < 1 || o.size < seqDigits || o.rounds < 1 || o.duration <= 0:
		return o, fmt.Errorf("clients, rounds and seconds must be positive, size at least %d", seqDigits)
	case o.window < 1 || o.window > maxWindow:
		return o, fmt.Errorf("window must be 1 to %d", maxWindow)
	}
	return o, nil
}

func run(o options, w io.Writer) error {
	results := make([][]result, len(o.peers))
	printHead(w, o)
	for range o.rounds {
		for i := range o.peers {
			r, err := measure(o, o.peers[i])
			if err != nil {
				return fmt.Errorf("%s: %w", o.peers[i].name, err)
			}
			printLine(w, o, r)
			results[i] = append(results[i], r)
		}
	}
	medians := make([]result, len(results))
	for i, rs := range results {
		medians[i] = median(rs, o.idle)
	}
	printRatios(w, o, medians)
	return writeJSON(o.jsonPath, w, medians)
}

// measure starts one peer (when it is ours to start), measures it, and stops it.
func measure(o options, p peer) (result, error) {
	stop, err := p.start()
	if err != nil {
		return result{}, err
	}
	defer stop()
	if o.idle {
		return measureIdle(o, p)
	}
	return measureFanout(o, p)
}

func writeJSON(path string, w io.Writer, results []result) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = w.Write(text)
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
