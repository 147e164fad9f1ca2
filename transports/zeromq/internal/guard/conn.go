package guard

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn guards one connection. Read is for one goroutine, the owner; everything else may be called
// from any. [New] starts the flusher goroutine, which [Conn.Close] ends and [Conn.Wait] awaits; the
// connection below is closed with it.
type Conn struct {
	raw net.Conn

	// Read state, the owner's.
	in       *parser
	idling   bool // a heartbeat deadline is set
	explains bool // a refused handshake is answered with an ERROR command

	out sender

	beats  sync.WaitGroup // of Heartbeat
	reads  atomic.Int64   // that brought something
	asking atomic.Bool    // the owner is reading: silence is the peer's
	ponged atomic.Bool    // the peer has answered a PING

	errMu  sync.Mutex // also held while the read deadline is set
	err    error
	broken error // the peer takes nothing any more; what it sent before can still be read
}

// New guards raw, on which nothing was read or written yet, for a socket of type local ("PULL").
// The caller sets a deadline for the handshake and lifts it afterwards.
func New(raw net.Conn, local string, l Limits) *Conn {
	l = l.WithDefaults()
	c := &Conn{raw: raw}
	c.in = newParser(local, l, c.sendPong)
	c.in.ponged = func() { c.ponged.Store(true) }
	if l.Stale != nil {
		c.out.stale = func(messages int) { l.Stale(c, messages) }
	}
	c.out.init(raw, l, c.writeFailed)
	return c
}

// PeerType is the socket type that the peer named in its READY. Owner, after the handshake.
func (c *Conn) PeerType() string { return c.in.peerType }

// Identity is what the peer called itself in its READY; nobody has checked that it is true. Owner, after the handshake.
func (c *Conn) Identity() string { return c.in.identity }

// Heard reports whether anything has come from the peer. Owner, or when the owner has ended.
func (c *Conn) Heard() bool {
	if s, ok := c.raw.(*secure); ok && (s.phase != phaseGreeting || s.in.w > 0) {
		return true
	}
	return c.in.phase != phaseGreeting || c.in.w > 0
}

// OnPong has fn called for every PONG. Owner, before anything is read after the handshake.
func (c *Conn) OnPong(fn func()) { c.in.ponged = fn }

// Admit has fn decide on the peer, once its READY has been read and before ours is sent. The error ends the
// connection; a [*Violation] is explained to the peer. Under a security mechanism that has a decision of its
// own there is no second one. Owner, before [Open].
func (c *Conn) Admit(fn func(identity string) error) { c.in.admit = fn }

// Err returns why the connection ended: a [*Violation], the network's error, [ErrClosed], or nil
// while it lives.
func (c *Conn) Err() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.err
}

// fail notes the first reason and closes.
func (c *Conn) fail(err error) {
	c.errMu.Lock()
	first := c.err == nil
	if first {
		c.err = err
	}
	c.errMu.Unlock()
	if first {
		c.out.stop()
		_ = c.raw.Close() // the first error is the one to report
	}
}

// writeFailed is called by the flusher when it ends. A peer that sends and closes at once, without
// reading the PONGs on their way to it, makes writing fail while its messages are still to be read: so
// reading goes on, for a while.
func (c *Conn) writeFailed(err error) {
	if v := (*Violation)(nil); errors.As(err, &v) {
		c.fail(v)
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.fail(violation(ReasonWriteTimeout, "the peer did not take what was sent for %v", c.out.limits.WriteTimeout))
		return
	}
	c.errMu.Lock()
	c.broken = err
	failed := c.raw.SetReadDeadline(time.Now().Add(c.out.limits.WriteTimeout)) != nil
	c.errMu.Unlock()
	c.out.stop()
	if failed {
		c.fail(err)
	}
}

// Read implements net.Conn: it returns bytes of whole, checked messages only.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.ready(); err != nil {
		return 0, err
	}
	return c.in.take(p), nil
}

// ready returns when there are cleared bytes.
func (c *Conn) ready() error {
	for c.in.r == c.in.d {
		cleared, err := c.in.next()
		if err == nil && !cleared {
			err = c.fill()
		}
		if err != nil {
			c.explain(err)
			c.fail(err)
			return err
		}
	}
	return nil
}

// fill reads once from the network.
func (c *Conn) fill() error {
	if err := c.heartbeat(); err != nil {
		return err
	}
	c.asking.Store(true)
	n, err := c.raw.Read(c.in.space())
	c.asking.Store(false)
	c.in.filled(n)
	c.reads.Add(1)
	switch {
	case n > 0, err == nil:
		return nil // an error comes back at the next read
	case c.Err() != nil:
		return c.Err()
	case c.writeError() != nil && !errors.Is(err, io.EOF):
		return c.writeError()
	case c.idling && errors.Is(err, os.ErrDeadlineExceeded):
		return violation(ReasonHeartbeat, "nothing came for %v, as long as the peer's PING allowed", c.in.ttl)
	case errors.Is(err, io.EOF) && c.in.phase == phaseTraffic && c.in.partial():
		return violation(ReasonTruncated, "the peer left in the middle of a message")
	}
	return err
}

// heartbeat gives the next read as long as the peer's last PING said that it would be silent at most.
func (c *Conn) heartbeat() error {
	if c.in.ttl == 0 && !c.idling {
		return nil
	}
	c.idling = c.in.ttl > 0
	if !c.idling {
		return c.SetReadDeadline(time.Time{})
	}
	return c.SetReadDeadline(time.Now().Add(c.in.ttl))
}

const (
	// A refused peer gets refusalTime to take the reason, and may send refusalBytes meanwhile: closing on
	// what was not read would make the system throw the reason away.
	refusalTime  = time.Second
	refusalBytes = 64 << 10
)

// explain answers a READY that is refused with an ERROR command and gives the peer time to read it.
func (c *Conn) explain(err error) {
	var v *Violation
	if !c.explains || c.in.phase != phaseReady || !errors.As(err, &v) || v.Reason == ReasonPeerError || v.Silent {
		return
	}
	told := v.Told
	if told == "" {
		told = v.Detail
	}
	if !c.out.urgent(appendError(nil, told)) || c.Flush() != nil || c.CloseWrite() != nil {
		return // gone already
	}
	if c.SetReadDeadline(time.Now().Add(refusalTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.raw, refusalBytes) // ends in an error, or with a peer that sends without end
	}
}

func (c *Conn) writeError() error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	return c.broken
}

func (c *Conn) sendPong(context []byte) error {
	frame := make([]byte, 0, 7+maxPingContext)
	frame = append(frame, flagCommand, byte(5+len(context)), 4, 'P', 'O', 'N', 'G')
	if !c.out.urgent(append(frame, context...)) {
		return violation(ReasonUnansweredOut, "PONGs wait behind %d bytes that the peer does not read", c.out.limits.QueueBytes)
	}
	return nil
}

// Write implements net.Conn for zmq4: p is any piece of a greeting or of frames. Whole messages
// are queued for the flusher; Write waits while the queue is full, at most Limits.WriteTimeout.
// p is copied.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.out.write(p); err != nil {
		return 0, c.sendError(err)
	}
	return len(p), nil
}

// TrySend queues msg, one whole message in ZMTP framing, and never waits. It is false, and nothing
// of msg is sent, when the queue is full or the connection closed. msg is copied.
func (c *Conn) TrySend(msg []byte) bool { return c.out.trySend(msg) }

// Send is TrySend that waits while the queue is full.
func (c *Conn) Send(msg []byte) error {
	if err := c.out.send(msg); err != nil {
		return c.sendError(err)
	}
	return nil
}

// Room reports whether TrySend would take a small message.
func (c *Conn) Room() bool { return c.out.hasRoom() }

// OnRoom has fn called after every batch that was handed to the network: there is room in the queue. It is called on
// the flusher's goroutine and must not wait for it.
func (c *Conn) OnRoom(fn func()) { c.out.onRoom(fn) }

// Flush waits until all that was queued is handed to the network, or the connection ends.
func (c *Conn) Flush() error {
	if c.out.drained() {
		return nil
	}
	return c.sendError(ErrClosed)
}

// sendError is why sending failed: the connection's end, or the flusher's.
func (c *Conn) sendError(err error) error {
	if own := c.Err(); own != nil {
		return own
	}
	if own := c.writeError(); own != nil {
		return own
	}
	return err
}

// Sending reports whether the peer can still be sent to: false once it has left.
func (c *Conn) Sending() bool { return c.sendError(nil) == nil }

// SlowFor returns for how long the queue has been overflowing without a batch in between during
// which nothing was dropped; 0 when the peer keeps up.
func (c *Conn) SlowFor() time.Duration { return c.out.slowFor() }

// Load is what waits to be written, what is being written included, and, where Limits.MaxLag is set, since when the
// oldest message of it does.
func (c *Conn) Load() (bytes, messages int, since time.Time) { return c.out.load() }

// Fail ends the connection for a reason of the caller's.
func (c *Conn) Fail(err error) { c.fail(err) }

// CloseWrite tells the peer that nothing more comes, after a Flush.
func (c *Conn) CloseWrite() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// Close ends the connection at once; what is still queued is lost. Idempotent.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	return nil
}

// Wait returns when the flusher and the heartbeat have ended, after Close or a failure.
func (c *Conn) Wait() {
	<-c.out.ended
	c.beats.Wait()
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline implements net.Conn for the reading side; writes have Limits.WriteTimeout.
func (c *Conn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn. It does nothing once writing has failed: then reading has a
// deadline already, which nothing may lift.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.errMu.Lock()
	defer c.errMu.Unlock()
	if c.broken != nil {
		return nil
	}
	return c.raw.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn: the flusher sets its own, so that there is nothing to do.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
