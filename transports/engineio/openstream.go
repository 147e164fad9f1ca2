package engineio

import (
	"net/http"

	"greenroom/coop"
)

// OpenStream opens a session on a WebSocket whose handshake was made elsewhere, or was not needed: frames travel by the
// stream that connect makes, on l, for the handler that it is given, such as one end of a [coop.Pipe]. It is for
// simulations, and for tests with more clients than a process may have descriptors. r is the request that the session
// begins with, and is asked no questions. Any goroutine.
func (srv *Server) OpenStream(l *coop.Loop, r *http.Request, connect func(coop.StreamHandler) (*coop.Stream, error)) error {
	p := parseParams(r.URL)
	var e *requestError
	if p.sid, e = srv.newID(r); e != nil {
		return e
	}
	if e := srv.sessions.reserve(&srv.opts, &srv.closing); e != nil {
		srv.sessions.release()
		return e
	}
	s := srv.newSocket(l, r, p, StateWebSocket)
	c := &wsConn{s: s, pings: pingBurst}
	s.ws = c
	s.setWebSocketWire()
	if !srv.sessions.add(s) {
		srv.sessions.release()
		return errIDGeneration
	}
	var err error
	if c.stream, err = connect(c); err != nil {
		srv.sessions.remove(s)
		return err
	}
	s.later(c.open)
	s.known.Store(true)
	return nil
}
