package engineio

import (
	"strings"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// Sessions of clients that speak protocol 3. They are sessions as any, with other bodies (payload3.go, jsonp.go),
// other frames (wire3.go), and a heartbeat in the other direction: the client sends a ping every PingInterval, the
// server a pong.

// octetStream is the type of bodies in protocol 3's binary form. Protocol 4 has none.
const octetStream = "application/octet-stream"

// Protocol is the version of the Engine.IO protocol that the client speaks: 4, or 3 (see [Options].AllowEIO3).
// Any goroutine.
func (s *Socket) Protocol() int { return int(s.version) }

// wire is the format of what the session sends over t.
func (s *Socket) wire(t Transport, base64Only bool) hub.Wire {
	w := &s.srv.opts.Wires
	switch {
	case s.version == 3:
		return w.V3.of(t, base64Only)
	case t == WebSocket:
		return w.WebSocket
	}
	return w.Polling
}

// packet3 processes a packet of a client of protocol 3.
func (s *Socket) packet3(p Packet) {
	s.alive()
	switch p.Type {
	case PacketMessage:
		s.handler.OnMessage(s, p.Data, p.Binary)
	case PacketClose:
		s.closedByClient()
	case PacketPing:
		s.refreshed = false
		s.awaitPong()
		s.sendPong()
	case PacketPong:
		s.refuse(refusePong)
	}
	// Open, upgrade and noop mean nothing here and do no harm.
}

// maxPongs may wait for a client that does not fetch them. Those of a flood of pings say no more than one does.
const maxPongs = 64

// sendPong answers a ping: without its data, as Node.js does.
func (s *Socket) sendPong() {
	if s.out.Len() < maxPongs || s.out.Last() != s.srv.pong {
		s.Send(s.srv.pong)
	}
}

// reassure sends a client that is not listened to a pong that it has not asked for. It takes everything for a sign
// of life, and waits for one PingTimeout after each of its pings, which lie unread.
func (s *Socket) reassure() {
	s.heartbeat.Reset(s.srv.opts.PingTimeout / 2)
	s.sendPong()
}

// parseFrame reads the packet of a WebSocket frame.
func (s *Socket) parseFrame(op ws.OpCode, data []byte) (Packet, error) {
	switch {
	case s.version == 3 && op == ws.OpBinary:
		return parseBinaryPacket3(data)
	case s.version == 3:
		return parsePacket3(data)
	case op == ws.OpBinary:
		return Packet{Type: PacketMessage, Binary: true, Data: data}, nil
	}
	return parsePacket(data)
}

// pollBody is the body of an answer with packets given by their text, in protocol 4's form.
func (s *Socket) pollBody(packets string) []byte {
	if s.version != 3 {
		return []byte(packets)
	}
	var body []byte
	for packet := range strings.SplitSeq(packets, string(rune(separator))) {
		body = appendText3(body, packet[0], []byte(packet[1:]))
	}
	return body
}

// takePackets takes what waits, as much as fits one answer.
func (s *Socket) takePackets() []byte {
	if s.version != 3 {
		return s.out.Take(separator, s.srv.opts.MaxPayload)
	}
	return JoinPolling3(s.out.Parts(s.srv.opts.MaxPayload))
}

// script is the body of an answer as the session's client wants it.
func (s *Socket) script(index string, body []byte) []byte {
	if !s.jsonp || len(body) == 0 {
		return body
	}
	return jsonpScript(index, body)
}

// next takes the next packet off a POST. One without a type means that only empty packets were left.
func (p *postRequest) next() (packet Packet, more bool, err error) {
	switch {
	case p.s.version != 3:
		packet, p.body, more, err = NextPacket(p.body)
		return packet, more, err
	case p.octets:
		packet, p.body, err = NextBinaryPacket3(p.body)
	default:
		packet, p.body, err = NextPacket3(p.body)
	}
	return packet, len(p.body) > 0, err
}
