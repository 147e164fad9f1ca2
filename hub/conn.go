package hub

import "greenroom/coop"

// Conn is one namespace of one client's connection, as the hub sees it. Transports implement it.
// All methods are called on the loop, and none of them may block.
type Conn interface {
	// Loop owns the connection and never changes.
	Loop() *coop.Loop
	// Send queues a frame for the client. It may close the connection (a full outbox) and thereby
	// call back into [Session.Closed].
	Send(f *Frame)
	// Writable reports whether what is sent now would leave at once. Volatile messages are dropped
	// when it is false.
	Writable() bool
	// Accepted tells the client that the session is connected, before anything else is sent to it but what a
	// recovered session has missed.
	Accepted(s *Session)
	// Refused tells the client why it is not. The session is over.
	Refused(s *Session, err error)
	// Ack answers the client's event with this ack id; p.JSON is the array of the answer's arguments.
	Ack(s *Session, id int64, p Payload)
	// Leave tells the client that the server has ended the session, and closes the whole connection
	// if asked to.
	Leave(s *Session, closeConn bool)
}
