package engineio

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// Server serves Engine.IO protocol 4, and 3 if asked to, over HTTP long-polling and WebSocket. It is
// an [http.Handler]; every session lives on one of the hub's loops.
//
// The HTTP server in front should set ReadHeaderTimeout and IdleTimeout; bodies,
// responses and everything after them are bounded here.
type Server struct {
	hub      *hub.Hub
	log      *slog.Logger
	opts     Options
	onOpen   func(*Socket) Handler
	sessions registry
	pending  pending
	locals   []local // by loop
	ping     *hub.Frame
	pong     *hub.Frame // of protocol 3
	bye      *hub.Frame // a close frame without status
	greeting *hub.Frame // Options.InitialPacket, or nil
	cookie   [2]string  // before and behind the session's id; empty without a cookie
	limits   *handshakeLimits

	middlewares []func(http.Handler) http.Handler
	wrapped     atomic.Bool  // there are some
	handler     http.Handler // all middlewares, and then serve
	aside       inflaters
	observers   observers

	closing  atomic.Bool   // Close was called
	cut      atomic.Bool   // Close has lost its patience
	closed   chan struct{} // closed when Close has done its work
	doClosed sync.Once
}

// local is what the sessions of one loop share.
type local struct {
	headers  headerReader
	inflater inflater
	answer   bytes.Buffer // of a poll at the door, being written
}

// New makes a server whose sessions live on h's loops. onOpen makes the handler
// of a new session; it is called on the session's loop.
func New(h *hub.Hub, o Options, onOpen func(*Socket) Handler) *Server {
	o = o.withDefaults()
	srv := &Server{
		hub:    h,
		log:    h.Options().Logger,
		opts:   o,
		onOpen: onOpen,
		locals: make([]local, len(h.Loops().All())),
		ping:   o.Wires.packetFrame(string(PacketPing)),
		pong:   o.Wires.packetFrame(string(PacketPong)),
		closed: make(chan struct{}),
		limits: newHandshakeLimits(&o),
	}
	srv.handler = http.HandlerFunc(srv.serve)
	if o.InitialPacket != "" {
		srv.greeting = o.Wires.MessageFrame([]byte(o.InitialPacket), nil)
	}
	if o.Cookie != nil {
		var err error
		if srv.cookie[0], srv.cookie[1], err = o.Cookie.header(); err != nil {
			srv.log.Error("no cookie is set, because no browser would take it", "error", err)
		}
	}
	srv.bye = rawFrame(ws.CompiledClose)
	if o.AllowEIO3 && o.Wires.V3 == nil {
		srv.log.Error("AllowEIO3 has no effect without Wires.V3")
	}
	srv.aside = newInflaters(max(1, len(srv.locals)/2))
	srv.sessions.init()
	return srv
}

// Options returns the options in force, defaults filled in.
func (srv *Server) Options() Options { return srv.opts }

// Sessions is the number of open sessions.
func (srv *Server) Sessions() int { return srv.sessions.len() }

// params are the protocol's query parameters; of a repeated one the last counts.
type params struct {
	transport Transport
	sid       string
	version   uint8  // 4, or else 3
	base64    bool   // the client takes no binary data, of protocol 3 only
	jsonp     bool   // of protocol 3 only
	index     string // of JSONP
}

func parseParams(u *url.URL) params {
	p := params{version: 3} // as Node.js has it: without a version, too
	b64 := ""
	set := func(key, value string) {
		switch key {
		case "transport":
			p.transport = Transport(value)
		case "sid":
			p.sid = value
		case "EIO":
			p.version = 3
			if value == "4" {
				p.version = 4
			}
		case "b64":
			b64 = value
		case "j":
			p.jsonp, p.index = true, value
		}
	}
	if strings.ContainsAny(u.RawQuery, "%+;") {
		for key, values := range u.Query() {
			set(key, values[len(values)-1])
		}
	} else { // without a map: this is asked for every poll
		for pair := range strings.SplitSeq(u.RawQuery, "&") {
			key, value, _ := strings.Cut(pair, "=")
			set(key, value)
		}
	}
	if p.version == 4 {
		p.jsonp, p.index = false, ""
	} else {
		p.base64 = b64 != "" || p.jsonp
	}
	return p
}

// isUpgrade reports whether r asks for a WebSocket.
func isUpgrade(r *http.Request) bool {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return false
	}
	return hasToken(r.Header["Connection"], "upgrade")
}

// hasToken reports whether a header with a list of tokens has one.
func hasToken(header []string, want string) bool {
	for _, line := range header {
		for token := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(token), want) {
				return true
			}
		}
	}
	return false
}

// ServeHTTP implements [http.Handler].
func (srv *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, srv.opts.Path) {
		http.NotFound(w, r)
		return
	}
	if r.ContentLength != 0 {
		srv.boundRead(w)
	}
	if len(r.TransferEncoding) > 0 {
		// No client of ours sends chunks. What net/http does not tell is whether there was a Content-Length beside
		// them: then a proxy that goes by that has another idea of where the next request begins (RFC 9112, 6.3).
		w.Header().Set("Connection", "close")
	}
	srv.handler.ServeHTTP(w, srv.proxied(r))
}

// serve is ServeHTTP behind the middlewares. The checks stand in the order in
// which the Node.js server makes them, because tests of clients rely on the codes.
func (srv *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !srv.opts.servesHost(r.Host) {
		srv.refuse(w, r, errForeignHost)
		return
	}
	if srv.opts.CORS.header(w.Header(), r) {
		srv.refuseEmpty(w, http.StatusNoContent)
		return
	}
	p := parseParams(r.URL)
	switch {
	case !srv.opts.allows(p.transport):
		srv.refuse(w, r, errUnknownTransport)
	case !validOrigin(r.Header.Get("Origin")):
		srv.refuse(w, r, errInvalidOrigin)
	case r.Method == http.MethodGet && r.ContentLength != 0:
		// Nothing would read the body, and behind an upgrade it would be taken for frames.
		srv.refuse(w, r, errBadRequest)
	case p.sid != "":
		srv.serveSession(w, r, p)
	default:
		srv.serveHandshake(w, r, p)
	}
}

// serveSession serves a request that names a session.
func (srv *Server) serveSession(w http.ResponseWriter, r *http.Request, p params) {
	s := srv.sessions.get(p.sid)
	if s == nil {
		srv.refuse(w, r, errUnknownSID)
		return
	}
	if isUpgrade(r) != (p.transport == WebSocket) {
		srv.refuse(w, r, errTransportMismatch)
		return
	}
	if p.version != s.version {
		srv.refuse(w, r, errProtocolMismatch)
		return
	}
	if p.transport == WebSocket {
		srv.serveUpgrade(w, r, s, p)
		return
	}
	switch r.Method {
	case http.MethodGet:
		srv.servePoll(w, r, s, p)
	case http.MethodPost:
		srv.servePost(w, r, s)
	default:
		srv.refuseEmpty(w, http.StatusInternalServerError) // as Node.js does; the session lives on
	}
}

// serveHandshake opens a session.
func (srv *Server) serveHandshake(w http.ResponseWriter, r *http.Request, p params) {
	if e := srv.checkHandshake(w, r, p); e != nil {
		srv.refuse(w, r, e)
		return
	}
	if p.transport == WebSocket && !srv.prepareWebSocket(w, r) {
		return
	}
	var e *requestError
	if p.sid, e = srv.newID(r); e != nil {
		srv.refuse(w, r, e)
		return
	}
	if e := srv.sessions.reserve(&srv.opts, &srv.closing); e != nil {
		srv.sessions.release()
		srv.refuse(w, r, e)
		return
	}
	if p.transport == WebSocket {
		srv.openWebSocket(w, r, p)
		return
	}
	srv.openPolling(w, r, p)
}

func (srv *Server) checkHandshake(w http.ResponseWriter, r *http.Request, p params) *requestError {
	switch {
	case r.Method != http.MethodGet:
		return errBadMethod
	case isUpgrade(r) != (p.transport == WebSocket):
		return errNoUpgrade
	case !srv.opts.CORS.allowsOrigin(r):
		return errForeignOrigin
	}
	if e := srv.limits.allow(r.RemoteAddr, time.Now()); e != nil {
		return e
	}
	if allow := srv.opts.AllowRequest; allow != nil {
		if err := allow(r, w.Header()); err != nil {
			e := *errForbidden
			if text := err.Error(); text != "" {
				e.Message = text
			}
			return &e
		}
	}
	if p.version != 4 && !(srv.opts.AllowEIO3 && srv.opts.Wires.V3 != nil) {
		return errProtocolVersion
	}
	return nil
}

// hijack answers 101 and takes the connection over from net/http. early is what
// the client has sent behind its request already. ext learns whether messages
// may be compressed; nil if they may not.
func (srv *Server) hijack(w http.ResponseWriter, r *http.Request, ext *extension) (conn net.Conn, early []byte, err error) {
	upgrader := ws.HTTPUpgrader{
		Timeout:  srv.opts.BodyTimeout,
		Header:   w.Header(), // CORS headers go onto the 101, too
		Protocol: func(string) bool { return true },
	}
	if ext != nil && srv.opts.PerMessageDeflate != nil {
		upgrader.Negotiate = ext.negotiate
	}
	conn, rw, _, err := upgrader.Upgrade(r, w)
	if c, ok := conn.(doorConn); ok {
		defer c.release()
	}
	if err != nil {
		srv.dropped("engineio_bad_websocket_handshake", err.Error(), r.RemoteAddr)
		if conn != nil {
			_ = conn.Close() // the refusal has been written
		}
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		early, err = rw.Reader.Peek(n)
		if err != nil { // Peek of what is buffered does not read
			_ = conn.Close()
			return nil, nil, err
		}
		early = bytes.Clone(early)
	}
	return conn, early, nil
}

// Close refuses new sessions, closes the open ones with [ReasonShutdown], lets
// their last bytes leave, and returns when all are gone. When ctx ends first the
// rest is cut off and ctx's error returned. Any goroutine but a loop's.
func (srv *Server) Close(ctx context.Context) error {
	srv.closing.Store(true)
	defer srv.doClosed.Do(func() { close(srv.closed) })
	srv.shutdown()
	for srv.sessions.len() > 0 {
		select {
		case <-srv.sessions.empty:
		case <-ctx.Done():
			srv.cut.Store(true)
			srv.shutdown()
			return fmt.Errorf("closing %d sessions: %w", srv.sessions.len(), ctx.Err())
		}
	}
	srv.sessions.signal() // for another Close that waits
	srv.settle(ctx)
	return nil
}

// shutdown has every session look at closing and cut.
func (srv *Server) shutdown() {
	srv.sessions.each(func(s *Socket) { s.later(s.shutdown) })
}

// settle waits until the loops have run what was posted to them: the last
// sessions' OnClose.
func (srv *Server) settle(ctx context.Context) {
	loops := srv.hub.Loops().All()
	done := make(chan struct{}, len(loops))
	for _, l := range loops {
		if !l.Post(func() { done <- struct{}{} }) {
			done <- struct{}{} // the loop has ended, after all that was posted
		}
	}
	for range loops {
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
	}
}
