// Package guard is a net.Conn that makes one ZeroMQ connection safe to hand to zmq4.Open.
//
// The ZMTP codec of zmq4 trusts its peer: it allocates whatever a frame header announces, panics on
// a metadata length or a socket type it does not know, and answers heartbeats in the middle of its
// own messages. A [Conn] stands between the socket and that codec. Inbound, it parses the stream as
// it arrives (greeting, READY, traffic), checks every length against its [Limits] before anything is
// allocated for it, hands up whole messages only, and keeps all commands to itself: a PING is
// answered here, SUBSCRIBE and CANCEL become the message form that every ZeroMQ version knows, the
// rest is ignored. Outbound, whole messages are appended to a buffer that one flusher goroutine
// writes: while one write is under way the next batch gathers, so that many messages share one
// system call and none waits for a timer.
//
// A peer that breaks a rule ends its own connection: Read returns a [*Violation], which [Conn.Err]
// remembers, with a constant reason to count. A peer that is refused for what its READY says is told the
// reason first, by an ERROR command.
//
// CURVE and PLAIN are net.Conns of their own between the network and a Conn ([CurveServer.Secure] and its like). They
// shake hands with the peer under their mechanism and play a NULL peer to the Conn, so that each of its checks holds for
// what is said under encryption as well. Encryption is the flusher's work, decryption the owner's: nobody else waits
// for it.
//
// Sources: RFC 23/ZMTP 3.0, RFC 37/ZMTP 3.1, RFC 24/PLAIN, RFC 25 and 26/CurveZMQ, RFC 32/Z85 (rfc.zeromq.org).
package guard
