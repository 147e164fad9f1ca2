package zmq

import (
	"errors"
	"net"

	"greenroom/transports/zeromq"
	"greenroom/transports/zeromq/internal/guard"
)

// Security is a mechanism, with a side of it. Which side listens and which dials is of no importance.
type Security interface {
	// dress returns what puts the mechanism on a connection.
	dress() (func(net.Conn, guard.Limits) net.Conn, error)
}

// CurveServer is the side of CURVE whose key the others know.
type CurveServer struct {
	Key zeromq.SecretKey
	// Admit decides on a client that has proved to have a key. nil admits every key. It is called from many goroutines.
	Admit func(client zeromq.PublicKey) bool
}

func (c CurveServer) dress() (func(net.Conn, guard.Limits) net.Conn, error) {
	if c.Key.IsZero() {
		return nil, errors.New("zmq: a CurveServer needs a key")
	}
	server := &guard.CurveServer{Secret: guard.Key(c.Key)}
	if c.Admit != nil {
		server.Admit = func(client guard.Key, _ string) error { return admitted(c.Admit(zeromq.PublicKey(client))) }
	}
	return server.Secure, nil
}

// CurveClient is the side of CURVE that knows the other's key.
type CurveClient struct {
	Server zeromq.PublicKey
	Key    zeromq.SecretKey // default a new one for each socket, which servers that know their clients refuse
}

func (c CurveClient) dress() (func(net.Conn, guard.Limits) net.Conn, error) {
	if c.Key.IsZero() {
		var err error
		if c.Key, err = zeromq.NewSecretKey(); err != nil {
			return nil, err
		}
	}
	return (&guard.CurveClient{Server: guard.Key(c.Server), Secret: guard.Key(c.Key)}).Secure, nil
}

// PlainServer is the side of PLAIN that asks for a password. Everything crosses the network as it is.
type PlainServer struct {
	// Admit decides on a client. It is called from many goroutines.
	Admit func(user, password string) bool
}

func (p PlainServer) dress() (func(net.Conn, guard.Limits) net.Conn, error) {
	if p.Admit == nil {
		return nil, errors.New("zmq: a PlainServer needs Admit")
	}
	return (&guard.PlainServer{Admit: func(user, password string) error { return admitted(p.Admit(user, password)) }}).Secure, nil
}

// PlainClient is the side of PLAIN that has a password.
type PlainClient struct{ User, Password string }

func (p PlainClient) dress() (func(net.Conn, guard.Limits) net.Conn, error) {
	return (&guard.PlainClient{User: p.User, Password: p.Password}).Secure, nil
}

func admitted(ok bool) error {
	if ok {
		return nil
	}
	return &guard.Violation{Reason: guard.ReasonDenied, Detail: "Admit said no", Told: "access denied"}
}
