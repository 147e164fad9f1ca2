// Package zmq has ZeroMQ sockets for greenlets: code of a session talks to services in any language in straight lines.
//
//	sock, err := zmq.New(zmq.REQ, zmq.Options{})
//	if err != nil {
//		return err
//	}
//	defer sock.Close(g)
//	if err := sock.Dial("tcp://127.0.0.1:5555"); err != nil {
//		return err
//	}
//	if err := sock.Send(g, []byte("price of tea?")); err != nil {
//		return err
//	}
//	answer, err := sock.Recv(g)
//
// All types of RFC 28 to 31 are there, and speak with libzmq 4 and later. Sends and receives park the greenlet, and
// return [coop.ErrKilled] and [coop.ErrTimeout] as every park does; a time is set by g.WithTimeout. Goroutines use the
// methods named Context. A [Poller] waits for several sockets. The counterpart of gevent-zeromq (zmq.green).
//
// # What is as in libzmq
//
// Dial connects in the background, and again when a connection ends. PUSH, DEALER and REQ give messages to their peers
// in turn, leave out those that have no room, and wait when none has. Received messages are taken of each peer in turn.
// PUB and XPUB send to those who subscribed to a prefix of the first frame, and drop, and count, what a subscriber has
// no room for. ROUTER puts its peers' identities in front. REP gives each answer the envelope of its request. PAIR has one
// peer.
//
// # What is not
//
// A socket may be used by any number of greenlets, of any loops, and goroutines. A PUSH without a connection waits for
// one, where libzmq would keep messages for an endpoint that it dials. Recv of a REQ whose peer has gone returns
// [ErrNoAnswer] instead of waiting on, and [Options].Resend asks the next one. Close gives peers a second, not for ever.
//
// # Limits and costs
//
// Everything a peer can send is bounded by [Options]. A connection has two goroutines, three with heartbeats, which
// end with it; a socket's Close ends everything that it has.
package zmq
