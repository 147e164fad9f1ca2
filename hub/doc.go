// Package hub is the middle of Greenroom: sessions, rooms, broadcast, history and presence.
//
// It knows nothing of wires. A transport (Socket.IO, ZeroMQ, …) brings connections in by
// [Hub.Connect], hands over what clients send by [Session.Deliver], and supplies one encoder per
// wire format ([RegisterWire]). The hub gives every message its place in its room, encodes it once
// per wire in use and puts pointers to that encoding into the outboxes of the members.
//
// # Sessions
//
// A session is one namespace of one client's connection. It lives on one [coop.Loop] and has one
// greenlet, which runs the namespace's handler:
//
//	h.Handle("/", func(s *hub.Session) error {
//		s.Join("lobby")
//		for ev := range s.Events() {
//			…
//		}
//		return nil
//	})
//
// Methods of a Session may be called by its own greenlet (and by other code on its loop) only;
// methods of Hub, Namespace and [Target] may be called from any goroutine.
//
// # Order
//
// Every room has a sequencer: each message gets one offset, and all members, on all loops, history
// and taps see the messages in that order. What one session does (join, leave, publish) takes effect
// in the order in which it does it. A member gets exactly the messages sequenced after its join.
//
// # Limits
//
// What a client may make the hub hold is bounded by [Options]: its inbox, its outbox, the history of
// a room, the number of rooms kept for their history alone. What is dropped at a bound is counted
// ([Hub.Counters]) under a reason that is a constant of this code, never a client's text.
package hub
