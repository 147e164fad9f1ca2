// Command bench-peers measures Greenroom beside other servers and writes docs/benchmarks.md.
//
//	bench-peers -write docs/benchmarks.md             # everything, some 20 minutes
//	bench-peers -rows fanout,echo -peers centrifuge,greenroom -rounds 5
//	bench-peers -add -rows idle                       # one row, added to those of earlier today
//
// It builds the servers below loadtests/peers, takes them through its rows with greenroom/loadtests/load, and prints
// one table of ratios and the project's bars. All measurements go to a file of JSON, of which -add makes one table
// out of several runs on the same machine and day. Run it from the project's folder; make bench-peers also installs
// what the servers need.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"greenroom/loadtests/load"
)

type options struct {
	rows    []row
	peers   []peer
	rounds  int
	json    string
	add     bool
	replace bool
	write   string
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	var rowList, peerList string
	f := flag.NewFlagSet("bench-peers", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&rowList, "rows", "", "rows or groups of rows, with commas between; all if empty: "+strings.Join(keys(), ", "))
	f.StringVar(&peerList, "peers", "", "servers, with commas between; all if empty: "+strings.Join(names(), ", "))
	f.IntVar(&o.rounds, "rounds", 3, "how often each row is measured; medians count. 0: only make the tables again")
	f.StringVar(&o.json, "json", filepath.Join("artifacts", "bench-peers.json"), "the file that keeps every measurement")
	f.BoolVar(&o.add, "add", false, "add to the measurements that the file has; they must be of this machine and day")
	f.BoolVar(&o.replace, "replace", false, "with -add: forget what the file has of the rows and peers that are measured now")
	f.StringVar(&o.write, "write", "", "also write the document to this file: docs/benchmarks.md")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var unknown string
	if o.rows, unknown = chosen(rowList); unknown != "" {
		return o, fmt.Errorf("no such row: %q; there are %s", unknown, strings.Join(keys(), ", "))
	}
	if o.peers, unknown = chosenPeers(peerList); unknown != "" {
		return o, fmt.Errorf("no such peer: %q; there are %s", unknown, strings.Join(names(), ", "))
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 0:
		return o, errors.New("rounds must not be negative")
	case o.json == "":
		return o, errors.New("-json needs a file")
	}
	return o, nil
}

func keys() []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.key)
	}
	return out
}

func names() []string {
	var out []string
	for _, p := range peers {
		out = append(out, p.name)
	}
	return out
}

func run(ctx context.Context, o options, w io.Writer) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "loadtests", "peers")); err != nil {
		return errors.New("run it from the project's folder, where loadtests/peers is")
	}
	rec, err := openRecord(o.json, o.add || o.rounds == 0, thisMachine())
	if err != nil {
		return err
	}
	if o.rounds > 0 {
		rec.Runs++
	}
	if o.replace {
		for _, r := range o.rows {
			for _, p := range o.peers {
				rec.forget(r.key, p.name)
			}
		}
	}
	b := bench{
		dir: dir, rows: o.rows, peers: o.peers, rounds: o.rounds, record: &rec, out: w, run: load.Run,
		saved: func() error { return rec.save(o.json) },
	}
	fmt.Fprintf(w, "%s\n\n", rec.Machine)
	if o.rounds > 0 {
		if err := b.measure(ctx); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if err := tabulate(rec.Measurements).print(w); err != nil {
		return err
	}
	if o.write == "" {
		return nil
	}
	text, err := render(rec)
	if err != nil {
		return err
	}
	return writeFile(o.write, text)
}
