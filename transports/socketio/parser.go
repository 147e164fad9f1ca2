package socketio

import (
	"greenroom/hub"
	"greenroom/transports/engineio"
)

// Parser is how Socket.IO packets are written inside of Engine.IO messages. There is no negotiation: a server
// and all its clients must use the same. Two servers with different parsers can share a hub, and its rooms.
type Parser uint8

// The parsers served.
const (
	// JSON is what clients use unless they are told otherwise: text, and binary values as messages of
	// their own.
	JSON Parser = iota
	// Msgpack is that of the npm package socket.io-msgpack-parser 3, with which the browser bundle
	// socket.io.msgpack.min.js comes: each packet is one binary message.
	Msgpack
)

// String names the parser.
func (p Parser) String() string {
	if p == Msgpack {
		return "msgpack"
	}
	return "json"
}

// wires are the formats of the hub's messages.
func (p Parser) wires() engineio.Wires {
	if p == Msgpack {
		return msgpackWires
	}
	return wires
}

// frame makes the frame of a packet that is no event.
func (p Parser) frame(t PacketType, namespace string, id int64, payload hub.Payload) *hub.Frame {
	if p == Msgpack {
		return msgpackFrame(t, namespace, id, payload)
	}
	return packetFrame(t, namespace, id, payload)
}

// maxAttachments is how many binary values a packet that comes in may have, unless the options say so.
func (p Parser) maxAttachments() int {
	if p == Msgpack {
		return maxBinaries
	}
	return maxAttachments
}

// carries reports whether clients take a packet with n binary values. Those with the JSON parser would close
// their connection over more than maxAttachments.
func (p Parser) carries(n int) bool { return p == Msgpack || n <= maxAttachments }
