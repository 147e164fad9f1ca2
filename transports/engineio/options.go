package engineio

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Transport is a way to carry Engine.IO packets, as the `transport` query
// parameter names it.
type Transport string

// The transports served.
const (
	Polling   Transport = "polling"
	WebSocket Transport = "websocket"
)

// Options configure a [Server]. Zero values mean the defaults given.
type Options struct {
	// Path under which requests belong to this server, default "/socket.io/". Missing slashes are added.
	Path string

	// PingInterval is the time between a pong and the next ping, PingTimeout the time a client has
	// for its pong. Defaults 25 s, 20 s.
	PingInterval time.Duration
	PingTimeout  time.Duration
	// UpgradeTimeout bounds the change from polling to WebSocket. Default 10 s.
	UpgradeTimeout time.Duration
	// BodyTimeout bounds the upload of a POST and the writing of a response. Default 20 s.
	BodyTimeout time.Duration
	// CloseTimeout bounds how long a closing session waits for its last bytes to leave (and a polling
	// client to fetch them). Default 30 s for polling clients, and at most 5 s on a WebSocket.
	CloseTimeout time.Duration

	// MaxPayload bounds a message, the body of a POST and, as far as single packets allow, the answer
	// to a poll, in bytes. Clients are told. Default 1 000 000, at most 1 GiB.
	MaxPayload int
	// MaxSessions bounds the open sessions, default 250 000. Further clients are answered 503.
	MaxSessions int
	// MaxPending bounds the sessions whose client has not sent anything since its handshake, default
	// 10 000. Beyond it the oldest of them is closed for a newcomer, so it should be well below MaxSessions.
	MaxPending int

	// Transports that clients may open a session with, default both.
	Transports []Transport
	// NoUpgrades forbids changing from polling to WebSocket.
	NoUpgrades bool

	// PerMessageDeflate, when set, lets clients that offer it have messages compressed on their WebSockets, in
	// both directions. Default: nothing is compressed.
	PerMessageDeflate *Deflate

	// AllowRequest, when set, is asked before a session is opened. Its error's text is the message
	// that the client gets, with status 403. Called on net/http's goroutine.
	AllowRequest func(r *http.Request) error

	// CORS says which other origins may use the server. Default: none.
	CORS CORS

	// Wires are the formats of the outboxes, registered by the protocol above.
	Wires Wires
}

// Handler receives what happens to one session. All methods are called on the
// session's loop, where they must not block.
type Handler interface {
	// OnMessage delivers a message. data is valid during the call only.
	OnMessage(s *Socket, data []byte, binary bool)
	// OnClose is called exactly once, and nothing after it. The reason is one of the Reason constants
	// or the argument of [Socket.Close].
	OnClose(s *Socket, reason string)
}

func (o Options) withDefaults() Options {
	duration := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	number := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	duration(&o.PingInterval, 25*time.Second)
	duration(&o.PingTimeout, 20*time.Second)
	duration(&o.UpgradeTimeout, 10*time.Second)
	duration(&o.BodyTimeout, 20*time.Second)
	duration(&o.CloseTimeout, 30*time.Second)
	number(&o.MaxPayload, 1_000_000)
	o.MaxPayload = min(o.MaxPayload, 1<<30) // far below what overflows on any system
	number(&o.MaxSessions, 250_000)
	number(&o.MaxPending, 10_000)
	if o.PerMessageDeflate != nil {
		d := *o.PerMessageDeflate
		number(&d.Threshold, 1024)
		o.PerMessageDeflate = &d
	}
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	if !strings.HasPrefix(o.Path, "/") {
		o.Path = "/" + o.Path
	}
	if !strings.HasSuffix(o.Path, "/") {
		o.Path += "/"
	}
	if len(o.Transports) == 0 {
		o.Transports = []Transport{Polling, WebSocket}
	}
	return o
}

// allows reports whether clients may use t.
func (o *Options) allows(t Transport) bool {
	return (t == Polling || t == WebSocket) && slices.Contains(o.Transports, t)
}

// upgrades lists what a polling session may change to.
func (o *Options) upgrades() []Transport {
	if o.NoUpgrades || !o.allows(WebSocket) {
		return []Transport{}
	}
	return []Transport{WebSocket}
}
