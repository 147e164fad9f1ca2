package coophttp

import (
	"cmp"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"greenroom/coop"
)

// A Server serves HTTP/1 on one loop; for many loops make one for each, over Listeners that share a
// net.Listener. The fields are not to be changed once it serves. Loop only.
type Server struct {
	// Handler answers the requests; nil is [http.DefaultServeMux].
	Handler http.Handler

	// MaxConns bounds the connections; while there are so many no more are accepted. 0 is no bound.
	MaxConns int

	// Backlog is [coop.StreamServer].Backlog.
	Backlog int

	// TLS makes it an HTTPS server.
	TLS *tls.Config

	// HeaderTimeout is how long a request's head may take from its first byte on; by default 10 s.
	HeaderTimeout time.Duration

	// IdleTimeout is how long a connection may be without a request; by default 60 s.
	IdleTimeout time.Duration

	// StallTimeout is how long the peer may send none of a body that is being read, or take none of a response.
	// By default 30 s. A [http.ResponseController] can set other deadlines.
	StallTimeout time.Duration

	// MaxHeaderBytes bounds a request's head, by default to 64 KB, with a tolerance of 4 KB. More is
	// answered with 431.
	MaxHeaderBytes int

	// MaxBodyBytes bounds a request's body, by default to 32 MB; below zero there is no bound. A
	// longer one is answered with 413, or fails to be read with an [*http.MaxBytesError].
	MaxBodyBytes int64

	// Log is told of every request that was answered, or cut off. It must not park.
	Log func(Access)

	// OnPanic is told of a handler's panic, other than [http.ErrAbortHandler]. By default it is logged.
	OnPanic func(r *http.Request, err *coop.PanicError)

	stream  coop.StreamServer
	ln      *coop.Listener
	conns   map[*conn]struct{}
	stopped bool
	ready   bool
	date    dateLine
}

// ListenAndServe listens on a TCP address and serves until Stop.
func (s *Server) ListenAndServe(g *coop.Greenlet, address string) error {
	ln, err := coop.Listen(g, "tcp", address)
	if err != nil {
		return err
	}
	return s.Serve(g, ln)
}

// Serve serves what ln accepts. It returns as [coop.StreamServer.Serve] does: nil after Stop.
func (s *Server) Serve(g *coop.Greenlet, ln *coop.Listener) error {
	s.prepare()
	s.ln = ln
	return s.stream.Serve(g, ln)
}

func (s *Server) prepare() {
	if s.ready {
		return
	}
	s.ready = true
	orDefault(&s.HeaderTimeout, 10*time.Second)
	orDefault(&s.IdleTimeout, 60*time.Second)
	orDefault(&s.StallTimeout, 30*time.Second)
	orDefault(&s.MaxHeaderBytes, 64<<10)
	orDefault(&s.MaxBodyBytes, 32<<20)
	if s.Handler == nil {
		s.Handler = http.DefaultServeMux
	}
	if s.OnPanic == nil {
		s.OnPanic = logPanic
	}
	s.conns = make(map[*conn]struct{})
	s.stream = coop.StreamServer{Handler: s.serveConn, MaxConns: s.MaxConns, Backlog: s.Backlog, TLS: s.TLS}
}

func orDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

func logPanic(r *http.Request, err *coop.PanicError) {
	slog.Error("panic in an HTTP handler", "method", r.Method, "path", r.URL.Path, "err", err, "stack", string(err.Stack))
}

// Conns is how many connections there are.
func (s *Server) Conns() int { return s.stream.Conns() }

// Stop closes the listener and the idle connections, lets requests that have begun be answered, and
// returns when all connections have ended. If g is killed or times out meanwhile, those that remain
// are cut, and Stop returns that error: bound its patience with [coop.Greenlet.WithTimeout].
// Connections that were hijacked are not its business.
func (s *Server) Stop(g *coop.Greenlet) error {
	s.prepare()
	s.stopped = true
	if s.ln != nil {
		s.ln.Close()
	}
	byAge := func(a, b *conn) int { return cmp.Compare(a.g.ID(), b.g.ID()) }
	for _, k := range slices.SortedFunc(maps.Keys(s.conns), byAge) {
		if k.idle {
			k.c.Close()
		}
	}
	return s.stream.Stop(g)
}

// serveConn is a connection's greenlet.
func (s *Server) serveConn(g *coop.Greenlet, c net.Conn) error {
	k := newConn(s, g, c)
	s.conns[k] = struct{}{}
	defer k.release()
	for k.next() {
		if !k.serve() {
			break
		}
	}
	if k.hijacked {
		return coop.ErrDetached
	}
	return nil // whatever it was, it was the peer's doing
}

// call runs the handler. It reports false if it panicked.
func (s *Server) call(w *response, r *http.Request) (ok bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, is := v.(error); is && errors.Is(err, http.ErrAbortHandler) {
			w.aborted = true
			return
		}
		p, again := v.(*coop.PanicError)
		if !again {
			p = &coop.PanicError{Value: v, Stack: debug.Stack()}
		}
		s.OnPanic(r, p)
	}()
	s.Handler.ServeHTTP(w, r)
	return true
}
