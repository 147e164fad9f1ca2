//go:build unix

// Command cluster measures two Greenroom nodes joined by Redis beside two Node.js nodes joined by the official adapter,
// in one run on one machine, and writes docs/cluster-benchmarks.md. It needs redis-server and node, and is run from the
// project's folder, where loadtests/cluster/nodejs has its packages (npm ci).
//
//	go run ./loadtests/cluster                              # everything, about four minutes
//	go run ./loadtests/cluster -rows latency -rounds 5      # this row anew, the others as they were
//	go run ./loadtests/cluster -rows latency -rounds 1 -add # one round more of it
//	go run ./loadtests/cluster -write docs/cluster-benchmarks.md
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	_ "embed"
)

// line is a row of the table, with what every round came to.
type line struct {
	Title, Unit string
	Bar         float64 // of Ours/Theirs; 0: it is there to compare
	Most        bool    // the ratio must not be above Bar; else not below
	Alone       bool    // Bar is for Ours

	Theirs, Ours, Floor []float64 // Node.js', Greenroom's, and, in some rows, those of a server that only writes
	Loads               []float64 // of the machine, at the beginning of each turn
}

// Rounds is how often it was measured.
func (l line) Rounds() int { return len(l.Ours) }

// Ratio is Greenroom's figure in terms of Node.js'.
func (l line) Ratio() float64 { return median(l.Ours) / median(l.Theirs) }

// Met is whether the bar is.
func (l line) Met() string {
	v := l.Ratio()
	if l.Alone {
		v = median(l.Ours)
	}
	switch {
	case l.Bar == 0:
		return ""
	case l.Most && v <= l.Bar || !l.Most && v >= l.Bar:
		return "✓"
	}
	return "✗ not met"
}

// Wanted is the bar.
func (l line) Wanted() string {
	sign := "≥"
	if l.Most {
		sign = "≤"
	}
	switch {
	case l.Bar == 0:
		return ""
	case l.Alone:
		return fmt.Sprintf("itself %s %.2g", sign, l.Bar)
	}
	return fmt.Sprintf("%s %.2g", sign, l.Bar)
}

// Compared is the ratio as text, "" if there is none.
func (l line) Compared() string {
	if median(l.Theirs) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", l.Ratio())
}

// Least is the floor and its ratio to Node.js, "" if there is none.
func (l line) Least() string {
	if len(l.Floor) == 0 {
		return ""
	}
	text := fmt.Sprintf("%s, %.2f", l.Middle(l.Floor), median(l.Floor)/median(l.Theirs))
	if n := len(l.Floor); n != l.Rounds() {
		text += fmt.Sprintf(" (rounds: %d)", n)
	}
	return text
}

// Load is the median of the loads as text.
func (l line) Load() string { return fmt.Sprintf("%.1f", median(l.Loads)) }

// Middle is the median as text, and Spread the least and the most.
func (l line) Middle(list []float64) string { return figure(median(list)) }

func (l line) Spread(list []float64) string {
	return figure(slices.Min(list)) + "–" + figure(slices.Max(list))
}

// figure is a value with three digits.
func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// median is 0 of nothing.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// record is what was measured, by row.
type record struct {
	Machine string
	Lines   map[string]line
}

func (r record) save(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o644))
}

// All is every line, in the order of rows.
func (r record) All() (all []line) {
	for _, row := range rows {
		if l, ok := r.Lines[row.name]; ok {
			all = append(all, l)
		}
	}
	return all
}

// Floor is what a plain write takes, in terms of Node.js: the least and the most of the rows that have it, "" without any.
func (r record) Floor() string {
	var ratios []float64
	for _, l := range r.All() {
		if len(l.Floor) > 0 {
			ratios = append(ratios, median(l.Floor)/median(l.Theirs))
		}
	}
	if len(ratios) == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f to %.2f", slices.Min(ratios), slices.Max(ratios))
}

//go:embed cluster-benchmarks.md.tmpl
var documentText string

func main() {
	if len(os.Args) == 5 && os.Args[1] == "serve" {
		if err := serve(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var r run
	flag.StringVar(&r.only, "rows", "", "what to measure, with commas between; all if empty")
	flag.IntVar(&r.rounds, "rounds", 3, "how often, in turns; medians count. 0: only make the table again")
	flag.BoolVar(&r.add, "add", false, "to the rounds there are already, instead of in their place")
	flag.StringVar(&r.keep, "json", filepath.Join("artifacts", "bench-cluster.json"), "the file that keeps what was measured")
	flag.StringVar(&r.write, "write", "", "also write the document to this file")
	flag.Parse()
	if err := r.do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is what the flags say.
type run struct {
	only, keep, write string
	rounds            int
	add               bool
}

func (r run) do() error {
	rec := record{}
	if text, err := os.ReadFile(r.keep); err == nil {
		if err := json.Unmarshal(text, &rec); err != nil {
			return fmt.Errorf("%s: %w", r.keep, err)
		}
	}
	if here := machine(); rec.Machine != here { // figures of two machines, or days, do not stand in one table
		rec = record{Machine: here, Lines: make(map[string]line)}
	}
	built := false
	for _, row := range rows {
		if r.rounds == 0 || r.only != "" && !slices.Contains(strings.Split(r.only, ","), row.name) {
			continue
		}
		if row.floor && !built {
			built = true
			if out, err := exec.Command("go", "build", "-o", plainServer, "./loadtests/peers/rawwrite").CombinedOutput(); err != nil {
				return fmt.Errorf("rawwrite: %w\n%s", err, out)
			}
		}
		l := row.line
		if old := rec.Lines[row.name]; r.add {
			l.Theirs, l.Ours, l.Floor, l.Loads = old.Theirs, old.Ours, old.Floor, old.Loads
		}
		for range r.rounds {
			if err := row.round(&l); err != nil {
				return fmt.Errorf("%s: %w", row.name, err)
			}
			rec.Lines[row.name] = l
			if err := rec.save(r.keep); err != nil { // a run that is ended has not been for nothing
				return err
			}
		}
		fmt.Printf("%-75s %-12s %9s %9s %6s %7s %s", l.Title, l.Unit, l.Middle(l.Theirs), l.Middle(l.Ours), l.Compared(), l.Wanted(), l.Met())
		fmt.Printf(" (%s, %s; plain write %s; load %s, %d rounds)\n", l.Spread(l.Theirs), l.Spread(l.Ours), l.Least(), l.Load(), l.Rounds())
	}
	if r.write == "" {
		return nil
	}
	var out bytes.Buffer
	if err := template.Must(template.New("").Parse(documentText)).Execute(&out, rec); err != nil {
		return err
	}
	return os.WriteFile(r.write, out.Bytes(), 0o644)
}

// load is how many threads wanted to run in the last minute, on average: what was measured last is among them.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}

func machine() string {
	said := func(program string, args ...string) string {
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			return "none"
		}
		return strings.TrimSpace(string(out))
	}
	redis, _, _ := strings.Cut(said("redis-server", "--version"), " sha=")
	return fmt.Sprintf("%s, %d cores, %s, %s, Node.js %s, %s", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), said("uname", "-sr"), runtime.Version(), said("node", "--version"), redis)
}
