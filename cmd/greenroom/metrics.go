package main

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"greenroom/coop"
	"greenroom/hub"
)

// metricsHandler serves the hub's and its loops' state in the Prometheus format. The client library stands here, in
// the command, so that programs which use the packages do not link it.
func metricsHandler(h *hub.Hub, w *coop.Watchdog) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		hubCollector{h}, loopCollector{h.Loops(), w},
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

var (
	sessionsDesc = prometheus.NewDesc("greenroom_sessions", "Sessions connected now.", nil, nil)
	eventsDesc   = prometheus.NewDesc("greenroom_events_total", "Refusals, drops and bad input, by reason.", []string{"reason"}, nil)
)

type hubCollector struct{ hub *hub.Hub }

func (c hubCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- sessionsDesc
	ch <- eventsDesc
}

func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(c.hub.SessionCount()))
	for reason, n := range c.hub.Counters() {
		ch <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(n), reason)
	}
}

var (
	greenletsDesc = prometheus.NewDesc("greenroom_loop_greenlets", "Greenlets alive on a loop.", []string{"loop"}, nil)
	readyDesc     = prometheus.NewDesc("greenroom_loop_ready", "Greenlets that could run, when last looked at.", []string{"loop"}, nil)
	streamsDesc   = prometheus.NewDesc("greenroom_loop_streams", "Connections open on a loop.", []string{"loop"}, nil)
	switchesDesc  = prometheus.NewDesc("greenroom_loop_switches_total", "Times that a greenlet was resumed.", []string{"loop"}, nil)
	lagDesc       = prometheus.NewDesc("greenroom_loop_lag_seconds", "How long loops took to answer the watchdog.", nil, nil)
)

type loopCollector struct {
	loops    *coop.Loops
	watchdog *coop.Watchdog
}

func (c loopCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{greenletsDesc, readyDesc, streamsDesc, switchesDesc, lagDesc} {
		ch <- d
	}
}

func (c loopCollector) Collect(ch chan<- prometheus.Metric) {
	for _, l := range c.loops.All() {
		s, name := l.Stats(), strconv.Itoa(l.ID())
		ch <- prometheus.MustNewConstMetric(greenletsDesc, prometheus.GaugeValue, float64(s.Greenlets), name)
		ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, float64(s.Ready), name)
		ch <- prometheus.MustNewConstMetric(streamsDesc, prometheus.GaugeValue, float64(s.Streams), name)
		ch <- prometheus.MustNewConstMetric(switchesDesc, prometheus.CounterValue, float64(s.Switches), name)
	}
	lag := c.watchdog.Lag()
	buckets, below := make(map[float64]uint64, len(coop.LagBounds)), uint64(0)
	for i, bound := range coop.LagBounds {
		below += lag.Counts[i]
		buckets[bound.Seconds()] = below
	}
	ch <- prometheus.MustNewConstHistogram(lagDesc, lag.Count, lag.Sum.Seconds(), buckets)
}
