package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"greenroom/loadtests/load"
)

//go:embed benchmarks.md.tmpl
var documentText string

var documentTemplate = template.Must(template.New("benchmarks.md").Parse(documentText))

// What the template reads. All of it is text by then.
type document struct {
	Machine                string
	Cores                  int
	Window                 int
	Columns                []docPeer
	Ratios                 []docRow
	Notes                  []string
	Bars                   []docBar
	Rounds                 string
	Sections               []docSection
	Runs                   string
	WarmUp, Duration, Idle string
}

type docPeer struct{ Title, More, Settings string }

type docRow struct {
	Title, Unit string
	Cells       []string
}

type docBar struct{ Row, Text, Got, Mark string }

type docSection struct {
	Title, Plural string
	Idle          bool
	Lines         []string
}

// render makes the document of a record.
func render(rec record) ([]byte, error) {
	t := tabulate(rec.Measurements)
	first, idle := rows[0].plan, rows[0].plan
	if r, ok := rowNamed("idle"); ok {
		idle = r.plan
	}
	d := document{
		Machine: rec.Machine.String(), Cores: rec.Machine.Cores, Window: first.Window,
		Notes: t.notes(), Rounds: t.rounds(), Runs: howMany(rec.Runs),
		WarmUp: first.WarmUp.String(), Duration: first.Duration.String(), Idle: idle.Duration.String(),
	}
	for _, p := range t.columns() {
		d.Columns = append(d.Columns, docPeer{Title: p.title, More: p.more, Settings: p.settings})
	}
	for _, r := range t.measured() {
		line := docRow{Title: r.title, Unit: r.unit()}
		for _, p := range t.columns() {
			line.Cells = append(line.Cells, t.ratio(r, p))
		}
		d.Ratios = append(d.Ratios, line)
		d.Sections = append(d.Sections, t.section(r))
	}
	for _, v := range judge(t) {
		d.Bars = append(d.Bars, docBar{Row: v.row, Text: v.text, Got: v.got, Mark: v.word()})
	}
	var out bytes.Buffer
	if err := documentTemplate.Execute(&out, d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (v verdict) word() string {
	switch {
	case !v.done:
		return "not measured"
	case v.met:
		return "✓"
	}
	return "✗ not met"
}

// section has a row's figures of every peer.
func (t table) section(r row) docSection {
	s := docSection{Title: r.title, Plural: plural(r), Idle: r.plan.Mode == load.Idle}
	for _, p := range t.columns() {
		f, ok := t[r.key][p.name]
		if !ok || f.runs == 0 {
			continue
		}
		cells := []string{p.title}
		if s.Idle {
			cells = append(cells, fmt.Sprintf("%.1f KB", f.session/1024), fmt.Sprintf("%.1f %%", f.percent))
		} else {
			cells = append(cells, fmt.Sprintf("%.2f µs", f.cpu)+spread(f), fmt.Sprintf("%.2f µs", f.own),
				thousands(f.perSecond), micros(f.p50), micros(f.p99))
		}
		cells = append(cells, fmt.Sprint(f.runs))
		s.Lines = append(s.Lines, strings.Join(cells, " | "))
	}
	return s
}

func plural(r row) string {
	if r.unit() == "delivery" {
		return "deliveries"
	}
	return r.unit() + "s"
}

func spread(f figures) string {
	if f.runs < 2 {
		return ""
	}
	return fmt.Sprintf(" (%.2f–%.2f)", f.low, f.high)
}

// rounds is how often the rows were measured: the least and the most.
func (t table) rounds() string {
	least, most := 0, 0
	for _, r := range t.measured() {
		for _, f := range t[r.key] {
			if f.runs == 0 {
				continue
			}
			if least == 0 || f.runs < least {
				least = f.runs
			}
			most = max(most, f.runs)
		}
	}
	if least == most {
		return fmt.Sprintf("%d runs", most)
	}
	return fmt.Sprintf("%d to %d runs", least, most)
}

func howMany(runs int) string {
	if runs <= 1 {
		return "All was measured in one go."
	}
	return fmt.Sprintf("The rows were not measured in one go, but by %d invocations on one day, on a machine that had other work between them, "+
		"and not every invocation had all servers of a row: a ratio near a bar says little.", runs)
}

// thousands writes a number with its digits in groups.
func thousands(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
