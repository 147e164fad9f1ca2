package coophttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"greenroom/coop"
)

// clientConn is a connection of a Transport. One request at a time.
type clientConn struct {
	t    *Transport
	host *host
	c    net.Conn
	bare *coop.Conn // c, or what is below its TLS
	r    *bufio.Reader
	w    *bufio.Writer

	reused  bool
	heard   bool // something of a response
	sending *coop.Greenlet
	unwatch func() bool
	since   time.Duration // unused
	gone    bool
}

func newClientConn(t *Transport, h *host, nc net.Conn) *clientConn {
	c := &clientConn{t: t, host: h, c: nc}
	switch nc := nc.(type) {
	case *coop.Conn:
		c.bare = nc
	case *coop.TLSConn:
		c.bare = nc.NetConn().(*coop.Conn)
	}
	c.r = bufio.NewReader((*clientSource)(c))
	c.w = bufio.NewWriter((*clientSink)(c))
	return c
}

// clientSource and clientSink are the connection with the transport's timeout.
type (
	clientSource clientConn
	clientSink   clientConn
)

func (s *clientSource) Read(p []byte) (int, error) {
	if d := s.t.StallTimeout; d > 0 {
		s.c.SetReadDeadline(s.t.Loop.Time().Add(d))
	}
	n, err := s.c.Read(p)
	s.heard = s.heard || n > 0
	return n, err
}

func (s *clientSink) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if d := s.t.StallTimeout; d > 0 {
			s.c.SetWriteDeadline(s.t.Loop.Time().Add(d))
		}
		var m int
		m, err = s.c.Write(p[n:min(len(p), n+writePiece)])
		n += m
	}
	return n, err
}

// do sends a request and reads the response's head.
func (c *clientConn) do(g *coop.Greenlet, r *http.Request) (*http.Response, error) {
	c.heard = false
	c.watch(g, r.Context())
	err := c.send(g, r)
	if err == nil {
		var resp *http.Response
		if resp, err = c.receive(g, r); err == nil {
			return resp, nil
		}
	}
	c.drop()
	if ctxErr := r.Context().Err(); ctxErr != nil && !errors.Is(ctxErr, coop.ErrKilled) {
		return nil, ctxErr
	}
	return nil, err
}

// watch ends the call when ctx does.
func (c *clientConn) watch(g *coop.Greenlet, ctx context.Context) {
	if ctx.Done() == nil || ctx == context.Context(g) || ctx == g.Context() || greenletOf(ctx) == g {
		return // g's own parks hear of it
	}
	nc := c.c
	c.unwatch = context.AfterFunc(ctx, func() { nc.Close() })
}

// send writes the request, in a greenlet of its own if there is a body: a server may answer before it has
// read all of it.
func (c *clientConn) send(g *coop.Greenlet, r *http.Request) error {
	write := func(*coop.Greenlet) error {
		if err := r.Write(c.w); err != nil {
			return err
		}
		return c.w.Flush()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return write(g)
	}
	c.sending = g.Spawn(func(g *coop.Greenlet) error {
		if write(g) != nil {
			c.bare.SetReadDeadline(c.t.Loop.Time().Add(answerTime)) // it may have said why
		}
		return nil
	})
	return nil
}

// answerTime is how long an answer may take after sending has failed.
const answerTime = time.Second

// receive reads the head.
func (c *clientConn) receive(g *coop.Greenlet, r *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(c.r, r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		keep := !resp.Close && !r.Close && resp.StatusCode != http.StatusSwitchingProtocols
		if resp.Body == http.NoBody {
			c.finish(keep)
		} else {
			resp.Body = &clientBody{c: c, ReadCloser: resp.Body, ctx: r.Context(), keep: keep}
		}
		return resp, nil
	}
}

// stale reports whether err is that of a kept connection that the server had closed.
func (c *clientConn) stale(err error) bool {
	var oe *net.OpError
	return c.reused && !c.heard && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &oe) && !oe.Timeout())
}

// finish is the end of a response that was read to its end.
func (c *clientConn) finish(keep bool) {
	sent := c.sending == nil || c.sending.Ended()
	watched := c.unwatch != nil && !c.unwatch() // the context has ended, and closed it
	if !keep || !sent || watched || c.r.Buffered() > 0 {
		c.drop()
		return
	}
	c.sending, c.unwatch = nil, nil
	c.t.keep(c)
}

// drop closes the connection and gives its place to another.
func (c *clientConn) drop() {
	if c.gone {
		return
	}
	c.gone = true
	if c.unwatch != nil {
		c.unwatch()
	}
	if c.sending != nil {
		c.sending.Kill()
	}
	c.c.Close()
	c.host.release()
}

// clientBody is a response's body. It may be used by another goroutine than asked for it.
type clientBody struct {
	c *clientConn
	io.ReadCloser
	ctx  context.Context // the request's
	keep bool
	over bool
}

func (b *clientBody) Read(p []byte) (n int, err error) {
	callErr := b.c.t.Loop.Call(func(*coop.Greenlet) error {
		if b.over {
			err = io.EOF
			return nil
		}
		n, err = b.ReadCloser.Read(p)
		if err == io.EOF {
			b.end(b.keep)
		}
		return nil
	})
	switch {
	case callErr != nil:
		return 0, callErr
	case err != nil && err != io.EOF && b.ctx.Err() != nil:
		return n, b.ctx.Err()
	}
	return n, err
}

// Close ends the response. What was not read is lost, and the connection with it.
func (b *clientBody) Close() error {
	if b.c.t.Loop.Current() != nil {
		b.end(false)
	} else {
		b.c.t.Loop.Post(func() { b.end(false) })
	}
	return nil
}

func (b *clientBody) end(keep bool) {
	if b.over {
		return
	}
	b.over = true
	if keep {
		b.c.finish(true)
	} else {
		b.c.drop()
	}
}
