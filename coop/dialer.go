package coop

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// A Dialer connects, with the options of a [net.Dialer]: its Timeout, KeepAlive, Resolver and so on.
// Names are looked up and connections made on goroutines ([Await]), so that the loop goes on. The zero
// value is ready to use by Dial and DialTLS.
type Dialer struct {
	net.Dialer

	// Loop is where the connections of DialContext live; Dial uses its greenlet's.
	Loop *Loop
}

// Dial connects to an address, with the networks and addresses of [net.Dial].
func Dial(g *Greenlet, network, address string) (*Conn, error) {
	return new(Dialer).Dial(g, network, address)
}

// DialTLS is [Dial] and a TLS handshake. A config without a ServerName gets it from the address.
func DialTLS(g *Greenlet, network, address string, config *tls.Config) (*TLSConn, error) {
	return new(Dialer).DialTLS(g, network, address, config)
}

// Dial connects to an address. When g is killed or times out the attempt is given up.
func (d *Dialer) Dial(g *Greenlet, network, address string) (*Conn, error) {
	ctx := g.Context()
	nc, err := awaitOr(g, func() (net.Conn, error) {
		return d.Dialer.DialContext(ctx, network, address)
	}, func(nc net.Conn) { nc.Close() })
	if err != nil {
		return nil, err
	}
	return d.take(g.loop, nc)
}

func (d *Dialer) take(l *Loop, nc net.Conn) (*Conn, error) {
	c, err := NewConn(l, nc)
	if err != nil {
		nc.Close()
	}
	return c, err
}

// DialTLS connects to an address and makes a TLS handshake.
func (d *Dialer) DialTLS(g *Greenlet, network, address string, config *tls.Config) (*TLSConn, error) {
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		config = config.Clone()
		config.ServerName = host
	}
	c, err := d.Dial(g, network, address)
	if err != nil {
		return nil, err
	}
	t := TLSClient(c, config)
	if err := t.Handshake(); err != nil {
		t.Close()
		return nil, tlsFailure(t, err)
	}
	return t, nil
}

// DialContext is for the hooks of drivers: the connection is a [Conn] of d.Loop. A greenlet of that loop
// parks, any other goroutine blocks. Any goroutine.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dial := func() (net.Conn, error) { return d.Dialer.DialContext(ctx, network, address) }
	var nc net.Conn
	var err error
	if g := d.Loop.Current(); g != nil {
		nc, err = awaitOr(g, dial, func(nc net.Conn) { nc.Close() })
	} else if onAnyLoop() {
		return nil, ErrOtherLoop
	} else {
		nc, err = dial()
	}
	if err != nil {
		return nil, err
	}
	c, err := d.take(d.Loop, nc)
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return c, nil
}

// awaitOr is [Await] for results that must not be dropped: one that comes too late is discarded, on the
// goroutine that made it.
func awaitOr[T any](g *Greenlet, fn func() (T, error), discard func(T)) (T, error) {
	var mu sync.Mutex
	var gone bool // g has given up
	var kept *T
	v, err := Await(g, func() (T, error) {
		v, err := fn()
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
		case gone:
			discard(v)
		default:
			kept = &v
		}
		return v, err
	})
	if err != nil {
		mu.Lock()
		defer mu.Unlock()
		gone = true
		if kept != nil {
			discard(*kept)
		}
	}
	return v, err
}
