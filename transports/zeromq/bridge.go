package zeromq

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// Bridge is a hub's set of ZeroMQ endpoints. Its methods may be called from any goroutine; Close
// ends everything that Listen started.
type Bridge struct {
	hub       Hub
	opts      Options
	log       *rateLog
	endpoints map[string]*endpoint
	egress    *egress
	security  *security
	control   *control
	workers   *Workers
	anyone    *Principal // of endpoints that ask nobody who they are
	untap     func()     // nil without Options.Pub
	ingress
	closing  sync.Once
	closeErr error
}

// BindError says which endpoint could not be bound.
type BindError struct {
	Name string // "pull", "sub", "pub", "control" or "workers"
	Err  error
}

func (e *BindError) Error() string { return "zeromq: " + e.Name + ": " + e.Err.Error() }

// Unwrap returns why.
func (e *BindError) Unwrap() error { return e.Err }

// Listen binds the endpoints that o names and bridges them with h. When one cannot be bound none is, and the
// error is a [*BindError].
func Listen(h Hub, o Options) (*Bridge, error) {
	b := &Bridge{hub: h, opts: o.withDefaults(), endpoints: make(map[string]*endpoint)}
	b.log = newRateLog(b.opts.Logger)
	b.anyone = anyone(b.opts.Principal)
	var err error
	if b.security, err = newSecurity(b); err != nil {
		return nil, fmt.Errorf("zeromq: security: %w", err)
	}
	b.egress = newEgress(b)
	if err := b.ingress.init(b); err != nil {
		return nil, err
	}
	whole, _ := h.(*hub.Hub)
	b.control, b.workers = newControl(b, whole), newWorkers(b, whole)
	for _, e := range []struct {
		name, address string
		typ           zmq4.SocketType
		limits        guard.Limits
		serve         func(*peer) error
		part          func(*peer)
	}{
		{"pull", o.Pull, zmq4.Pull, b.opts.limits(), b.servePull, partPublisher},
		{"sub", o.Sub, zmq4.Sub, b.opts.limits(), b.serveSub, partPublisher},
		{"pub", o.Pub, zmq4.XPub, b.egress.limits(), b.egress.serve, partSubscriber},
		{"control", o.Control, zmq4.Router, b.opts.limits(), b.control.serve, partSubscriber},
		{"workers", o.Workers, zmq4.Router, b.opts.limits(), b.workers.serve, b.workers.part},
	} {
		if e.address == "" {
			continue
		}
		if e.typ == zmq4.Router && whole == nil {
			return nil, errors.Join(&BindError{e.name, errNeedsHub}, b.Close())
		}
		ln, err := bind(e.address, o.Insecure || b.security.curve != nil, b.opts.IPCMode)
		if err != nil {
			return nil, errors.Join(&BindError{e.name, err}, b.Close())
		}
		b.endpoints[e.name] = newEndpoint(b, e.typ, e.limits, ln, e.serve, e.part)
	}
	if b.endpoints["pub"] != nil {
		b.untap = b.egress.tap(h)
		b.egress.own.start()
	}
	b.security.start()
	if b.endpoints["workers"] != nil {
		b.workers.start()
	}
	for _, e := range b.endpoints {
		e.start()
	}
	b.ingress.start(h)
	return b, nil
}

// Addr is the endpoint to connect to for "pull", "pub", "sub", "control" or "workers", with the real port; "" when it is
// not open.
func (b *Bridge) Addr(name string) string {
	if e := b.endpoints[name]; e != nil {
		return endpointOf(e.ln.Addr())
	}
	return ""
}

// Peers is the number of connections at an endpoint, as [Bridge.Addr] names it, that have shaken hands.
func (b *Bridge) Peers(name string) int {
	if e := b.endpoints[name]; e != nil {
		return e.size()
	}
	return 0
}

// Subscribers is the number of subscribers at Pub that hear a room of a namespace. A program that has to
// compute what it publishes may save itself the work while it is 0.
func (b *Bridge) Subscribers(namespace, room string) int {
	return len(b.egress.topics.match(nil, topicOf(namespace, room)))
}

// CloseIngress ends Pull, Sub, Control and the connections to publishers, and nothing is published over ZeroMQ any more: what publishers had sent
// when they were told has been read, as far as they closed within a second; what they still hold is for
// the next server. Subscribers hear what is published until Close. Idempotent.
func (b *Bridge) CloseIngress() error {
	b.ingress.close()
	return b.close("pull", "sub", "control")
}

// Close ends all endpoints and their connections and waits for them. Subscribers get a second to take
// what is queued for them. Idempotent.
func (b *Bridge) Close() error {
	b.closing.Do(func() {
		b.closeErr = b.CloseIngress()
		if b.untap != nil {
			b.untap()
			b.egress.own.stop()
		}
		b.closeErr = errors.Join(b.closeErr, b.close("workers")) // whose publications are heard still
		b.workers.close()
		b.closeErr = errors.Join(b.closeErr, b.close("pub"))
		b.security.close()
	})
	return b.closeErr
}

// close ends endpoints side by side, each within a second.
func (b *Bridge) close(names ...string) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		if e := b.endpoints[name]; e != nil {
			wg.Go(func() { errs[i] = e.close() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// refused counts and logs, the log at a limited rate.
func (b *Bridge) refused(reason, msg string, args ...any) {
	b.hub.Count(reason)
	b.log.warn(reason, "zeromq: "+msg, args...)
}

func isEOF(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, guard.ErrClosed)
}
