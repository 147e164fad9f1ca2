package coop

import (
	"errors"
	"net"
	"time"
)

// ErrBusy is returned by a Read of a connection that another greenlet reads from.
var ErrBusy = errors.New("another greenlet reads from this connection")

var _ net.Conn = (*Conn)(nil)

// A Conn is a [net.Conn] whose Read and Write park the greenlet that calls them, so that protocols
// written for net, with bufio, with deadlines, run in greenlets unchanged. gevent: socket.
//
// It belongs to one loop. It finds out who calls:
//
//   - A greenlet of the loop parks; other greenlets run on. If it is killed or times out meanwhile, the
//     call returns that error, with the number of bytes that were written if it is a Write.
//   - Any other goroutine blocks, as with net, while a greenlet does the work for it. That costs
//     some microseconds. So a driver may keep a goroutine that watches the connection.
//   - A callback of the loop (a job, a timer, a stream's handler) cannot wait, and gets [ErrNotRunning];
//     a greenlet of another loop would hold that loop up, and gets [ErrOtherLoop].
//
// Close and the deadlines never wait, and may be called by all of them.
//
// One greenlet may read while others write. A second reader gets [ErrBusy]; writes are sent one after
// the other, each in one piece. After the peer's end, io.EOF, one can still write; after a failed
// Write one can still read what had come. Close wakes those who wait; they get [net.ErrClosed].
//
// Nothing is buffered: Read fetches what the system holds into the caller's buffer, and the peer is
// held up when nobody reads. A greenlet whose connections never make it wait yields by itself after 64
// calls or 256 KB, so that it cannot keep the loop. On systems without a poller, and for
// wrappers such as TLS that is not [Detachable], two goroutines and their buffers serve a connection, as for a [Stream].
//
// A Conn that is dropped without Close stays open until its loop is closed.
type Conn struct {
	loop  *Loop
	s     *Stream
	local net.Addr
	peer  net.Addr
	err   error // why nothing can be done with it any more

	r, w    side
	reading bool     // somebody reads; parked, or woken and not yet back
	writing bool     // somebody writes, or is about to
	turn    waitList // who wants to, meanwhile
	out     []byte   // accepted by push, goes first
}

// NewConn hands a connection over to a loop. If it succeeds, the connection must not be used any more but
// through the Conn; if not, it is still the caller's. Any goroutine.
func NewConn(l *Loop, nc net.Conn) (*Conn, error) {
	c, err := newConn(l, nc)
	if err != nil {
		return nil, err
	}
	if l.isCaller() {
		c.start()
	} else if !l.Post(c.start) {
		return nil, ErrClosed // the loop has closed the connection
	}
	return c, nil
}

// newConn is NewConn without the start, which is the loop's to make.
func newConn(l *Loop, nc net.Conn) (*Conn, error) {
	c := &Conn{loop: l, local: nc.LocalAddr(), peer: nc.RemoteAddr()}
	c.r.init(c, "read", ParkedRead)
	c.w.init(c, "write", ParkedWrite)
	s, err := l.Attach(nc, (*connHandler)(c))
	if err != nil {
		return nil, err
	}
	c.s = s
	return c, nil
}

func (c *Conn) start() {
	c.s.flags |= streamPulled
	c.s.Start()
}

// Loop is where the connection lives. Any goroutine.
func (c *Conn) Loop() *Loop { return c.loop }

// LocalAddr is this end's address. Any goroutine.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the peer's address. Any goroutine.
func (c *Conn) RemoteAddr() net.Addr { return c.peer }

// Read parks the calling greenlet until there is something to read.
func (c *Conn) Read(p []byte) (int, error) {
	if g := c.loop.Current(); g != nil {
		return c.read(g, p)
	}
	return c.visit(&c.r, c.read, p)
}

// Write parks the calling greenlet until everything is handed to the system.
func (c *Conn) Write(p []byte) (int, error) {
	if g := c.loop.Current(); g != nil {
		return c.write(g, p)
	}
	return c.visit(&c.w, c.write, p)
}

// visit has a greenlet do the work for another goroutine.
func (c *Conn) visit(s *side, do func(*Greenlet, []byte) (int, error), p []byte) (n int, err error) {
	if g := c.loop.Current(); g != nil {
		return do(g, p)
	}
	err = c.loop.Call(func(g *Greenlet) (err error) {
		n, err = do(g, p)
		return err
	})
	if errors.Is(err, ErrKilled) || err == ErrClosed {
		err = s.fail(net.ErrClosed) // the loop is closing
	}
	return n, err
}

func (c *Conn) read(g *Greenlet, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.loop.pace(g); err != nil {
		return 0, err
	}
	if c.reading {
		return 0, c.r.fail(ErrBusy)
	}
	c.reading = true
	n, err := c.fetch(g, p)
	c.reading = false
	return n, err
}

// fetch is read for the one who may.
func (c *Conn) fetch(g *Greenlet, p []byte) (int, error) {
	for {
		if err := c.r.check(); err != nil {
			return 0, err
		}
		if c.s.flags&streamUnread == 0 {
			if err := c.r.wait(g); err != nil {
				return 0, err
			}
			continue
		}
		n, err := c.s.pull(p)
		if err != nil {
			c.r.err = err
			return n, err
		}
		if n > 0 {
			c.loop.io.count(n)
			return n, nil
		}
	}
}

// WaitRead parks g until Read has something to return, be it the end or an error. It may return early.
// A connection that idles this way holds no buffer.
func (c *Conn) WaitRead(g *Greenlet) error {
	if c.reading {
		return c.r.fail(ErrBusy)
	}
	c.reading = true
	defer func() { c.reading = false }()
	for c.s.flags&streamUnread == 0 {
		if err := c.r.check(); err != nil {
			return err
		}
		if err := c.r.wait(g); err != nil {
			return err
		}
	}
	return nil
}

// CanRead reports whether Read would, as far as the loop has heard, not have to wait: there is
// something, or the end. A pool asks it of idle connections. Greenlets of the loop only.
func (c *Conn) CanRead() bool { return c.err != nil || c.s.flags&streamUnread != 0 }

func (c *Conn) write(g *Greenlet, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.loop.pace(g); err != nil {
		return 0, err
	}
	if err := c.takeTurn(g); err != nil {
		return 0, err
	}
	defer c.passTurn()
	for {
		if err := c.w.check(); err != nil {
			return n, err
		}
		if len(c.out) == 0 {
			m, err := c.s.send(p[n:])
			n += m
			c.loop.io.count(m)
			if err != nil {
				c.writeFailed(err)
				return n, err
			}
		}
		if n == len(p) {
			return n, nil
		}
		if err := c.w.wait(g); err != nil {
			return n, err
		}
	}
}

// takeTurn waits for the writers that came before.
func (c *Conn) takeTurn(g *Greenlet) error {
	if !c.writing {
		c.writing = true
		return nil
	}
	if err := c.w.check(); err != nil {
		return err
	}
	if err := g.enter(); err != nil {
		return err
	}
	g.why = ParkedWrite
	c.w.arm()
	c.turn.push(g)
	return g.park() // passTurn leaves writing set for us
}

func (c *Conn) passTurn() {
	if c.turn.n > 0 {
		c.turn.head.wake(nil)
		return
	}
	c.writing = false
}

// CloseWrite tells the peer that nothing more will come, behind what was written; one can go on reading.
// It parks while others write. A wrapped connection that cannot do it returns [errors.ErrUnsupported].
func (c *Conn) CloseWrite() error {
	_, err := c.visit(&c.w, c.closeWrite, nil)
	return err
}

func (c *Conn) closeWrite(g *Greenlet, _ []byte) (int, error) {
	if err := c.takeTurn(g); err != nil {
		return 0, err
	}
	defer c.passTurn()
	if err := c.drained(g); err != nil {
		return 0, err
	}
	err := c.s.shutdown()
	if err == nil {
		c.w.err = c.w.fail(net.ErrClosed)
	}
	return 0, err
}

// Close ends the connection and wakes everyone who waits for it. What was written is still sent, if the
// peer takes it. It does not wait, and closing again does nothing. Any goroutine.
func (c *Conn) Close() error {
	if c.loop.isCaller() {
		c.close()
	} else {
		c.loop.Post(c.close)
	}
	return nil
}

func (c *Conn) close() {
	c.over(net.ErrClosed)
	c.s.Close()
}

// SetDeadline sets both deadlines. One that has passed fails the call that waits and all later ones with
// [os.ErrDeadlineExceeded], until it is moved; the zero time is none. A deadline counts from [Loop.Time],
// and on a clock that is not the system's by the time that is left now. Any goroutine.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.r, &c.w) }

// SetReadDeadline is [Conn.SetDeadline] for Read. Any goroutine.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.r, nil) }

// SetWriteDeadline is [Conn.SetDeadline] for Write. Any goroutine.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, nil, &c.w) }

func (c *Conn) setDeadline(t time.Time, sides ...*side) error {
	if !c.loop.isCaller() {
		if !c.loop.Post(func() { c.moveDeadlines(t, sides) }) {
			return c.r.fail(net.ErrClosed)
		}
		return nil
	}
	return c.moveDeadlines(t, sides)
}

func (c *Conn) moveDeadlines(t time.Time, sides []*side) error {
	if c.err != nil {
		return c.r.fail(c.err)
	}
	at := c.loop.instant(t)
	for _, s := range sides {
		if s != nil {
			s.setDeadline(at)
		}
	}
	return nil
}
