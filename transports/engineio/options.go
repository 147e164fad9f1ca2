package engineio

import (
	"net/http"
	"net/netip"
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
	// Whatever starts with it belongs here: "/socket.io/x", too.
	Path string
	// NoTrailingSlash leaves the slash at the end of Path away, for clients that do so: "/socket.io" belongs
	// to the server then, and "/socket.iox" as well.
	NoTrailingSlash bool

	// PingInterval is the time between a pong and the next ping, up to 1/256 less, so that sessions
	// are pinged together; PingTimeout the time a client has for its pong. Defaults 25 s, 20 s.
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
	// HandshakeRate bounds the sessions opened in a second; for a moment it may be twice as many. What is
	// above is answered 503, and official clients come back later. Default 10 000, about what one core can
	// answer, so that it matters to a flood only; below 0: no bound.
	HandshakeRate int
	// AddressHandshakeRate is the same for one client address (of IPv6, a /64 network), with status 429.
	// Default 0: no bound, because all who come through one gateway share its address.
	AddressHandshakeRate int

	// Transports that clients may open a session with, default both.
	Transports []Transport
	// AllowEIO3 lets clients of Socket.IO 1.x and 2.x in, which speak Engine.IO protocol 3, on the same path. It
	// brings JSONP with it; see "Protocol 3" in the package's documentation. Their session ids, which are secrets
	// here, are the ids of their Socket.IO sessions. It needs Wires.V3. Default: they are answered "Unsupported
	// protocol version".
	AllowEIO3 bool
	// NoUpgrades forbids changing from polling to WebSocket.
	NoUpgrades bool

	// PerMessageDeflate, when set, lets clients that offer it have messages compressed on their WebSockets, in
	// both directions. Default: nothing is compressed.
	PerMessageDeflate *Deflate

	// AllowRequest, when set, is asked before a session is opened. Its error's text is the message
	// that the client gets, with status 403; "Forbidden" when it is empty. The headers that it sets in h
	// go onto the answer, whatever that is. Called on the request's goroutine.
	AllowRequest func(r *http.Request, h http.Header) error
	// GenerateID, when set, makes the ids of sessions: 1 to 128 characters that a cookie's value may hold, and
	// such that nobody can guess, because whoever knows an id has the session. An error, an id in use or one
	// of other characters refuses the client. Called on the request's goroutine.
	GenerateID func(r *http.Request) (string, error)
	// InitialPacket, when not empty, is a message that every client gets right behind the open packet. It
	// is text without the byte 0x1e.
	InitialPacket string

	// CORS says which other origins may use the server. Default: none.
	CORS CORS
	// Hosts are the names and addresses, without a port, by which clients may address the server; requests
	// with another Host header are answered 403. Default: all.
	Hosts []string
	// TrustedProxies are the networks of the reverse proxies in front. Only when a request comes from one
	// of them, the client's address is taken from its X-Forwarded-For (with port 0), and whether it uses TLS
	// from X-Forwarded-Proto. Default: none.
	TrustedProxies []netip.Prefix
	// Cookie, when set, is given to polling clients for the sake of load balancers.
	Cookie *Cookie
	// HTTPCompression of the answers to polls, for clients that accept it. On by default.
	HTTPCompression HTTPCompression

	// OnConnectionError, when set, hears of every request that was refused before it reached a session.
	// OnInitialHeaders may change the headers of the answer that opens a session, OnHeaders those of all
	// answers to sessions, the first included. All three are called on the requests' goroutines, before the
	// answer leaves.
	OnConnectionError func(ConnectionError)
	OnInitialHeaders  func(h http.Header, r *http.Request)
	OnHeaders         func(h http.Header, r *http.Request)

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

// UpgradeHandler is a [Handler] that wants to know when a polling session has become a WebSocket one.
type UpgradeHandler interface {
	// OnUpgrade is called on the loop, before anything that comes or leaves by the WebSocket.
	OnUpgrade(s *Socket)
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
	number(&o.HTTPCompression.Threshold, 1024)
	if o.HandshakeRate == 0 {
		o.HandshakeRate = 10_000
	}
	o.CORS = o.CORS.withDefaults()
	o.Hosts = slices.Clone(o.Hosts)
	for i, host := range o.Hosts {
		o.Hosts[i] = hostName(host)
	}
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	if !strings.HasPrefix(o.Path, "/") {
		o.Path = "/" + o.Path
	}
	o.Path = strings.TrimSuffix(o.Path, "/")
	if !o.NoTrailingSlash {
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
