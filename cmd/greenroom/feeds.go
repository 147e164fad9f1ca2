package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"greenroom/transports/zeromq"
)

// feedFlags say what ZeroMQ publishers send, and which of them the server goes to itself. docs/zeromq.md explains them.
type feedFlags struct {
	Connect   []string      `name:"zmq-connect" placeholder:"ENDPOINT" help:"Endpoint of a PUB socket elsewhere to subscribe to, tried again without end. Repeatable."`
	SubTopic  []string      `name:"zmq-sub-topic" placeholder:"PREFIX" help:"What to subscribe to at publishers. Repeatable. Default everything."`
	Subscribe string        `name:"zmq-subscribe" default:"all" enum:"all,demand" help:"Subscribe to everything, or on demand: to the rooms that somebody here is in or subscribes to."`
	Linger    time.Duration `name:"zmq-linger" default:"60s" help:"How long a room that nobody is in any more stays subscribed to on demand."`

	Pull formatFlags `embed:"" prefix:"zmq-pull-"`
	Sub  formatFlags `embed:"" prefix:"zmq-sub-"`
}

// formatFlags say how the messages of one ingress endpoint are read.
type formatFlags struct {
	Layout         string `default:"greenroom" help:"What messages look like: greenroom, pushpin, text-space, text-colon, json-type, bitcoin or raw."`
	Payload        string `default:"auto" help:"What payloads are: auto, json, text or binary."`
	Event          string `default:"message" help:"Event of messages that do not name one."`
	Namespace      string `default:"/" help:"Namespace of messages that do not name one."`
	TopicNamespace bool   `help:"Read a room written /chat#lobby as room lobby of the namespace /chat."`
	Room           string `help:"Room of messages that do not name one, with the layouts raw, json-type and bitcoin."`
	Retain         bool   `help:"Keep the newest message of each room for those who join later."`
	Fanout         string `default:"auto" enum:"auto,cluster,local" help:"Of several nodes, which get the messages: all of them (cluster), or this one alone because the publisher reaches the others as well (local). auto is cluster, and local on demand."`
}

func (f *formatFlags) format(flag string) (zeromq.Format, error) {
	layout, err := zeromq.LayoutNamed(f.Layout)
	if err != nil {
		return zeromq.Format{}, misuse("%slayout: %v", flag, err)
	}
	payload, err := zeromq.PayloadRuleNamed(f.Payload)
	if err != nil {
		return zeromq.Format{}, misuse("%spayload: %v", flag, err)
	}
	return zeromq.Format{
		Layout: layout, Payload: payload, Event: f.Event, Namespace: f.Namespace, NamespaceInTopic: f.TopicNamespace, Room: f.Room, Retain: f.Retain,
		Fanout: map[string]zeromq.Fanout{"cluster": zeromq.Cluster, "local": zeromq.Local}[f.Fanout],
	}, nil
}

// check refuses what the bridge could not begin with, as far as that can be seen without it.
func (c *feedFlags) check() error {
	for _, e := range c.Connect {
		if _, ok := hostOf(e, true); !ok {
			return misuse("--zmq-connect %q is no address: want tcp://host:port or ipc:///path", e)
		}
	}
	if c.Linger < 0 {
		return misuse("--zmq-linger %v: want 0, or more", c.Linger)
	}
	return c.apply(&zeromq.Options{})
}

// apply puts the flags into the bridge's options.
func (c *feedFlags) apply(o *zeromq.Options) (err error) {
	o.Connect, o.SubTopics, o.Demand, o.Linger = c.Connect, c.SubTopic, c.Subscribe == "demand", c.Linger
	if c.Linger == 0 {
		o.Linger = -1
	}
	if o.PullFormat, err = c.Pull.format("--zmq-pull-"); err != nil {
		return err
	}
	o.SubFormat, err = c.Sub.format("--zmq-sub-")
	return err
}

var (
	publisherUpDesc       = prometheus.NewDesc("greenroom_zeromq_publisher_up", "Whether a publisher of --zmq-connect is connected.", []string{"publisher"}, nil)
	publisherConnectsDesc = prometheus.NewDesc("greenroom_zeromq_publisher_connects_total", "Connections made to a publisher.", []string{"publisher"}, nil)
	publisherMessagesDesc = prometheus.NewDesc("greenroom_zeromq_publisher_messages_total", "Messages received from a publisher.", []string{"publisher"}, nil)
	publisherMissedDesc   = prometheus.NewDesc("greenroom_zeromq_publisher_missed_total", "Messages lost on the way from a publisher, as its counters say (layout bitcoin).", []string{"publisher"}, nil)
	upstreamTopicsDesc    = prometheus.NewDesc("greenroom_zeromq_upstream_topics", "Topics subscribed to at each publisher.", nil, nil)
)

// publisherCollector shows the publishers of --zmq-connect.
type publisherCollector struct{ bridge *zeromq.Bridge }

func (c publisherCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{publisherUpDesc, publisherConnectsDesc, publisherMessagesDesc, publisherMissedDesc, upstreamTopicsDesc} {
		ch <- d
	}
}

func (c publisherCollector) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(upstreamTopicsDesc, prometheus.GaugeValue, float64(c.bridge.UpstreamTopics()))
	for _, p := range c.bridge.Publishers() {
		up := 0.0
		if p.Connected {
			up = 1
		}
		ch <- prometheus.MustNewConstMetric(publisherUpDesc, prometheus.GaugeValue, up, p.Endpoint)
		ch <- prometheus.MustNewConstMetric(publisherConnectsDesc, prometheus.CounterValue, float64(p.Connects), p.Endpoint)
		ch <- prometheus.MustNewConstMetric(publisherMessagesDesc, prometheus.CounterValue, float64(p.Messages), p.Endpoint)
		ch <- prometheus.MustNewConstMetric(publisherMissedDesc, prometheus.CounterValue, float64(p.Missed), p.Endpoint)
	}
}
