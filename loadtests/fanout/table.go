//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
)

func printHead(w io.Writer, o options) {
	if o.idle {
		fmt.Fprintf(w, "%d idle sessions, %.0f s\n\n%-22s %14s %12s %12s %12s\n", o.clients, o.duration.Seconds(),
			"peer", "RSS/session", "RSS", "before", "server CPU")
		return
	}
	pace := fmt.Sprintf("%d outstanding", o.window)
	if o.rate > 0 {
		pace = fmt.Sprintf("%g/s", o.rate)
	}
	fmt.Fprintf(w, "%d clients in a room, messages of %d bytes, %s, %.0f s\n\n%-22s %14s %18s %11s %10s %10s %10s %10s\n",
		o.clients, o.size, pace, o.duration.Seconds(),
		"peer", "deliveries/s", "CPU µs/delivery", "(generator)", "server CPU", "p50", "p99", "RSS")
}

func printLine(w io.Writer, o options, r result) {
	if o.idle {
		fmt.Fprintf(w, "%-22s %11.2f KB %9.1f MB %9.1f MB %10.2f %%\n", r.Peer, r.PerSession/1024, mega(r.RSS), mega(r.BaselineRSS), r.CPU)
		return
	}
	fmt.Fprintf(w, "%-22s %14.0f %18.2f %11.2f %8.0f %% %10s %10s %7.1f MB\n", r.Peer, r.PerSecond, r.ServerMicros, r.OwnMicros, r.CPU,
		micros(r.P50Micros), micros(r.P99Micros), mega(r.RSS))
}

// printRatios compares every peer with the first: above 1 is better than it.
func printRatios(w io.Writer, o options, rs []result) {
	if len(rs) < 2 {
		return
	}
	fmt.Fprintf(w, "\nagainst %s (above 1 is better)\n", rs[0].Peer)
	for _, r := range rs[1:] {
		if o.idle {
			fmt.Fprintf(w, "%-22s memory a session ×%.2f, CPU ×%.2f\n", r.Peer, over(rs[0].PerSession, r.PerSession), over(rs[0].CPU, r.CPU))
			continue
		}
		fmt.Fprintf(w, "%-22s CPU a delivery ×%.2f, deliveries/s ×%.2f, p99 ×%.2f\n", r.Peer,
			over(rs[0].ServerMicros, r.ServerMicros), over(r.PerSecond, rs[0].PerSecond),
			over(float64(rs[0].P99Micros), float64(r.P99Micros)))
	}
}

// median picks the run in the middle by the figure that counts.
func median(rs []result, idle bool) result {
	sorted := slices.SortedFunc(slices.Values(rs), func(a, b result) int {
		x, y := a.ServerMicros, b.ServerMicros
		if idle {
			x, y = a.PerSession, b.PerSession
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return sorted[(len(sorted)-1)/2]
}

// over is a/b, and 0 when that says nothing.
func over(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

func mega(n int64) float64 { return float64(n) / (1 << 20) }

func micros(us int64) string {
	if us < 10_000 {
		return fmt.Sprintf("%d µs", us)
	}
	return fmt.Sprintf("%.1f ms", float64(us)/1000)
}
