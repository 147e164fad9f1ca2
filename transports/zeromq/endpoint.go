package zeromq

import (
	"container/list"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// endpoint accepts the connections of one socket and gives each its own goroutine: it shakes hands,
// runs serve, and closes. It owns them all; close ends and awaits them.
type endpoint struct {
	bridge *Bridge
	typ    zmq4.SocketType
	limits guard.Limits
	serve  func(*peer) error
	part   func(*peer) // begins the end of a connection in good order; may wait for its guard
	ln     net.Listener

	parting  time.Duration // how long connections get to end in good order
	done     chan struct{} // closed when time is up: pauses end
	cut      sync.Once
	closing  sync.Once
	closeErr error

	mu      sync.Mutex
	pending *list.List // of *peer: shaking hands, oldest first
	peers   map[*peer]struct{}
	closed  bool
	wg      sync.WaitGroup
}

// peer is one connection. Its fields are its own goroutine's, except the guard.
type peer struct {
	endpoint *endpoint

	guard  *guard.Conn
	conn   *zmq4.Conn
	remote string

	principal *Principal  // who it is, once it has shaken hands; never nil then
	ticket    *ticket     // what let it in, when that can be lost
	from      *hub.Sender // the principal, as publications show it

	slot *list.Element // in pending; guarded by the endpoint's mu
}

func newEndpoint(b *Bridge, typ zmq4.SocketType, l guard.Limits, ln net.Listener, serve func(*peer) error, part func(*peer)) *endpoint {
	return &endpoint{
		bridge: b, typ: typ, limits: l, serve: serve, part: part, ln: ln,
		parting: partingTime, done: make(chan struct{}), pending: list.New(), peers: make(map[*peer]struct{}),
	}
}

// start begins to accept.
func (e *endpoint) start() {
	e.wg.Add(1)
	go e.accept()
}

const (
	minAcceptPause = 5 * time.Millisecond
	maxAcceptPause = time.Second
)

func (e *endpoint) accept() {
	defer e.wg.Done()
	pause := minAcceptPause
	for {
		c, err := e.ln.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			e.admit(c)
		case errors.Is(err, net.ErrClosed):
			return
		default: // EMFILE and the like pass, and must not spin
			e.bridge.refused(reasonAccept, "accepting failed", "socket", e.typ, "error", err)
			if !e.sleep(pause) {
				return
			}
			pause = min(2*pause, maxAcceptPause)
		}
	}
}

// admit starts a connection's goroutine. The handshake's deadline runs from here.
func (e *endpoint) admit(c net.Conn) {
	if err := c.SetReadDeadline(time.Now().Add(e.bridge.opts.HandshakeTimeout)); err != nil {
		_ = c.Close() // gone already
		e.bridge.refused(reasonHandshake, "connection refused", "socket", e.typ, "error", err)
		return
	}
	e.mu.Lock()
	if e.closed || len(e.peers) >= e.bridge.opts.MaxPeers {
		closed := e.closed
		e.mu.Unlock()
		_ = c.Close() // nothing was sent
		if !closed {
			e.bridge.refused(reasonTooManyPeers, "connection refused", "socket", e.typ, "remote", c.RemoteAddr())
		}
		return
	}
	p := &peer{endpoint: e, remote: c.RemoteAddr().String()}
	p.guard = e.bridge.security.guard(p, c)
	var oldest *peer
	if e.pending.Len() >= e.bridge.opts.MaxPending {
		oldest = e.pending.Remove(e.pending.Front()).(*peer)
		oldest.slot = nil
	}
	p.slot = e.pending.PushBack(p)
	e.wg.Add(1)
	e.mu.Unlock()
	if oldest != nil {
		oldest.guard.Fail(&guard.Violation{Reason: reasonEvicted, Detail: "too many connections that have not shaken hands"})
	}
	go e.own(p)
}

// own is a connection's goroutine, from the handshake to the end.
func (e *endpoint) own(p *peer) {
	defer e.wg.Done()
	err := e.run(p)
	_ = p.guard.Close()
	p.guard.Wait()
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if !closed {
		e.report(p, err) // first: who sees that the peer has gone finds it counted
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.slot != nil {
		e.pending.Remove(p.slot)
		p.slot = nil
	}
	delete(e.peers, p)
}

func (e *endpoint) run(p *peer) error {
	conn, err := guard.Open(p.guard, e.typ, true)
	if err != nil {
		return err
	}
	p.conn = conn
	if p.principal == nil { // nobody was asked
		p.is(e.bridge.anyone)
	}
	if err := e.established(p); err != nil {
		return err
	}
	e.bridge.security.checkTicket(p) // it may have lost its permission between the two
	if err := p.guard.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	return e.serve(p)
}

// established moves p from the pending to the peers.
func (e *endpoint) established(p *peer) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed, p.slot == nil: // closed or evicted meanwhile
		return guard.ErrClosed
	case len(e.peers) >= e.bridge.opts.MaxPeers:
		return &guard.Violation{Reason: reasonTooManyPeers, Detail: "the endpoint has no room for more peers"}
	}
	e.pending.Remove(p.slot)
	p.slot = nil
	e.peers[p] = struct{}{}
	return nil
}

// report counts why a connection ended, unless the peer simply left.
func (e *endpoint) report(p *peer, err error) {
	if first := p.guard.Err(); first != nil && !errors.Is(first, guard.ErrClosed) {
		err = first
	}
	var v *guard.Violation
	switch {
	case errors.As(err, &v):
		e.bridge.refused(v.Reason, "connection ended", "socket", e.typ, "remote", p.remote, "detail", v.Detail)
	case p.conn == nil:
		e.bridge.refused(reasonHandshake, "connection ended", "socket", e.typ, "remote", p.remote, "error", err)
	case !isEOF(err):
		e.bridge.refused(reasonNetwork, "connection ended", "socket", e.typ, "remote", p.remote, "error", err)
	}
}

// size is the number of established peers.
func (e *endpoint) size() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.peers)
}

// partingTime is how long connections get to end in good order: to hand over what a publisher has sent
// already, or to take what waits for a subscriber. libzmq needs milliseconds for it.
const partingTime = time.Second

// close ends the listener and all connections and waits for their goroutines. Those that have not
// shaken hands are cut off at once, the others after partingTime. Idempotent.
func (e *endpoint) close() error {
	e.closing.Do(func() {
		e.closeErr = e.ln.Close()
		e.mu.Lock()
		e.closed = true
		for el := e.pending.Front(); el != nil; el = el.Next() {
			_ = el.Value.(*peer).guard.Close()
		}
		peers := slices.Collect(maps.Keys(e.peers))
		e.mu.Unlock()
		timer := time.AfterFunc(e.parting, e.cutOff)
		for _, p := range peers {
			e.part(p)
		}
		e.wg.Wait()
		timer.Stop()
		e.cutOff()
	})
	return e.closeErr
}

// cutOff ends what close has not ended in time.
func (e *endpoint) cutOff() {
	e.cut.Do(func() {
		close(e.done)
		e.mu.Lock()
		defer e.mu.Unlock()
		for p := range e.peers {
			_ = p.guard.Close()
		}
	})
}

// sleep waits for d; false when time is up for the endpoint.
func (e *endpoint) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.done:
		return false
	}
}

// partPublisher tells a publisher that nothing is taken any more. What it has sent by then is read
// until it closes as well.
func partPublisher(p *peer) { _ = p.guard.CloseWrite() } // it fails when the publisher has gone already

// partSubscriber lets what waits for a subscriber leave.
func partSubscriber(p *peer) {
	_ = p.guard.Flush() // it fails when the subscriber has gone, or time is up
	_ = p.guard.Close()
}
