package hub

import "time"

// Message is one event on its way to clients. It is immutable once it was handed to the hub.
type Message struct {
	Namespace string  // "/" or "/chat"
	Event     string  // the event's name, also the first element of Payload
	Payload   Payload // ["event", arg…]
	Ack       int64   // the id under which the client's answer is expected, or NoAck
	Volatile  bool    // dropped for a client that cannot take it at once

	NoCompress bool // sent as it is even where the transport compresses

	// Set for messages of a room:
	Room   string    // "" for messages to one session or to everybody
	Offset uint64    // the message's place in the room, from 1
	ID     string    // unique in the room, for publications only
	Seq    uint64    // counts the room's publications; goes on when the room was forgotten meanwhile
	From   *Sender   // who published it, for publications only
	Via    string    // the transport it came by, when that is not Socket.IO
	At     time.Time // when it was sequenced, for publications only

	// Foreign says that it is a publication of another node: its last argument is the meta from there, and it has
	// neither ID nor Seq here.
	Foreign bool

	alone bool // it is for this node alone: nodes do not share it

	epoch string // with Foreign: whose count is that of the publication,
	count uint64 // and its seq there

	place  uint64  // the message's place in what is kept for recovery, 0 when it is not
	offset *Offset // that clients know it by, with a [Sequencer]
}

// NoAck in [Message.Ack] or [Event]'s ack id: no answer is wanted.
const NoAck int64 = -1

// Sender says who published: stamped by the server, never taken from a message.
type Sender struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"` // as the client claimed it
	User string `json:"user,omitempty"` // from a verified identity only
	Node string `json:"node,omitempty"` // in presence, where there are several: the node of the session
}

// reservedEvents are the names that the Socket.IO protocol keeps for itself (socket.io-parser).
var reservedEvents = map[string]bool{
	"connect": true, "connect_error": true, "disconnect": true,
	"disconnecting": true, "newListener": true, "removeListener": true,
}

// ReservedEvent reports whether name can neither be sent nor received as an event.
func ReservedEvent(name string) bool { return reservedEvents[name] }
