//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
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
	Title  string
	Unit   string  // of both
	Theirs float64 // libzmq's, unless the title says otherwise
	Ours   float64
	Bar    float64 // of Ours/Theirs; 0 for none
	Most   bool    // the ratio must not be above Bar; else not below
}

func (l line) ratio() float64 { return l.Ours / l.Theirs }

// Cells are the line as the table has it.
func (l line) Cells() []string {
	bar, met := "", ""
	if l.Bar > 0 {
		bar, met = fmt.Sprintf("≥ %.2g", l.Bar), "✗ not met"
		if l.Most {
			bar = fmt.Sprintf("≤ %.2g", l.Bar)
		}
		if l.Most && l.ratio() <= l.Bar || !l.Most && l.ratio() >= l.Bar {
			met = "✓"
		}
	}
	return []string{l.Title, l.Unit, figure(l.Theirs), figure(l.Ours), fmt.Sprintf("%.2f", l.ratio()), bar, met}
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
	Lines   map[string][]line // by part
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

// All is every line, in the order of parts.
func (r record) All() (all []line) {
	for _, p := range parts {
		all = append(all, r.Lines[p.name]...)
	}
	return all
}

func (r record) table() string {
	var b strings.Builder
	for _, l := range r.All() {
		c := l.Cells()
		fmt.Fprintf(&b, "%-62s %-16s %10s %10s %6s %7s %s\n", c[0], c[1], c[2], c[3], c[4], c[5], c[6])
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

// median sorts list.
func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}
