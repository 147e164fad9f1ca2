package engineio

import (
	"net/http"
	"slices"
)

// ConnectionError is a request that was refused before it reached a session, as the Node.js server's event
// connection_error tells it.
type ConnectionError struct {
	Request *http.Request
	// Code and Message are those of the protocol, whatever text the client was given:
	//
	//	0  Transport unknown             transport
	//	1  Session ID unknown            sid
	//	2  Bad handshake method          method
	//	3  Bad request                   name, and for a mismatch what the session has
	//	4  Forbidden                     message: what the client was told
	//	5  Unsupported protocol version  protocol
	Code    int
	Message string
	// Context has the keys named above. The values may be text that the client sent.
	Context map[string]any
}

// What is called "Bad request", by its cause.
var (
	errInvalidOrigin     = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_bad_request"}
	errTransportMismatch = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_bad_request"}
	errProtocolMismatch  = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_bad_request"}
	errNoUpgrade         = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_bad_request"}
	errIDGeneration      = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_id_generation"}
)

// badRequests names the errors of code 3 by their context's name.
var badRequests = map[*requestError]string{
	errInvalidOrigin:     "INVALID_ORIGIN",
	errTransportMismatch: "TRANSPORT_MISMATCH",
	errProtocolMismatch:  "PROTOCOL_MISMATCH",
	errNoUpgrade:         "TRANSPORT_HANDSHAKE_ERROR",
	errIDGeneration:      "ID_GENERATION_ERROR",
	errBadRequest:        "BAD_REQUEST",
}

// connectionError tells the application of a refusal, if it wants to know.
func (srv *Server) connectionError(r *http.Request, e *requestError) {
	hook := srv.opts.OnConnectionError
	if hook == nil {
		return
	}
	p := parseParams(r.URL)
	c := ConnectionError{Request: r, Code: e.Code, Message: e.Message, Context: make(map[string]any)}
	switch e.Code {
	case errUnknownTransport.Code:
		if p.transport != "" {
			c.Context["transport"] = string(p.transport)
		}
	case errUnknownSID.Code:
		c.Context["sid"] = p.sid
	case errBadMethod.Code:
		c.Context["method"] = r.Method
	case errBadRequest.Code:
		name, ok := badRequests[e]
		if !ok {
			return // an error of a session's transport, which OnClose tells
		}
		c.Context["name"] = name
		switch e {
		case errTransportMismatch:
			c.Context["transport"], c.Context["previousTransport"] = string(p.transport), string(otherTransport(p.transport))
		case errProtocolMismatch:
			c.Context["protocol"], c.Context["previousProtocol"] = int(p.version), int(otherProtocol(p.version))
		}
	case errForbidden.Code:
		c.Message = errForbidden.Message
		c.Context["message"] = e.Message
	case errProtocolVersion.Code:
		c.Context["protocol"] = 3 // what does not say 4 is taken for 3
	}
	hook(c)
}

func otherTransport(t Transport) Transport {
	if t == Polling {
		return WebSocket
	}
	return Polling
}

func otherProtocol(version uint8) uint8 {
	if version == 3 {
		return 4
	}
	return 3
}

// sessionHeaders lets the application change the headers of an answer that is no refusal.
func (srv *Server) sessionHeaders(h http.Header, r *http.Request) {
	if f := srv.opts.OnInitialHeaders; f != nil && parseParams(r.URL).sid == "" {
		f(h, r)
	}
	if f := srv.opts.OnHeaders; f != nil {
		f(h, r)
	}
}

// Use adds an HTTP middleware in front of everything that the server does with requests under its path,
// preflights and upgrades included; the first one added sees a request first. One that does not call next
// has to answer itself. Call it before the first request.
func (srv *Server) Use(middleware func(next http.Handler) http.Handler) {
	srv.wrapped.Store(true)
	srv.middlewares = append(srv.middlewares, middleware)
	srv.handler = http.HandlerFunc(srv.serve)
	for _, m := range slices.Backward(srv.middlewares) {
		srv.handler = m(srv.handler)
	}
}
