package coophttp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"greenroom/coop"
)

// conn is a connection of the server and its greenlet's state.
type conn struct {
	s      *Server
	g      *coop.Greenlet
	c      net.Conn
	bare   *coop.Conn // c, if it is not TLS
	remote string
	ctx    requestContext
	tls    *tls.ConnectionState

	r        *bufio.Reader // while there is a request, or bytes of the next one
	*buffers               // likewise
	left     int64         // of the head's limit

	idle     bool // waits for a request's first byte
	reading  bool // a head
	hijacked bool
	readBy   time.Time // what the handler has set
	writeBy  time.Time
	failed   error     // of reading a head
	broken   error     // of writing
	gone     chan bool // is told of it, if somebody asks
}

// requestContext is the context of all requests of a connection.
type requestContext struct {
	*coop.Greenlet
	local net.Addr
}

type greenletKey struct{}

func (c *requestContext) Value(key any) any {
	switch key {
	case greenletKey{}:
		return c.Greenlet
	case http.LocalAddrContextKey:
		return c.local
	default:
		return nil
	}
}

// Greenlet is the one in which the handler of r runs, or nil on a goroutine, as under [Blocking].
func Greenlet(r *http.Request) *coop.Greenlet { return greenletOf(r.Context()) }

func greenletOf(ctx context.Context) *coop.Greenlet {
	g, _ := ctx.Value(greenletKey{}).(*coop.Greenlet)
	return g
}

// buffers are for what is to be written.
type buffers struct {
	head []byte // of a response, while it is not complete
	body []byte // what has gathered of it
	out  []byte // what is to be written next
}

// Connections that idle hold neither of these.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
	writers = sync.Pool{New: func() any { return new(buffers) }}
)

// keptBuffer is the capacity up to which a buffer is kept, in bytes.
const keptBuffer = 16 << 10

func newConn(s *Server, g *coop.Greenlet, c net.Conn) *conn {
	k := &conn{s: s, g: g, c: c}
	if peer := c.RemoteAddr(); peer != nil {
		k.remote = peer.String()
	}
	k.bare, _ = c.(*coop.Conn)
	k.ctx = requestContext{g, c.LocalAddr()}
	if t, ok := c.(*coop.TLSConn); ok {
		state := t.ConnectionState()
		k.tls = &state
	}
	return k
}

// now is the time of day on the connection's loop.
func (k *conn) now() time.Time { return k.g.Loop().Time() }

func (k *conn) release() {
	delete(k.s.conns, k)
	if !k.hijacked {
		k.dropReader()
	}
	k.dropOut()
}

func (k *conn) dropReader() {
	if k.r != nil {
		k.r.Reset(nil)
		readers.Put(k.r)
		k.r = nil
	}
}

func (k *conn) dropOut() {
	b := k.buffers
	k.buffers = nil
	if b != nil && cap(b.out) <= keptBuffer && cap(b.head) <= keptBuffer {
		b.out, b.head, b.body = b.out[:0], b.head[:0], b.body[:0]
		writers.Put(b)
	}
}

// next waits for a request's first byte.
func (k *conn) next() bool {
	if k.r != nil && k.r.Buffered() > 0 {
		return true // pipelined
	}
	if k.s.stopped || !k.flush() {
		return false
	}
	k.idle = true
	defer func() { k.idle = false }()
	k.c.SetReadDeadline(k.now().Add(k.s.IdleTimeout))
	if k.bare != nil {
		k.dropReader()
		k.dropOut()
		if k.bare.WaitRead(k.g) != nil {
			return false
		}
	}
	if k.r == nil {
		k.r = readers.Get().(*bufio.Reader)
		k.r.Reset((*source)(k))
	}
	_, err := k.r.Peek(1)
	return err == nil
}

// source is what the bufio.Reader reads: it bounds heads and has bodies keep moving.
type source conn

var errHeadTooLong = errors.New("request head too long")

func (s *source) Read(p []byte) (int, error) {
	switch {
	case s.idle:
	case !s.reading:
		s.c.SetReadDeadline(earlier((*conn)(s).now().Add(s.s.StallTimeout), s.readBy))
	case s.left <= 0:
		s.failed = errHeadTooLong
		return 0, errHeadTooLong
	}
	// What waits to be written may be what the peer waits for.
	if !s.idle && !(*conn)(s).flush() {
		return 0, s.broken
	}
	n, err := s.c.Read(p)
	s.left -= int64(n)
	if s.reading && err != nil {
		s.failed = err // bufio.Reader.ReadLine keeps it to itself when there is half a line
	}
	return n, err
}

// writePiece is what is written under one deadline, in bytes.
const writePiece = 64 << 10

// write sends p, behind what waits.
func (k *conn) write(p []byte) bool {
	if !k.flush() {
		return false
	}
	return k.send(p)
}

// flush sends what waits.
func (k *conn) flush() bool {
	if k.buffers == nil || len(k.out) == 0 {
		return k.broken == nil
	}
	ok := k.send(k.out)
	k.out = k.out[:0]
	return ok
}

func (k *conn) send(p []byte) bool {
	for len(p) > 0 && k.broken == nil {
		k.c.SetWriteDeadline(earlier(k.now().Add(k.s.StallTimeout), k.writeBy))
		n, err := k.c.Write(p[:min(len(p), writePiece)])
		p, k.broken = p[n:], err
		if err != nil && k.gone != nil {
			k.gone <- true // has room for it
		}
	}
	return k.broken == nil
}

// closeNotify returns a channel that gets a value when writing fails.
func (k *conn) closeNotify() <-chan bool {
	if k.gone == nil {
		k.gone = make(chan bool, 1)
		if k.broken != nil {
			k.gone <- true
		}
	}
	return k.gone
}

// serve reads a request and answers it. It reports whether there may be another.
func (k *conn) serve() bool {
	if k.buffers == nil {
		k.buffers = writers.Get().(*buffers)
	}
	start := k.now()
	r, err := k.readRequest(start)
	if err != nil {
		k.refuse(err)
		return false
	}
	r = r.WithContext(&k.ctx)
	r.RemoteAddr, r.TLS = k.remote, k.tls
	w := k.response(r)
	w.close = r.Close || k.s.stopped
	w.expect(r)
	ok := w.refused || k.s.call(w, r)
	if k.hijacked {
		return false
	}
	again := w.finish(ok) && k.flushUnlessPipelined()
	k.readBy, k.writeBy = time.Time{}, time.Time{}
	if k.s.Log != nil {
		k.s.Log(Access{Request: r, Status: w.status, Bytes: w.written, Start: start, Took: k.now().Sub(start), Cut: w.cut})
	}
	if w.cut {
		return false
	}
	if !again {
		k.part(w.unread)
		return false
	}
	return true
}

// flushUnlessPipelined sends the answer, unless there is another to come at once.
func (k *conn) flushUnlessPipelined() bool { return k.r.Buffered() > 0 || k.flush() }

// earlier is the first of two deadlines, the second of which may be none.
func earlier(t, u time.Time) time.Time {
	if u.IsZero() || t.Before(u) {
		return t
	}
	return u
}
