package main

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"greenroom/coop"
	"greenroom/transports/zeromq"
)

// metricsHandler serves the server's state in the Prometheus format. The client library stands here, in
// the command, so that programs which use the packages do not link it.
func metricsHandler(s *server) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		stateCollector{s}, loopCollector{s.hub.Loops(), s.watchdog},
	)
	if s.redis != nil {
		reg.MustRegister(redisCollector{s.redis})
	}
	if s.bridge != nil {
		reg.MustRegister(publisherCollector{s.bridge})
		if s.bridge.Addr("pub") != "" {
			reg.MustRegister(subscriberCollector{s.bridge})
		}
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

var (
	sessionsDesc    = prometheus.NewDesc("greenroom_sessions", "Sessions connected now.", nil, nil)
	connectionsDesc = prometheus.NewDesc("greenroom_socketio_connections", "Engine.IO connections open now, with or without a session.", nil, nil)
	peersDesc       = prometheus.NewDesc("greenroom_zeromq_peers", "ZeroMQ connections open now, by endpoint.", []string{"endpoint"}, nil)
	workDesc        = prometheus.NewDesc("greenroom_zeromq_work", "Workers registered now, events that wait for them, and events that they have.", []string{"what"}, nil)
	eventsDesc      = prometheus.NewDesc("greenroom_events_total", "Refusals, drops and bad input, by reason.", []string{"reason"}, nil)
)

type stateCollector struct{ server *server }

func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- sessionsDesc
	ch <- connectionsDesc
	ch <- peersDesc
	ch <- workDesc
	ch <- eventsDesc
}

func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	gauge(sessionsDesc, c.server.hub.SessionCount())
	gauge(connectionsDesc, c.server.sockets.Engine().Sessions())
	if b := c.server.bridge; b != nil {
		for _, name := range []string{"pull", "pub", "sub", "control", "workers"} {
			if b.Addr(name) != "" {
				gauge(peersDesc, b.Peers(name), name)
			}
		}
	}
	if b := c.server.bridge; b != nil && b.Addr("workers") != "" {
		work := b.Workers().Stats()
		gauge(workDesc, work.Workers, "workers")
		gauge(workDesc, work.Waiting, "waiting")
		gauge(workDesc, work.UnderWay, "under_way")
	}
	for reason, n := range c.server.hub.Counters() {
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

var (
	topicsDesc         = prometheus.NewDesc("greenroom_zeromq_topics", "Topics that a ZeroMQ subscriber is subscribed to.", nil, nil)
	subscriptionsDesc  = prometheus.NewDesc("greenroom_zeromq_subscriptions", "Subscriptions of all ZeroMQ subscribers.", nil, nil)
	subscribersDesc    = prometheus.NewDesc("greenroom_zeromq_subscribers", "ZeroMQ subscribers connected now.", nil, nil)
	queuedMessagesDesc = prometheus.NewDesc("greenroom_zeromq_queued_messages", "Messages that wait for ZeroMQ subscribers.", nil, nil)
	queuedBytesDesc    = prometheus.NewDesc("greenroom_zeromq_queued_bytes", "Bytes that wait for ZeroMQ subscribers.", nil, nil)
	slowestDesc        = prometheus.NewDesc("greenroom_zeromq_lag_seconds", "The age of the oldest message that waits for a ZeroMQ subscriber.", nil, nil)
)

// subscriberCollector shows the subscribers of --zmq-pub, all of them together: there may be thousands, who come and go.
type subscriberCollector struct{ bridge *zeromq.Bridge }

func (c subscriberCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{topicsDesc, subscriptionsDesc, subscribersDesc, queuedMessagesDesc, queuedBytesDesc, slowestDesc} {
		ch <- d
	}
}

func (c subscriberCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	all := c.bridge.SubscriberStats()
	var topics, messages, bytes int
	var lag time.Duration
	for _, s := range all {
		topics += s.Topics
		messages += s.QueuedMessages
		bytes += s.QueuedBytes
		lag = max(lag, s.Lag)
	}
	gauge(topicsDesc, float64(c.bridge.Topics()))
	gauge(subscriptionsDesc, float64(topics))
	gauge(subscribersDesc, float64(len(all)))
	gauge(queuedMessagesDesc, float64(messages))
	gauge(queuedBytesDesc, float64(bytes))
	gauge(slowestDesc, lag.Seconds())
}
