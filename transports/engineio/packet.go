package engineio

// PacketType is the kind of an Engine.IO packet, as the ASCII digit that stands
// in front of it on every wire (Engine.IO protocol 4, "Packet encoding").
type PacketType byte

// The packet types of protocol 4. Heartbeats go from the server to the client:
// the server sends Ping, the client answers Pong.
const (
	PacketOpen    PacketType = '0'
	PacketClose   PacketType = '1'
	PacketPing    PacketType = '2'
	PacketPong    PacketType = '3'
	PacketMessage PacketType = '4'
	PacketUpgrade PacketType = '5'
	PacketNoop    PacketType = '6'
)

// String names the packet type as the protocol document does.
func (t PacketType) String() string {
	switch t {
	case PacketOpen:
		return "open"
	case PacketClose:
		return "close"
	case PacketPing:
		return "ping"
	case PacketPong:
		return "pong"
	case PacketMessage:
		return "message"
	case PacketUpgrade:
		return "upgrade"
	case PacketNoop:
		return "noop"
	}
	return "unknown"
}

// Packet is one decoded Engine.IO packet. Data is a part of the decoder's input
// (or of a buffer made for it when Binary) and belongs to whoever owns that.
type Packet struct {
	Type   PacketType
	Binary bool // only for PacketMessage
	Data   []byte
}

// parsePacket reads a packet from the text of one polling segment or of one
// WebSocket text frame. Both may carry a binary message as 'b' and base64: a
// browser without binary frames sends that inside text frames too.
func parsePacket(text []byte) (Packet, error) {
	if len(text) == 0 {
		return Packet{}, errEmptyPacket
	}
	switch c := text[0]; {
	case c == 'b':
		return Packet{Type: PacketMessage, Binary: true, Data: decodeBase64(text[1:])}, nil
	case c >= '0' && c <= '6':
		return Packet{Type: PacketType(c), Data: text[1:]}, nil
	}
	return Packet{}, errUnknownPacket
}
