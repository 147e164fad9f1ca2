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

// checkWebSocket refuses a handshake whose headers make no sense, while it is still an HTTP request.
func checkWebSocket(h http.Header) *requestError {
	if key, err := base64.StdEncoding.DecodeString(h.Get("Sec-WebSocket-Key")); err != nil || len(key) != 16 {
		return errWebSocketKey
	}
	if h.Get("Sec-WebSocket-Version") != "13" {
		return errWebSocketVersion
	}
	return nil
}
