package zmq

import (
	"errors"
	"fmt"

	"greenroom/coop"
)

// Errors of sockets. Compare with [errors.Is]. Calls that wait also return why the waiting ended: [coop.ErrKilled],
// [coop.ErrTimeout], or the error of a context.
var (
	// ErrClosed: the socket is closed. It is a [coop.ErrClosed].
	ErrClosed = fmt.Errorf("zmq: the socket is %w", coop.ErrClosed)

	// ErrDirection: sockets of this type do not send, or do not receive.
	ErrDirection = errors.New("zmq: not a thing that sockets of this type do")

	// ErrState: a REQ sends and receives in turn, a REP receives and sends.
	ErrState = errors.New("zmq: it is the other direction's turn")

	// ErrNoAnswer: the peer that had the request has gone, and Options.Resend is not set. The REQ may send again.
	ErrNoAnswer = errors.New("zmq: the peer has gone without an answer")

	// ErrUnroutable: a ROUTER has no peer of this identity, and Options.Mandatory is set.
	ErrUnroutable = errors.New("zmq: no peer has this identity")

	// ErrMessage: the frames are none that this socket could send.
	ErrMessage = errors.New("zmq: not a message")

	// errWait: it cannot be done yet.
	errWait = errors.New("zmq: not yet")
)

// Reasons for which a connection is ended, besides those of the protocol.
const (
	reasonPaired    = "zeromq_paired"         // a PAIR has a peer already
	reasonTwice     = "zeromq_identity_twice" // another peer has the identity
	reasonPeers     = "zeromq_too_many_peers" // MaxPeers
	reasonTopic     = "zeromq_topic_too_long" // more than 255 bytes
	reasonEvicted   = "zeromq_evicted"        // did not shake hands, and others want to
	reasonPublisher = "zeromq_slow_publisher" // does not read what is subscribed to
)
