package guard

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
)

// ErrHelloRefused: the server closed the connection on the client's first command, which is all that a CURVE server
// answers when it has another key.
var ErrHelloRefused = errors.New("the server ended the handshake at HELLO: most likely its key is another one")

// CurveClient is the client's side of CURVE.
type CurveClient struct {
	Server Key // the server's public key
	Secret Key // the client's own

	random io.Reader // nil for the system's; tests know what comes
}

// Secure returns raw behind the mechanism, for [New] with the same limits.
func (c *CurveClient) Secure(raw net.Conn, l Limits) net.Conn {
	return newSecure(raw, &curveClient{conf: c, metadata: make(chan []byte, 1)}, false, l)
}

// curveClient is one connection's.
type curveClient struct {
	conf *CurveClient
	*session
	metadata chan []byte // ours, from ready to shake
}

func (*curveClient) name() string { return "CURVE" }

func (c *curveClient) shake(s *secure) ([]byte, error) {
	random := c.conf.random
	if random == nil {
		random = rand.Reader
	}
	transient, err := randomKey(random)
	if err != nil {
		return nil, err
	}
	var nonce [16]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return nil, err
	}
	shared, err := agree(&c.conf.Server, &transient)
	if err != nil {
		return nil, silent(ReasonCurveWelcome, "the server's key: %v", err)
	}
	transientPublic := PublicKey(&transient)
	if err := s.reply(appendHello(nil, &transientPublic, 1, &shared)); err != nil {
		return nil, err
	}
	body, err := s.command(welcomeBytes, ReasonCurveWelcome)
	if errors.Is(err, io.EOF) {
		return nil, ErrHelloRefused
	}
	if err != nil || peerError(body) {
		return body, err
	}
	server, cookie, err := parseWelcome(body, &shared)
	if err != nil {
		return nil, err
	}

	key, err := agree(&server, &transient)
	if err != nil {
		return nil, silent(ReasonCurveWelcome, "%v", err)
	}
	vouching, err := agree(&server, &c.conf.Secret)
	if err != nil {
		return nil, silent(ReasonCurveWelcome, "%v", err)
	}
	metadata, err := s.waitFor(c.metadata)
	if err != nil {
		return nil, err
	}
	public := PublicKey(&c.conf.Secret)
	vouch := makeVouch(&transientPublic, &c.conf.Server, nonce[:], &vouching)
	if err := s.reply(appendInitiate(nil, cookie, 2, &public, vouch, metadata, &key)); err != nil {
		return nil, err
	}
	body, err = s.command(curveReadyBytes+maxMetadata, ReasonCurveReady)
	if err != nil || peerError(body) {
		return body, err
	}
	counter, theirs, err := parseCurveReady(body, &key)
	if err != nil {
		return nil, err
	}
	c.session = newSession(key, nonceClient, nonceServer, 2, counter)
	s.opens()
	return nullReady(theirs), nil
}

// ready hands our metadata to shake, which sends them in INITIATE.
func (c *curveClient) ready(dst, metadata []byte) ([]byte, bool, error) {
	select {
	case c.metadata <- append([]byte(nil), metadata...):
		return dst, false, nil
	default:
		return dst, false, errors.New("guard: READY twice")
	}
}

func (c *curveClient) read(s *secure, p []byte) (int, error)    { return c.session.read(s, p) }
func (c *curveClient) write(dst, frames []byte) ([]byte, error) { return c.session.write(dst, frames) }
