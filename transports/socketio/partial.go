package socketio

import (
	"bytes"

	"greenroom/hub"
)

// partial is a binary packet of which attachments are missing. It belongs to the
// session and not to a transport: the official client may send the text by POST
// and the attachments on the WebSocket that it has upgraded to in between.
type partial struct {
	packet Packet // with copies of what it points to
	parts  [][]byte
	bytes  int
}

// newPartial keeps p, whose fields are parts of a buffer that goes away.
func newPartial(p Packet) *partial {
	p.JSON = bytes.Clone(p.JSON)
	p.Namespace = bytes.Clone(p.Namespace)
	return &partial{packet: p, parts: make([][]byte, 0, p.Attachments), bytes: len(p.JSON)}
}

// add takes the next attachment, a copy of data, and reports whether it was the
// last one. The packet as a whole may not exceed max bytes.
func (p *partial) add(data []byte, max int) (complete bool, err error) {
	if p.bytes += len(data); p.bytes > max {
		return false, errBinaryTooLarge
	}
	p.parts = append(p.parts, append(make([]byte, 0, len(data)), data...))
	return len(p.parts) == p.packet.Attachments, nil
}

// payload is the complete packet's content.
func (p *partial) payload() hub.Payload {
	return hub.Payload{JSON: p.packet.JSON, Attachments: p.parts}
}
