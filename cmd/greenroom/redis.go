package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"greenroom/transports/redis"
)

// redisFlags say which cluster this node joins.
type redisFlags struct {
	URL    string `name:"redis" placeholder:"URL" help:"Join the cluster of all nodes on this Redis, Greenroom's and those of Node.js with the official adapter: redis://host:6379, rediss:// with TLS, unix:///path, redis+sentinel://host,host/master, redis+cluster://host,host. Better without a password in it."`
	Kind   string `name:"redis-adapter" default:"classic" enum:"classic,sharded,streams" help:"The adapter that all nodes of the cluster have: ${enum}."`
	Mode   string `name:"redis-mode" default:"dynamic" enum:"static,dynamic,dynamic-private" help:"With the sharded adapter, its subscriptionMode, the same on all nodes: ${enum}."`
	Prefix string `name:"redis-prefix" default:"socket.io" help:"What the names of channels begin with: the adapter's key or channelPrefix."`

	ShardedPubSub bool `name:"redis-sharded-pubsub" help:"With the streams adapter, ask other nodes by sharded publish and subscribe (Redis 7): its useShardedPubSub, the same on all nodes."`

	PresenceTTL time.Duration `name:"redis-presence-ttl" default:"30s" help:"How long those who are in rooms stay there, for others, when their node is gone without a word."`

	PersonalAnswers bool          `name:"redis-personal-answers" help:"With the classic adapter, answer Node.js nodes on their own channels, as they do with publishOnSpecificResponseChannel, not on one that all nodes hear."`
	StreamName      string        `name:"redis-stream-name" placeholder:"NAME" help:"With the streams adapter, its streamName, the same on all nodes. Default that of --redis-prefix."`
	SessionPrefix   string        `name:"redis-session-prefix" default:"sio:session:" help:"With the streams adapter, its sessionKeyPrefix, the same on all nodes."`
	StreamMaxLen    int           `name:"redis-stream-max-len" default:"10000" help:"With the streams adapter, how many entries the stream has, about; the same on all nodes. Who has missed older ones is not recovered."`
	StreamReadCount int           `name:"redis-stream-read-count" default:"100" help:"With the streams adapter, how many entries are read at once."`
	StreamBlock     time.Duration `name:"redis-stream-block" default:"5s" help:"With the streams adapter, how long Redis waits for an entry to give before it answers that there is none."`

	User string `name:"redis-user" placeholder:"NAME" help:"User of Redis' ACL."`

	PasswordFile         string `name:"redis-password-file" placeholder:"FILE" help:"File with the password, read for each connection."`
	SentinelUser         string `name:"redis-sentinel-user" placeholder:"NAME" help:"User for the Sentinels, if they want one."`
	SentinelPasswordFile string `name:"redis-sentinel-password-file" placeholder:"FILE" help:"File with the password for the Sentinels, if they want one."`

	TLSCA   string `name:"redis-tls-ca" placeholder:"FILE" help:"Certificates of the authorities that may have signed Redis', in PEM, read for each connection. Default the system's authorities."`
	TLSCert string `name:"redis-tls-cert" placeholder:"FILE" help:"Certificate to show to Redis, in PEM, read for each connection with its key."`
	TLSKey  string `name:"redis-tls-key" placeholder:"FILE" help:"Its private key, in PEM."`

	Node string `name:"node" placeholder:"NAME" help:"This node's name, which no other of the cluster has. Default the host's name and the process' id."`
}

func (c *redisFlags) on() bool { return c.URL != "" }

// check refuses what makes no sense, before anything is opened.
func (c *redisFlags) check() error {
	if !c.on() {
		if c.Kind != "classic" || c.Mode != "dynamic" || c.Prefix != "socket.io" || c.ShardedPubSub || c.PresenceTTL != 30*time.Second || c.PersonalAnswers || c.tunesStream() || c.SessionPrefix != "sio:session:" ||
			c.User != "" || c.PasswordFile != "" || c.SentinelUser != "" || c.SentinelPasswordFile != "" || c.TLSCA != "" || c.TLSCert != "" || c.TLSKey != "" {
			return misuse("flags that begin with --redis- are for --redis URL, which is missing")
		}
		return nil
	}
	switch {
	case c.PresenceTTL < time.Second:
		return misuse("--redis-presence-ttl is a second at least")
	case c.StreamMaxLen < 1 || c.StreamReadCount < 1 || c.StreamBlock < time.Millisecond:
		return misuse("--redis-stream-max-len and --redis-stream-read-count are 1 at least, --redis-stream-block a millisecond")
	case c.tunesStream() && c.Kind != "streams":
		return misuse("flags that begin with --redis-stream- are for --redis-adapter streams")
	case c.SessionPrefix != "sio:session:" && c.Kind != "streams":
		return misuse("--redis-session-prefix is for --redis-adapter streams")
	case c.PersonalAnswers && c.Kind != "classic":
		return misuse("--redis-personal-answers is for --redis-adapter classic")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return misuse("--redis-tls-cert and --redis-tls-key belong together")
	case c.Mode != "dynamic" && c.Kind != "sharded":
		return misuse("--redis-mode is for --redis-adapter sharded")
	case c.ShardedPubSub && c.Kind != "streams":
		return misuse("--redis-sharded-pubsub is for --redis-adapter streams")
	}
	o, err := c.options()
	if err == nil {
		err = o.Check()
	}
	if err != nil {
		return misuse("--redis: %v", err)
	}
	return nil
}

// tunesStream reports whether anything about the stream itself is not as it is without flags.
func (c *redisFlags) tunesStream() bool {
	return c.StreamName != "" || c.StreamMaxLen != 10_000 || c.StreamReadCount != 100 || c.StreamBlock != 5*time.Second
}

// options are the adapter's.
func (c *redisFlags) options() (o redis.Options, err error) {
	o = redis.Options{
		URL: c.URL, Adapter: redis.Kind(c.Kind), Mode: redis.Mode(c.Mode), Prefix: c.Prefix, ShardedPubSub: c.ShardedPubSub, PresenceTTL: c.PresenceTTL,
		User: c.User, PasswordFile: c.PasswordFile, SentinelUser: c.SentinelUser,
		PersonalAnswers: c.PersonalAnswers, StreamName: c.StreamName, SessionPrefix: c.SessionPrefix, StreamMaxLen: c.StreamMaxLen, StreamReadCount: c.StreamReadCount, StreamBlock: c.StreamBlock,
	}
	if o.SentinelPassword, err = c.sentinelPassword(); err != nil {
		return o, err
	}
	if c.TLSCA != "" {
		o.Authorities = c.authorities // for each connection: a new one is believed without a restart
		if _, err = o.Authorities(); err != nil {
			return o, err
		}
	}
	o.TLS, err = c.tls()
	return o, err
}

// authorities reads the file of those who are believed.
func (c *redisFlags) authorities() (*x509.CertPool, error) {
	b, err := os.ReadFile(c.TLSCA)
	if err != nil {
		return nil, fmt.Errorf("--redis-tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("--redis-tls-ca: %s holds no certificate in PEM", c.TLSCA)
	}
	return pool, nil
}

func (c *redisFlags) sentinelPassword() (string, error) {
	if c.SentinelPasswordFile == "" {
		return "", nil
	}
	s, err := redis.ReadPassword(c.SentinelPasswordFile)
	if err != nil {
		return "", fmt.Errorf("--redis-sentinel-password-file: %w", err)
	}
	return s, nil
}

func (c *redisFlags) tls() (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	o := new(tls.Config)
	read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--redis-tls-cert: %w", err)
		}
		return &pair, nil
	}
	if _, err := read(nil); err != nil {
		return nil, err
	}
	o.GetClientCertificate = read // for each connection, since certificates are renewed
	return o, nil
}

// adapter makes it, or none without --redis.
func (c *redisFlags) adapter() (*redis.Adapter, error) {
	if !c.on() {
		return nil, nil
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	redis.Silence()
	a, err := redis.New(o)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return a, nil
}

type redisCmd struct {
	Doctor redisDoctorCmd `cmd:"" help:"Connect to Redis as a node would, and say in plain words what is wrong. It takes the server's --redis flags, and their environment variables."`
}

type redisDoctorCmd struct {
	redisFlags `embed:""`
	Where      string        `arg:"" optional:"" name:"url" help:"The URL, instead of --redis."`
	Wait       time.Duration `default:"3s" help:"How long to wait for each answer."`
}

// Run prints what was found, one sentence a line.
func (c *redisDoctorCmd) Run(ctx context.Context, std *streams) error {
	if c.Where != "" {
		c.URL = c.Where
	}
	switch {
	case c.URL == "":
		return misuse("which Redis? Give a URL, or --redis")
	case c.Wait <= 0:
		return misuse("--wait %v: want more than 0", c.Wait)
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	o.Timeout = c.Wait
	redis.Silence()
	report := redis.Diagnose(ctx, o)
	for _, f := range report.Findings {
		mark := "ok   "
		if f.Bad {
			mark = "BAD  "
		}
		if _, err := fmt.Fprintln(std.out, mark, f.Text); err != nil {
			return err
		}
	}
	if report.Well() {
		return nil
	}
	return errors.New("this Redis is not well") // without the URL, which may hold a password
}

var (
	redisReadyDesc         = prometheus.NewDesc("greenroom_redis_ready", "1 when Redis is reached and all that this node listens to is subscribed.", nil, nil)
	redisPublishedDesc     = prometheus.NewDesc("greenroom_redis_published_total", "Messages that Redis has taken.", nil, nil)
	redisReceivedDesc      = prometheus.NewDesc("greenroom_redis_received_total", "Messages that Redis has brought.", nil, nil)
	redisQueuedDesc        = prometheus.NewDesc("greenroom_redis_queued_commands", "Commands that wait to be sent to Redis.", nil, nil)
	redisQueuedBytesDesc   = prometheus.NewDesc("greenroom_redis_queued_bytes", "Bytes that wait to be sent to Redis.", nil, nil)
	redisSubscriptionsDesc = prometheus.NewDesc("greenroom_redis_subscriptions", "Subscriptions at Redis: those that it has confirmed, and those that are still wanted.", []string{"state"}, nil)
)

type redisCollector struct{ adapter *redis.Adapter }

func (c redisCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{redisReadyDesc, redisPublishedDesc, redisReceivedDesc, redisQueuedDesc, redisQueuedBytesDesc, redisSubscriptionsDesc} {
		ch <- d
	}
}

func (c redisCollector) Collect(ch chan<- prometheus.Metric) {
	s, ready := c.adapter.Stats(), 0.0
	if c.adapter.Ready() == nil {
		ready = 1
	}
	metric := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	metric(redisReadyDesc, prometheus.GaugeValue, ready)
	metric(redisPublishedDesc, prometheus.CounterValue, float64(s.Published))
	metric(redisReceivedDesc, prometheus.CounterValue, float64(s.Received))
	metric(redisQueuedDesc, prometheus.GaugeValue, float64(s.Queued))
	metric(redisQueuedBytesDesc, prometheus.GaugeValue, float64(s.QueuedBytes))
	metric(redisSubscriptionsDesc, prometheus.GaugeValue, float64(s.Subscriptions-s.Unconfirmed), "confirmed")
	metric(redisSubscriptionsDesc, prometheus.GaugeValue, float64(s.Unconfirmed), "missing")
}
