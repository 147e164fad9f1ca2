package coop

import (
	"net"
	"time"
)

// Detachable makes the connections that l accepts ready to leave TLS behind goroutines. When a *tls.Conn over one of
// them, its handshake made, is given to [Loop.Attach], as a server of net/http does with what it has hijacked, the
// loop does the reading, the writing and the encryption itself, and no goroutine is left. TLS over any other
// connection costs two.
//
//	server.ServeTLS(coop.Detachable(listener), "cert.pem", "key.pem")
//
// Until then, and on systems where loops do not poll descriptors, the connections are what they were.
func Detachable(l net.Listener) net.Listener { return detachableListener{l} }

type detachableListener struct{ net.Listener }

func (l detachableListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &detachable{Conn: c}, nil
}

// detachable is what crypto/tls reads from and writes to: a connection, and once it is detached the stream that
// has taken it over. crypto/tls waits for the former and never for the latter.
type detachable struct {
	net.Conn // nil when detached
	to       records
	local    net.Addr
	remote   net.Addr
}

// records is where TLS records come from and go to, without waiting. Loop only.
type records interface {
	receive(p []byte) (int, error)
	queue(p []byte)
}

// detach hands the connection over and returns it.
func (d *detachable) detach(to records) net.Conn {
	c := d.Conn
	d.local, d.remote = c.LocalAddr(), c.RemoteAddr()
	d.Conn, d.to = nil, to
	return c
}

// reattach undoes detach.
func (d *detachable) reattach(c net.Conn) { d.Conn, d.to = c, nil }

func (d *detachable) Read(p []byte) (int, error) {
	if d.to != nil {
		return d.to.receive(p)
	}
	return d.Conn.Read(p)
}

func (d *detachable) Write(p []byte) (int, error) {
	if d.to != nil {
		d.to.queue(p)
		return len(p), nil
	}
	return d.Conn.Write(p)
}

// Close of a detached connection is left to the stream; crypto/tls calls it after its good-bye.
func (d *detachable) Close() error {
	if d.to != nil {
		return nil
	}
	return d.Conn.Close()
}

func (d *detachable) LocalAddr() net.Addr {
	if d.to != nil {
		return d.local
	}
	return d.Conn.LocalAddr()
}

func (d *detachable) RemoteAddr() net.Addr {
	if d.to != nil {
		return d.remote
	}
	return d.Conn.RemoteAddr()
}

// A stream has no deadlines; crypto/tls sets one for its good-bye.

func (d *detachable) SetDeadline(t time.Time) error {
	if d.to != nil {
		return nil
	}
	return d.Conn.SetDeadline(t)
}

func (d *detachable) SetReadDeadline(t time.Time) error {
	if d.to != nil {
		return nil
	}
	return d.Conn.SetReadDeadline(t)
}

func (d *detachable) SetWriteDeadline(t time.Time) error {
	if d.to != nil {
		return nil
	}
	return d.Conn.SetWriteDeadline(t)
}
