package socketio

import (
	"strconv"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

// PacketType is the kind of a Socket.IO packet (Socket.IO protocol 5, "Packet types").
type PacketType byte

// The packet types, as the digits that stand in front of a packet's text.
const (
	Connect      PacketType = '0'
	Disconnect   PacketType = '1'
	Event        PacketType = '2'
	Ack          PacketType = '3'
	ConnectError PacketType = '4'
	BinaryEvent  PacketType = '5'
	BinaryAck    PacketType = '6'
)

// Packet is one Socket.IO packet without its attachments:
//
//	<type>[<attachments>-][<namespace>,][<id>][JSON]
//
// A decoded packet's fields are parts of the decoder's input.
type Packet struct {
	Type        PacketType
	Attachments int    // of BinaryEvent and BinaryAck
	Namespace   []byte // "/" when the text has none
	ID          int64  // hub.NoAck when the text has none
	JSON        []byte // nil when the text has none
	Event       string // an event's name; a number as it is written

	query []byte // behind a namespace's name, from clients of protocol 4 only; nil when there is none
}

// Append appends the packet's text to dst.
func (p *Packet) Append(dst []byte) []byte {
	dst = appendHead(dst, p.Type, p.Attachments, string(p.Namespace), p.ID)
	return append(dst, p.JSON...)
}

// appendHead appends everything that stands in front of the JSON.
func appendHead(dst []byte, t PacketType, attachments int, namespace string, id int64) []byte {
	dst = append(dst, byte(t))
	if t == BinaryEvent || t == BinaryAck {
		dst = strconv.AppendInt(dst, int64(attachments), 10)
		dst = append(dst, '-')
	}
	if namespace != "/" {
		dst = append(dst, namespace...)
		dst = append(dst, ',')
	}
	if id != hub.NoAck {
		dst = strconv.AppendInt(dst, id, 10)
	}
	return dst
}

// appendMessage appends the text of an event.
func appendMessage(dst []byte, m *hub.Message) []byte {
	t := Event
	if len(m.Payload.Attachments) > 0 {
		t = BinaryEvent
	}
	dst = appendHead(dst, t, len(m.Payload.Attachments), m.Namespace, m.Ack)
	return append(dst, m.Payload.JSON...)
}

// wires are the formats in which the hub's messages leave. A message is encoded
// once for each, however many clients get it.
var wires = engineio.Wires{
	WebSocket: hub.RegisterWire("Socket.IO 5 over WebSocket", func(m *hub.Message) []byte {
		var scratch [512]byte
		return engineio.EncodeWebSocket(appendMessage(scratch[:0], m), m.Payload.Attachments)
	}),
	Polling: hub.RegisterWire("Socket.IO 5 over polling", func(m *hub.Message) []byte {
		var scratch [512]byte
		return engineio.EncodePolling(appendMessage(scratch[:0], m), m.Payload.Attachments)
	}),
	V3: &engineio.Wires3{
		WebSocket:       wire3("Socket.IO 4 over WebSocket", engineio.EncodeWebSocket3, false),
		WebSocketBase64: wire3("Socket.IO 4 over WebSocket, text only", engineio.EncodeWebSocket3, true),
		Polling:         wire3("Socket.IO 4 over polling", engineio.EncodePolling3, false),
		PollingBase64:   wire3("Socket.IO 4 over polling, text only", engineio.EncodePolling3, true),
	},
}

// packetFrame makes the frame of a packet that is no event.
func packetFrame(t PacketType, namespace string, id int64, p hub.Payload) *hub.Frame {
	if t == Ack && len(p.Attachments) > 0 {
		t = BinaryAck
	}
	return hub.NewFrame(func(w hub.Wire) []byte {
		var scratch [512]byte
		text := appendHead(scratch[:0], t, len(p.Attachments), namespace, id)
		return wires.Encode(w, append(text, p.JSON...), p.Attachments)
	})
}
