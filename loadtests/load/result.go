package load

import (
	"fmt"
	"strings"
	"time"
)

// A Result is one measurement.
type Result struct {
	Peer     string    `json:"peer"`
	Protocol string    `json:"protocol"`
	Plan     Plan      `json:"plan"` // with its defaults
	Began    time.Time `json:"began"`
	Seconds  float64   `json:"seconds"` // how long was measured

	// Interrupted: the context ended the run before its time. What was measured until then counts.
	Interrupted bool `json:"interrupted,omitempty"`

	// Unit is what is counted: delivery, ack or connect; empty for idle sessions.
	Unit         string  `json:"unit,omitempty"`
	Count        uint64  `json:"count"`
	PerSecond    float64 `json:"per_second"`
	ServerMicros float64 `json:"server_cpu_us"`    // the server's processor time for each, in µs: the figure to compare
	OwnMicros    float64 `json:"generator_cpu_us"` // the generator's

	// Latency of each: from the time at which a message, call or connect was due until a client had it.
	Latency Latency `json:"latency"`

	Faults Faults `json:"faults"`
	Server Usage  `json:"server"`
	Own    Usage  `json:"generator"`

	// ConnectSeconds is how long it took all clients to connect and join, before the measurement.
	ConnectSeconds float64 `json:"connect_seconds,omitempty"`

	Series []Sample `json:"series"`
}

// Faults are messages that did not reach a client as they must: each once, in the order of sending. A message that
// two clients miss counts twice. Those of the warming up count too.
type Faults struct {
	Missing    uint64 `json:"missing"`
	Duplicated uint64 `json:"duplicated"`
	Misordered uint64 `json:"misordered"` // came after a later one
	Stray      uint64 `json:"stray"`      // never sent, or not to this client
}

// Any reports whether there are any.
func (f Faults) Any() bool { return f != Faults{} }

func (f Faults) String() string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{f.Missing, "missing"}, {f.Duplicated, "duplicated"}, {f.Misordered, "misordered"}, {f.Stray, "stray"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// A FaultError is what [Run] returns when messages went wrong. The result is whole all the same.
type FaultError struct{ Faults }

func (e *FaultError) Error() string { return "messages went wrong: " + e.Faults.String() }

// Latency in µs, from a histogram of three digits.
type Latency struct {
	Mean float64 `json:"mean_us"`
	P50  int64   `json:"p50_us"`
	P90  int64   `json:"p90_us"`
	P99  int64   `json:"p99_us"`
	P999 int64   `json:"p999_us"`
	Max  int64   `json:"max_us"`

	// Distribution is the whole curve, for a chart.
	Distribution []Quantile `json:"distribution,omitempty"`
}

// A Quantile says that the given percentage was not slower than Micros.
type Quantile struct {
	Percent float64 `json:"percent"`
	Micros  int64   `json:"us"`
}

// Usage is what processes used while it was measured; zero if it is not known.
type Usage struct {
	CPUPercent  float64 `json:"cpu_percent"`  // of one core
	CPUSeconds  float64 `json:"cpu_seconds"`  // user and system, all threads
	RSS         int64   `json:"rss_bytes"`    // resident at the end
	BaselineRSS int64   `json:"rss_baseline"` // resident before the clients came
	PerSession  float64 `json:"rss_per_session,omitempty"`
	Processes   int     `json:"processes,omitempty"`
}

// A Sample is what happened in one second, or the rest of one at the end.
type Sample struct {
	At            float64 `json:"at"` // seconds since the measurement began, at its end
	Phase         string  `json:"phase,omitempty"`
	Connected     int     `json:"connected,omitempty"`
	Count         uint64  `json:"count"`
	PerSecond     float64 `json:"per_second"`
	P50           int64   `json:"p50_us"`
	P99           int64   `json:"p99_us"`
	ServerPercent float64 `json:"server_cpu_percent"`
	ServerRSS     int64   `json:"server_rss_bytes"`
	OwnPercent    float64 `json:"generator_cpu_percent"`
}
