package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// Dialer connects tools to endpoints. The zero Dialer speaks NULL.
type Dialer struct {
	// ServerKey is the public key of an endpoint that speaks CURVE; zero for none.
	ServerKey PublicKey
	// Key is shown to it. Without one a new key is made for each connection, which servers that know their clients
	// refuse.
	Key SecretKey
	// User and Password are for PLAIN.
	User, Password string
}

// Push connects a PUSH socket to a PULL endpoint. ctx bounds the connecting only.
func (d Dialer) Push(ctx context.Context, endpoint string) (*Pusher, error) {
	c, err := d.connect(ctx, endpoint, zmq4.Push)
	if err != nil {
		return nil, err
	}
	p := &Pusher{client: *c, left: make(chan struct{})}
	go p.listen()
	return p, nil
}

// Subscribe connects a SUB socket to a PUB or XPUB endpoint and subscribes to topics, prefixes of
// the messages' first frames; without any, to everything. ctx bounds the connecting only. What is
// published before the subscription has arrived there is not heard.
func (d Dialer) Subscribe(ctx context.Context, endpoint string, topics ...string) (*Subscription, error) {
	c, err := d.connect(ctx, endpoint, zmq4.Sub)
	if err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		topics = []string{""}
	}
	for _, topic := range topics {
		if err := c.conn.SendMsg(zmq4.NewMsg(append([]byte{1}, topic...))); err != nil {
			c.close()
			return nil, fmt.Errorf("zeromq: subscribing: %w", err)
		}
	}
	if err := c.guard.Flush(); err != nil {
		c.close()
		return nil, fmt.Errorf("zeromq: subscribing: %w", err)
	}
	return &Subscription{*c}, nil
}

// secure puts the dialer's mechanism on a new connection.
func (d Dialer) secure(raw net.Conn, l guard.Limits) (net.Conn, error) {
	curve, plain := d.ServerKey != (PublicKey{}), d.User != "" || d.Password != ""
	switch {
	case curve && plain:
		return nil, errors.New("a connection speaks CURVE or PLAIN, not both")
	case curve:
		key := d.Key
		if key.IsZero() {
			var err error
			if key, err = NewSecretKey(); err != nil {
				return nil, err
			}
		}
		return (&guard.CurveClient{Server: guard.Key(d.ServerKey), Secret: guard.Key(key)}).Secure(raw, l), nil
	case plain:
		return (&guard.PlainClient{User: d.User, Password: d.Password}).Secure(raw, l), nil
	}
	return raw, nil
}
