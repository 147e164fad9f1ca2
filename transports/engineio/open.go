package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"greenroom/coop"
	"greenroom/hub"
)

// newSocket makes a session for r, with the id p.sid, on l. It is not registered yet.
func (srv *Server) newSocket(l *coop.Loop, r *http.Request, p params, st State) *Socket {
	s := &Socket{
		srv:     srv,
		loop:    l,
		sid:     p.sid,
		request: hub.NewRequest(r),
		pending: true,
		version: p.version,
		base64:  p.base64,
		jsonp:   p.jsonp,
	}
	s.request.Secure = isSecure(r)
	s.setState(st)
	if st == StateWebSocket {
		s.claimed.Store(true)
	}
	s.out.Init(s.loop, srv.hub, s.wire(p.transport, p.base64), s)
	return s
}

// maxID bounds the ids that an application makes.
const maxID = 128

var errBadID = errors.New("engineio: GenerateID made an id that is empty, too long, in use or no cookie's value")

// foreignToID reports whether a character cannot be in a cookie's value (RFC 6265, section 4.1.1). Nothing escapes ids
// there: one made of what a client has sent must not end the value, and begin an attribute.
func foreignToID(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("\",;\\", c) }

// newID makes the id of a new session.
func (srv *Server) newID(r *http.Request) (string, *requestError) {
	if srv.opts.GenerateID == nil {
		return hub.NewID(), nil
	}
	sid, err := srv.opts.GenerateID(r)
	if err == nil && (sid == "" || len(sid) > maxID || strings.ContainsFunc(sid, foreignToID) || srv.sessions.get(sid) != nil) {
		err = errBadID
	}
	if err != nil {
		srv.log.Error("a session gets no id", "error", err, "remote", r.RemoteAddr)
		return "", errIDGeneration
	}
	return sid, nil
}

// start runs on the loop before anything else of the session does.
func (s *Socket) start() {
	s.await()
	s.startHeartbeat()
	s.srv.observers.opened(s)
	s.handler = s.srv.onOpen(s)
	s.shutdown()
}

// shutdown ends the session if its server closes. A session that Close finds
// before it has started looks for itself when it starts.
func (s *Socket) shutdown() {
	switch {
	case s.handler == nil:
	case s.srv.cut.Load():
		s.kill(ReasonShutdown)
	case s.srv.closing.Load():
		s.Close(ReasonShutdown)
	}
}

// openData is the JSON of an open packet. The keys stand in the order in which
// the Node.js server writes them.
func (s *Socket) openData(upgrades []Transport) []byte {
	o := &s.srv.opts
	data, err := json.Marshal(struct {
		SID          string      `json:"sid"`
		Upgrades     []Transport `json:"upgrades"`
		PingInterval int64       `json:"pingInterval"`
		PingTimeout  int64       `json:"pingTimeout"`
		MaxPayload   int         `json:"maxPayload"`
	}{s.sid, upgrades, o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxPayload})
	if err != nil { // strings and numbers always marshal
		return nil
	}
	return data
}
