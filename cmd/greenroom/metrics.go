package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsHandler serves the server's state in the Prometheus format. The client library stands here, in
// the command, so that programs which use the packages do not link it.
func metricsHandler(s *server) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		stateCollector{s},
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

var (
	sessionsDesc    = prometheus.NewDesc("greenroom_sessions", "Sessions connected now.", nil, nil)
	connectionsDesc = prometheus.NewDesc("greenroom_socketio_connections", "Engine.IO connections open now, with or without a session.", nil, nil)
	peersDesc       = prometheus.NewDesc("greenroom_zeromq_peers", "ZeroMQ connections open now, by endpoint.", []string{"endpoint"}, nil)
	eventsDesc      = prometheus.NewDesc("greenroom_events_total", "Refusals, drops and bad input, by reason.", []string{"reason"}, nil)
)

type stateCollector struct{ server *server }

func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- sessionsDesc
	ch <- connectionsDesc
	ch <- peersDesc
	ch <- eventsDesc
}

func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(sessionsDesc, c.server.hub.SessionCount())
	gauge(connectionsDesc, c.server.sockets.Engine().Sessions())
	if b := c.server.bridge; b != nil {
		for _, name := range []string{"pull", "pub", "sub"} {
			if b.Addr(name) != "" {
				gauge(peersDesc, b.Peers(name), name)
			}
		}
	}
	for reason, n := range c.server.hub.Counters() {
		ch <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(n), reason)
	}
}
