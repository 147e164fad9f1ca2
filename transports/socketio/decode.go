package socketio

import (
	"bytes"
	"encoding/json"

	"greenroom/hub"
)

const (
	// maxAttachments of a packet: the limit of socket.io-parser since 4.2.6, in both directions. Servers may
	// take more, or fewer.
	maxAttachments = 10
	// maxIDDigits keeps ack ids within what a JavaScript number holds exactly.
	maxIDDigits = 15
	// maxNamespace bounds a namespace's name, in bytes; the hub has no longer ones.
	maxNamespace = 255
	// maxEventName bounds an event's name, in bytes as it stands in the JSON.
	maxEventName = 1024
	// maxQuery bounds what clients of protocol 4 write behind a namespace's name. They have no other place for a
	// token, and servers take about as much in a URL.
	maxQuery = 8 << 10
)

// Error says what is wrong with a packet. Text and order of the checks follow
// socket.io-parser; reason is a counter's name.
type Error struct {
	Text   string
	reason string
}

func (e *Error) Error() string { return "socketio: " + e.Text }

var (
	errEmptyPacket    = &Error{"empty packet", "socketio_empty_packet"}
	errUnknownType    = &Error{"unknown packet type", "socketio_unknown_type"}
	errAttachments    = &Error{"illegal attachments", "socketio_illegal_attachments"}
	errTooMany        = &Error{"too many attachments", "socketio_too_many_attachments"}
	errTooDeep        = &Error{"invalid payload: nested too deep", "socketio_nested_too_deep"}
	errInvalidPayload = &Error{"invalid payload", "socketio_invalid_payload"}
	errReserved       = &Error{"invalid payload: reserved event name", "socketio_reserved_event"}
	errNamespaceName  = &Error{"invalid namespace", "socketio_bad_namespace"}
	errUnexpectedBin  = &Error{"got binary data when not reconstructing a packet", "socketio_unexpected_binary"}
	errUnexpectedText = &Error{"got plaintext data when reconstructing a packet", "socketio_unexpected_text"}
	errNoMsgpack      = &Error{"not a msgpack packet", "socketio_bad_msgpack"}
	errPacketID       = &Error{"invalid packet id", "socketio_bad_id"}
	errWantBinary     = &Error{"got plaintext data when msgpack is spoken", "socketio_unexpected_text"}
	errBinaryTooLarge = &Error{"binary packet too large", "socketio_binary_too_large"}
)

var rootNamespace = []byte("/")

// decoding is how packets are read.
type decoding struct {
	v4          bool // of the protocol's version 4: a namespace may have a query
	attachments int  // at most
	depth       int  // of the JSON, at most
}

// Decode reads a packet's text, with one pass over it. The JSON has been checked
// when it returns: well-formed, nested no deeper than 128, of the shape its type
// wants, an event's name allowed, and placeholders within the attachments, of
// which there are 10 at most. Only an event's name is copied.
func Decode(text []byte) (Packet, error) {
	return decode(text, decoding{attachments: maxAttachments, depth: maxDepth})
}

// decode is Decode with other bounds.
func decode(text []byte, d decoding) (Packet, error) {
	if len(text) == 0 {
		return Packet{}, errEmptyPacket
	}
	p := Packet{Type: PacketType(text[0]), Namespace: rootNamespace, ID: hub.NoAck}
	if p.Type < Connect || p.Type > BinaryAck {
		return Packet{}, errUnknownType
	}
	rest := text[1:]
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		n, after, ok := readNumber(rest, 10)
		if !ok || len(after) == 0 || after[0] != '-' || n < 1 {
			return Packet{}, errAttachments
		}
		if n > int64(d.attachments) {
			return Packet{}, errTooMany
		}
		p.Attachments, rest = int(n), after[1:]
	}
	if len(rest) > 0 && rest[0] == '/' {
		end := bytes.IndexByte(rest, ',')
		if end < 0 {
			p.Namespace, rest = rest, nil
		} else {
			p.Namespace, rest = rest[:end], rest[end+1:]
		}
		if d.v4 {
			p.Namespace, p.query, _ = bytes.Cut(p.Namespace, []byte{'?'})
		}
		if !validNamespace(p.Namespace) || len(p.query) > maxQuery {
			return Packet{}, errNamespaceName
		}
	}
	if id, after, ok := readNumber(rest, maxIDDigits); ok {
		p.ID, rest = id, after
	}
	if len(rest) > 0 {
		p.JSON = rest
	}
	if err := p.check(d.depth); err != nil {
		return Packet{}, err
	}
	return p, nil
}

// validNamespace refuses names that are too long or that would not survive a
// polling body, whose separator is a control character.
func validNamespace(name []byte) bool {
	if len(name) > maxNamespace {
		return false
	}
	for _, c := range name {
		if c < 0x20 {
			return false
		}
	}
	return true
}

// readNumber reads decimal digits. ok is false when there is none, or too many.
func readNumber(b []byte, maxDigits int) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		if i == maxDigits {
			return 0, b, false
		}
		n = n*10 + int64(b[i]-'0')
		i++
	}
	return n, b[i:], i > 0
}

// check validates the JSON, nested no deeper than depth, for the packet's type.
func (p *Packet) check(depth int) error {
	if p.JSON == nil {
		// An acknowledgement without arguments is what some clients send; all
		// other packets that carry data must.
		if p.Type == Event || p.Type == BinaryEvent || p.Type == BinaryAck {
			return errInvalidPayload
		}
		return nil
	}
	if p.Type == Disconnect {
		return errInvalidPayload
	}
	sc := scanner{b: p.JSON, depth: depth, attachments: -1}
	if p.Type == BinaryEvent || p.Type == BinaryAck {
		sc.attachments = p.Attachments
	}
	if !sc.document() {
		switch {
		case sc.badPlaceholder:
			return errAttachments
		case sc.tooDeep:
			return errTooDeep
		}
		return errInvalidPayload
	}
	return p.shape(p.JSON[sc.start], sc.first)
}

// shape looks at the byte that the JSON begins with, and at an array's first element.
func (p *Packet) shape(begin byte, first []byte) error {
	switch p.Type {
	case Connect:
		if begin != '{' {
			return errInvalidPayload
		}
	case ConnectError:
		if begin != '{' && begin != '"' {
			return errInvalidPayload
		}
	case Ack, BinaryAck:
		if begin != '[' {
			return errInvalidPayload
		}
	default:
		if begin != '[' {
			return errInvalidPayload
		}
		return p.name(first)
	}
	return nil
}

// name takes the event's name from the first element of the JSON: a string that
// is not reserved, or a number.
func (p *Packet) name(first []byte) error {
	if len(first) == 0 || len(first) > maxEventName {
		return errInvalidPayload
	}
	switch c := first[0]; {
	case c == '-' || c >= '0' && c <= '9':
		p.Event = string(first)
		return nil
	case c != '"':
		return errInvalidPayload
	case bytes.IndexByte(first, '\\') < 0:
		p.Event = string(first[1 : len(first)-1])
	case json.Unmarshal(first, &p.Event) != nil:
		return errInvalidPayload
	}
	if hub.ReservedEvent(p.Event) {
		return errReserved
	}
	return nil
}
