// Command coop-vs-gevent does the same things with gevent, with goroutines and with coop, in turns on one machine,
// and prints a table of what each costs. It judges nothing.
//
//	make bench-gevent
//	go run ./loadtests/coop-vs-gevent -rows yield2,spawn -rounds 5
//
// It wants Debian's python3-gevent and, for the row of HTTP, wrk. Each figure is measured in a process of its
// own, which prints it: processor time, not time on the wall. The table has the median of the rounds. The column iter.Pull is the floor: the
// coroutines of Go's runtime that greenlets are made of, without a scheduler.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

//go:embed rows.py
var rowsPy string

const usage = "what to measure, by key, separated by commas; all by default"

func main() {
	var (
		python = flag.String("python", "/usr/bin/python3", "the Python that has gevent")
		only   = flag.String("rows", "", usage)
		rounds = flag.Int("rounds", 3, "how often each is measured; the median counts")
		secs   = flag.Int("seconds", 4, "how long wrk runs for each figure of HTTP")
		one    = flag.String("one", "", "internal: measure SIDE:ROW in this process")
	)
	flag.Parse()
	if *one != "" {
		sideName, key, _ := strings.Cut(*one, ":")
		if err := measureHere(os.Stdout, sideName, key); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	c := &comparison{python: *python, rounds: *rounds, seconds: *secs, log: os.Stderr}
	if err := c.run(os.Stdout, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measureHere does one row and prints its figure: nanoseconds of processor time for one operation, or bytes for one greenlet.
func measureHere(w io.Writer, sideName, key string) error {
	if key == httpKey {
		return serveHello(w, sideName)
	}
	r := rowOf(key)
	if r == nil || r.goSides[sideName] == nil {
		return fmt.Errorf("no row %q for %q", key, sideName)
	}
	v, err := r.goSides[sideName](r.n)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, v)
	return err
}

type comparison struct {
	python  string
	rounds  int
	seconds int // of wrk
	log     io.Writer
}

var sides = []string{"gevent", "goroutines", "coop", "iter.Pull"}

func (c *comparison) run(w io.Writer, only string) error {
	var keys []string
	if only != "" {
		keys = strings.Split(only, ",")
	}
	for _, k := range keys {
		if k != httpKey && rowOf(k) == nil {
			return fmt.Errorf("-rows: no row %q", k)
		}
	}
	wanted := func(key string) bool { return keys == nil || slices.Contains(keys, key) }

	fmt.Fprintf(w, "%d cores, %s, %s\n\n", runtime.NumCPU(), runtime.Version(), c.versionOfGevent())
	fmt.Fprintf(w, "| operation | %s | coop against gevent | against goroutines |\n", strings.Join(sides, " | "))
	fmt.Fprintf(w, "|---%s|---|---|\n", strings.Repeat("|---", len(sides)))
	for i := range rows {
		if !wanted(rows[i].key) {
			continue
		}
		figures := c.medians(func(side string) []float64 { return []float64{c.measure(side, &rows[i])} })
		printRow(w, rows[i].name, rows[i].format, figures, 0, false)
	}
	if wanted(httpKey) {
		figures := c.medians(c.measureHTTP)
		printRow(w, httpName+": requests/s", perSecond, figures, 0, true)
		printRow(w, httpName+": requests per CPU second of the server", perSecond, figures, 1, true)
	}
	return nil
}

// medians takes turns between the sides.
func (c *comparison) medians(measure func(side string) []float64) map[string][]float64 {
	all := map[string][][]float64{}
	for range c.rounds {
		for _, side := range sides {
			if v := measure(side); v != nil {
				all[side] = append(all[side], v)
			}
		}
	}
	medians := map[string][]float64{}
	for side, vs := range all {
		for k := range vs[0] {
			slices.SortFunc(vs, func(a, b []float64) int { return compare(a[k], b[k]) })
			medians[side] = append(medians[side], vs[len(vs)/2][k])
		}
	}
	return medians
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// measure returns NaN where there is nothing to measure.
func (c *comparison) measure(side string, r *row) float64 {
	if side != "gevent" && r.goSides[side] == nil {
		return math.NaN()
	}
	out, err := c.command(side, r.key, r.n).Output()
	if err != nil {
		c.complain(side, r.key, err)
		return math.NaN()
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		c.complain(side, r.key, err)
		return math.NaN()
	}
	return v
}

func (c *comparison) command(side, key string, n int) *exec.Cmd {
	if side == "gevent" {
		return exec.Command(c.python, "-c", rowsPy, key, strconv.Itoa(n))
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return exec.Command(self, "-one", side+":"+key)
}

func (c *comparison) complain(side, key string, err error) {
	if ee, ok := err.(*exec.ExitError); ok {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(ee.Stderr))
	}
	fmt.Fprintf(c.log, "%s, %s: %v\n", side, key, err)
}

func (c *comparison) versionOfGevent() string {
	out, err := exec.Command(c.python, "-c", "import gevent, sys; print('gevent', gevent.__version__, 'on Python', sys.version.split()[0])").Output()
	if err != nil {
		return "no gevent: apt-get install python3-gevent"
	}
	return strings.TrimSpace(string(out))
}

func printRow(w io.Writer, name string, format func(float64) string, figures map[string][]float64, k int, moreIsBetter bool) {
	value := func(side string) float64 {
		if vs := figures[side]; k < len(vs) {
			return vs[k]
		}
		return math.NaN()
	}
	cell := func(v float64, format func(float64) string) string {
		if math.IsNaN(v) {
			return ""
		}
		return format(v)
	}
	fmt.Fprintf(w, "| %s ", name)
	for _, side := range sides {
		fmt.Fprintf(w, "| %s ", cell(value(side), format))
	}
	for _, other := range []string{"gevent", "goroutines"} {
		ratio := value(other) / value("coop")
		if moreIsBetter {
			ratio = 1 / ratio
		}
		fmt.Fprintf(w, "| %s ", cell(ratio, times))
	}
	fmt.Fprintln(w, "|")
}

func times(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f ×", v)
	}
	return fmt.Sprintf("%.0f ×", v)
}

func nanoseconds(v float64) string { return strconv.FormatFloat(round(v), 'f', -1, 64) + " ns" }
func kilobytes(v float64) string   { return fmt.Sprintf("%.1f KB", v/1024) }
func perSecond(v float64) string   { return strconv.FormatFloat(round(v), 'f', -1, 64) }

// round keeps three digits: the fourth is noise.
func round(v float64) float64 {
	if v <= 0 {
		return v
	}
	unit := math.Pow(10, math.Max(0, math.Floor(math.Log10(v))-2))
	return math.Round(v/unit) * unit
}
