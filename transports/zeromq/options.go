package zeromq

import (
	"io/fs"
	"log/slog"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// Hub is what the bridge needs of a *hub.Hub. A [hub.Text] among a publication's arguments is lent until Publish returns.
type Hub interface {
	Publish(hub.Publication) (id string, err error)
	Tap(func(*hub.Message)) (cancel func())
	Count(reason string)
	Saturated() bool
}

// Options configure a [Bridge]. Zero values mean the defaults given.
type Options struct {
	Pull string // endpoint to push to, "" for none
	Sub  string // endpoint for PUB sockets to connect to, "" for none
	Pub  string // endpoint to subscribe at, "" for none
	// Connect are endpoints of PUB sockets elsewhere, which are subscribed to as those that come to Sub are. A
	// publisher that is not there is tried again without end.
	Connect []string

	// Control and Workers are the endpoints that answer: requests of REQ and DEALER sockets, and those of workers.
	// They need a [*hub.Hub]. "" for none.
	Control, Workers string
	// ControlRate bounds the requests of one peer at Control, a second. Default 20 000.
	ControlRate int
	// Work configures Workers.
	Work WorkOptions

	// Security says who is let in. The zero value asks nobody: NULL.
	Security Security
	// Insecure allows TCP addresses that are not loopback without CURVE: anybody who reaches them may publish and
	// subscribe.
	Insecure bool
	// IPCMode are the permissions of ipc:// socket files. Default 0600: this user only.
	IPCMode fs.FileMode
	// Principal is shown as from.name of what arrives here. Default none.
	Principal string
	// Logger receives what operators should know. Default slog.Default().
	Logger *slog.Logger

	PullFormat Format // how messages pushed to Pull are read
	SubFormat  Format // how messages that Sub hears are read
	// SubTopics are the prefixes Sub subscribes to, and so do the connections of Connect. Default all. What a
	// publisher sends beside them is dropped.
	SubTopics []string
	// Demand subscribes to the rooms that somebody hears instead, see the package comment. SubTopics must be empty,
	// and SubFormat.Fanout not [Cluster].
	Demand bool
	// Linger is how long a room that nobody hears any more stays subscribed to. Default 60 s, negative for none.
	Linger time.Duration

	// RedialMin is the first pause before a publisher of Connect is tried again, RedialMax the longest: each is
	// twice the one before, less a random part of it. Defaults 100 ms, 5 s.
	RedialMin, RedialMax time.Duration
	// Heartbeat is how often publishers of Connect are sent a PING, HeartbeatTimeout how long they may be silent
	// after it. Defaults 5 s and 10 s; a negative Heartbeat is none.
	Heartbeat, HeartbeatTimeout time.Duration

	HandshakeTimeout time.Duration // default 5 s
	// MaxPending bounds the connections of one endpoint that have not shaken hands yet. Beyond it the
	// oldest is closed, so that silent connections cannot keep others out. Default 64.
	MaxPending int
	// MaxPeers bounds the connections of one endpoint. Default 1024.
	MaxPeers int

	MaxFrameBytes   int // largest frame taken, default 1 MiB
	MaxMessageBytes int // largest message taken, default 2 MiB
	MaxFrames       int // most frames in one message, default 64
	MaxTopics       int // subscriptions of one subscriber, and of Demand at each publisher, default 10 000

	// QueueBytes and QueueMessages bound what waits for one subscriber: 4 MiB, 50 000 messages.
	QueueBytes    int
	QueueMessages int
	// SlowAfter is how long a subscriber's queue may overflow, or one write to it may take, before it
	// is disconnected. Default 10 s.
	SlowAfter time.Duration

	// What subscribers at Pub get:

	// Slow says what happens to those that do not keep up. Default [SlowDisconnect].
	Slow SlowPolicy
	// MaxLag is how long the oldest message for a subscriber may wait before Slow happens. Default SlowAfter.
	MaxLag time.Duration
	// PubStyle says which frames they get. Default [Full].
	PubStyle Style
	// Welcome are the frames of a message that each subscriber gets first. A ZeroMQ library shows it to a program
	// that has subscribed to its first frame before it connected. Default none.
	Welcome []string
	// PubHeartbeat is the time between two messages of the topic "$hb". Default 5 s; below 0: there are none.
	PubHeartbeat time.Duration
	// MaxRetained bounds the retained values that one subscription brings, default 1000.
	MaxRetained int
	// OnSubscribe and OnUnsubscribe are told of each subscription as it begins and ends, once however often the
	// subscriber has said it; the end of a connection ends those that it had. They run on the connection's
	// goroutine, which reads nothing more meanwhile.
	OnSubscribe, OnUnsubscribe func(s Subscriber, topic string)
}

// Format says how the messages of an ingress endpoint are read.
type Format struct {
	// Layout turns frames into publications. Default [Greenroom].
	Layout Layout
	// Payload is how payloads and arguments in frames of their own are read. Default [Auto].
	Payload PayloadRule
	// Event names publications that do not name one. Default "message".
	Event string
	// Namespace receives publications that do not name one. Default "/".
	Namespace string
	// NamespaceInTopic reads a first frame "/chat#lobby" as room lobby of namespace /chat.
	NamespaceInTopic bool
	// Room receives the publications of layouts whose messages do not name one: [Raw], [JSONType], [Bitcoin].
	Room string
	// Retain keeps the newest publication of each room for those who join or subscribe later.
	Retain bool
	// Fanout says who gets the publications when the hub has an Adapter. Default: [Cluster], with
	// Options.Demand [Local].
	Fanout Fanout
}

// Fanout says which nodes a publication that arrives at this one is for.
type Fanout uint8

const (
	_ Fanout = iota
	// Cluster is for publishers that connect to one node: its hub passes on to the others what they publish.
	Cluster
	// Local is for publishers that connect to every node, or that this node connects to as every other does: what
	// comes is for this node's clients, or they would get it once for each node.
	Local
)

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxPending, 64)
	def(&o.MaxPeers, 1024)
	def(&o.MaxTopics, 10_000)
	def(&o.ControlRate, 20_000)
	o.Work = o.Work.withDefaults()
	if o.HandshakeTimeout <= 0 {
		o.HandshakeTimeout = 5 * time.Second
	}
	if o.SlowAfter <= 0 {
		o.SlowAfter = 10 * time.Second
	}
	def(&o.MaxRetained, 1000)
	if o.MaxLag <= 0 {
		o.MaxLag = o.SlowAfter
	}
	if o.IPCMode == 0 {
		o.IPCMode = 0o600
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if len(o.SubTopics) == 0 && !o.Demand {
		o.SubTopics = []string{""}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	span(&o.Linger, time.Minute)
	span(&o.RedialMin, 100*time.Millisecond)
	span(&o.RedialMax, max(5*time.Second, o.RedialMin))
	span(&o.Heartbeat, 5*time.Second)
	span(&o.PubHeartbeat, 5*time.Second)
	span(&o.HeartbeatTimeout, 10*time.Second)
	if o.Demand && o.SubFormat.Fanout == 0 {
		o.SubFormat.Fanout = Local
	}
	o.PullFormat = o.PullFormat.withDefaults()
	o.SubFormat = o.SubFormat.withDefaults()
	return o
}

func (f Format) withDefaults() Format {
	if f.Layout == nil {
		f.Layout = Greenroom
	}
	if f.Event == "" {
		f.Event = "message"
	}
	if f.Namespace == "" {
		f.Namespace = "/"
	}
	return f
}

func (o Options) limits() guard.Limits {
	return guard.Limits{
		FrameBytes: o.MaxFrameBytes, MessageBytes: o.MaxMessageBytes, Frames: o.MaxFrames,
		WriteTimeout: o.SlowAfter, QueueBytes: o.QueueBytes, QueueMessages: o.QueueMessages,
	}
}

// subscriberLimits are those of a peer that sends nothing but subscriptions.
func (o Options) subscriberLimits() guard.Limits {
	l := o.limits()
	l.FrameBytes, l.MessageBytes, l.Frames = 1+maxTopic, 1+maxTopic, 1
	l.MaxLag = o.MaxLag
	return l
}
