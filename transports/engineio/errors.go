package engineio

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Reasons with which a session closes, as every Socket.IO server names them.
const (
	ReasonTransportClose = "transport close" // the client closed, or its connection ended
	ReasonTransportError = "transport error" // the transport's rules were broken
	ReasonParseError     = "parse error"     // not an Engine.IO packet
	ReasonPingTimeout    = "ping timeout"    // no answer to a ping
	ReasonForcedClose    = "forced close"    // the server closed
	ReasonShutdown       = "server shutting down"
)

var (
	errEmptyPacket   = errors.New("engineio: empty packet")
	errUnknownPacket = errors.New("engineio: unknown packet type")
	errPacketLength  = errors.New("engineio: the length of a packet is not its length")
	errPacketText    = errors.New("engineio: text is not valid UTF-8")
)

// requestError is an answer of the protocol to a request that it refuses. The
// codes and messages are those of the Node.js server; clients show them.
type requestError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`

	status int
	reason string // the counter's name, "" for what is counted where it is noticed
}

func (e *requestError) Error() string { return "engineio: " + e.Message }

var (
	errUnknownTransport = &requestError{0, "Transport unknown", http.StatusBadRequest, "engineio_unknown_transport"}
	errUnknownSID       = &requestError{1, "Session ID unknown", http.StatusBadRequest, "engineio_unknown_sid"}
	errBadMethod        = &requestError{2, "Bad handshake method", http.StatusBadRequest, "engineio_bad_handshake_method"}
	errBadRequest       = &requestError{3, "Bad request", http.StatusBadRequest, "engineio_bad_request"}
	errForbidden        = &requestError{4, "Forbidden", http.StatusForbidden, "engineio_forbidden"}
	errForeignOrigin    = &requestError{4, "Forbidden", http.StatusForbidden, "engineio_foreign_origin"}
	errProtocolVersion  = &requestError{5, "Unsupported protocol version", http.StatusBadRequest, "engineio_unsupported_version"}
	errServerFull       = &requestError{4, "Server is full", http.StatusServiceUnavailable, "engineio_server_full"}
	errPollOverlap      = &requestError{3, "Another GET is waiting", http.StatusBadRequest, ""}
	errPostOverlap      = &requestError{3, "Another POST is under way", http.StatusBadRequest, "engineio_post_overlap"}
	errBinaryBody       = &requestError{3, "A body is text", http.StatusBadRequest, "engineio_binary_body"}
	errBodyCut          = &requestError{3, "Body incomplete", http.StatusBadRequest, ""}
	errBadBody          = &requestError{3, "Not an Engine.IO packet", http.StatusBadRequest, ""}
	errBodySize         = &requestError{3, "Body larger than maxPayload", http.StatusRequestEntityTooLarge, ""}
	errShuttingDown     = &requestError{4, "Server is shutting down", http.StatusServiceUnavailable, "engineio_shutting_down"}
)

// refuse answers r with e: as JSON, or as bare text with status 400 when the
// client asked for an upgrade, because WebSocket clients see nothing else.
func (srv *Server) refuse(w http.ResponseWriter, r *http.Request, e *requestError) {
	if e.reason != "" {
		srv.hub.Count(e.reason)
	}
	srv.log.Debug("a request was refused", "counter", e.reason, "reason", e.Message, "status", e.status, "remote", r.RemoteAddr)
	srv.connectionError(r, e)
	srv.boundWrite(w)
	h := w.Header()
	if e.status == http.StatusServiceUnavailable || e.status == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	if isUpgrade(r) {
		h.Set("Connection", "close")
		h.Set("Content-Type", "text/html")
		h.Set("Content-Length", strconv.Itoa(len(e.Message)))
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(e.Message)) // the client may be gone
		return
	}
	body, err := json.Marshal(e)
	if err != nil { // an int and a string always marshal
		body = nil
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // the client may be gone
}

// refuseEmpty answers with a status and nothing else.
func (srv *Server) refuseEmpty(w http.ResponseWriter, status int) {
	srv.boundWrite(w)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

// boundWrite gives the client BodyTimeout from now to take the answer. net/http
// undoes both deadlines when a request is over. A ResponseWriter without
// deadlines leaves the bound to the server in front.
func (srv *Server) boundWrite(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(srv.opts.BodyTimeout))
}

// boundRead gives the client BodyTimeout from now to send its body. It matters
// for refused requests too: net/http reads what a handler has left of a body,
// and waits for it.
func (srv *Server) boundRead(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(srv.opts.BodyTimeout))
}
