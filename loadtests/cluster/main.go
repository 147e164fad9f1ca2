//go:build unix

// Command cluster measures two Greenroom nodes joined by Redis beside two Node.js nodes joined by the official adapter,
// in one run on one machine, and writes docs/cluster-benchmarks.md. It needs redis-server and node, and is run from the
// project's folder, where loadtests/cluster/nodejs has its packages (npm ci).
//
//	go run ./loadtests/cluster                              # everything, about four minutes
//	go run ./loadtests/cluster -rows latency -rounds 5      # this row anew, the others as they were
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

// line is a row of the table.
type line struct {
	Title, Unit  string
	Theirs, Ours float64
	Bar          float64 // of Ours/Theirs; 0: it is there to compare
	Most         bool    // the ratio must not be above Bar; else not below
	Alone        bool    // Bar is for Ours

	Rounds   int
	From, To string  // what Node.js and Greenroom came to, least and most
	Load     float64 // of the machine, at the beginning of each turn
}

// Ratio is Greenroom's figure in terms of Node.js'.
func (l line) Ratio() float64 { return l.Ours / l.Theirs }

// Met is whether the bar is.
func (l line) Met() string {
	v := l.Ratio()
	if l.Alone {
		v = l.Ours
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
	if l.Theirs == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", l.Ratio())
}

// Figure is a value with three digits.
func (l line) Figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
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
	only := flag.String("rows", "", "what to measure, with commas between; all if empty")
	rounds := flag.Int("rounds", 3, "how often, in turns; medians count. 0: only make the table again")
	keep := flag.String("json", filepath.Join("artifacts", "bench-cluster.json"), "the file that keeps what was measured")
	write := flag.String("write", "", "also write the document to this file")
	flag.Parse()
	if err := run(*only, *rounds, *keep, *write); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(only string, rounds int, keep, write string) error {
	rec := record{}
	if text, err := os.ReadFile(keep); err == nil {
		if err := json.Unmarshal(text, &rec); err != nil {
			return fmt.Errorf("%s: %w", keep, err)
		}
	}
	if here := machine(); rec.Machine != here { // figures of two machines, or days, do not stand in one table
		rec = record{Machine: here, Lines: make(map[string]line)}
	}
	for _, row := range rows {
		if rounds == 0 || only != "" && !slices.Contains(strings.Split(only, ","), row.name) {
			continue
		}
		var theirs, ours, loads []float64
		for n := range rounds {
			for turn := range 2 { // who begins changes
				node := (n+turn)%2 == 0
				loads = append(loads, load())
				v, err := row.once(node)
				if err != nil {
					return fmt.Errorf("%s: %w", row.name, err)
				}
				if node {
					theirs = append(theirs, v)
				} else {
					ours = append(ours, v)
				}
			}
		}
		l := row.line
		l.Theirs, l.Ours, l.Load, l.Rounds = median(theirs), median(ours), median(loads), rounds
		l.From, l.To = spread(l, theirs), spread(l, ours)
		rec.Lines[row.name] = l
		fmt.Printf("%-58s %-12s %9s %9s %6s %7s %s (%s, %s; load %.1f)\n", l.Title, l.Unit, l.Figure(l.Theirs), l.Figure(l.Ours), l.Compared(), l.Wanted(), l.Met(), l.From, l.To, l.Load)
		if err := rec.save(keep); err != nil { // a run that is ended has not been for nothing
			return err
		}
	}
	if write == "" {
		return nil
	}
	var out bytes.Buffer
	if err := template.Must(template.New("").Parse(documentText)).Execute(&out, rec); err != nil {
		return err
	}
	return os.WriteFile(write, out.Bytes(), 0o644)
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// spread is the least and the most of a sorted list.
func spread(l line, list []float64) string {
	return l.Figure(list[0]) + "–" + l.Figure(list[len(list)-1])
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
