package zmq

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// Type is a pattern's side.
type Type string

// The types of sockets.
const (
	REQ    Type = "REQ"
	REP    Type = "REP"
	DEALER Type = "DEALER"
	ROUTER Type = "ROUTER"
	PUB    Type = "PUB"
	SUB    Type = "SUB"
	XPUB   Type = "XPUB"
	XSUB   Type = "XSUB"
	PUSH   Type = "PUSH"
	PULL   Type = "PULL"
	PAIR   Type = "PAIR"
)

// Options of a socket. Zero values mean the defaults given.
type Options struct {
	// Identity is what ROUTER sockets elsewhere call this one: 1 to 255 bytes, the first not zero. Default none: each of
	// them makes up a name.
	Identity string
	// Security is the mechanism of all connections: [CurveServer], [CurveClient], [PlainServer] or [PlainClient].
	// Default NULL: nobody is asked.
	Security Security
	// Insecure lets Listen bind addresses that are not loopback without CURVE.
	Insecure bool
	// IPCMode are the permissions of socket files. Default 0600.
	IPCMode fs.FileMode

	// SendHWM and SendBytes bound what waits for one peer to take it, RecvHWM and RecvBytes what has come from one peer
	// and waits for Recv: 1000 messages, 4 MiB. A peer of which so much waits is not read from. Messages on their
	// way through the system's buffers come on top.
	SendHWM, RecvHWM     int
	SendBytes, RecvBytes int

	MaxFrameBytes   int // largest frame taken, default 1 MiB
	MaxMessageBytes int // largest message taken, default 2 MiB
	MaxFrames       int // most frames in one message, default 64
	MaxTopics       int // subscriptions of one peer of a PUB or XPUB; more are ignored. Default 10 000
	MaxPeers        int // connections, default 1024
	MaxPending      int // accepted connections that have not shaken hands; beyond it the oldest is closed. Default 64

	// HandshakeTimeout bounds the time from connecting to the end of the handshake. Default 5 s.
	HandshakeTimeout time.Duration
	// RedialMin is the first pause before an endpoint is dialled again, RedialMax the longest: each is twice the one
	// before, less a random part. Defaults 100 ms, 5 s.
	RedialMin, RedialMax time.Duration
	// Heartbeat is how often peers are sent a PING, HeartbeatTimeout how long they may be silent after it. A negative
	// Heartbeat is none. Default 5 s and 10 s for SUB, XSUB and PULL, whose peers read at any time; none for the others:
	// libzmq does not answer while it has no room for messages, and a peer that is busy would be taken for dead.
	Heartbeat, HeartbeatTimeout time.Duration
	// SlowAfter is how long one write to a subscriber of PUB or XPUB may take before it is disconnected. Default 10 s.
	SlowAfter time.Duration
	// Linger is how long Close gives peers to take what was sent. Default 1 s, negative for none.
	Linger time.Duration

	// Mandatory makes a ROUTER's Send return ErrUnroutable when there is no such peer, and wait when the peer has no
	// room. Without it such messages are dropped and counted.
	Mandatory bool
	// Handover gives an identity to the newest peer that claims it, and disconnects the one that had it. Without it
	// the newcomer is refused.
	Handover bool
	// Relaxed lets a REQ send again before it has received: it is the newest request that is answered then. Requests
	// are numbered, so that an answer to an older one is known, and dropped.
	Relaxed bool
	// Resend has a REQ send its request once more, to the next peer, when this much time has passed without an answer,
	// and when its peer has gone. A service may get it more than once. The first answer counts. Default never.
	Resend time.Duration
	// Verbose hands up every subscription that an XPUB receives, not only the first of a topic.
	Verbose bool

	// Monitor is told of connections. It is called on their goroutines, and must not block.
	Monitor func(Event)
}

// Event is a change of a connection.
type Event struct {
	Connected bool   // it has shaken hands; else it has ended, or never came to that
	Endpoint  string // as it stands in Dial or Listen
	Remote    string // the peer's address, when there is one
	Err       error  // why it ended
}

func (o Options) withDefaults(t Type) Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	span := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	for _, hwm := range []*int{&o.SendHWM, &o.RecvHWM} {
		def(hwm, 1000)
	}
	for _, bytes := range []*int{&o.SendBytes, &o.RecvBytes} {
		def(bytes, 4<<20)
	}
	def(&o.MaxTopics, 10_000)
	def(&o.MaxPeers, 1024)
	def(&o.MaxPending, 64)
	span(&o.HandshakeTimeout, 5*time.Second)
	span(&o.RedialMin, 100*time.Millisecond)
	span(&o.RedialMax, max(5*time.Second, o.RedialMin))
	span(&o.SlowAfter, 10*time.Second)
	span(&o.Linger, time.Second)
	if t == SUB || t == XSUB || t == PULL {
		span(&o.Heartbeat, 5*time.Second)
	}
	span(&o.HeartbeatTimeout, 2*o.Heartbeat)
	if o.IPCMode == 0 {
		o.IPCMode = 0o600
	}
	return o
}

func (o Options) check() error {
	if len(o.Identity) > 255 || len(o.Identity) > 0 && o.Identity[0] == 0 {
		return fmt.Errorf("zmq: an identity has at most 255 bytes, the first of which is not zero")
	}
	return nil
}

// patient is how long a write may take where a peer that is busy is waited for.
const patient = 365 * 24 * time.Hour

func (o Options) limits(t Type) guard.Limits {
	l := guard.Limits{
		FrameBytes: o.MaxFrameBytes, MessageBytes: o.MaxMessageBytes, Frames: o.MaxFrames,
		WriteTimeout: patient, QueueBytes: o.SendBytes, QueueMessages: o.SendHWM,
	}
	switch t {
	case PUB: // it hears nothing but subscriptions
		l.FrameBytes, l.MessageBytes, l.Frames = 1+maxTopic, 1+maxTopic, 1
		l.WriteTimeout = o.SlowAfter
	case XPUB:
		l.WriteTimeout = o.SlowAfter
	case SUB, XSUB:
		l.QueueMessages = 0 // subscriptions, which the topics bound
	}
	return l
}

func (t Type) wire() zmq4.SocketType { return zmq4.SocketType(t) }
