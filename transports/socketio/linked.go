package socketio

import (
	"crypto/sha256"
	"encoding/base64"

	"greenroom/transports/engineio"
)

// Transport implements [hub.Linked].
func (c *conn) Transport() string {
	if c.sock.State() == engineio.StateWebSocket {
		return string(engineio.WebSocket)
	}
	return string(engineio.Polling)
}

// connectionBytes are 12 characters, as long as what the Admin UI shows.
const connectionBytes = 9

// Connection implements [hub.Linked]. Node.js shows the first 12 characters of the Engine.IO id here, which is a
// secret: we show those of its hash.
func (c *conn) Connection() string {
	sum := sha256.Sum256([]byte(c.sock.ID()))
	return base64.RawURLEncoding.EncodeToString(sum[:connectionBytes])
}

// OnUpgrade implements [engineio.UpgradeHandler].
func (c *conn) OnUpgrade(*engineio.Socket) {
	for _, sp := range c.spaces {
		if sp.joined {
			sp.session.Touch()
		}
	}
}
