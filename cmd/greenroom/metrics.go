package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"greenroom/hub"
)

// metricsHandler serves the hub's state in the Prometheus format. The client library stands here, in
// the command, so that programs which use the packages do not link it.
func metricsHandler(h *hub.Hub) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		hubCollector{h},
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
