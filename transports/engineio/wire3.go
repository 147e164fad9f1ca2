package engineio

import (
	"github.com/gobwas/ws"

	"greenroom/hub"
)

// Wires3 are the wire formats of the sessions of clients that speak protocol 3, see [Options].AllowEIO3. Who
// registers them uses [EncodeWebSocket3] and [EncodePolling3].
type Wires3 struct {
	WebSocket       hub.Wire // complete WebSocket frames
	WebSocketBase64 hub.Wire // the same for a client without binary frames
	Polling         hub.Wire // packets of a polling body
	PollingBase64   hub.Wire // the same for a client without binary bodies
}

// EncodeWebSocket3 returns one message as the frames that carry it in protocol 3: a text frame with '4' and the
// text, then for each attachment a binary frame whose first byte is 4, or a text frame with "b4" and base64.
func EncodeWebSocket3(text []byte, attachments [][]byte, base64Only bool) []byte {
	n := maxServerHeader + 1 + len(text)
	for _, a := range attachments {
		n += maxServerHeader + 1 + len(a)
	}
	dst := AppendWebSocket(make([]byte, 0, n), text, nil)
	for _, a := range attachments {
		dst = appendBinaryFrame3(dst, a, base64Only)
	}
	return dst
}

func appendBinaryFrame3(dst, data []byte, base64Only bool) []byte {
	if base64Only {
		text := appendBase64Message3(nil, data)
		return append(appendFrameHeader(dst, ws.OpText, len(text)), text...)
	}
	dst = appendFrameHeader(dst, ws.OpBinary, 1+len(data))
	return append(append(dst, byte(PacketMessage-'0')), data...)
}

// of returns the wire of a session.
func (w *Wires3) of(t Transport, base64Only bool) hub.Wire {
	switch {
	case t == WebSocket && base64Only:
		return w.WebSocketBase64
	case t == WebSocket:
		return w.WebSocket
	case base64Only:
		return w.PollingBase64
	}
	return w.Polling
}

// message encodes a message for one of the wires; nil when wire is none of them.
func (w *Wires3) message(wire hub.Wire, text []byte, attachments [][]byte) []byte {
	if w == nil {
		return nil
	}
	switch wire {
	case w.WebSocket, w.WebSocketBase64:
		return EncodeWebSocket3(text, attachments, wire == w.WebSocketBase64)
	case w.Polling, w.PollingBase64:
		return EncodePolling3(text, attachments, wire == w.PollingBase64)
	}
	return nil
}

// binary encodes a binary message without any text.
func (w *Wires3) binary(wire hub.Wire, data []byte) []byte {
	if w == nil {
		return nil
	}
	switch wire {
	case w.WebSocket, w.WebSocketBase64:
		return appendBinaryFrame3(nil, data, wire == w.WebSocketBase64)
	case w.Polling, w.PollingBase64:
		return encodePollingBinary3(data, wire == w.PollingBase64)
	}
	return nil
}

// packet encodes a packet given by its text, where that differs from protocol 4.
func (w *Wires3) packet(wire hub.Wire, text string) []byte {
	if w == nil || wire != w.Polling && wire != w.PollingBase64 {
		return nil
	}
	return appendText3(nil, text[0], []byte(text[1:]))
}
