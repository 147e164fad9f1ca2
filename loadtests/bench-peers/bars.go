package main

import (
	"fmt"
	"strconv"
)

// A bar is what Greenroom wants to reach in a row.
type bar struct {
	row    string
	what   string // the figure
	figure func(figures) float64
	atMost bool    // or at least
	factor float64 // of the other's figure, or the bound itself
	peer   string  // the other, or "" for a bound
	beside string  // the other's row, if it is not the same
	unit   string  // of a bound
	scale  float64 // of a bound's figure, for reading
}

func cpuOf(f figures) float64     { return f.cpu }
func paceOf(f figures) float64    { return f.perSecond }
func p99Of(f figures) float64     { return f.p99 }
func sessionOf(f figures) float64 { return f.session }
func percentOf(f figures) float64 { return f.percent }

// bars of the project, in the order of the rows.
var bars = []bar{
	{row: "fanout", what: "CPU", figure: cpuOf, atMost: true, factor: .6, peer: "centrifuge"},
	{row: "fanout", what: "CPU", figure: cpuOf, atMost: true, factor: .2, peer: "nodejs"},
	{row: "fanout", what: "deliveries/s", figure: paceOf, factor: 1.25, peer: "centrifuge"},
	{row: "paced", what: "CPU", figure: cpuOf, atMost: true, factor: .65, peer: "centrifuge"},
	{row: "paced", what: "CPU", figure: cpuOf, atMost: true, factor: 1.3, peer: "rawwrite"},
	{row: "paced", what: "p99 latency", figure: p99Of, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "rooms/10x100", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "rooms/100x10", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "rooms/1000x1", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "size/16", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "size/1k", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "size/16k", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "n/10", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "n/15000", what: "CPU", figure: cpuOf, atMost: true, factor: 1, peer: "centrifuge"},
	{row: "growth/10000", what: "CPU", figure: cpuOf, atMost: true, factor: 1.3, peer: greenroom, beside: "growth/1000"},
	{row: "echo", what: "acks/s", figure: paceOf, factor: 1.2, peer: "centrifuge"},
	{row: "echo", what: "CPU", figure: cpuOf, atMost: true, factor: .7, peer: "centrifuge"},
	{row: "connect", what: "connects/s", figure: paceOf, factor: 1, peer: "centrifuge"},
	{row: "idle", what: "memory", figure: sessionOf, atMost: true, factor: 4 << 10, unit: "KB a session", scale: 1 << 10},
	{row: "idle", what: "CPU at rest", figure: percentOf, atMost: true, factor: 1, unit: "% of a core", scale: 1},
	{row: "polling", what: "CPU", figure: cpuOf, atMost: true, factor: .5, peer: "nodejs"},
	{row: "deflate", what: "CPU", figure: cpuOf, atMost: true, factor: .1, peer: "nodejs"},
}

// A verdict is a bar and what was measured.
type verdict struct {
	row  string // its title
	text string // "CPU ≤ 0.6 × Centrifuge 0.40.0"
	got  string // "0.38", or why nothing was measured
	met  bool
	done bool // it was measured
}

// Line is the verdict as a sentence for a terminal.
func (v verdict) Line() string {
	mark := "–"
	switch {
	case v.done && v.met:
		mark = "✓"
	case v.done:
		mark = "✗"
	}
	return fmt.Sprintf("bar %s: measured %s %s", v.text, v.got, mark)
}

// judge looks at the bars of the rows that were measured.
func judge(t table) []verdict {
	var vs []verdict
	for _, b := range bars {
		if mine, ok := t[b.row][greenroom]; ok {
			vs = append(vs, b.judge(t, mine))
		}
	}
	return vs
}

func (b bar) judge(t table, mine figures) verdict {
	r, _ := rowNamed(b.row)
	sign := "≥"
	if b.atMost {
		sign = "≤"
	}
	v := verdict{row: r.title}
	if b.peer == "" {
		v.text = fmt.Sprintf("%s %s %g %s", b.what, sign, b.factor/b.scale, b.unit)
		if mine.runs == 0 {
			v.got = "nothing: " + mine.failed
			return v
		}
		return b.settle(v, mine, b.figure(mine)/b.scale)
	}
	p, _ := peerNamed(b.peer)
	other := t[b.row][b.peer]
	v.text = fmt.Sprintf("%s %s %g × %s", b.what, sign, b.factor, p.title)
	if b.beside != "" {
		other = t[b.beside][b.peer]
		beside, _ := rowNamed(b.beside)
		v.text = fmt.Sprintf("%s %s %g × that of %q", b.what, sign, b.factor, beside.title)
	}
	switch {
	case mine.runs == 0:
		v.got = "nothing: " + mine.failed
	case other.runs == 0:
		v.got = "nothing of the other: " + worse(other.failed, "it was not asked")
	case b.figure(other) <= 0:
		v.got = "nothing of the other that could be compared"
	default:
		return b.settle(v, mine, b.figure(mine)/b.figure(other))
	}
	return v
}

// settle writes down what was measured, with as many digits as it takes to see on which side of the bar it is.
func (b bar) settle(v verdict, mine figures, got float64) verdict {
	bound := b.factor
	if b.peer == "" {
		bound /= b.scale
	}
	holds := func(x float64) bool {
		if b.atMost {
			return x <= bound
		}
		return x >= bound
	}
	v.done, v.met = true, holds(got)
	for digits := 2; digits <= 4; digits++ {
		v.got = strconv.FormatFloat(got, 'f', digits, 64)
		if shown, err := strconv.ParseFloat(v.got, 64); err == nil && holds(shown) == v.met {
			break
		}
	}
	if mine.faults != "" { // a fast server that loses messages has reached nothing
		v.met = false
		v.got += " (" + mine.faults + ")"
	}
	return v
}
