package guard

import (
	"crypto/rand"
	"io"
	"net"
)

// CurveServer is the server's side of CURVE, for all connections of an endpoint. Its functions are called from many
// goroutines.
type CurveServer struct {
	Secret Key
	// Allow reports whether one more handshake may cost the server its 0.4 ms now. nil means yes.
	Allow func() bool
	// Admit decides on a client that has proved to have a key. An error that is no [*Violation] is one of ours: the
	// peer is refused. nil admits all.
	Admit func(client Key, identity string) error

	random io.Reader // nil for the system's; tests know what comes
}

// Secure returns raw behind the mechanism, for [New] with the same limits.
func (c *CurveServer) Secure(raw net.Conn, l Limits) net.Conn {
	return newSecure(raw, &curveServer{conf: c}, true, l)
}

// curveServer is one connection's.
type curveServer struct {
	conf *CurveServer
	*session
	key Key // of the session
}

func (*curveServer) name() string { return "CURVE" }

func (c *curveServer) shake(s *secure) ([]byte, error) {
	random := c.conf.random
	if random == nil {
		random = rand.Reader
	}
	hello, err := s.command(helloBytes, ReasonCurveHello)
	if err != nil {
		return nil, err
	}
	client, counter, err := parseHello(hello)
	if err != nil {
		return nil, err
	}
	if c.conf.Allow != nil && !c.conf.Allow() {
		return nil, silent(ReasonCurveRate, "more handshakes than the limit allows in a second")
	}
	shared, err := agree(&client, &c.conf.Secret)
	if err != nil {
		return nil, silent(ReasonCurveHello, "%v", err)
	}
	if err := openHello(hello, &shared); err != nil {
		return nil, err
	}

	transient, err := randomKey(random)
	if err != nil {
		return nil, err
	}
	var cookieKey Key // forgotten with the connection
	var nonces [32]byte
	if _, err := io.ReadFull(random, cookieKey[:]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(random, nonces[:]); err != nil {
		return nil, err
	}
	transientPublic := PublicKey(&transient)
	cookie := makeCookie(&client, &transient, nonces[:16], &cookieKey)
	if err := s.reply(appendWelcome(nil, &transientPublic, cookie, nonces[16:], &shared)); err != nil {
		return nil, err
	}

	initiate, err := s.command(initiateBytes+maxMetadata, ReasonCurveInitiate)
	if err != nil {
		return nil, err
	}
	if c.key, err = agree(&client, &transient); err != nil {
		return nil, silent(ReasonCurveInitiate, "%v", err)
	}
	counter, who, vouch, metadata, err := openInitiate(initiate, cookie, counter, &c.key)
	if err != nil {
		return nil, err
	}
	vouched, err := agree(&who, &transient)
	if err != nil {
		return nil, silent(ReasonCurveInitiate, "%v", err)
	}
	public := PublicKey(&c.conf.Secret)
	if err := openVouch(vouch, &client, &public, &vouched); err != nil {
		return nil, err
	}
	if c.conf.Admit != nil {
		props, err := Properties(metadata)
		if err != nil {
			return nil, err
		}
		if err := c.conf.Admit(who, props["identity"]); err != nil {
			return nil, err
		}
	}
	c.session = newSession(c.key, nonceServer, nonceClient, 1, counter)
	return nullReady(metadata), nil
}

func (c *curveServer) ready(dst, metadata []byte) ([]byte, bool, error) {
	return appendCommand(dst, appendCurveReady(nil, 1, metadata, &c.key)), true, nil
}

func (c *curveServer) read(s *secure, p []byte) (int, error)    { return c.session.read(s, p) }
func (c *curveServer) write(dst, frames []byte) ([]byte, error) { return c.session.write(dst, frames) }
