package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A meter counts and samples. Loop only.
type meter struct {
	on    bool
	tail  bool // what arrives was due before the end: it has a latency, and counts no more
	count uint64
	began time.Duration
	last  time.Duration // end of the last sample

	second *hdrhistogram.Histogram // since the last sample, in µs
	total  *hdrhistogram.Histogram // before it

	base          int64   // the server's memory before the clients came
	server, own   reading // when it began
	server1, own1 reading // at the last sample
	count1        uint64
}

// reading is what the processes have used so far.
type reading struct {
	cpu       time.Duration
	rss       int64
	processes int
}

// maxLatency is where the histogram ends.
const maxLatency = 10 * time.Minute

func newMeter() meter {
	h := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, maxLatency.Microseconds(), 3) }
	return meter{second: h(), total: h()}
}

// add counts one. known: how long it took is known.
func (m *meter) add(took time.Duration, known bool) {
	if !m.on && !m.tail {
		return
	}
	into := m.second
	if m.tail {
		into = m.total
	} else {
		m.count++
	}
	if known {
		// Cannot fail: the value is within the histogram's bounds.
		_ = into.RecordValue(min(max(took, 0), maxLatency).Microseconds())
	}
}

func (m *meter) baseline(r *run) error {
	u, err := r.readServer()
	m.base = u.rss
	return err
}

func (m *meter) begin(r *run) (err error) {
	if m.server, err = r.readServer(); err != nil {
		return err
	}
	m.own = readOwn()
	m.server1, m.own1 = m.server, m.own
	m.began = r.now()
	m.last = m.began
	m.on = true
	return nil
}

// sample ends a second. It reports false when the server's process can no longer be read.
func (m *meter) sample(r *run) (Sample, bool) {
	server, err := r.readServer()
	if err != nil {
		return Sample{}, false // end says so
	}
	own, now := readOwn(), r.now()
	took := (now - m.last).Seconds()
	if took <= 0 {
		return Sample{}, false
	}
	n := m.count - m.count1
	s := Sample{
		At: (now - m.began).Seconds(), Connected: len(r.users), Count: n, PerSecond: float64(n) / took,
		P50: m.second.ValueAtPercentile(50), P99: m.second.ValueAtPercentile(99),
		ServerPercent: 100 * (server.cpu - m.server1.cpu).Seconds() / took, ServerRSS: server.rss,
		OwnPercent: 100 * (own.cpu - m.own1.cpu).Seconds() / took,
	}
	m.total.Merge(m.second)
	m.second.Reset()
	m.server1, m.own1, m.count1, m.last = server, own, m.count, now
	r.result.Series = append(r.result.Series, s)
	return s, true
}

// end fills in the result.
func (m *meter) end(r *run) error {
	m.on = false
	m.total.Merge(m.second)
	took := (r.now() - m.began).Seconds()
	own := readOwn()
	res := &r.result
	res.Seconds = took
	res.Count = m.count
	res.PerSecond = float64(m.count) / took
	res.Latency = latencyOf(m.total)
	res.Own = usage(m.own, own, took)
	server, err := r.readServer()
	if err != nil {
		return err
	}
	res.Server = usage(m.server, server, took)
	res.Server.BaselineRSS = m.base
	if r.plan.Mode == Idle && server.rss > 0 {
		res.Server.PerSession = float64(server.rss-m.base) / float64(len(r.users))
	}
	if m.count > 0 {
		res.ServerMicros = res.Server.CPUSeconds * 1e6 / float64(m.count)
		res.OwnMicros = res.Own.CPUSeconds * 1e6 / float64(m.count)
	}
	return nil
}

func usage(from, to reading, took float64) Usage {
	cpu := (to.cpu - from.cpu).Seconds()
	return Usage{CPUPercent: 100 * cpu / took, CPUSeconds: cpu, RSS: to.rss, Processes: to.processes}
}

// percents of a latency curve, from the usual to the worst.
var percents = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	at := h.ValueAtPercentile
	l := Latency{Mean: h.Mean(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: h.Max()}
	for _, p := range percents {
		l.Distribution = append(l.Distribution, Quantile{p, at(p)})
	}
	return l
}
