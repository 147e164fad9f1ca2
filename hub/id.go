package hub

import (
	"crypto/rand"
	"crypto/sha256"
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

// shownID is what others may know a session by: its id, unless its protocol has chosen that, to which it may be a
// secret; then a name made of it, that nobody gets back from.
func (s *Session) shownID() string {
	if givenID(s.conn, s.ns.name) == "" {
		return s.id
	}
	sum := sha256.Sum256([]byte(s.id))
	return base64.RawURLEncoding.EncodeToString(sum[:15])
}

// NewID returns a fresh session id: 20 characters of [A-Za-z0-9_-], 120 random bits from crypto/rand.
// The length is that of the Node.js server's ids, by which cluster adapters recognise one.
func NewID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
