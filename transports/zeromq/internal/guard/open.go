package guard

import (
	"fmt"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// Open runs the greeting and the NULL handshake of zmq4 over c. server is true on the side that
// accepted. The error is why the peer was refused; the caller closes c then.
func Open(c *Conn, local zmq4.SocketType, server bool) (conn *zmq4.Conn, err error) {
	defer func() {
		// Nothing is known to be left that makes zmq4 panic; a peer shall not find what is not known.
		if v := recover(); v != nil {
			conn, err = nil, violation("zeromq_handshake_panic", "zmq4: %v", v)
		}
	}()
	conn, err = zmq4.Open(c, null.Security(), local, nil, server, nil)
	if own := c.Err(); own != nil {
		return nil, own
	}
	if err != nil {
		return nil, fmt.Errorf("zmtp handshake: %w", err)
	}
	return conn, nil
}
