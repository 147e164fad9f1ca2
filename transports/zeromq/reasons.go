package zeromq

import (
	"log/slog"
	"sync"
	"time"
)

// Reasons under which the hub counts what the bridge refuses, drops or ends. Those of the guard, for
// peers that break the protocol, stand beside them.
const (
	reasonHandshake     = "zeromq_handshake_failed"   // gone, or too slow, before the handshake was done
	reasonEvicted       = "zeromq_handshake_evicted"  // pushed out by newer connections
	reasonTooManyPeers  = "zeromq_too_many_peers"     // above Options.MaxPeers
	reasonAccept        = "zeromq_accept_failed"      // the system gave an error, out of descriptors perhaps
	reasonNetwork       = "zeromq_connection_lost"    // reset, or another network error
	reasonSaturated     = "zeromq_saturated"          // heard by SUB while the hub was saturated
	reasonPaused        = "zeromq_pull_paused"        // PULL stopped reading for a moment, nothing lost
	reasonUnwanted      = "zeromq_unwanted_topic"     // a publisher sent what SUB did not subscribe to
	reasonPublish       = "zeromq_publish_refused"    // the hub did not take it
	reasonLayout        = "zeromq_layout_panic"       // the layout panicked
	reasonShape         = "zeromq_bad_shape"          // frames that no rule of the layout describes
	reasonEnvelope      = "zeromq_bad_envelope"       // the JSON envelope is not one
	reasonRoom          = "zeromq_bad_room"           // not an acceptable room name
	reasonNamespace     = "zeromq_bad_namespace"      // not an acceptable namespace name
	reasonEvent         = "zeromq_bad_event"          // empty, reserved, too long or not UTF-8
	reasonPayload       = "zeromq_bad_payload"        // not what the payload rule asks for
	reasonDepth         = "zeromq_json_too_deep"      // JSON nested deeper than 64
	reasonPlaceholder   = "zeromq_placeholder"        // JSON that could pass for a binary placeholder
	reasonBinaries      = "zeromq_too_many_binaries"  // more binary values than a Socket.IO packet may have
	reasonDropped       = "zeromq_subscriber_dropped" // one message not queued for one slow subscriber
	reasonStale         = "zeromq_subscriber_stale"   // one message dropped because what waited for a subscriber was too old
	reasonRetained      = "zeromq_retained_left"      // a subscription to more retained values than Options.MaxRetained
	reasonHook          = "zeromq_hook_panic"         // OnSubscribe or OnUnsubscribe panicked
	reasonSlow          = "zeromq_slow_subscriber"    // a subscriber disconnected for being slow
	reasonSubscription  = "zeromq_bad_subscription"   // a message to XPUB that is no subscription
	reasonManyTopics    = "zeromq_too_many_topics"    // a subscription above Options.MaxTopics, ignored
	reasonOutgoing      = "zeromq_unsendable"         // a room message whose payload is no JSON array
	reasonForbidden     = "zeromq_forbidden"          // a room, or a thing, that the peer's principal has no permission for
	reasonUnexpectedCmd = "zeromq_unexpected_command" // a command that reached zmq4, which none should
)

// rateLog logs at most one line per reason and interval, with the number left out. Any goroutine.
type rateLog struct {
	log      *slog.Logger
	interval time.Duration

	mu   sync.Mutex
	last map[string]*lastLine // by reason: a constant of ours, so that it stays small
}

type lastLine struct {
	at         time.Time
	suppressed int
}

func newRateLog(log *slog.Logger) *rateLog {
	return &rateLog{log: log, interval: time.Second, last: make(map[string]*lastLine)}
}

func (r *rateLog) warn(reason, msg string, args ...any) {
	now := time.Now()
	r.mu.Lock()
	l := r.last[reason]
	if l == nil {
		l = &lastLine{}
		r.last[reason] = l
	}
	if now.Sub(l.at) < r.interval {
		l.suppressed++
		r.mu.Unlock()
		return
	}
	n := l.suppressed
	l.at, l.suppressed = now, 0
	r.mu.Unlock()
	args = append(args, "reason", reason)
	if n > 0 {
		args = append(args, "not_logged_before", n)
	}
	r.log.Warn(msg, args...)
}
