package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
)

// Kind is the adapter of the official Node.js packages whose cluster a node joins. All nodes have the same.
type Kind string

const (
	Classic Kind = "classic" // @socket.io/redis-adapter, createAdapter; the default
	Sharded Kind = "sharded" // @socket.io/redis-adapter, createShardedAdapter; Redis 7
	Streams Kind = "streams" // @socket.io/redis-streams-adapter
)

// Mode is the subscriptionMode of the sharded adapter. All nodes have the same.
type Mode string

const (
	Static         Mode = "static"          // two channels for a namespace
	Dynamic        Mode = "dynamic"         // and one for each room that has members here; the default
	DynamicPrivate Mode = "dynamic-private" // and one for each client
)

// Options configure an [Adapter]. Zero values mean the defaults given.
type Options struct {
	// URL says where Redis is: redis://host:6379, unix:///run/redis.sock, and more, see the package's documentation.
	// Default redis://127.0.0.1:6379.
	URL string
	// Client is used instead of URL: its settings, not its connections. It stays the caller's.
	Client goredis.UniversalClient
	// User and Password log in, as those of the URL do. PasswordFile holds a password, and is read for each connection.
	User         string
	Password     string
	PasswordFile string
	// SentinelUser and SentinelPassword are for the Sentinels. Default: they ask for none.
	SentinelUser     string
	SentinelPassword string
	// TLS is for a URL with rediss: an authority of one's own, a certificate of the client. Default: the system's
	// authorities, no certificate.
	TLS *tls.Config
	// Authorities are asked for each connection whose certificates are believed, in place of TLS.RootCAs: they may change.
	Authorities func() (*x509.CertPool, error)

	// Adapter is the kind of cluster. Default Classic.
	Adapter Kind
	// Mode is for the sharded adapter. Default Dynamic.
	Mode Mode
	// Prefix is what the names of all channels begin with. Node.js: key, or channelPrefix. Default "socket.io".
	Prefix string
	// StreamName and SessionPrefix are, with the streams adapter, the name of the stream, by default Prefix, and what the
	// keys of sessions begin with, by default "sio:session:". Node.js: streamName, sessionKeyPrefix.
	StreamName    string
	SessionPrefix string

	// ShardedPubSub has the streams adapter ask other nodes by sharded publish and subscribe, of Redis 7, which a Redis
	// Cluster does not send to all its servers. Node.js: useShardedPubSub; all nodes have the same.
	ShardedPubSub bool

	// PersonalAnswers has a [Classic] node answer questions of Node.js nodes on the channel of the one that asks, instead
	// of on one that all nodes hear. Node.js: publishOnSpecificResponseChannel. Greenroom nodes are always answered so.
	PersonalAnswers bool

	// PresenceTTL is how long those who are in rooms stay there, for others, when their node is gone without a word.
	// Default 30 s, at least 1 s.
	PresenceTTL time.Duration

	// Timeout is how long Redis may take to answer; one that takes longer is away. Default 3 s.
	Timeout time.Duration
	// MessageAge is how long a message may wait to be published while Redis is away. Then it is dropped, and counted.
	// Default 5 s.
	MessageAge time.Duration
	// MaxMessage bounds the messages that are received, in bytes. Default 64 MiB.
	MaxMessage int
	// QueueCommands and QueueBytes bound what waits to be sent. Defaults 100 000, 64 MiB.
	QueueCommands int
	QueueBytes    int

	// StreamMaxLen is how many entries the stream of the streams adapter has, about: as far back clients can be recovered.
	// All nodes say the same. Default 10 000.
	StreamMaxLen int
	// StreamReadCount is how many entries are read at once, default 100; StreamBlock how long Redis is asked to wait for
	// one, default 5 s.
	StreamReadCount int
	StreamBlock     time.Duration

	helloEvery time.Duration // see twins
}

// Adapter joins a hub to others over Redis. It is a [hub.Adapter].
type Adapter struct {
	opts   Options
	topo   topology
	driver driver
	link   *link // since Join, as all that follows
	rooms  *roomStore
	twins  *twins
	quit   chan struct{}  // closed by Close
	wg     sync.WaitGroup // what ends with it
	close  sync.Once
	failed error       // of Close
	gap    atomic.Bool // messages of others were lost
}

// driver is what a [Kind] does.
type driver interface {
	// join begins: the driver subscribes by a.link, and gives the node the requests of others.
	join(a *Adapter, node hub.Node) error
	// message is called for each message that is received, see link.onMessage, from when join is called.
	message(channel string, body []byte)
	send(r *hub.NodeRequest, reply func(hub.NodeReply)) (cancel func() (silent []string), err error)
	// close says farewell. The link is closed afterwards, and sends what it has until then.
	close() error
}

// newDriver makes the one for a kind.
func newDriver(o Options) (driver, error) {
	switch o.Adapter {
	case Classic:
		return newClassic(o), nil
	case Sharded:
		return newSharded(o), nil
	case Streams:
		return newStreams(o), nil
	}
	return nil, fmt.Errorf("redis: there is no adapter %q: classic, sharded and streams are known", o.Adapter)
}

// Check reports what is wrong with the options, without connecting.
func (o Options) Check() error {
	topo, err := newTopology(o)
	if err != nil {
		return err
	}
	topo.close()
	return nil
}

// New prepares an adapter. Wrong options are an error, a Redis that is away is none: the adapter connects when its hub
// is made, and again whenever the connection is lost. Its hub closes it.
func New(o Options) (*Adapter, error) {
	if o.Adapter == "" {
		o.Adapter = Classic
	}
	switch o.Mode {
	case "":
		o.Mode = Dynamic
	case Static, Dynamic, DynamicPrivate:
	default:
		return nil, fmt.Errorf("redis: there is no mode %q: static, dynamic and dynamic-private are known", o.Mode)
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.helloEvery == 0 {
		o.helloEvery = helloEvery
	}
	d, err := newDriver(o)
	if err != nil {
		return nil, err
	}
	topo, err := newTopology(o)
	if err != nil {
		return nil, err
	}
	return &Adapter{opts: o, topo: topo, driver: d}, nil
}

// Join implements [hub.Adapter].
func (a *Adapter) Join(node hub.Node) error {
	if a.link != nil {
		return errors.New("redis: the adapter serves a node already")
	}
	a.quit = make(chan struct{})
	a.twins = newTwins(a.opts.Prefix, node.Name(), a.opts.helloEvery, node.Logger(), node.Count)
	a.link = newLink(a.topo, linkOptions{
		timeout: a.opts.Timeout, messageAge: a.opts.MessageAge, maxMessage: a.opts.MaxMessage,
		queueLen: a.opts.QueueCommands, queueBytes: a.opts.QueueBytes, clientName: "greenroom", optional: a.twins.channel,
	}, node.Logger(), a.count(node), a.message)
	a.twins.say = func(body []byte) {
		a.link.enqueue(command{
			cmd: goredis.NewIntCmd(context.Background(), "PUBLISH", a.twins.channel, body), size: 100, optional: true,
		})
	}
	a.link.subscribe(subChannel, a.twins.channel)
	a.wg.Go(func() { a.twins.run(a.quit) })
	a.rooms = newRoomStore(a.opts.Prefix, a.opts.PresenceTTL, a.link, node)
	a.rooms.missed, a.rooms.ready = &a.gap, a.Ready
	a.rooms.send = func(r *hub.NodeRequest) { _, _ = a.driver.send(r, nil) } // it can be encoded: a hub has
	if err := a.driver.join(a, node); err != nil {
		return err
	}
	a.wg.Go(func() { a.rooms.run(a.quit) })
	return nil
}

// Send implements [hub.Adapter].
func (a *Adapter) Send(r *hub.NodeRequest, reply func(hub.NodeReply)) (cancel func() (silent []string), err error) {
	if a.opts.Adapter == Streams && r.Keep != nil { // a script cannot add to a stream elsewhere: what is kept goes in front
		a.rooms.keep("", "", nil, r, nil)
	}
	return a.driver.send(r, reply)
}

// count is what the link counts by.
func (a *Adapter) count(node hub.Node) func(reason string) {
	return func(reason string) {
		node.Count(reason)
		if reason == reasonGap || reason == reasonStreamGap {
			a.gap.Store(true)
		}
	}
}

// Sequencer implements [hub.SequencedAdapter]: the streams adapter has one.
func (a *Adapter) Sequencer() hub.Sequencer {
	if s, ok := a.driver.(*streams); ok {
		return s
	}
	return nil
}

// Close implements [hub.Adapter]. What waits to be sent is sent if Redis is there.
func (a *Adapter) Close() error {
	a.close.Do(func() {
		if a.link == nil {
			a.topo.close()
			return
		}
		close(a.quit)
		a.wg.Wait()
		a.rooms.farewell()
		a.failed = a.driver.close()
		a.link.close()
	})
	return a.failed
}

// message gives what has come to those whom it is for.
func (a *Adapter) message(channel string, body []byte) {
	if channel == a.twins.channel {
		a.twins.message(body)
		return
	}
	a.driver.message(channel, body)
}

// Ready is nil when Redis is reached and all that this node listens to is subscribed. The error says what is missing,
// in words for an operator.
func (a *Adapter) Ready() error {
	if a.link == nil {
		return errConnecting
	}
	if err := a.link.ready(); err != nil {
		return err
	}
	if s, ok := a.driver.(*streams); ok {
		if err := s.ready(); err != nil {
			return err
		}
	}
	return a.twins.err()
}

// Stats are an adapter's numbers. What was dropped or refused stands in the hub's counters, by reasons that begin with
// "redis_".
type Stats struct {
	Published     uint64 // messages that Redis has taken
	Received      uint64 // messages that Redis has brought, those for nobody here among them
	Queued        int    // commands that wait to be sent
	QueuedBytes   int
	Subscriptions int // that are wanted
	Unconfirmed   int // of these, those that Redis has not confirmed
}

// Stats returns the numbers of now.
func (a *Adapter) Stats() Stats {
	if a.link == nil {
		return Stats{}
	}
	return a.link.stats()
}
