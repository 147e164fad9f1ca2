package guard

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/secretbox"
	//lint:ignore SA1019 box.Precompute says nothing of points of low order, and HSalsa20 behind X25519 is what it is
	"golang.org/x/crypto/salsa20/salsa"
)

// The commands of CurveZMQ (RFC 25 and 26) as bytes; offsets are those of the command's body, behind the frame's
// header. Capital letters are public keys: C and S the long-term ones of client and server, C' and S' those of
// the connection. The functions are pure: what is random comes in.

// Key is a Curve25519 key, public or secret.
type Key = [32]byte

// PublicKey returns the public key of a secret one.
func PublicKey(secret *Key) (public Key) {
	curve25519.ScalarBaseMult(&public, secret)
	return public
}

const (
	helloBytes      = 200
	welcomeBytes    = 168
	cookieBytes     = 96
	initiateBytes   = 257 // without metadata
	curveReadyBytes = 30  // without metadata
	messageBytes    = 33  // without the frame's own body
	vouchBytes      = 96

	maxMetadata = maxCommandBytes - len("\x05READY") // what the parser takes
)

// CURVE's prefixes of nonces.
const (
	nonceHello    = "CurveZMQHELLO---"
	nonceInitiate = "CurveZMQINITIATE"
	nonceReady    = "CurveZMQREADY---"
	nonceClient   = "CurveZMQMESSAGEC"
	nonceServer   = "CurveZMQMESSAGES"
	nonceWelcome  = "WELCOME-"
	nonceCookie   = "COOKIE--"
	nonceVouch    = "VOUCH---"
)

// nonceOf is a prefix followed by a counter or by 16 random bytes.
func nonceOf(prefix string, rest []byte) (n [24]byte) {
	copy(n[copy(n[:], prefix):], rest)
	return n
}

func counterBytes(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

var errLowOrder = errors.New("a public key that is none")

// agree is the key of boxes between a secret and a public key. It refuses points of low order, for which anybody
// knows the result: without that, one of them as the client's long-term key would prove itself.
func agree(public, secret *Key) (shared Key, err error) {
	point, err := curve25519.X25519(secret[:], public[:])
	if err != nil {
		return shared, errLowOrder
	}
	var zeros [16]byte
	salsa.HSalsa20(&shared, &zeros, (*Key)(point), &salsa.Sigma)
	return shared, nil
}

func appendBox(dst, message []byte, nonce [24]byte, shared *Key) []byte {
	return secretbox.Seal(dst, message, &nonce, shared)
}

func openBox(box []byte, nonce [24]byte, shared *Key) ([]byte, bool) {
	return secretbox.Open(nil, box, &nonce, shared)
}

// appendHello appends the client's first command.
func appendHello(dst []byte, transient *Key, counter uint64, shared *Key) []byte {
	dst = append(dst, "\x05HELLO\x01\x00"...)
	dst = append(dst, make([]byte, 72)...)
	dst = append(dst, transient[:]...)
	dst = append(dst, counterBytes(counter)...)
	return appendBox(dst, make([]byte, 64), nonceOf(nonceHello, counterBytes(counter)), shared)
}

// parseHello checks what can be without a key.
func parseHello(b []byte) (transient Key, counter uint64, err error) {
	if len(b) != helloBytes || !bytes.HasPrefix(b, []byte("\x05HELLO")) {
		return transient, 0, silent(ReasonCurveHello, "%d bytes in place of HELLO", len(b))
	}
	if b[6] != 1 || b[7] != 0 {
		return transient, 0, silent(ReasonCurveHello, "CurveZMQ version %d.%d", b[6], b[7])
	}
	if !allZero(b[8:80]) {
		return transient, 0, silent(ReasonCurveHello, "padding that is not zero")
	}
	return Key(b[80:112]), binary.BigEndian.Uint64(b[112:]), nil
}

// openHello checks that the client has the server's public key.
func openHello(b []byte, shared *Key) error {
	signature, ok := openBox(b[120:], nonceOf(nonceHello, b[112:120]), shared)
	if !ok || !allZero(signature) {
		return silent(ReasonCurveServerKey, "its HELLO is for another server key than ours")
	}
	return nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// makeCookie makes the 96 bytes that the client shows again.
func makeCookie(client, transientSecret *Key, random []byte, key *Key) []byte {
	cookie := append(make([]byte, 0, cookieBytes), random...)
	plain := append(client[:len(client):len(client)], transientSecret[:]...)
	return appendBox(cookie, plain, nonceOf(nonceCookie, random), key)
}

// appendWelcome appends the server's answer to HELLO.
func appendWelcome(dst []byte, transient *Key, cookie, random []byte, shared *Key) []byte {
	dst = append(dst, "\x07WELCOME"...)
	dst = append(dst, random...)
	return appendBox(dst, append(transient[:len(transient):len(transient)], cookie...), nonceOf(nonceWelcome, random), shared)
}

func parseWelcome(b []byte, shared *Key) (transient Key, cookie []byte, err error) {
	if len(b) != welcomeBytes || !bytes.HasPrefix(b, []byte("\x07WELCOME")) {
		return transient, nil, silent(ReasonCurveWelcome, "%d bytes in place of WELCOME", len(b))
	}
	plain, ok := openBox(b[24:], nonceOf(nonceWelcome, b[8:24]), shared)
	if !ok {
		return transient, nil, silent(ReasonCurveWelcome, "WELCOME is not from the server with this key")
	}
	return Key(plain[:32]), plain[32:], nil
}

// makeVouch is the client's proof that C' is its: c → S'.
func makeVouch(transient, server *Key, random []byte, shared *Key) []byte {
	vouch := append(make([]byte, 0, vouchBytes), random...)
	return appendBox(vouch, append(transient[:len(transient):len(transient)], server[:]...), nonceOf(nonceVouch, random), shared)
}

// appendInitiate appends the client's second command.
func appendInitiate(dst, cookie []byte, counter uint64, client *Key, vouch, metadata []byte, shared *Key) []byte {
	dst = append(dst, "\x08INITIATE"...)
	dst = append(dst, cookie...)
	dst = append(dst, counterBytes(counter)...)
	plain := append(append(client[:len(client):len(client)], vouch...), metadata...)
	return appendBox(dst, plain, nonceOf(nonceInitiate, counterBytes(counter)), shared)
}

// openInitiate checks everything but the vouch, for which the client's key has to be known.
func openInitiate(b, cookie []byte, after uint64, shared *Key) (counter uint64, client Key, vouch, metadata []byte, err error) {
	if len(b) < initiateBytes || !bytes.HasPrefix(b, []byte("\x08INITIATE")) {
		return 0, client, nil, nil, silent(ReasonCurveInitiate, "%d bytes in place of INITIATE", len(b))
	}
	if subtle.ConstantTimeCompare(b[9:105], cookie) != 1 {
		return 0, client, nil, nil, silent(ReasonCurveInitiate, "the cookie is not this connection's")
	}
	counter = binary.BigEndian.Uint64(b[105:])
	if counter <= after {
		return 0, client, nil, nil, silent(ReasonCurveReplay, "INITIATE has the counter %d behind %d", counter, after)
	}
	plain, ok := openBox(b[113:], nonceOf(nonceInitiate, b[105:113]), shared)
	if !ok {
		return 0, client, nil, nil, silent(ReasonCurveInitiate, "INITIATE does not open")
	}
	return counter, Key(plain[:32]), plain[32 : 32+vouchBytes], plain[32+vouchBytes:], nil
}

// openVouch checks that who has the client's key vouches for this connection.
func openVouch(vouch []byte, transient, server *Key, shared *Key) error {
	plain, ok := openBox(vouch[16:], nonceOf(nonceVouch, vouch[:16]), shared)
	if !ok || subtle.ConstantTimeCompare(plain[:32], transient[:]) != 1 || subtle.ConstantTimeCompare(plain[32:], server[:]) != 1 {
		return silent(ReasonCurveInitiate, "the client does not vouch for this connection with the key it names")
	}
	return nil
}

// appendCurveReady appends the server's last command of the handshake.
func appendCurveReady(dst []byte, counter uint64, metadata []byte, shared *Key) []byte {
	dst = append(dst, "\x05READY"...)
	dst = append(dst, counterBytes(counter)...)
	return appendBox(dst, metadata, nonceOf(nonceReady, counterBytes(counter)), shared)
}

func parseCurveReady(b []byte, shared *Key) (counter uint64, metadata []byte, err error) {
	if len(b) < curveReadyBytes || !bytes.HasPrefix(b, []byte("\x05READY")) {
		return 0, nil, silent(ReasonCurveReady, "%d bytes in place of READY", len(b))
	}
	metadata, ok := openBox(b[14:], nonceOf(nonceReady, b[6:14]), shared)
	if !ok {
		return 0, nil, silent(ReasonCurveReady, "READY does not open")
	}
	return binary.BigEndian.Uint64(b[6:]), metadata, nil
}

// Flags inside a MESSAGE's box.
const (
	boxMore    = 1
	boxCommand = 2 // libzmq's, for PING, PONG, SUBSCRIBE and CANCEL
)

// session are the keys and counters of an established connection. The two directions are independent: each has
// one goroutine.
type session struct {
	shared Key

	sendNonce [24]byte
	sent      uint64 // counter of the last command sent
	plain     []byte // scratch: flags and body

	heardNonce [24]byte
	heard      uint64 // counter of the last command taken
}

func newSession(shared Key, send, hear string, sent, heard uint64) *session {
	return &session{shared: shared, sendNonce: nonceOf(send, nil), sent: sent, heardNonce: nonceOf(hear, nil), heard: heard}
}

// seal appends the MESSAGE, with its frame's header, of one frame with these flags.
func (s *session) seal(dst []byte, flags byte, body []byte) []byte {
	inside := flags & flagMore
	if flags&flagCommand != 0 {
		inside |= boxCommand
	}
	s.plain = append(append(s.plain[:0], inside), body...)
	s.sent++
	binary.BigEndian.PutUint64(s.sendNonce[16:], s.sent)
	dst = AppendHeader(dst, messageBytes+len(body), false)
	dst = append(dst, "\x07MESSAGE"...)
	dst = append(dst, s.sendNonce[16:]...)
	dst = secretbox.Seal(dst, s.plain, &s.sendNonce, &s.shared)
	if cap(s.plain) > keepBuffer {
		s.plain = nil
	}
	return dst
}

// open appends to dst the frame, with its header, that a MESSAGE carries. dst needs the room for it.
func (s *session) open(dst, message []byte) ([]byte, error) {
	if len(message) < messageBytes || string(message[:8]) != "\x07MESSAGE" {
		return dst, silent(ReasonCurveMessage, "a frame of %d bytes that is no MESSAGE", len(message))
	}
	counter := binary.BigEndian.Uint64(message[8:])
	// RFC 26 asks for a greater counter only. All implementations count by one, and a gap is a frame that somebody on
	// the way took out: without it, the payload of one message could be given the room of another.
	if counter != s.heard+1 {
		return dst, silent(ReasonCurveReplay, "the counter %d behind %d", counter, s.heard)
	}
	copy(s.heardNonce[16:], message[8:16])
	size := len(message) - messageBytes
	start := len(dst)
	dst = AppendHeader(dst, size, false)
	last := len(dst) - 1 // of the header: the flags inside come to stand here first
	dst, ok := secretbox.Open(dst[:last], message[16:], &s.heardNonce, &s.shared)
	if !ok {
		return dst[:start], silent(ReasonCurveMessage, "a MESSAGE that does not open")
	}
	inside := dst[last]
	if inside&^(boxMore|boxCommand) != 0 {
		return dst[:start], silent(ReasonFlags, "reserved flag bits set inside a MESSAGE: %#02x", inside)
	}
	s.heard = counter
	AppendHeader(dst[:start], size, inside&boxMore != 0)
	if inside&boxCommand != 0 {
		dst[start] |= flagCommand
	}
	return dst, nil
}

// randomKey is a new secret key.
func randomKey(random io.Reader) (secret Key, err error) {
	_, err = io.ReadFull(random, secret[:])
	return secret, err
}
