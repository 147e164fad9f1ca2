package engineio

import (
	"encoding/base64"
	"net/http"
)

// What the Node.js server's WebSocket library answers to a handshake that is none (RFC 6455, section 4.2.1).
var (
	errWebSocketKey = &requestError{3, "Missing or invalid Sec-WebSocket-Key header", http.StatusBadRequest,
		"engineio_bad_websocket_handshake"}
	errWebSocketVersion = &requestError{3, "Missing or invalid Sec-WebSocket-Version header", http.StatusBadRequest,
		"engineio_bad_websocket_handshake"}
)

// prepareWebSocket does what has to be done before a connection is taken over, while the request can still
// be refused. When it is, there is nothing more to do.
func (srv *Server) prepareWebSocket(w http.ResponseWriter, r *http.Request) bool {
	if e := checkWebSocket(r.Header); e != nil {
		if e == errWebSocketVersion {
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		srv.refuse(w, r, e)
		return false
	}
	srv.sessionHeaders(w.Header(), r)
	return true
}

func checkWebSocket(h http.Header) *requestError {
	if key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return errWebSocketKey
	}
	if h.Get("Sec-WebSocket-Version") != "13" {
		return errWebSocketVersion
	}
	return nil
}
