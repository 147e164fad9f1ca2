package coophttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"greenroom/coop"
)

// A Transport is an [http.RoundTripper] whose connections live on a loop: a greenlet of the loop parks while
// it waits for the network, for a place in the pool or for an address. Any other goroutine blocks, at the
// cost of some microseconds, also for each read of a body. The fields are not to be changed once it is used.
//
// A request's body is read on the loop, and must not block it; a reader that parks, such as a
// [coop.Conn], may.
//
// It speaks HTTP/1.1, keeps connections, and sends a request again on a new one if a kept one turns out
// to be closed and the request allows it. There is no HTTP/2, no proxy, and no compression but what the caller asks
// for. A request's deadline holds from beginning to end; its cancellation also, but for the time that it
// waits for a place or for a new connection. Greenlets need neither: being killed, or
// [coop.Greenlet.WithTimeout], ends the call at once.
//
// As with net/http, a response's body must be closed; the connection is kept if it was read to its end.
type Transport struct {
	// Loop is where the connections live. It must be set.
	Loop *coop.Loop

	// MaxPerHost bounds the connections to one host; requests wait for one, first come, first served.
	// 0 is no bound.
	MaxPerHost int

	// IdleTimeout is how long an unused connection is kept; by default 90 s.
	IdleTimeout time.Duration

	// StallTimeout is how long a server may send nothing while a response is waited for or read, or
	// take nothing of a request. 0 is no bound.
	StallTimeout time.Duration

	// Dialer makes the connections; its Loop is not used.
	Dialer coop.Dialer

	// Dial makes the connections instead, to an address with a port: [coop.World.Dial] in a simulation, or a
	// function that dials a Unix socket. They must live on Loop.
	Dial func(g *coop.Greenlet, address string) (*coop.Conn, error)

	// TLS configures HTTPS; nil is the default configuration.
	TLS *tls.Config

	hosts map[hostKey]*host
	sweep *coop.Timer
}

var _ http.RoundTripper = (*Transport)(nil)

const defaultIdle = 90 * time.Second

type hostKey struct{ scheme, address string }

// host is the pool of one host.
type host struct {
	idle  []*clientConn         // the one used last comes last
	slots *coop.Queue[struct{}] // one for each connection that may still be made or taken; nil is no bound
}

// RoundTrip sends a request and returns the response when its head is there.
func (t *Transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	err = t.Loop.Call(func(g *coop.Greenlet) error {
		resp, err = t.within(g, r)
		return err
	})
	if err != nil && r.Body != nil {
		r.Body.Close()
	}
	return resp, err
}

// within holds the request's deadline.
func (t *Transport) within(g *coop.Greenlet, r *http.Request) (resp *http.Response, err error) {
	at, ok := r.Context().Deadline()
	if !ok || greenletOf(r.Context()) == g {
		return t.roundTrip(g, r)
	}
	if own, ok := g.Deadline(); ok && !at.Before(own) {
		return t.roundTrip(g, r) // g times out no later, with an error of its own; it may be the context itself
	}
	var ours *coop.TimeoutError
	err = g.WithTimeout(time.Until(at), func() error {
		resp, err = t.roundTrip(g, r)
		return err
	})
	if errors.As(err, &ours) && r.Context().Err() != nil {
		err = context.DeadlineExceeded
	}
	return resp, err
}

func (t *Transport) roundTrip(g *coop.Greenlet, r *http.Request) (*http.Response, error) {
	key, err := keyOf(r.URL)
	if err != nil {
		return nil, err
	}
	for fresh := false; ; fresh = true {
		c, err := t.take(g, key, fresh)
		if err != nil {
			return nil, err
		}
		if err := r.Context().Err(); err != nil && !errors.Is(err, coop.ErrKilled) {
			c.drop()
			return nil, err
		}
		resp, err := c.do(g, r)
		if err == nil {
			return resp, nil
		}
		if !c.stale(err) || !rewind(r) {
			return nil, err
		}
	}
}

// rewind prepares a request for being sent again.
func rewind(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if r.GetBody == nil {
		return false
	}
	b, err := r.GetBody()
	if err != nil {
		return false
	}
	r.Body = b
	return true
}

func keyOf(u *url.URL) (hostKey, error) {
	ports := map[string]string{"http": "80", "https": "443"}
	port := ports[u.Scheme]
	switch {
	case port == "":
		return hostKey{}, errors.New("coophttp: unsupported scheme " + u.Scheme)
	case u.Hostname() == "":
		return hostKey{}, errors.New("coophttp: no host in the URL")
	case u.Port() != "":
		port = u.Port()
	}
	return hostKey{u.Scheme, net.JoinHostPort(u.Hostname(), port)}, nil
}

// take returns a connection, a kept one unless a fresh one is asked for.
func (t *Transport) take(g *coop.Greenlet, key hostKey, fresh bool) (*clientConn, error) {
	h := t.host(key)
	if h.slots != nil {
		if _, err := h.slots.Get(g); err != nil {
			return nil, err
		}
	}
	for n := len(h.idle); n > 0; n = len(h.idle) {
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		if fresh || c.bare.CanRead() { // it has nothing to say but good-bye
			c.c.Close()
			continue
		}
		c.reused = true
		return c, nil
	}
	c, err := t.dial(g, key)
	if err != nil {
		h.release()
		return nil, err
	}
	return newClientConn(t, h, c), nil
}

func (t *Transport) host(key hostKey) *host {
	h := t.hosts[key]
	if h == nil {
		h = new(host)
		if t.MaxPerHost > 0 {
			h.slots = coop.NewQueue[struct{}](t.MaxPerHost)
			for range t.MaxPerHost {
				h.release()
			}
		}
		if t.hosts == nil {
			t.hosts = make(map[hostKey]*host)
		}
		t.hosts[key] = h
	}
	return h
}

// release gives a place back.
func (h *host) release() {
	if h.slots != nil {
		h.slots.TryPut(struct{}{})
	}
}

func (t *Transport) dial(g *coop.Greenlet, key hostKey) (net.Conn, error) {
	dial := t.Dial
	if dial == nil {
		dial = func(g *coop.Greenlet, address string) (*coop.Conn, error) { return t.Dialer.Dial(g, "tcp", address) }
	}
	c, err := dial(g, key.address)
	if err != nil {
		return nil, err // not a nil pointer in an interface
	}
	if key.scheme != "https" {
		return c, nil
	}
	return t.shake(c, key.address)
}

// shake makes a TLS handshake over c.
func (t *Transport) shake(c *coop.Conn, address string) (net.Conn, error) {
	config := t.TLS
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	tc := coop.TLSClient(c, config)
	if err := tc.Handshake(); err != nil {
		tc.Close()
		return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
	return tc, nil
}

// keep puts a connection back.
func (t *Transport) keep(c *clientConn) {
	c.since = t.Loop.Now()
	c.host.idle = append(c.host.idle, c)
	c.host.release()
	t.armSweep()
}

func (t *Transport) armSweep() {
	idle := t.IdleTimeout
	if idle <= 0 {
		idle = defaultIdle
	}
	if t.sweep == nil {
		t.sweep = new(coop.Timer)
		t.sweep.Init(t.Loop, func() { t.closeIdle(idle) })
	}
	if !t.sweep.Active() {
		t.sweep.Reset(idle)
	}
}

// closeIdle closes what has not been used for a while.
func (t *Transport) closeIdle(limit time.Duration) {
	left := false
	byName := func(a, b hostKey) int { return strings.Compare(a.address+a.scheme, b.address+b.scheme) }
	for _, key := range slices.SortedFunc(maps.Keys(t.hosts), byName) {
		h := t.hosts[key]
		n := 0
		for n < len(h.idle) && t.Loop.Now()-h.idle[n].since >= limit {
			h.idle[n].c.Close()
			h.idle[n] = nil
			n++
		}
		h.idle = h.idle[n:]
		left = left || len(h.idle) > 0
		if len(h.idle) == 0 && (h.slots == nil || h.slots.Len() == t.MaxPerHost) {
			delete(t.hosts, key)
		}
	}
	if left {
		t.sweep.Reset(limit)
	}
}

// CloseIdleConnections closes the connections that nobody uses; http.Client passes it on. Any goroutine.
func (t *Transport) CloseIdleConnections() {
	t.Loop.Post(func() { t.closeIdle(0) })
}
