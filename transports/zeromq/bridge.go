package zeromq

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// Bridge is a hub's set of ZeroMQ endpoints. Its methods may be called from any goroutine; Close
// ends everything that Listen started.
type Bridge struct {
	hub       Hub
	opts      Options
	log       *rateLog
	done      chan struct{} // closed by Close
	endpoints map[string]*endpoint
	egress    *egress // nil without Options.Pub
	untap     func()
	closing   sync.Once
	closeErr  error
}

// Listen binds the endpoints that o names and bridges them with h. When one cannot be bound none is.
func Listen(h Hub, o Options) (*Bridge, error) {
	b := &Bridge{hub: h, opts: o.withDefaults(), done: make(chan struct{}), endpoints: make(map[string]*endpoint)}
	b.log = newRateLog(b.opts.Logger)
	b.egress = newEgress(b)
	for _, e := range []struct {
		name, address string
		typ           zmq4.SocketType
		limits        guard.Limits
		serve         func(*peer) error
	}{
		{"pull", o.Pull, zmq4.Pull, b.opts.limits(), b.servePull},
		{"sub", o.Sub, zmq4.Sub, b.opts.limits(), b.serveSub},
		{"pub", o.Pub, zmq4.XPub, b.opts.subscriberLimits(), b.egress.serve},
	} {
		if e.address == "" {
			continue
		}
		ln, err := bind(e.address, o.Insecure, b.opts.IPCMode)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("zeromq: %s: %w", e.name, err), b.Close())
		}
		b.endpoints[e.name] = newEndpoint(b, e.typ, e.limits, ln, e.serve)
	}
	if b.endpoints["pub"] != nil {
		b.untap = h.Tap(b.egress.publish)
	}
	for _, e := range b.endpoints {
		e.start()
	}
	return b, nil
}

// Addr is the endpoint to connect to for "pull", "pub" or "sub", with the real port; "" when it is
// not open.
func (b *Bridge) Addr(name string) string {
	if e := b.endpoints[name]; e != nil {
		return endpointOf(e.ln.Addr())
	}
	return ""
}

// Peers is the number of connections at "pull", "pub" or "sub" that have shaken hands.
func (b *Bridge) Peers(name string) int {
	if e := b.endpoints[name]; e != nil {
		return e.size()
	}
	return 0
}

// Close ends all endpoints and their connections and waits for them. What is queued for subscribers
// is lost. Idempotent.
func (b *Bridge) Close() error {
	b.closing.Do(func() {
		close(b.done)
		if b.untap != nil {
			b.untap()
		}
		for _, e := range b.endpoints {
			b.closeErr = errors.Join(b.closeErr, e.close())
		}
	})
	return b.closeErr
}

// refused counts and logs, the log at a limited rate.
func (b *Bridge) refused(reason, msg string, args ...any) {
	b.hub.Count(reason)
	b.log.warn(reason, "zeromq: "+msg, args...)
}

// sleep waits for d; false when the bridge closes.
func (b *Bridge) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.done:
		return false
	}
}

func isEOF(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, guard.ErrClosed)
}
