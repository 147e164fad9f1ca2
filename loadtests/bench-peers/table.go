package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"greenroom/loadtests/load"
)

// The columns are measured peers only: whoever was not asked for has none.
func (t table) columns() []peer {
	var cols []peer
	for _, p := range peers {
		for _, r := range rows {
			if _, ok := t[r.key][p.name]; ok {
				cols = append(cols, p)
				break
			}
		}
	}
	return cols
}

// measured are the rows with at least one figure, or a failure.
func (t table) measured() []row {
	var out []row
	for _, r := range rows {
		if len(t[r.key]) > 0 {
			out = append(out, r)
		}
	}
	return out
}

// ratio is one cell of the table of ratios: what the peer takes, as a multiple of what Greenroom takes.
func (t table) ratio(r row, p peer) string {
	f, ok := t[r.key][p.name]
	switch {
	case !ok && r.refuses(p) != "" && r.refuses(p) != "is not asked":
		return "has none"
	case !ok:
		return ""
	case f.runs == 0:
		return "fails"
	case p.name == greenroom:
		return absolute(r, f)
	}
	mine := t[r.key][greenroom]
	if mine.main(r) <= 0 {
		return absolute(r, f)
	}
	return fmt.Sprintf("%.2f", f.main(r)/mine.main(r)) + mark(f)
}

// absolute is the figure with its unit.
func absolute(r row, f figures) string {
	if r.plan.Mode == load.Idle {
		return fmt.Sprintf("%.1f KB", f.session/1024) + mark(f)
	}
	return fmt.Sprintf("%.2f µs", f.cpu) + mark(f)
}

// mark points at what was wrong with messages; it is told below the tables.
func mark(f figures) string {
	if f.faults != "" {
		return " !"
	}
	return ""
}

// print is the table for a terminal, and the bars.
func (t table) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	cols := t.columns()
	head := []string{"server time, ×", "of a"}
	for _, p := range cols {
		head = append(head, p.name)
	}
	fmt.Fprintln(tw, strings.Join(head, "\t")+"\t")
	for _, r := range t.measured() {
		line := []string{r.key, r.unit()}
		for _, p := range cols {
			line = append(line, t.ratio(r, p))
		}
		fmt.Fprintln(tw, strings.Join(line, "\t")+"\t")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, s := range t.notes() {
		fmt.Fprintln(w, s)
	}
	for _, v := range judge(t) {
		fmt.Fprintf(w, "%-46s %s\n", v.row, v.Line())
	}
	return nil
}

// notes say what failed, and what was wrong with messages.
func (t table) notes() []string {
	var out []string
	for _, r := range t.measured() {
		for _, p := range t.columns() {
			f := t[r.key][p.name]
			if why := worse(f.failed, f.faults); why != "" {
				out = append(out, fmt.Sprintf("%s, %s: %s", p.title, r.title, oneLine(why)))
			}
		}
	}
	return out
}

// oneLine shortens what a process printed before it ended.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// micros is a time for reading.
func micros(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 100_000:
		return fmt.Sprintf("%.1f ms", us/1e3)
	}
	return fmt.Sprintf("%.2f s", us/1e6)
}
