package zmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"greenroom/coop"
	"greenroom/transports/zeromq/internal/guard"
)

// Socket is a socket with any number of connections. It belongs to no loop: greenlets of any, and goroutines, may use
// it at the same time. Whoever makes it closes it.
//
// Methods that wait take the greenlet that parks meanwhile; those named Context are for goroutines, which block, and not
// for greenlets, whose loop would stand still. Frames given to Send are copied, frames from Recv are the caller's.
type Socket struct {
	typ    Type
	opts   Options
	limits guard.Limits
	secure func(net.Conn, guard.Limits) net.Conn // nil for NULL

	ctx    context.Context // ends with the socket
	cancel context.CancelFunc
	wg     sync.WaitGroup // of everything that runs for it
	ended  chan struct{}  // closed when all of that has ended

	// mu is a leaf but for the locks of connections' queues. Nothing waits while it is held.
	mu        sync.Mutex
	pattern   pattern
	peers     []*peer // that have shaken hands, the oldest first
	pending   []*peer // accepted, and have not
	running   int     // connections
	listeners []net.Listener
	ready     fifo[*peer] // of which messages wait for Recv, in the order in which their turn comes
	wire      []byte      // scratch
	closed    bool

	receivers, senders waitList
	stats              Stats
}

// Stats count what a socket does, since it was made.
type Stats struct {
	Peers    int    // connections, now
	Topics   int    // different subscriptions: of the peers of a PUB or XPUB, or of a SUB or XSUB itself
	Received uint64 // messages that Recv returned
	Sent     uint64 // messages that Send took
	Dropped  uint64 // messages that a peer did not get: a slow subscriber, one that is not there
	Ignored  uint64 // messages from peers that mean nothing to this type of socket, or came too late
}

// pattern is what a type of socket makes of its peers. All methods are called under the socket's mu.
type pattern interface {
	attach(*peer) error // p has shaken hands; an error refuses it
	detach(*peer)       // p has been attached, and has gone
	// arrive is called with each message of p, and returns what Recv shall get, and whether it shall get anything.
	arrive(p *peer, frames [][]byte) (message, bool)
	send(frames [][]byte) error // errWait when that has to wait
	recv() (message, error)     // errWait when that has to wait
	sendable() bool             // send would not wait
	receivable() bool           // recv would not wait
	close()
}

// message is what waits for Recv.
type message struct {
	frames   [][]byte
	from     *peer
	envelope [][]byte // of a REP
}

// New makes a socket. It has to be closed.
func New(t Type, o Options) (*Socket, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o = o.withDefaults(t)
	s := &Socket{typ: t, opts: o, limits: o.limits(t).WithDefaults(), ended: make(chan struct{})}
	make, ok := patterns[t]
	if !ok {
		return nil, fmt.Errorf("zmq: there is no socket type %q", t)
	}
	if o.Security != nil {
		var err error
		if s.secure, err = o.Security.dress(); err != nil {
			return nil, err
		}
	}
	s.pattern = make(s)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

var patterns = map[Type]func(*Socket) pattern{
	REQ: newReq, REP: newRep, DEALER: newDealer, ROUTER: newRouter, PUB: newPub, SUB: newSub,
	XPUB: newXPub, XSUB: newXSub, PUSH: newPush, PULL: newPull, PAIR: newPair,
}

// Type is the socket's type.
func (s *Socket) Type() Type { return s.typ }

// Send sends one message. It parks while no peer has room for it; PUB and XPUB never do.
func (s *Socket) Send(g *coop.Greenlet, frames ...[]byte) error {
	return s.send(sleeper{g: g}, frames)
}

// SendContext is Send for a goroutine.
func (s *Socket) SendContext(ctx context.Context, frames ...[]byte) error {
	return s.send(sleeper{ctx: ctx}, frames)
}

// TrySend is Send that does not wait: [coop.ErrNotReady].
func (s *Socket) TrySend(frames ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now(s.trySend(frames))
}

func (s *Socket) send(by sleeper, frames [][]byte) error {
	return s.block(by, &s.senders, func() error { return s.trySend(frames) })
}

func (s *Socket) trySend(frames [][]byte) error {
	switch {
	case s.closed:
		return ErrClosed
	case len(frames) == 0:
		return fmt.Errorf("%w: it has no frame", ErrMessage)
	}
	err := s.pattern.send(frames)
	if err == nil {
		s.stats.Sent++
	}
	return err
}

// Recv returns the next message, taking one from each peer in turn. It parks while there is none.
func (s *Socket) Recv(g *coop.Greenlet) ([][]byte, error) { return s.recv(sleeper{g: g}) }

// RecvContext is Recv for a goroutine.
func (s *Socket) RecvContext(ctx context.Context) ([][]byte, error) { return s.recv(sleeper{ctx: ctx}) }

// TryRecv is Recv that does not wait: [coop.ErrNotReady].
func (s *Socket) TryRecv() ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, err := s.tryRecv()
	return frames, now(err)
}

func (s *Socket) recv(by sleeper) (frames [][]byte, err error) {
	err = s.block(by, &s.receivers, func() (err error) {
		frames, err = s.tryRecv()
		return err
	})
	return frames, err
}

func (s *Socket) tryRecv() ([][]byte, error) {
	if s.closed {
		return nil, ErrClosed
	}
	m, err := s.pattern.recv()
	if err == nil {
		s.stats.Received++
	}
	return m.frames, err
}

func now(err error) error {
	if err == errWait {
		return coop.ErrNotReady
	}
	return err
}

// WaitPeers parks g until there are n connections. A publisher that waits for its subscribers so knows that they are
// there, but not that their subscriptions are.
func (s *Socket) WaitPeers(g *coop.Greenlet, n int) error { return s.waitPeers(sleeper{g: g}, n) }

// WaitPeersContext is WaitPeers for a goroutine.
func (s *Socket) WaitPeersContext(ctx context.Context, n int) error {
	return s.waitPeers(sleeper{ctx: ctx}, n)
}

func (s *Socket) waitPeers(by sleeper, n int) error {
	return s.block(by, &s.senders, func() error {
		switch {
		case s.closed:
			return ErrClosed
		case len(s.peers) < n:
			return errWait
		}
		return nil
	})
}

// Stats returns the counters.
func (s *Socket) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Peers = len(s.peers)
	if p, ok := s.pattern.(interface{ size() int }); ok {
		st.Topics = p.size()
	}
	return st
}

// Close closes the socket and parks g until all of its connections have ended. Peers get Options.Linger to take what was
// sent to them. The closing begins in any case and ends by itself: an error means that g was killed or timed out
// before. Idempotent.
func (s *Socket) Close(g *coop.Greenlet) error {
	s.beginClose()
	_, err := coop.Await(g, func() (struct{}, error) {
		<-s.ended
		return struct{}{}, nil
	})
	return err
}

// CloseContext is Close for a goroutine.
func (s *Socket) CloseContext(ctx context.Context) error {
	s.beginClose()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beginClose ends everything, some of it soon. It does not wait.
func (s *Socket) beginClose() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.cancel()
	s.pattern.close()
	s.receivers.everybody()
	s.senders.everybody()
	for s.ready.len() > 0 { // whoever waits for room, or has gone and waits to be forgotten
		s.ready.pop().room.Signal()
	}
	listeners, pending, peers := s.listeners, s.pending, slices.Clone(s.peers)
	s.listeners, s.pending = nil, nil
	s.mu.Unlock()

	for _, ln := range listeners {
		_ = ln.Close() // its error would be that it is closed
	}
	for _, p := range pending {
		_ = p.guard.Close()
	}
	go s.end(peers)
}

// end lets peers take what was sent to them, and waits for everything that runs.
func (s *Socket) end(peers []*peer) {
	var parting sync.WaitGroup
	for _, p := range peers {
		parting.Go(func() { p.part(max(s.opts.Linger, 0)) })
	}
	parting.Wait()
	s.wg.Wait()
	close(s.ended)
}

// isClosed reports whether the socket is being closed.
func (s *Socket) isClosed() bool { return s.ctx.Err() != nil }

func (s *Socket) monitor(e Event) {
	if s.opts.Monitor != nil {
		s.opts.Monitor(e)
	}
}

// encode writes a message in ZMTP framing into the socket's scratch. mu is held.
func (s *Socket) encode(head [][]byte, frames ...[]byte) []byte {
	const kept = 256 << 10
	if cap(s.wire) > kept {
		s.wire = nil
	}
	b := s.wire[:0]
	for i, f := range head {
		b = guard.AppendFrame(b, f, i < len(head)-1 || len(frames) > 0)
	}
	for i, f := range frames {
		b = guard.AppendFrame(b, f, i < len(frames)-1)
	}
	s.wire = b
	return b
}

// fair takes a message of the peer whose turn it is. mu is held.
func (s *Socket) fair() (message, error) {
	if s.ready.len() == 0 {
		return message{}, errWait
	}
	p := s.ready.pop()
	m := p.in.pop()
	p.inBytes -= size(m.frames)
	if p.in.len() > 0 {
		s.ready.push(p)
	}
	p.room.Signal()
	return m, nil
}

// deliver puts a message in p's queue, which has room. mu is held.
func (s *Socket) deliver(p *peer, m message) {
	m.from = p
	if p.in.len() == 0 {
		s.ready.push(p)
	}
	p.in.push(m)
	p.inBytes += size(m.frames)
	s.receivers.one()
}

func size(frames [][]byte) (n int) {
	for _, f := range frames {
		n += len(f)
	}
	return n
}

// plain is the pattern of those who do nothing else: peers come and go, messages are handed up as they come and in
// turn, nothing is sent.
type plain struct{ s *Socket }

func (plain) attach(*peer) error                         { return nil }
func (plain) detach(*peer)                               {}
func (plain) arrive(_ *peer, f [][]byte) (message, bool) { return message{frames: f}, true }
func (plain) send([][]byte) error                        { return ErrDirection }
func (plain) sendable() bool                             { return false }
func (p plain) recv() (message, error)                   { return p.s.fair() }
func (p plain) receivable() bool                         { return p.s.ready.len() > 0 }
func (plain) close()                                     {}
func (p plain) ignore() (message, bool)                  { p.s.stats.Ignored++; return message{}, false }

// why is the reason that a connection's end is to be told with.
func why(g *guard.Conn, err error) error {
	if own := g.Err(); own != nil {
		err = own
	}
	if errors.Is(err, guard.ErrClosed) {
		return nil
	}
	return err
}
