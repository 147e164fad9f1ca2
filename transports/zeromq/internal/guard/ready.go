package guard

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// compatible lists, for each of our socket types, the peers it may talk to (RFC 23).
var compatible = map[string][]string{
	"PUB": {"SUB", "XSUB"}, "XPUB": {"SUB", "XSUB"},
	"SUB": {"PUB", "XPUB"}, "XSUB": {"PUB", "XPUB"},
	"PUSH": {"PULL"}, "PULL": {"PUSH"},
	"REQ": {"REP", "ROUTER"}, "REP": {"REQ", "DEALER"},
	"DEALER": {"REP", "DEALER", "ROUTER"}, "ROUTER": {"REQ", "DEALER", "ROUTER"},
	"PAIR": {"PAIR"},
}

// Fitting are the types that go with a socket of type peer.
func Fitting(peer string) []string { return slices.Clone(compatible[peer]) }

// Greeting is what a client says first.
func Greeting(mechanism string) []byte { return appendGreeting(nil, mechanism, false) }

// checkGreeting validates the bytes of a greeting that are there, so that a peer which speaks
// something else is known by its first byte and not at the deadline. b holds 1 to 64 bytes; mechanism is ours.
func checkGreeting(b []byte, mechanism string) error {
	if b[0] != 0xFF {
		return violation(ReasonGreeting, "first byte is %#02x, not 0xff: not a ZMTP 2 or 3 peer", b[0])
	}
	if len(b) > 9 && b[9] != 0x7F {
		if b[9]&1 == 0 {
			return violation(ReasonVersion, "ZMTP 1: the peer's libzmq is older than 3.0")
		}
		return violation(ReasonGreeting, "signature ends in %#02x, not 0x7f", b[9])
	}
	if len(b) > 10 && b[10] < 3 {
		return violation(ReasonVersion, "ZMTP major version %d: the peer's libzmq is older than 4.0", b[10])
	}
	if len(b) < 32 {
		return nil
	}
	name, padding, _ := bytes.Cut(b[12:32], []byte{0})
	if string(name) != mechanism || len(bytes.Trim(padding, "\x00")) > 0 {
		return violation(ReasonMechanism, "security mechanism %q, only %s is spoken here", bytes.TrimRight(b[12:32], "\x00"), mechanism)
	}
	return nil
}

// parseReady returns the peer's socket type from the body of its first command, when the whole of
// it is well-formed, admit has nothing against the peer, and the type goes with ours. admit may be nil.
func parseReady(body []byte, local string, admit func(identity string) error) (string, error) {
	name, props, err := splitCommand(body)
	if err != nil {
		return "", err
	}
	switch name {
	case "READY":
	case "ERROR":
		reason := ""
		if len(props) > 0 && int(props[0]) <= len(props)-1 {
			reason = plain(string(props[1 : 1+int(props[0])]))
		}
		return "", violation(ReasonPeerError, "the peer refused the connection: %s", reason)
	default:
		return "", violation(ReasonReady, "command %q in place of READY", name)
	}
	seen, err := Properties(props)
	if err != nil {
		return "", err
	}
	if admit != nil {
		if err := admit(seen["identity"]); err != nil {
			return "", err
		}
	}
	peer, ok := seen["socket-type"]
	if !ok {
		return "", violation(ReasonReady, "no Socket-Type")
	}
	for _, t := range compatible[local] {
		if t == peer {
			return peer, nil
		}
	}
	return "", violation(ReasonSocketType, "a %.32q peer on a %s endpoint", peer, local)
}

// Properties reads a peer's metadata; names come in lower case.
func Properties(props []byte) (map[string]string, error) {
	seen := map[string]string{}
	for len(props) > 0 {
		n := int(props[0])
		if n == 0 || len(props) < 1+n+4 {
			return nil, violation(ReasonReady, "property name of %d bytes in %d", n, len(props)-1)
		}
		key := strings.ToLower(string(props[1 : 1+n]))
		size := uint64(binary.BigEndian.Uint32(props[1+n:]))
		props = props[1+n+4:]
		if size > uint64(len(props)) {
			return nil, violation(ReasonReady, "property %q announces %d bytes of %d", key, size, len(props))
		}
		if _, dup := seen[key]; dup {
			return nil, violation(ReasonReady, "property %q twice", key)
		}
		seen[key] = string(props[:size])
		props = props[size:]
	}
	if id := seen["identity"]; len(id) > maxIdentity || strings.HasPrefix(id, "\x00") {
		return nil, violation(ReasonReady, "identity of %d bytes, or starting with a zero byte", len(id))
	}
	return seen, nil
}

// canonicalReady writes over the end of frame, a validated READY command with its header, the READY
// that zmq4 is shown: the socket type and nothing else. It returns where in frame that starts. It
// always fits, for the peer's own had at least this property.
func canonicalReady(frame []byte, peer string) (start int) {
	body := make([]byte, 0, 64)
	body = append(body, "\x05READY\x0bSocket-Type"...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(peer)))
	body = append(body, peer...)
	start = len(frame) - 2 - len(body)
	frame[start] = flagCommand
	frame[start+1] = byte(len(body))
	copy(frame[start+2:], body)
	return start
}

// appendError appends an ERROR command with its header.
func appendError(dst []byte, reason string) []byte {
	reason = plain(reason)
	reason = reason[:min(len(reason), 255-len("\x05ERROR\x00"))] // keeps the header short
	dst = append(dst, flagCommand, byte(len("\x05ERROR\x00")+len(reason)))
	dst = append(dst, "\x05ERROR"...)
	return append(append(dst, byte(len(reason))), reason...)
}

// plain is s in printable ASCII, as reasons have to be.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// splitCommand separates a command's name from its data.
func splitCommand(body []byte) (name string, data []byte, err error) {
	if len(body) == 0 || body[0] == 0 || int(body[0]) > len(body)-1 {
		return "", nil, violation(ReasonCommand, "a command of %d bytes without a proper name", len(body))
	}
	n := 1 + int(body[0])
	return string(body[1:n]), body[n:], nil
}
