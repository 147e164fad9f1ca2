//go:build unix

// Command zeromq measures Greenroom's ZeroMQ sockets beside libzmq's own, in one run on one machine, and writes
// docs/zeromq-benchmarks.md. It needs a C compiler, libzmq's headers and python3-zmq, and is run from the project's
// folder.
//
//	go run ./loadtests/zeromq                                   # everything, about three minutes
//	go run ./loadtests/zeromq -parts egress,browsers -rounds 5  # these anew, the others as they were
//	go run ./loadtests/zeromq -write docs/zeromq-benchmarks.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	_ "embed"
)

//go:embed peer/peer.c
var source []byte

// parts of what is measured, in the order of the table.
var parts = []struct {
	name string
	run  func(context.Context, *bench) ([]line, error)
}{{"egress", egress}, {"ingress", ingress}, {"control", control}, {"curve", curve}, {"browsers", browsers}}

// bench is one invocation.
type bench struct {
	dir    string // for what is built
	peer   string // the C program
	rounds int
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" { // for browsers
		if err := serve(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	only := flag.String("parts", "", "what to measure, with commas between: egress, ingress, control, curve, browsers; all if empty")
	rounds := flag.Int("rounds", 3, "how often; medians count. 0: only make the table again")
	keep := flag.String("json", filepath.Join("artifacts", "bench-zeromq.json"), "the file that keeps what was measured")
	write := flag.String("write", "", "also write the document to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *rounds, *keep, *write)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, rounds int, keep, write string) error {
	rec := record{}
	if text, err := os.ReadFile(keep); err == nil {
		if err := json.Unmarshal(text, &rec); err != nil {
			return fmt.Errorf("%s: %w", keep, err)
		}
	}
	if here := thisMachine(); rec.Machine != here {
		rec = record{Machine: here, Lines: map[string][]line{}}
	}
	if rounds > 0 {
		if err := measure(ctx, only, rounds, keep, rec); err != nil {
			return err
		}
	}
	fmt.Print(rec.table())
	if write == "" {
		return nil
	}
	text, err := rec.document()
	if err != nil {
		return err
	}
	return os.WriteFile(write, text, 0o644)
}

// measure fills rec and keeps it after each part.
func measure(ctx context.Context, only string, rounds int, keep string, rec record) error {
	dir, err := os.MkdirTemp("", "greenroom-zeromq")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, peer: filepath.Join(dir, "peer"), rounds: rounds}
	if err := os.WriteFile(b.peer+".c", source, 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", b.peer, b.peer+".c", "-lzmq").CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the peer: %w\n%s", err, out)
	}
	known := 0
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		known++
		if rec.Lines[p.name], err = p.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := rec.save(keep); err != nil {
			return err
		}
	}
	if known == 0 {
		return errors.New("no such part: " + only)
	}
	return nil
}
