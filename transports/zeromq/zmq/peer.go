package zmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"greenroom/coop"
	"greenroom/transports/zeromq/internal/addr"
	"greenroom/transports/zeromq/internal/guard"
)

// peer is one connection. Its goroutine dials or was given by accept, shakes hands, reads, and ends when nothing of what
// it has read waits any more. The guard's own goroutine writes.
type peer struct {
	s        *Socket
	guard    *guard.Conn
	endpoint string
	remote   string

	// The socket's mu guards these.
	in      fifo[message]
	inBytes int
	room    sync.Cond           // in has become shorter, or the socket is closed
	id      string              // a ROUTER's
	topics  map[string]struct{} // subscribed to, at a PUB
	serial  uint64              // of the last message that a PUB sent it
}

// full reports whether no more is to be read. A message larger than the bound is taken when nothing else waits.
func (p *peer) full() bool {
	o := &p.s.opts
	return p.in.len() > 0 && (p.in.len() >= o.RecvHWM || p.inBytes >= o.RecvBytes)
}

// Dial connects to an endpoint, tcp://host:port or ipc://path, in the background, and again whenever the connection
// ends, until the socket is closed. It does not wait; an error is one of writing.
func (s *Socket) Dial(endpoint string) error {
	if _, _, err := addr.Parse(endpoint); err != nil {
		return fmt.Errorf("zmq: %w", err)
	}
	return s.start(nil, func() { s.redial(endpoint) })
}

// start runs fn on a goroutine that the socket waits for at its end.
func (s *Socket) start(ln net.Listener, fn func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if ln != nil {
		s.listeners = append(s.listeners, ln)
	}
	s.wg.Go(fn)
	return nil
}

func (s *Socket) redial(endpoint string) {
	pauses := addr.Backoff{Min: s.opts.RedialMin, Max: s.opts.RedialMax}
	told := false // that it cannot be reached; once is enough
	for {
		began := time.Now()
		shaken, err := s.once(endpoint)
		if s.isClosed() {
			return
		}
		if shaken || !told {
			s.monitor(Event{Endpoint: endpoint, Err: err})
		}
		told = true
		if shaken && time.Since(began) > s.opts.RedialMax {
			pauses.Reset() // it was a good one: a restart, most likely
		}
		if !s.pause(pauses.Next()) {
			return
		}
	}
}

// once is one connection, from dialling to its end.
func (s *Socket) once(endpoint string) (shaken bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.HandshakeTimeout)
	raw, err := addr.Dial(ctx, endpoint)
	cancel()
	if err != nil {
		return false, err
	}
	p := s.newPeer(raw, endpoint)
	if err := s.enter(p, false); err != nil {
		p.end()
		return false, err
	}
	return p.run(false)
}

// pause reports false when the socket is closed meanwhile.
func (s *Socket) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// Listen accepts connections at an endpoint, tcp://host:port or ipc://path, until the socket is closed. It returns
// the endpoint to dial, which tells the port that * or 0 has become. It parks g while a name is looked up.
func (s *Socket) Listen(g *coop.Greenlet, endpoint string) (at string, err error) {
	return coop.Await(g, func() (string, error) { return s.listen(endpoint) })
}

// ListenContext is Listen for a goroutine.
func (s *Socket) ListenContext(_ context.Context, endpoint string) (at string, err error) {
	return s.listen(endpoint)
}

func (s *Socket) listen(endpoint string) (string, error) {
	_, curve := s.opts.Security.(CurveServer)
	ln, err := addr.Bind(endpoint, s.opts.Insecure || curve, s.opts.IPCMode)
	if err != nil {
		return "", fmt.Errorf("zmq: %w", err)
	}
	at := addr.Of(ln.Addr())
	if err := s.start(ln, func() { s.accept(ln, at) }); err != nil {
		return "", errors.Join(err, ln.Close())
	}
	return at, nil
}

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

func (s *Socket) accept(ln net.Listener, at string) {
	pauses := addr.Backoff{Min: minAcceptPause, Max: maxAcceptPause}
	for {
		raw, err := ln.Accept()
		if s.isClosed() {
			if err == nil {
				_ = raw.Close() // nothing was said
			}
			return
		}
		if err != nil { // EMFILE and the like pass, and must not spin
			s.monitor(Event{Endpoint: at, Err: err})
			if !s.pause(pauses.Next()) {
				return
			}
			continue
		}
		pauses.Reset()
		p := s.newPeer(raw, at)
		if err := s.enter(p, true); err != nil {
			s.monitor(Event{Endpoint: at, Remote: p.remote, Err: err})
			p.end()
			continue
		}
		s.wg.Go(func() {
			_, err := p.run(true)
			if !s.isClosed() {
				s.monitor(Event{Endpoint: at, Remote: p.remote, Err: err})
			}
		})
	}
}

func (s *Socket) newPeer(raw net.Conn, endpoint string) *peer {
	p := &peer{s: s, endpoint: endpoint, remote: raw.RemoteAddr().String()}
	p.room.L = &s.mu
	if s.secure != nil {
		raw = s.secure(raw, s.limits)
	}
	p.guard = guard.New(raw, string(s.typ), s.limits)
	return p
}

// enter puts a new connection among those that have not shaken hands.
func (s *Socket) enter(p *peer, accepted bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.running >= s.opts.MaxPeers {
		return &guard.Violation{Reason: reasonPeers, Detail: "the socket has no room for more peers"}
	}
	if accepted && len(s.pending) >= s.opts.MaxPending {
		s.pending[0].guard.Fail(&guard.Violation{Reason: reasonEvicted, Detail: "too many connections that have not shaken hands"})
		s.pending = slices.Delete(s.pending, 0, 1)
	}
	s.running++
	s.pending = append(s.pending, p)
	return nil
}

func (p *peer) end() {
	_ = p.guard.Close()
	p.guard.Wait()
}

// run is the connection's goroutine. shaken reports whether the peer was there.
func (p *peer) run(accepted bool) (shaken bool, err error) {
	s := p.s
	err = p.shake(accepted)
	s.mu.Lock()
	s.pending = slices.DeleteFunc(s.pending, func(q *peer) bool { return q == p })
	if err == nil {
		err = s.attach(p)
	}
	shaken = err == nil
	s.mu.Unlock()
	if shaken {
		s.monitor(Event{Connected: true, Endpoint: p.endpoint, Remote: p.remote})
		if s.opts.Heartbeat > 0 {
			p.guard.Heartbeat(s.opts.Heartbeat, s.opts.HeartbeatTimeout)
		}
		err = p.read()
	}
	err = why(p.guard, err)
	p.end()
	s.mu.Lock()
	if shaken {
		s.detach(p)
	}
	for p.in.len() > 0 && !s.closed {
		p.room.Wait() // it counts as a connection as long as what it has brought takes memory
	}
	s.running--
	s.mu.Unlock()
	return shaken, err
}

func (p *peer) shake(accepted bool) error {
	if err := p.guard.SetReadDeadline(time.Now().Add(p.s.opts.HandshakeTimeout)); err != nil {
		return err
	}
	looks := accepted // at the peer's READY before it sends its own
	switch p.s.opts.Security.(type) {
	case CurveServer, PlainServer: // which have no key before, or do not know who it is
		looks = true
	case CurveClient, PlainClient: // whose servers look
		looks = false
	}
	if _, err := guard.OpenAs(p.guard, p.s.typ.wire(), p.s.opts.Identity, looks); err != nil {
		return err
	}
	return p.guard.SetReadDeadline(time.Time{})
}

// attach makes p one of the peers. mu is held.
func (s *Socket) attach(p *peer) error {
	if s.closed {
		return ErrClosed
	}
	p.guard.OnRoom(func() {
		if s.senders.n.Load() > 0 {
			s.mu.Lock()
			s.senders.everybody()
			s.mu.Unlock()
		}
	})
	if err := s.pattern.attach(p); err != nil {
		return err
	}
	s.peers = append(s.peers, p)
	s.senders.everybody()
	return nil
}

// detach is for peers that were attached. mu is held.
func (s *Socket) detach(p *peer) {
	s.peers = slices.DeleteFunc(s.peers, func(q *peer) bool { return q == p })
	s.pattern.detach(p)
	s.senders.everybody() // a ROUTER may have waited for this one
}

// read hands up messages until the connection ends.
func (p *peer) read() error {
	const most = 64 // at once
	var frames [][]byte
	var batch [][][]byte
	for {
		var err error
		if frames, err = p.guard.Next(frames); err != nil {
			return err
		}
		batch = append(batch, clone(frames))
		if len(batch) < most && p.guard.Buffered() {
			continue
		}
		p.arrived(batch)
		clear(batch)
		batch = batch[:0]
	}
}

// arrived hands up messages, and waits while there is no room for them.
func (p *peer) arrived(batch [][][]byte) {
	s := p.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, frames := range batch {
		for p.full() && !s.closed {
			p.room.Wait()
		}
		if s.closed {
			return // read on: the peer is to be done with writing
		}
		if m, ok := s.pattern.arrive(p, frames); ok {
			s.deliver(p, m)
		}
	}
}

// part lets the peer take what was sent to it, and ends the connection.
func (p *peer) part(linger time.Duration) {
	cut := time.AfterFunc(linger, func() { _ = p.guard.Close() })
	defer cut.Stop()
	if p.guard.Flush() == nil {
		// The peer closes when it has read it all; closing first could take it out of its hands.
		_ = p.guard.CloseWrite()
	}
	p.guard.Wait()
}

// clone copies frames with one allocation for the bytes and one for the list.
func clone(frames [][]byte) [][]byte {
	all, out := make([]byte, 0, size(frames)), make([][]byte, len(frames))
	for i, f := range frames {
		all = append(all, f...)
		out[i] = all[len(all)-len(f) : len(all) : len(all)]
	}
	return out
}
