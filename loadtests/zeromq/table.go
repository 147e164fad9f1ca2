//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/template"
	"time"

	_ "embed"
)

// line is one comparison.
type line struct {
	Title string
	Unit  string  // of both
	Bar   float64 // of Greenroom's figure in libzmq's; 0 for none
	Most  bool    // the ratio must not be above Bar; else not below
	Alone bool    // there is nothing to compare with: Bar is for Greenroom's figure itself
}

// figures of a line, one a round.
type figures struct{ Theirs, Ours []float64 }

// cells are the line as the table has it.
func (l line) cells(f figures) []string {
	theirs, ours := median(f.Theirs), median(f.Ours)
	ratio := ours / theirs
	if l.Alone {
		ratio = math.Round(ours*100) / 100 // the process has allocations of its own, too
	}
	bar, met := "", ""
	if l.Bar > 0 {
		bar, met = fmt.Sprintf("≥ %.2g", l.Bar), "✗ not met"
		if l.Most {
			bar = fmt.Sprintf("≤ %.2g", l.Bar)
		}
		if l.Most && ratio <= l.Bar || !l.Most && ratio >= l.Bar {
			met = "✓"
		}
	}
	if l.Alone {
		return []string{l.Title, l.Unit, "–", figure(ours), "–", bar, met, fmt.Sprint(len(f.Ours))}
	}
	return []string{l.Title, l.Unit, figure(theirs), figure(ours), fmt.Sprintf("%.2f", ratio), bar, met, fmt.Sprint(len(f.Ours))}
}

func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// machine is where and with what was measured. Figures of two machines, or days, do not stand in one table.
type machine struct{ Date, Kernel, Go, Libzmq, Pyzmq, Cores string }

func thisMachine() machine {
	versions := strings.Fields(said("/usr/bin/python3", "-c", "import zmq; print(zmq.zmq_version(), zmq.__version__)") + " none none")
	return machine{
		Date: time.Now().UTC().Format(time.DateOnly), Kernel: said("uname", "-sr"), Go: strings.TrimPrefix(runtime.Version(), "go"),
		Libzmq: versions[0], Pyzmq: versions[1], Cores: fmt.Sprint(runtime.NumCPU()),
	}
}

func said(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "none"
	}
	return strings.TrimSpace(string(out))
}

// record is what was measured.
type record struct {
	Machine machine
	Figures map[string][]figures // by the name of the row, one for each of its lines
}

// add adds a round.
func (r record) add(of row, got []pair) {
	all := r.Figures[of.name]
	if len(all) != len(of.lines) { // the row was another one when it was measured
		all = make([]figures, len(of.lines))
	}
	for i, p := range got {
		all[i].Theirs, all[i].Ours = append(all[i].Theirs, p.theirs), append(all[i].Ours, p.ours)
	}
	r.Figures[of.name] = all
}

func (r record) save(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Cells are the table of all that was measured.
func (r record) Cells() (table [][]string) {
	for _, of := range rows {
		found := r.Figures[of.name]
		if len(found) != len(of.lines) {
			continue
		}
		for i, l := range of.lines {
			table = append(table, l.cells(found[i]))
		}
	}
	return table
}

func (r record) table() string {
	var b strings.Builder
	for _, c := range r.Cells() {
		fmt.Fprintf(&b, "%-62s %-16s %10s %10s %6s %7s %-9s %s\n", c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7])
	}
	return b.String()
}

//go:embed zeromq-benchmarks.md.tmpl
var documentText string

var documentTemplate = template.Must(template.New("zeromq-benchmarks.md").Parse(documentText))

func (r record) document() ([]byte, error) {
	var out bytes.Buffer
	err := documentTemplate.Execute(&out, r)
	return out.Bytes(), err
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2
}
