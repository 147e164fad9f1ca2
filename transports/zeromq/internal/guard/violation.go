package guard

import (
	"errors"
	"fmt"
)

// ErrClosed: the connection was closed on this side.
var ErrClosed = errors.New("guard: connection closed")

// Violation is what a peer did to have its connection ended. Reason is one of the constants below,
// fit to be a counter's name; Detail is for the log.
type Violation struct {
	Reason string
	Detail string
}

func (v *Violation) Error() string { return v.Reason + ": " + v.Detail }

// Reasons of a [Violation].
const (
	ReasonGreeting      = "zeromq_bad_greeting"      // not ZMTP at all: HTTP, TLS, noise
	ReasonVersion       = "zeromq_old_version"       // ZMTP 1 or 2: libzmq before 4.0
	ReasonMechanism     = "zeromq_bad_mechanism"     // PLAIN, CURVE or nonsense where NULL is spoken
	ReasonReady         = "zeromq_bad_ready"         // malformed READY, or something else in its place
	ReasonSocketType    = "zeromq_bad_socket_type"   // unknown, or one that does not go with ours
	ReasonPeerError     = "zeromq_peer_error"        // the peer refused us with an ERROR command
	ReasonFlags         = "zeromq_bad_flags"         // reserved flag bits, or COMMAND together with MORE
	ReasonFrameSize     = "zeromq_frame_too_big"     // a frame above Limits.FrameBytes
	ReasonMessageSize   = "zeromq_message_too_big"   // a message above Limits.MessageBytes
	ReasonFrames        = "zeromq_too_many_frames"   // a message of more than Limits.Frames frames
	ReasonCommand       = "zeromq_bad_command"       // malformed, oversized, or too many inside one message
	ReasonPing          = "zeromq_bad_ping"          // a PING too short or with too long a context
	ReasonPingFlood     = "zeromq_ping_flood"        // more than Limits.PingsPerSec
	ReasonTopic         = "zeromq_topic_too_long"    // SUBSCRIBE or CANCEL with more than 255 bytes
	ReasonHeartbeat     = "zeromq_heartbeat_expired" // silent for longer than its own PING promised
	ReasonTruncated     = "zeromq_truncated"         // gone in the middle of a message
	ReasonLate          = "zeromq_subscriber_late"   // its oldest message waited for longer than Limits.MaxLag
	ReasonWriteTimeout  = "zeromq_write_timeout"     // did not read for Limits.WriteTimeout
	ReasonUnansweredOut = "zeromq_pong_backlog"      // asks for PONGs and does not read them
)

func violation(reason, format string, args ...any) *Violation {
	return &Violation{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
