package load

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

func printHead(w io.Writer, p Plan) {
	over := p.Transport
	if p.Deflate {
		over += " with deflate"
	}
	switch pace := p.pace(); p.Mode {
	case Fanout:
		fmt.Fprintf(w, "fanout: %d clients in %d room(s), messages of %d bytes, %s, over %s, %s\n", p.Clients, p.Rooms, p.Size, pace, over, p.Duration)
	case Echo:
		fmt.Fprintf(w, "echo: %d clients, messages of %d bytes, %s, over %s, %s\n", p.Clients, p.Size, pace, over, p.Duration)
	case Connect:
		fmt.Fprintf(w, "connect: %d at the same time, %s, over %s, %s\n", p.Clients, pace, over, p.Duration)
	case Idle:
		fmt.Fprintf(w, "idle: %d sessions over %s, %s\n\n%-22s %14s %12s %12s %12s %10s\n", p.Clients, over, p.Duration,
			"peer", "RSS/session", "RSS", "before", "server CPU", "connected")
		return
	}
	unit := p.unit()
	fmt.Fprintf(w, "\n%-22s %13s %15s %11s %11s %9s %9s %9s %9s %9s\n", "peer", plural[unit]+"/s", "CPU µs/"+unit, "(generator)", "server CPU",
		"p50", "p99", "p99.9", "max", "RSS")
}

var plural = map[string]string{"delivery": "deliveries", "ack": "acks", "connect": "connects"}

// pace says when the next message leaves.
func (p Plan) pace() string {
	switch {
	case p.Rate > 0:
		return fmt.Sprintf("%g/s", p.Rate)
	case p.Mode == Connect:
		return "as fast as they can"
	}
	return fmt.Sprintf("%d outstanding", p.Window)
}

func printLine(w io.Writer, r Result) {
	if r.Plan.Mode == Idle {
		fmt.Fprintf(w, "%-22s %11.2f KB %9.1f MB %9.1f MB %10.2f %% %8.1f s\n", r.Peer, r.Server.PerSession/1024, mega(r.Server.RSS),
			mega(r.Server.BaselineRSS), r.Server.CPUPercent, r.ConnectSeconds)
		return
	}
	l := r.Latency
	fmt.Fprintf(w, "%-22s %13.0f %15.2f %11.2f %9.0f %% %9s %9s %9s %9s %6.1f MB\n", r.Peer, r.PerSecond, r.ServerMicros, r.OwnMicros, r.Server.CPUPercent,
		micros(l.P50), micros(l.P99), micros(l.P999), micros(l.Max), mega(r.Server.RSS))
	if r.Faults.Any() {
		fmt.Fprintf(w, "%-22s WRONG: %s\n", "", r.Faults)
	}
	if r.Interrupted {
		fmt.Fprintf(w, "%-22s interrupted after %.1f s\n", "", r.Seconds)
	}
}

// printRatios compares every peer with the first: above 1 is better than it.
func printRatios(w io.Writer, rs []Result) {
	if len(rs) < 2 {
		return
	}
	fmt.Fprintf(w, "\nagainst %s (above 1 is better)\n", rs[0].Peer)
	for _, r := range rs[1:] {
		if r.Plan.Mode == Idle {
			fmt.Fprintf(w, "%-22s memory a session ×%.2f, CPU ×%.2f\n", r.Peer, over(rs[0].Server.PerSession, r.Server.PerSession), over(rs[0].Server.CPUPercent, r.Server.CPUPercent))
			continue
		}
		fmt.Fprintf(w, "%-22s CPU %s ×%.2f, %s/s ×%.2f, p99 ×%.2f\n", r.Peer, "per "+r.Unit,
			over(rs[0].ServerMicros, r.ServerMicros), plural[r.Unit], over(r.PerSecond, rs[0].PerSecond),
			over(float64(rs[0].Latency.P99), float64(r.Latency.P99)))
	}
}

// printSample is the progress.
func printSample(w io.Writer, p Plan, s Sample) {
	switch {
	case s.Phase != "":
		fmt.Fprintf(w, "%s: %d of %d\n", s.Phase, s.Connected, p.Clients)
	case p.Mode == Idle:
		fmt.Fprintf(w, "%5.0f s  server %.1f %% CPU, %.1f MB\n", s.At, s.ServerPercent, mega(s.ServerRSS))
	default:
		fmt.Fprintf(w, "%5.0f s  %9.0f %s/s  p50 %s  p99 %s  server %.0f %% CPU, %.1f MB  generator %.0f %%\n", s.At, s.PerSecond, plural[p.unit()],
			micros(s.P50), micros(s.P99), s.ServerPercent, mega(s.ServerRSS), s.OwnPercent)
	}
}

// Median picks the run in the middle by the figure that counts: the server's processor time for each, or the memory
// of a session. There must be one.
func Median(rs []Result) Result {
	sorted := slices.SortedFunc(slices.Values(rs), func(a, b Result) int {
		if a.Plan.Mode == Idle {
			return cmp.Compare(a.Server.PerSession, b.Server.PerSession)
		}
		return cmp.Compare(a.ServerMicros, b.ServerMicros)
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

// micros is a latency for people.
func micros(us int64) string {
	switch {
	case us < 10_000:
		return fmt.Sprintf("%d µs", us)
	case us < 10_000_000:
		return fmt.Sprintf("%.1f ms", float64(us)/1000)
	}
	return (time.Duration(us) * time.Microsecond).Round(100 * time.Millisecond).String()
}
