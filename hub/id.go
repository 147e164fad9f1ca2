package hub

import (
	"crypto/rand"
	"encoding/base64"
)

// NewID returns a fresh session id: 20 characters of [A-Za-z0-9_-], 120 random bits from crypto/rand.
// The length is that of the Node.js server's ids, by which cluster adapters recognise one.
func NewID() string {
	var b [15]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}
