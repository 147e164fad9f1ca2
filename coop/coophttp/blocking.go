package coophttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"time"

	"greenroom/coop"
)

// Blocking makes a handler run on a goroutine, by [coop.Await], so that it may block in any way that Go knows,
// while its connection's greenlet serves it: what it reads of the request and writes of the response is
// handed across. That costs some microseconds for the handler and for each 32 KB. The
// goroutines are bounded by [coop.LoopOptions].MaxAwait.
//
// The handler must not touch what belongs to the loop; [Greenlet] gives it nil. Its request's context has the values
// that a router or middleware has put there, and ends when theirs does, or when the server is stopped with the request
// in flight; from then on reads and writes fail.
func Blocking(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := Greenlet(r)
		if g == nil || g.Loop().Current() != g {
			h.ServeHTTP(w, r) // on a goroutine already
			return
		}
		v := &visitor{w: w, loop: g.Loop(), calls: coop.NewQueue[*visit](-1), header: make(http.Header)}
		ctx, cancel := context.WithCancel(visitorContext(g, r.Context()))
		defer cancel()
		r = r.WithContext(ctx)
		if r.Body != http.NoBody {
			r.Body = &visitorBody{v, r.Body}
		}
		v.serve(g, func() { h.ServeHTTP(v, r) })
	})
}

// visitorContext is ctx, of a request of g's, for the goroutine.
func visitorContext(g *coop.Greenlet, ctx context.Context) context.Context {
	if c, bare := ctx.(*requestContext); bare {
		return offLoop{g.Context(), c} // what is done belongs to the goroutine, which may outlive what g is in now
	}
	return offLoop{ctx, ctx}
}

// offLoop is a context in which no greenlet is found.
type offLoop struct {
	context.Context
	values context.Context
}

func (c offLoop) Value(key any) any {
	if key == (greenletKey{}) {
		return nil
	}
	return c.values.Value(key)
}

// visitor is the response writer of a handler on a goroutine. What it does goes to the greenlet as calls.
type visitor struct {
	w     http.ResponseWriter // the greenlet's
	loop  *coop.Loop
	calls *coop.Queue[*visit]
	gone  bool // the greenlet is; loop only

	// The handler's.
	header   http.Header
	head     http.Header // as it was when the status was set, until it is sent
	status   int
	length   int64 // declared, -1 if it was not
	written  int64
	buf      []byte
	hijacked bool
}

var (
	_ http.Flusher  = (*visitor)(nil)
	_ http.Hijacker = (*visitor)(nil)
)

// maxVisit is how much the handler writes between two calls, in bytes.
const maxVisit = 32 << 10

// serve runs handler on a goroutine and does what it asks for.
func (v *visitor) serve(g *coop.Greenlet, handler func()) {
	defer v.leave()
	failure := error(http.ErrAbortHandler) // if we are killed before the handler has ended
	goroutine := g.Spawn(func(g *coop.Greenlet) error {
		defer v.calls.Close()
		_, err := coop.Await(g, func() (struct{}, error) { handler(); return struct{}{}, nil })
		if !errors.Is(err, coop.ErrKilled) {
			failure = err
		}
		return nil
	})
	for c := range v.calls.All(g) {
		c.run()
	}
	goroutine.Kill() // if it has not ended, we were killed
	if failure != nil {
		panic(failure)
	}
	if !v.hijacked {
		if v.status == 0 {
			v.WriteHeader(http.StatusOK)
		}
		v.commit()
	}
}

// leave answers those who come too late.
func (v *visitor) leave() {
	v.gone = true
	for c, ok := v.calls.TryGet(); ok; c, ok = v.calls.TryGet() {
		c.done <- net.ErrClosed
	}
}

// visit is one call to the greenlet. It may park.
type visit struct {
	v    *visitor
	do   func() error
	done chan error
}

func (v *visitor) call(do func() error) error {
	if v.loop.Current() != nil {
		return do() // in a simulation Await runs the handler in place
	}
	c := &visit{v, do, make(chan error, 1)}
	if !v.loop.PostJob(c) {
		return net.ErrClosed
	}
	return <-c.done
}

// RunOn hands the call to the greenlet.
func (c *visit) RunOn(*coop.Loop) {
	if c.v.gone || !c.v.calls.TryPut(c) {
		c.done <- net.ErrClosed
	}
}

func (c *visit) run() {
	err := net.ErrClosed // if do does not come back
	defer func() { c.done <- err }()
	err = c.do()
}

// commit hands on what the handler has set and written. The greenlet's.
func (v *visitor) commit() error {
	h := v.w.Header()
	if v.head != nil {
		clear(h)
		maps.Copy(h, v.head)
		v.head = nil
		v.w.WriteHeader(v.status)
	}
	clear(h)
	maps.Copy(h, v.header) // trailers
	var err error
	if len(v.buf) > 0 {
		_, err = v.w.Write(v.buf)
		v.buf = v.buf[:0]
	}
	return err
}

func (v *visitor) Header() http.Header { return v.header }

func (v *visitor) WriteHeader(status int) {
	switch {
	case v.status != 0 || v.hijacked:
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		v.call(func() error {
			clear(v.w.Header())
			maps.Copy(v.w.Header(), v.header)
			v.w.WriteHeader(status)
			return nil
		})
	default:
		v.status, v.head, v.length = status, v.header.Clone(), declaredLength(v.header)
	}
}

func (v *visitor) Write(p []byte) (int, error) {
	if v.hijacked {
		return 0, http.ErrHijacked
	}
	if v.status == 0 {
		v.WriteHeader(http.StatusOK)
	}
	switch {
	case !bodyAllowed(v.status):
		return 0, http.ErrBodyNotAllowed
	case v.length >= 0 && v.written+int64(len(p)) > v.length:
		return 0, http.ErrContentLength
	}
	v.written += int64(len(p))
	n := len(p)
	for len(v.buf)+len(p) > maxVisit {
		m := maxVisit - len(v.buf)
		v.buf = append(v.buf, p[:m]...)
		p = p[m:]
		if err := v.call(v.commit); err != nil {
			return n - len(p) - m, err
		}
	}
	v.buf = append(v.buf, p...)
	return n, nil
}

// Flush sends what was written so far.
func (v *visitor) Flush() { v.FlushError() }

// FlushError is for [http.ResponseController].
func (v *visitor) FlushError() error {
	if v.status == 0 {
		v.WriteHeader(http.StatusOK)
	}
	return v.call(func() error {
		if err := v.commit(); err != nil {
			return err
		}
		return http.NewResponseController(v.w).Flush()
	})
}

// SetReadDeadline is for [http.ResponseController].
func (v *visitor) SetReadDeadline(t time.Time) error {
	return v.call(func() error { return http.NewResponseController(v.w).SetReadDeadline(t) })
}

// SetWriteDeadline is for [http.ResponseController].
func (v *visitor) SetWriteDeadline(t time.Time) error {
	return v.call(func() error { return http.NewResponseController(v.w).SetWriteDeadline(t) })
}

// EnableFullDuplex is for [http.ResponseController]: it always is.
func (v *visitor) EnableFullDuplex() error { return nil }

// CloseNotify is for frameworks that have not let go of it.
func (v *visitor) CloseNotify() (gone <-chan bool) {
	v.call(func() error {
		if n, ok := v.w.(interface{ CloseNotify() <-chan bool }); ok {
			gone = n.CloseNotify()
		}
		return nil
	})
	return gone
}

// Hijack hands the connection over: it blocks goroutines and parks greenlets.
func (v *visitor) Hijack() (c net.Conn, rw *bufio.ReadWriter, err error) {
	err = v.call(func() error {
		c, rw, err = http.NewResponseController(v.w).Hijack()
		return err
	})
	v.hijacked = v.hijacked || err == nil
	return c, rw, err
}

// visitorBody is the request's body on the goroutine.
type visitorBody struct {
	v *visitor
	io.ReadCloser
}

func (b *visitorBody) Read(p []byte) (n int, err error) {
	if callErr := b.v.call(func() error { n, err = b.ReadCloser.Read(p); return nil }); callErr != nil {
		return 0, callErr
	}
	return n, err
}
