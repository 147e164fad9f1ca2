package coop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

var _ net.Conn = (*TLSConn)(nil)

// A TLSConn is TLS over a [Conn], by crypto/tls. It may be used as a Conn may, by the same callers. The
// handshake is made by the first that reads, writes or calls Handshake, under the deadlines that are
// set; others wait for it.
//
// crypto/tls holds locks while it writes, and a greenlet that parks with one would hold up its loop
// if another wanted it. So nothing parks in there: records are queued, and it is TLSConn that waits until
// they are sent. The functions in a tls.Config run on the loop, and must not block it. After a failed Write the connection cannot be written to any more. A handshake wants
// a stack of some 10 KB, which the greenlet keeps until the next garbage collection.
type TLSConn struct {
	c       *Conn
	tls     *tls.Conn
	reading bool
	phase   handshakePhase
	err     error // of the handshake
	shaken  Event // it is over
}

type handshakePhase uint8

const (
	unshaken handshakePhase = iota
	shaking
	shaken
)

// TLSServer is the server's end of TLS over c, which must not be used any more. config must have a
// certificate.
func TLSServer(c *Conn, config *tls.Config) *TLSConn {
	t := &TLSConn{c: c}
	t.tls = tls.Server(wire{c}, config)
	return t
}

// TLSClient is the client's end of TLS over c, which must not be used any more. config must name the
// server. Renegotiation, a thing of TLS 1.2, is refused.
func TLSClient(c *Conn, config *tls.Config) *TLSConn {
	t := &TLSConn{c: c}
	if config.Renegotiation != tls.RenegotiateNever {
		config = config.Clone()
		config.Renegotiation = tls.RenegotiateNever // it reads, and so parks, with a lock that others take
	}
	t.tls = tls.Client(wire{c}, config)
	return t
}

// Handshake makes the handshake, unless it is made, or waits for it.
func (t *TLSConn) Handshake() error {
	_, err := t.c.visit(&t.c.r, func(g *Greenlet, _ []byte) (int, error) { return 0, t.handshake(g) }, nil)
	return err
}

func (t *TLSConn) handshake(g *Greenlet) error {
	for t.phase == shaking {
		if err := t.shaken.wait(g, ParkedRead); err != nil {
			return err
		}
	}
	if t.phase == unshaken {
		t.phase, t.err = shaking, errors.New("tls: handshake was cut off")
		defer func() {
			t.phase = shaken
			t.shaken.Set()
		}()
		t.err = bareError(t.tls.Handshake())
	}
	return t.err
}

// ConnectionState is what the handshake agreed on; the zero value before its end. Greenlets of the loop only.
func (t *TLSConn) ConnectionState() tls.ConnectionState {
	if t.phase != shaken || t.err != nil {
		return tls.ConnectionState{}
	}
	return t.tls.ConnectionState()
}

// NetConn is the connection below. Writing to it breaks the TLS. Any goroutine.
func (t *TLSConn) NetConn() net.Conn { return t.c }

// Loop is where the connection lives. Any goroutine.
func (t *TLSConn) Loop() *Loop { return t.c.loop }

// Read parks the calling greenlet until there is something to read.
func (t *TLSConn) Read(p []byte) (int, error) { return t.c.visit(&t.c.r, t.read, p) }

func (t *TLSConn) read(g *Greenlet, p []byte) (int, error) {
	if err := t.handshake(g); err != nil {
		return 0, err
	}
	if err := t.c.loop.pace(g); err != nil {
		return 0, err
	}
	if t.reading { // looked at after the last park: crypto/tls would take a lock
		return 0, t.c.r.fail(ErrBusy)
	}
	t.reading = true
	defer func() { t.reading = false }()
	t.c.loop.io.count(0) // there may be enough for many calls
	n, err := t.tls.Read(p)
	return n, bareError(err)
}

// tlsPiece is how much is encrypted before it is sent, in bytes.
const tlsPiece = 64 << 10

// Write parks the calling greenlet until everything is handed to the system.
func (t *TLSConn) Write(p []byte) (int, error) { return t.c.visit(&t.c.w, t.write, p) }

func (t *TLSConn) write(g *Greenlet, p []byte) (n int, err error) {
	if err := t.handshake(g); err != nil {
		return 0, err
	}
	if err := t.c.loop.pace(g); err != nil {
		return 0, err
	}
	if err := t.c.takeTurn(g); err != nil {
		return 0, err
	}
	defer t.c.passTurn()
	for n < len(p) {
		m, err := t.tls.Write(p[n:min(len(p), n+tlsPiece)])
		n += m
		t.c.loop.io.count(m)
		if err != nil {
			return n, err
		}
		if err := t.c.drained(g); err != nil {
			return n, err
		}
	}
	return n, nil
}

// CloseWrite tells the peer that nothing more will come. It parks while others write.
func (t *TLSConn) CloseWrite() error {
	_, err := t.c.visit(&t.c.w, func(g *Greenlet, _ []byte) (int, error) {
		if err := t.handshake(g); err != nil {
			return 0, err
		}
		if err := t.c.takeTurn(g); err != nil {
			return 0, err
		}
		defer t.c.passTurn()
		if err := t.tls.CloseWrite(); err != nil {
			return 0, err
		}
		return 0, t.c.drained(g)
	}, nil)
	return err
}

// Close ends the connection, as [Conn.Close] does. Any goroutine.
func (t *TLSConn) Close() error {
	if t.c.loop.isCaller() {
		t.tls.Close()
	} else {
		t.c.loop.Post(func() { t.tls.Close() })
	}
	return nil
}

// LocalAddr is this end's address. Any goroutine.
func (t *TLSConn) LocalAddr() net.Addr { return t.c.local }

// RemoteAddr is the peer's address. Any goroutine.
func (t *TLSConn) RemoteAddr() net.Addr { return t.c.peer }

// SetDeadline is [Conn.SetDeadline]. A read deadline that passes leaves the connection intact, except
// during the handshake.
func (t *TLSConn) SetDeadline(at time.Time) error { return t.c.SetDeadline(at) }

// SetReadDeadline is [Conn.SetReadDeadline].
func (t *TLSConn) SetReadDeadline(at time.Time) error { return t.c.SetReadDeadline(at) }

// SetWriteDeadline is [Conn.SetWriteDeadline].
func (t *TLSConn) SetWriteDeadline(at time.Time) error { return t.c.SetWriteDeadline(at) }

// wire is the connection as crypto/tls sees it. All calls come from the running greenlet.
type wire struct{ *Conn }

// maxUnread bounds what a peer can have us queue that sends, and makes us answer, but does not read.
const maxUnread = 64 << 10

func (w wire) Read(p []byte) (int, error) {
	g := w.loop.Current()
	if len(w.out) > maxUnread {
		if err := w.settle(g); err != nil {
			return 0, passing(err)
		}
	}
	n, err := w.read(g, p)
	return n, passing(err)
}

func (w wire) settle(g *Greenlet) error {
	if err := w.takeTurn(g); err != nil {
		return err
	}
	defer w.passTurn()
	return w.drained(g)
}

func (w wire) Write(p []byte) (int, error) {
	if err := w.push(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// The deadlines are TLSConn's; crypto/tls sets one of its own when it says good-bye.
func (w wire) SetDeadline(time.Time) error      { return nil }
func (w wire) SetReadDeadline(time.Time) error  { return nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

// A passingError concerns the greenlet, not the connection. crypto/tls remembers errors that do not say they
// are temporary.
type passingError struct{ error }

func (passingError) Timeout() bool   { return true }
func (passingError) Temporary() bool { return true }
func (e passingError) Unwrap() error { return e.error }

func passing(err error) error {
	if err == nil || err == io.EOF || isNetwork(err) {
		return err
	}
	return passingError{err}
}

func bareError(err error) error {
	if p, ok := errors.AsType[passingError](err); ok {
		return p.error
	}
	return err
}

// tlsFailure says whose handshake failed.
func tlsFailure(t *TLSConn, err error) error {
	return fmt.Errorf("TLS handshake with %v: %w", t.RemoteAddr(), err)
}
