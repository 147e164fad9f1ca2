//go:build unix

// Command zeromq measures Greenroom's ZeroMQ sockets beside libzmq's own, in one run on one machine, and writes
// docs/zeromq-benchmarks.md. It needs a C compiler, libzmq's headers and python3-zmq, and is run from the project's
// folder.
//
//	go run ./loadtests/zeromq                                      # everything, about five minutes
//	go run ./loadtests/zeromq -rows '^(egress|browsers)' -rounds 5 # these anew, the others as they were
//	go run ./loadtests/zeromq -rows browsers-python -rounds 1 -add # one round more
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
	"regexp"
	"slices"
	"syscall"

	_ "embed"
)

//go:embed peer/peer.c
var source []byte

// row is what is measured together: its lines in the table, and how a round finds the two figures of each.
type row struct {
	name  string
	lines []line // without figures
	round func(context.Context, *bench) ([]pair, error)
}

// pair is libzmq's figure and Greenroom's.
type pair struct{ theirs, ours float64 }

// rows are all, in the order of the table.
var rows = slices.Concat(egressRows, ingressRows, controlRows, greenRows, curveRows, browserRows)

// bench is one invocation.
type bench struct {
	dir  string // for what is built
	peer string // the C program
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "serve" { // for browsers
		if err := serve(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	only := flag.String("rows", "", "a regular expression for the names of the rows to measure; all if empty")
	list := flag.Bool("list", false, "print the rows' names")
	rounds := flag.Int("rounds", 3, "how often; medians count. 0: only make the table again")
	add := flag.Bool("add", false, "add to the rounds that were measured before, else they are replaced")
	keep := flag.String("json", filepath.Join("artifacts", "bench-zeromq.json"), "the file that keeps what was measured")
	write := flag.String("write", "", "also write the document to this file")
	flag.Parse()
	if *list {
		for _, r := range rows {
			fmt.Println(r.name)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *rounds, *add, *keep, *write)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, rounds int, add bool, keep, write string) error {
	rec := record{}
	if text, err := os.ReadFile(keep); err == nil {
		if err := json.Unmarshal(text, &rec); err != nil {
			return fmt.Errorf("%s: %w", keep, err)
		}
	}
	if here := thisMachine(); rec.Machine != here {
		rec = record{Machine: here, Figures: map[string][]figures{}}
	}
	if rounds > 0 {
		if err := measure(ctx, only, rounds, add, keep, rec); err != nil {
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

// measure fills rec, and keeps it after each row of each round: a run that is interrupted has not been for nothing.
func measure(ctx context.Context, only string, rounds int, add bool, keep string, rec record) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	chosen := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !wanted.MatchString(r.name) })
	if len(chosen) == 0 {
		return errors.New("no such row: " + only)
	}
	dir, err := os.MkdirTemp("", "greenroom-zeromq")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, peer: filepath.Join(dir, "peer")}
	if err := os.WriteFile(b.peer+".c", source, 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cc", "-O2", "-o", b.peer, b.peer+".c", "-lzmq").CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the peer: %w\n%s", err, out)
	}
	for i := range rounds {
		for _, r := range chosen {
			got, err := r.round(ctx, b)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if i == 0 && !add {
				delete(rec.Figures, r.name)
			}
			rec.add(r, got)
			if err := rec.save(keep); err != nil {
				return err
			}
		}
	}
	return nil
}
