package main

import (
	"fmt"
	"slices"
	"time"

	"greenroom/loadtests/load"
)

// A measurement is one run of one peer through one row.
type measurement struct {
	Row   string    `json:"row"`
	Peer  string    `json:"peer"`
	Began time.Time `json:"began"`

	// Error is why there is no result, or what was wrong with it.
	Error  string       `json:"error,omitempty"`
	Result *load.Result `json:"result,omitempty"`
}

// figures are the medians of a peer's measurements of a row, each for itself.
type figures struct {
	runs      int
	cpu       float64 // µs of server time per unit
	low, high float64 // of cpu
	perSecond float64
	p50, p99  float64 // µs
	session   float64 // resident bytes of one session
	percent   float64 // server time, of one core
	own       float64 // µs of the generator's time per unit

	failed string // why there are none
	faults string // what was wrong with messages
}

// A table holds the figures by row and peer.
type table map[string]map[string]figures

func tabulate(all []measurement) table {
	t := table{}
	for _, r := range rows {
		t[r.key] = map[string]figures{}
		for _, p := range peers {
			mine := slices.DeleteFunc(slices.Clone(all), func(m measurement) bool { return m.Row != r.key || m.Peer != p.name })
			if len(mine) > 0 {
				t[r.key][p.name] = summary(mine)
			}
		}
	}
	return t
}

func summary(ms []measurement) figures {
	var f figures
	var rs []*load.Result
	for _, m := range ms {
		if m.Result != nil && m.Result.Seconds > 0 {
			rs = append(rs, m.Result)
			f.faults = worse(f.faults, m.Result.Faults.String())
		} else {
			f.failed = m.Error
		}
	}
	if len(rs) == 0 {
		return f
	}
	if f.failed != "" { // at times it works, at times it does not
		f.faults = worse(f.faults, fmt.Sprintf("%d of %d runs failed: %s", len(ms)-len(rs), len(ms), f.failed))
		f.failed = ""
	}
	of := func(get func(*load.Result) float64) []float64 {
		var vs []float64
		for _, r := range rs {
			vs = append(vs, get(r))
		}
		slices.Sort(vs)
		return vs
	}
	cpu := of(func(r *load.Result) float64 { return r.ServerMicros })
	f.runs = len(rs)
	f.cpu, f.low, f.high = median(cpu), cpu[0], cpu[len(cpu)-1]
	f.perSecond = median(of(func(r *load.Result) float64 { return r.PerSecond }))
	f.p50 = median(of(func(r *load.Result) float64 { return float64(r.Latency.P50) }))
	f.p99 = median(of(func(r *load.Result) float64 { return float64(r.Latency.P99) }))
	f.session = median(of(func(r *load.Result) float64 { return r.Server.PerSession }))
	f.percent = median(of(func(r *load.Result) float64 { return r.Server.CPUPercent }))
	f.own = median(of(func(r *load.Result) float64 { return r.OwnMicros }))
	return f
}

// worse keeps the first complaint there is.
func worse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// median of sorted figures.
func median(vs []float64) float64 {
	n := len(vs)
	if n%2 == 1 {
		return vs[n/2]
	}
	return (vs[n/2-1] + vs[n/2]) / 2
}

// main is the figure of a row that its line of ratios compares: less is better.
func (f figures) main(r row) float64 {
	if r.plan.Mode == load.Idle {
		return f.session
	}
	return f.cpu
}
