package load

import (
	"errors"
	"fmt"
	"time"
)

// Modes of a [Plan].
const (
	Fanout  = "fanout"  // one member of each room publishes, all of them receive
	Echo    = "echo"    // every client calls and waits for the answer
	Idle    = "idle"    // clients that only answer heartbeats
	Connect = "connect" // clients connect, log in and leave, again and again
)

// Transports of a [Plan].
const (
	WebSocket = "websocket"
	Polling   = "polling"
)

// A Plan is what is done to a server. Zero values mean the default that the field names; [Run] fills them in.
type Plan struct {
	Mode      string `json:"mode"`      // Fanout if empty
	Transport string `json:"transport"` // WebSocket if empty

	// Deflate offers permessage-deflate as browsers do, and inflates what the server compresses.
	Deflate bool `json:"deflate,omitempty"`

	// Clients are the sessions, 100 by default. In the mode Connect it is how many connect at the same time.
	Clients int `json:"clients"`

	// Rooms share the clients evenly; 1 by default. Fanout only.
	Rooms int `json:"rooms,omitempty"`

	// Window is how many messages of a room, or calls of a client that echoes, may be under way; 1 by default.
	// Rate overrules it.
	Window int `json:"window,omitempty"`

	// Rate, if not 0, is how many messages, calls or connects a second all of them together begin: each at its time,
	// whatever became of the earlier ones. Rooms and clients take turns.
	Rate float64 `json:"rate,omitempty"`

	// Size is that of a message's text in bytes, 64 by default, at least 16.
	Size int `json:"size,omitempty"`

	Duration time.Duration `json:"duration_ns"` // of the measurement, 5 s by default
	WarmUp   time.Duration `json:"warm_up_ns"`  // what runs before it; negative for none, 1 s by default

	// Gather is how long deliveries of a fan-out gather before they are read, so that the generator does not wake
	// once for each; 50 µs by default, negative for none. Latencies include it.
	Gather time.Duration `json:"gather_ns"`

	// Dialing bounds the handshakes under way while the clients connect; 32 by default.
	Dialing int `json:"dialing"`

	// Publish, if not nil, sends the messages of a Fanout in place of a member of the room: by other ways into the server.
	// It must have the room's members get the event msg with the text, must not keep the text, and should not wait: the
	// generator's loop does meanwhile.
	Publish func(room string, text []byte) error `json:"-"`

	// Progress, if not nil, is told once a second what was measured in it. It must be quick.
	Progress func(Sample) `json:"-"`
}

// Bounds of a plan: what a mistyped figure must not get past.
const (
	minSize    = 2 * digits
	maxSize    = 8 << 20
	maxClients = 1 << 20
	maxWindow  = 1 << 12
	maxRate    = 10_000_000
)

// filled returns the plan with its defaults, or why it makes no sense.
func (p Plan) filled() (Plan, error) {
	set(&p.Mode, Fanout)
	set(&p.Transport, WebSocket)
	set(&p.Clients, 100)
	set(&p.Rooms, 1)
	set(&p.Window, 1)
	set(&p.Size, 64)
	set(&p.Duration, 5*time.Second)
	set(&p.WarmUp, time.Second)
	set(&p.Gather, 50*time.Microsecond)
	set(&p.Dialing, 32)
	p.WarmUp, p.Gather = max(p.WarmUp, 0), max(p.Gather, 0)
	switch p.Mode {
	case Fanout, Echo, Idle, Connect:
	default:
		return p, fmt.Errorf("mode %q: want fanout, echo, idle or connect", p.Mode)
	}
	switch {
	case p.Transport != WebSocket && p.Transport != Polling:
		return p, fmt.Errorf("transport %q: want websocket or polling", p.Transport)
	case p.Deflate && p.Transport != WebSocket:
		return p, errors.New("deflate is an extension of WebSocket, not of polling")
	case p.Clients < 1 || p.Clients > maxClients:
		return p, fmt.Errorf("clients %d: want 1 to %d", p.Clients, maxClients)
	case p.Rooms < 1 || p.Rooms > p.Clients:
		return p, fmt.Errorf("rooms %d: want 1 to %d, the number of clients", p.Rooms, p.Clients)
	case p.Rooms > 1 && p.Mode != Fanout:
		return p, fmt.Errorf("rooms %d: rooms are for the mode fanout", p.Rooms)
	case p.Publish != nil && p.Mode != Fanout:
		return p, errors.New("publish is for the mode fanout")
	case p.Window < 1 || p.Window > maxWindow:
		return p, fmt.Errorf("window %d: want 1 to %d", p.Window, maxWindow)
	case p.Size < minSize || p.Size > maxSize:
		return p, fmt.Errorf("size %d: want %d to %d bytes", p.Size, minSize, maxSize)
	case !(p.Rate >= 0 && p.Rate <= maxRate): // and not NaN
		return p, fmt.Errorf("rate %g: want 0 to %d a second", p.Rate, maxRate)
	case p.Duration < 0:
		return p, fmt.Errorf("duration %s: want more than nothing", p.Duration)
	case p.Dialing < 1:
		return p, fmt.Errorf("dialing %d: want at least 1", p.Dialing)
	}
	return p, nil
}

// set gives what is zero its default.
func set[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// Check reports what is wrong with a plan, for those who want to know before [Run].
func (p Plan) Check() error {
	_, err := p.filled()
	return err
}

// every is the time between two messages of a paced plan, 0 of another.
func (p Plan) every() time.Duration {
	if p.Rate == 0 {
		return 0
	}
	return max(time.Duration(float64(time.Second)/p.Rate), 1)
}

// unit is what a plan counts.
func (p Plan) unit() string {
	switch p.Mode {
	case Fanout:
		return "delivery"
	case Echo:
		return "ack"
	case Connect:
		return "connect"
	}
	return ""
}
