package socketio

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
	"greenroom/transports/engineio"
)

const (
	// maxBinaries of a msgpack packet that comes in, unless the options say so. The official parser has no limit; each of them takes
	// its sender two bytes, and us a slice and its placeholder, which is about forty times that.
	maxBinaries = 1000
	// maxSafeInteger is the largest ack id, as far as JavaScript counts without gaps.
	maxSafeInteger = 1<<53 - 1
)

// decodeMsgpack reads a packet, a map of these fields in any order:
//
//	type  0 to 4, see PacketType; binary values need no types of their own
//	nsp   the namespace
//	data  the payload: a map, an array, or undefined
//	id    an ack id, optional
//
// Others are ignored: the official client sends its `options`. The packet's JSON is new, with placeholders for
// the binary values, which are copies. Everything that [Decode] promises holds here, too.
func decodeMsgpack(b []byte, bounds decoding) (Packet, [][]byte, error) {
	n, rest, err := msgp.ReadMapHeaderBytes(b)
	if err != nil {
		return Packet{}, nil, errNoMsgpack
	}
	d := msgpackDecoder{decoding: bounds, rest: rest, p: Packet{ID: hub.NoAck}}
	for range n { // each takes two bytes at least, or ends it
		if err := d.field(); err != nil {
			return Packet{}, nil, err
		}
	}
	if len(d.rest) > 0 {
		return Packet{}, nil, errNoMsgpack
	}
	if err := d.check(); err != nil {
		return Packet{}, nil, err
	}
	return d.p, d.data.Binaries, nil
}

type msgpackDecoder struct {
	decoding
	rest []byte
	p    Packet
	data msgpack.Reader
	seen bool // of data; twice would cost twice
}

func (d *msgpackDecoder) field() error {
	name, rest, err := msgp.ReadStringZC(d.rest)
	if err != nil {
		return errNoMsgpack
	}
	d.rest = rest
	switch string(name) {
	case "type":
		t, rest, err := msgp.ReadUint64Bytes(d.rest)
		if err != nil || t > uint64(ConnectError-Connect) {
			return errUnknownType
		}
		d.p.Type, d.rest = Connect+PacketType(t), rest
	case "nsp":
		if d.p.Namespace, d.rest, err = msgp.ReadStringZC(d.rest); err != nil {
			return errNamespaceName
		}
	case "data":
		return d.payload()
	case "id":
		return d.id()
	default:
		if d.rest, err = msgpack.Skip(d.rest); err != nil {
			return errNoMsgpack
		}
	}
	return nil
}

func (d *msgpackDecoder) id() error {
	if rest, ok := msgpack.Absent(d.rest); ok {
		d.rest = rest
		return nil
	}
	id, rest, err := msgp.ReadUint64Bytes(d.rest)
	if err != nil || id > maxSafeInteger {
		return errPacketID
	}
	d.p.ID, d.rest = int64(id), rest
	return nil
}

func (d *msgpackDecoder) payload() error {
	if d.seen {
		return errNoMsgpack
	}
	d.seen = true
	if rest, ok := msgpack.Absent(d.rest); ok {
		d.rest = rest
		return nil
	}
	d.data = msgpack.Reader{MaxDepth: d.depth, MaxBinaries: d.attachments}
	rest, err := d.data.Read(d.rest)
	switch {
	case errors.Is(err, msgpack.ErrTooMany):
		return errTooMany
	case errors.Is(err, msgpack.ErrTooDeep):
		return errTooDeep
	case errors.Is(err, msgpack.ErrForged):
		return errAttachments
	case err != nil:
		return errInvalidPayload
	}
	d.p.JSON, d.rest = d.data.Text, rest
	return nil
}

// check looks at what the fields mean together.
func (d *msgpackDecoder) check() error {
	p := &d.p
	switch {
	case p.Type == 0:
		return errUnknownType
	case !packableNamespace(p.Namespace):
		return errNamespaceName
	case p.JSON == nil && p.Type != Connect && p.Type != Disconnect:
		return errInvalidPayload
	case p.JSON == nil:
		return nil
	case p.Type == Disconnect:
		return errInvalidPayload
	}
	return p.shape(p.JSON[0], d.data.First)
}

// packableNamespace refuses names that [Decode] would not give either: it ends them at a comma, and has UTF-8
// only.
func packableNamespace(name []byte) bool {
	return len(name) > 0 && name[0] == '/' && validNamespace(name) && bytes.IndexByte(name, ',') < 0 && utf8.Valid(name)
}

// onMsgpack takes a message of a client that uses msgpack.
func (c *conn) onMsgpack(data []byte, binary bool) {
	if !binary {
		c.illegal(errWantBinary)
		return
	}
	p, binaries, err := decodeMsgpack(data, c.srv.opts.decoding(false))
	switch {
	case err != nil:
		c.illegal(err)
	case p.Type == Connect:
		c.connect(p)
	default:
		c.dispatch(p, hub.Payload{JSON: p.JSON, Attachments: binaries})
	}
}

// appendMsgpack appends a packet, with its fields in the order that the official parser gives an event's.
func appendMsgpack(dst []byte, t PacketType, namespace string, id int64, p hub.Payload) []byte {
	fields := uint32(2)
	if p.JSON != nil {
		fields++
	}
	if id != hub.NoAck {
		fields++
	}
	dst = msgp.AppendMapHeader(dst, fields)
	dst = msgp.AppendString(dst, "type")
	dst = msgp.AppendUint64(dst, uint64(t-Connect))
	if p.JSON != nil {
		dst = msgp.AppendString(dst, "data")
		var err error
		if dst, err = msgpack.Append(dst, p.JSON, p.Attachments); err != nil {
			dst = msgp.AppendArrayHeader(dst, 0) // payloads are valid JSON, and this is a valid packet
		}
	}
	if id != hub.NoAck {
		dst = msgp.AppendString(dst, "id")
		dst = msgp.AppendUint64(dst, uint64(id))
	}
	dst = msgp.AppendString(dst, "nsp")
	return msgp.AppendString(dst, namespace)
}

func appendMsgpackMessage(dst []byte, m *hub.Message) []byte {
	return appendMsgpack(dst, Event, m.Namespace, m.Ack, m.Payload)
}

// msgpackWires are the formats in which the hub's messages leave to clients that use msgpack.
var msgpackWires = engineio.Wires{
	WebSocket: hub.RegisterWire("Socket.IO 5 in msgpack over WebSocket", func(m *hub.Message) []byte {
		var scratch [512]byte
		return engineio.AppendWebSocketBinary(nil, appendMsgpackMessage(scratch[:0], m))
	}),
	Polling: hub.RegisterWire("Socket.IO 5 in msgpack over polling", func(m *hub.Message) []byte {
		var scratch [512]byte
		return engineio.AppendPollingBinary(nil, appendMsgpackMessage(scratch[:0], m))
	}),
}

// msgpackFrame makes the frame of a packet that is no event.
func msgpackFrame(t PacketType, namespace string, id int64, p hub.Payload) *hub.Frame {
	size := len(namespace) + len(p.JSON) + 32
	for _, b := range p.Attachments {
		size += len(b)
	}
	return msgpackWires.BinaryFrame(appendMsgpack(make([]byte, 0, size), t, namespace, id, p))
}
