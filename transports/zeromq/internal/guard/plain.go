package guard

import (
	"bytes"
	"errors"
	"net"
)

// PlainServer is the server's side of PLAIN (RFC 24), for all connections of an endpoint. Passwords and messages
// go over the wire as they are.
type PlainServer struct {
	// Admit decides on a client. It is called from many goroutines.
	Admit func(user, password string) error
}

// Secure returns raw behind the mechanism, for [New] with the same limits.
func (c *PlainServer) Secure(raw net.Conn, l Limits) net.Conn {
	return newSecure(raw, &plainServer{conf: c}, true, l)
}

// PlainClient is the client's side of PLAIN. Both are at most 255 bytes.
type PlainClient struct{ User, Password string }

// Secure returns raw behind the mechanism, for [New] with the same limits.
func (c *PlainClient) Secure(raw net.Conn, l Limits) net.Conn {
	return newSecure(raw, &plainClient{conf: c, metadata: make(chan []byte, 1)}, false, l)
}

// plainText is what both sides share: after the handshake frames are what they are.
type plainText struct{}

func (plainText) name() string                             { return "PLAIN" }
func (plainText) write(dst, frames []byte) ([]byte, error) { return append(dst, frames...), nil }

func (plainText) read(s *secure, p []byte) (int, error) {
	if held := s.in.bytes(); len(held) > 0 { // came behind the handshake
		n := copy(p, held)
		s.in.r += n
		return n, nil
	}
	s.in.buf, s.in.r, s.in.w = nil, 0, 0 // never needed again
	return s.Conn.Read(p)
}

type plainServer struct {
	plainText
	conf *PlainServer
}

// plainError is how libzmq 4.3 spells PLAIN's ERROR: in C, "\x5ERROR" is "^RROR". It does not know the right one.
var plainError = []byte("^RROR")

// maxPlainHello is HELLO with two strings of 255 bytes.
const maxPlainHello = 6 + 2*256

func (c *plainServer) shake(s *secure) ([]byte, error) {
	hello, err := s.command(maxPlainHello, ReasonPlainHello)
	if err != nil {
		return nil, err
	}
	user, password, ok := parsePlainHello(hello)
	if !ok {
		return nil, silent(ReasonPlainHello, "%d bytes that are no HELLO of PLAIN", len(hello))
	}
	if err := c.conf.Admit(user, password); err != nil {
		return nil, err
	}
	if err := s.reply([]byte("\x07WELCOME")); err != nil {
		return nil, err
	}
	initiate, err := s.command(len("\x08INITIATE")+maxMetadata, ReasonPlainHello)
	if err != nil {
		return nil, err
	}
	metadata, ok := bytes.CutPrefix(initiate, []byte("\x08INITIATE"))
	if !ok {
		return nil, silent(ReasonPlainHello, "%d bytes that are no INITIATE", len(initiate))
	}
	return nullReady(metadata), nil
}

func (c *plainServer) ready(dst, metadata []byte) ([]byte, bool, error) {
	return appendCommand(dst, nullReady(metadata)), true, nil
}

func parsePlainHello(b []byte) (user, password string, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte("\x05HELLO"))
	if !ok {
		return "", "", false
	}
	if user, b, ok = cutString(b); !ok {
		return "", "", false
	}
	password, b, ok = cutString(b)
	return user, password, ok && len(b) == 0
}

// cutString takes a string with its length in front.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, false
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], true
}

type plainClient struct {
	plainText
	conf     *PlainClient
	metadata chan []byte // ours, from ready to shake
}

func (c *plainClient) shake(s *secure) ([]byte, error) {
	if len(c.conf.User) > 255 || len(c.conf.Password) > 255 {
		return nil, errors.New("guard: a user or password longer than 255 bytes")
	}
	hello := append([]byte("\x05HELLO"), byte(len(c.conf.User)))
	hello = append(append(hello, c.conf.User...), byte(len(c.conf.Password)))
	if err := s.reply(append(hello, c.conf.Password...)); err != nil {
		return nil, err
	}
	body, err := s.command(maxCommandBytes, ReasonPlainHello)
	if err != nil || peerError(body) {
		return body, err
	}
	if reason, ok := bytes.CutPrefix(body, plainError); ok {
		return append([]byte("\x05ERROR"), reason...), nil
	}
	if string(body) != "\x07WELCOME" {
		return nil, silent(ReasonPlainHello, "%d bytes that are no WELCOME", len(body))
	}
	metadata, err := s.waitFor(c.metadata)
	if err != nil {
		return nil, err
	}
	if err := s.reply(append([]byte("\x08INITIATE"), metadata...)); err != nil {
		return nil, err
	}
	s.opens()
	return s.command(maxCommandBytes, ReasonPlainHello) // the parser above wants it to be READY
}

func (c *plainClient) ready(dst, metadata []byte) ([]byte, bool, error) {
	select {
	case c.metadata <- bytes.Clone(metadata):
		return dst, false, nil
	default:
		return dst, false, errors.New("guard: READY twice")
	}
}
