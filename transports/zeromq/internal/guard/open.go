package guard

import (
	"fmt"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// Open runs the greeting and the NULL handshake of zmq4 over c. server is true on the side that accepted: it
// looks at the peer's READY before it sends its own, so that an ERROR can stand in its place (RFC 23). The
// error is why the peer was refused; the caller closes c then.
func Open(c *Conn, local zmq4.SocketType, server bool) (conn *zmq4.Conn, err error) {
	return OpenAs(c, local, "", server)
}

// OpenAs is Open for a socket that has an identity, at most 255 bytes of which the first is not zero.
func OpenAs(c *Conn, local zmq4.SocketType, identity string, server bool) (conn *zmq4.Conn, err error) {
	defer func() {
		// Nothing is known to be left that makes zmq4 panic; a peer shall not find what is not known.
		if v := recover(); v != nil {
			conn, err = nil, violation("zeromq_handshake_panic", "zmq4: %v", v)
		}
	}()
	security := null.Security()
	if server {
		security = acceptor{security}
		c.explains = true
	}
	conn, err = zmq4.Open(c, security, local, zmq4.SocketIdentity(identity), server, nil)
	if own := c.Err(); own != nil {
		return nil, own
	}
	if err != nil {
		return nil, fmt.Errorf("zmtp handshake: %w", err)
	}
	return conn, nil
}

// acceptor is the NULL mechanism of the side that looks first.
type acceptor struct{ zmq4.Security }

func (acceptor) Handshake(conn *zmq4.Conn, _ bool) error {
	cmd, err := conn.RecvCmd() // the guard lets nothing but a valid READY pass
	if err != nil {
		return err
	}
	if err := conn.Peer.Meta.UnmarshalZMTP(cmd.Body); err != nil {
		return err
	}
	own, err := conn.Meta.MarshalZMTP()
	if err != nil {
		return err
	}
	return conn.SendCmd(zmq4.CmdReady, own)
}
