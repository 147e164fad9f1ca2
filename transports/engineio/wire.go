package engineio

import (
	"encoding/binary"
	"slices"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// Wires are the wire formats of the sessions' outboxes. Whoever speaks a
// protocol inside Engine.IO messages registers them (see [hub.RegisterWire])
// with encoders built on [AppendWebSocket] and [AppendPolling]; Engine.IO itself
// never looks into a message.
type Wires struct {
	WebSocket hub.Wire // complete WebSocket frames
	Polling   hub.Wire // packets of a polling body, without the outer separators
	V3        *Wires3  // those of protocol 3, nil for none
}

// EncodeWebSocket returns one message as the frames that carry it: a text frame
// with '4' and the text, then a binary frame for each attachment.
func EncodeWebSocket(text []byte, attachments [][]byte) []byte {
	n := maxServerHeader + 1 + len(text)
	for _, a := range attachments {
		n += maxServerHeader + len(a)
	}
	return AppendWebSocket(make([]byte, 0, n), text, attachments)
}

// AppendWebSocket is EncodeWebSocket into a caller's buffer.
func AppendWebSocket(dst, text []byte, attachments [][]byte) []byte {
	dst = appendFrameHeader(dst, ws.OpText, 1+len(text))
	dst = append(dst, byte(PacketMessage))
	dst = append(dst, text...)
	for _, a := range attachments {
		dst = appendFrameHeader(dst, ws.OpBinary, len(a))
		dst = append(dst, a...)
	}
	return dst
}

// AppendWebSocketBinary appends one binary message without any text.
func AppendWebSocketBinary(dst, data []byte) []byte {
	dst = slices.Grow(dst, maxServerHeader+len(data))
	dst = appendFrameHeader(dst, ws.OpBinary, len(data))
	return append(dst, data...)
}

// EncodePolling returns one message as the packets that carry it in a polling
// body, see [AppendPolling].
func EncodePolling(text []byte, attachments [][]byte) []byte {
	return AppendPolling(make([]byte, 0, pollingSize(text, attachments)), text, attachments)
}

// MessageFrame makes the frame of one message that is no [hub.Message]: a
// protocol's own packet, sent to one client.
func (w Wires) MessageFrame(text []byte, attachments [][]byte) *hub.Frame {
	return hub.NewFrame(func(wire hub.Wire) []byte { return w.Encode(wire, text, attachments) })
}

// Encode returns one message as it goes onto a wire. Nothing of the arguments is kept.
func (w Wires) Encode(wire hub.Wire, text []byte, attachments [][]byte) []byte {
	if b := w.V3.message(wire, text, attachments); b != nil {
		return b
	}
	if wire == w.Polling {
		return EncodePolling(text, attachments)
	}
	return EncodeWebSocket(text, attachments)
}

// BinaryFrame makes the frame of a binary message without any text. data is kept: do not modify it.
func (w Wires) BinaryFrame(data []byte) *hub.Frame {
	return hub.NewFrame(func(wire hub.Wire) []byte {
		if b := w.V3.binary(wire, data); b != nil {
			return b
		}
		if wire == w.Polling {
			return AppendPollingBinary(nil, data)
		}
		return AppendWebSocketBinary(nil, data)
	})
}

// packetFrame makes the frame of an Engine.IO packet given by its text.
func (w Wires) packetFrame(text string) *hub.Frame {
	return hub.NewFrame(func(wire hub.Wire) []byte {
		if b := w.V3.packet(wire, text); b != nil {
			return b
		}
		if wire == w.Polling {
			return []byte(text)
		}
		return append(appendFrameHeader(nil, ws.OpText, len(text)), text...)
	})
}

// maxServerHeader is the longest header of an unmasked frame.
const maxServerHeader = ws.MaxHeaderSize - 4

// appendFrameHeader appends the header of a final, unmasked frame (RFC 6455,
// section 5.2). It does what ws.WriteHeader does, which allocates its buffer and
// needs an io.Writer; a test compares the two.
func appendFrameHeader(dst []byte, op ws.OpCode, length int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case length <= 125:
		return append(dst, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(length))
}
