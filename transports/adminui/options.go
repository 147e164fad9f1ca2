package adminui

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"

	"greenroom/transports/engineio"
)

// Mode says how much is shown.
type Mode string

// The modes.
const (
	Development Mode = "development" // everything
	Production  Mode = "production"  // numbers only
)

// maxCost bounds the work of comparing a password: 2^16 rounds take some seconds.
const maxCost = 16

// Options configure an [Admin]. Zero values mean the defaults given.
type Options struct {
	// Namespace of the administrators, default "/admin". It must not have a handler.
	Namespace string

	// Username and Hash are what administrators log in with; Hash is the bcrypt hash of the password. Both are needed.
	Username string
	Hash     string
	// Open lets everybody in, instead.
	Open bool

	// Mode says how much is shown, default Development.
	Mode Mode
	// ReadOnly offers no commands.
	ReadOnly bool
	// ServerID is how this node is called, default the host's name.
	ServerID string

	// Engines are the servers whose connections are counted. Default none: then there are no numbers of connections.
	Engines []*engineio.Server

	// Interval is the time between two reports of numbers. Default 2 s, and at least 100 ms.
	Interval time.Duration
	// EventRate bounds the events shown of each loop in a second. Default 500.
	EventRate int
	// SessionTime is how long a login is good for. Default 24 h.
	SessionTime time.Duration
}

// Errors of [New].
var (
	errNoAuth = errors.New("adminui: a user name and a password's hash are needed, or Open")
	errAuth   = errors.New("adminui: a user name with Open, which asks for none")
)

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = "/admin"
	}
	if o.Mode == "" {
		o.Mode = Development
	}
	if o.ServerID == "" {
		o.ServerID = hostname()
	}
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	o.Interval = max(o.Interval, 100*time.Millisecond)
	if o.EventRate <= 0 {
		o.EventRate = 500
	}
	if o.SessionTime <= 0 {
		o.SessionTime = 24 * time.Hour
	}
	return o
}

func (o *Options) check() error {
	switch {
	case o.Open && (o.Username != "" || o.Hash != ""):
		return errAuth
	case !o.Open && (o.Username == "" || o.Hash == ""):
		return errNoAuth
	case o.Mode != Development && o.Mode != Production:
		return fmt.Errorf("adminui: mode %q: want %s or %s", o.Mode, Development, Production)
	}
	if o.Open {
		return nil
	}
	return CheckHash(o.Hash)
}

// CheckHash reports what is wrong with a bcrypt hash.
func CheckHash(hash string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	if err == nil && cost > maxCost {
		err = fmt.Errorf("a cost of %d; want at most %d", cost, maxCost)
	}
	if err != nil {
		return fmt.Errorf("adminui: no bcrypt hash: %w", err)
	}
	return nil
}

func hostname() string {
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "localhost"
}
