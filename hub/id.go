package hub

import (
	"crypto/rand"
	"encoding/base64"
)

// Identifier is a [Conn] whose protocol says what the ids of its sessions are. No two living sessions of a
// namespace may share one. Clients of such sessions cannot come back to them ([Recovery]).
type Identifier interface {
	// SessionID is the id of the connection's session in a namespace, "" to have the hub make one.
	SessionID(namespace string) string
}

// sessionID is the id of c's new session.
func sessionID(c Conn, namespace string) string {
	if id := givenID(c, namespace); id != "" {
		return id
	}
	return NewID()
}

// givenID is the id that c's protocol gives its session, "" when it gives none.
func givenID(c Conn, namespace string) string {
	if named, ok := c.(Identifier); ok {
		return named.SessionID(namespace)
	}
	return ""
}

// NewID returns a fresh session id: 20 characters of [A-Za-z0-9_-], 120 random bits from crypto/rand.
// The length is that of the Node.js server's ids, by which cluster adapters recognise one.
func NewID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
