package zeromq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/addr"
	"greenroom/transports/zeromq/internal/guard"
)

// publishers are the PUB sockets elsewhere that Options.Connect names. Each has a goroutine that connects, subscribes,
// reads and, whenever the connection ends, begins anew, until close.
type publishers struct {
	bridge *Bridge
	dialer *endpoint // what the connections have in common; it accepts nothing
	all    []*publisher
	ctx    context.Context
	stop   context.CancelFunc
	wg     sync.WaitGroup
}

// publisher is one of them.
type publisher struct {
	set      *publishers
	endpoint string
	reader   *reader // outlives connections, for the counters of layouts

	messages, missed atomic.Uint64

	mu    sync.Mutex // a leaf
	state Publisher
}

// Publisher is the state of a publisher of Options.Connect.
type Publisher struct {
	Endpoint  string
	Connected bool
	Since     time.Time // of the last change of Connected, or of Listen
	Connects  int       // connections so far
	Messages  uint64    // received, whatever became of them
	Missed    uint64    // lost, as the publisher's own counters say: only the layout Bitcoin has some
	Err       error     // why it is not connected; nil when it is, or when nothing was tried yet
}

func newPublishers(b *Bridge) *publishers {
	s := &publishers{bridge: b, dialer: newEndpoint(b, zmq4.Sub, b.opts.limits(), nil, nil, nil)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, e := range b.opts.Connect {
		s.all = append(s.all, &publisher{
			set: s, endpoint: e, reader: lending(&b.opts.SubFormat), state: Publisher{Endpoint: e, Since: time.Now()},
		})
	}
	return s
}

// checkConnect refuses endpoints that are none, and one that stands there twice: its messages would come twice.
func checkConnect(endpoints []string) error {
	for i, e := range endpoints {
		if _, _, err := parseEndpoint(e); err != nil {
			return err
		}
		if slices.Contains(endpoints[:i], e) {
			return fmt.Errorf("endpoint %q stands there twice", e)
		}
	}
	return nil
}

func (s *publishers) start() {
	for _, p := range s.all {
		s.wg.Go(p.run)
	}
}

func (s *publishers) close() {
	s.stop()
	s.wg.Wait()
}

// Publishers tells how each publisher of Options.Connect is, in their order.
func (b *Bridge) Publishers() []Publisher {
	out := make([]Publisher, 0, len(b.opts.Connect))
	for _, p := range b.publishers.all {
		p.mu.Lock()
		state := p.state
		p.mu.Unlock()
		state.Messages, state.Missed = p.messages.Load(), p.missed.Load()
		out = append(out, state)
	}
	return out
}

// UpstreamTopics is the number of topics that are subscribed to at each publisher.
func (b *Bridge) UpstreamTopics() int { return b.up.size() }

func (p *publisher) run() {
	o := p.set.bridge.opts
	pauses := addr.Backoff{Min: o.RedialMin, Max: o.RedialMax}
	for {
		began := time.Now()
		err := p.once()
		if p.set.ctx.Err() != nil {
			return
		}
		p.lost(err)
		if time.Since(began) > o.RedialMax {
			pauses.Reset() // it was a good one: a restart, most likely
		}
		if !p.sleep(pauses.Next()) {
			return
		}
	}
}

func (p *publisher) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.set.ctx.Done():
		return false
	}
}

// once is one connection, from dialling to its end.
func (p *publisher) once() error {
	b := p.set.bridge
	ctx, cancel := context.WithTimeout(p.set.ctx, b.opts.HandshakeTimeout)
	defer cancel()
	raw, err := dial(ctx, p.endpoint)
	if err != nil {
		return err
	}
	g := guard.New(b.security.dial(p.endpoint, raw, b.opts.limits()), string(zmq4.Sub), b.opts.limits())
	end := context.AfterFunc(p.set.ctx, func() { _ = g.Close() })
	defer func() {
		end()
		_ = g.Close()
		g.Wait()
	}()
	if err := p.listen(g, raw.RemoteAddr().String()); err != nil {
		if own := g.Err(); own != nil {
			err = own
		}
		if g.PeerType() == "" {
			err = inHandshake(err)
		}
		return err
	}
	return nil
}

func (p *publisher) listen(g *guard.Conn, remote string) error {
	b := p.set.bridge
	if err := g.SetReadDeadline(time.Now().Add(b.opts.HandshakeTimeout)); err != nil {
		return err
	}
	conn, err := guard.Open(g, zmq4.Sub, false)
	if err != nil {
		return err
	}
	if err := g.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	from := &peer{endpoint: p.set.dialer, guard: g, conn: conn, remote: remote}
	from.is(b.anyone)
	b.up.attach(g)
	defer b.up.detach(g)
	if b.opts.Heartbeat > 0 {
		g.Heartbeat(b.opts.Heartbeat, b.opts.HeartbeatTimeout)
	}
	p.connected()
	return b.hear(from, p.reader, func() {
		p.messages.Add(1)
		p.missed.Store(p.reader.missed)
	})
}

func (p *publisher) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.Connected, p.state.Since, p.state.Err = true, time.Now(), nil
	p.state.Connects++
	p.set.bridge.opts.Logger.Info("zeromq: publisher connected", "publisher", p.endpoint, "connects", p.state.Connects)
}

// lost notes why there is no connection. Only a change is worth a line: that it is not there is tried and known.
func (p *publisher) lost(err error) {
	b := p.set.bridge
	if err == nil {
		err = errors.New("it closed the connection")
	}
	var v *guard.Violation
	if errors.As(err, &v) {
		b.hub.Count(v.Reason)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.state.Err == nil
	if p.state.Connected {
		p.state.Since = time.Now()
	}
	p.state.Connected, p.state.Err = false, err
	if first {
		b.opts.Logger.Warn("zeromq: publisher not connected, trying again", "publisher", p.endpoint, "error", err)
	}
}
