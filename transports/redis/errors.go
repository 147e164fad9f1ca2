package redis

import (
	"errors"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

var (
	errConnecting  = errors.New("redis: not connected yet")
	errClosed      = errors.New("redis: closed")
	errSubscribing = errors.New("redis: subscriptions are not confirmed yet")
	errSilent      = errors.New("redis: no answer")

	// What a command's callback gets when it was not done…
	errQueueFull = errors.New("redis: too much waits to be sent")
	errTooOld    = errors.New("redis: it could not be sent in time")
	// …or when the connection broke before the answer.
	errUnanswered = errors.New("redis: the connection broke before the answer")
)

// serverError is an error that Redis has answered.
type serverError string

func (e serverError) Error() string { return string(e) }
func (serverError) RedisError()     {} // it is a goredis.Error

// code is the first word of what Redis says.
func code(err error) string {
	if err == nil {
		return ""
	}
	var said goredis.Error
	if errors.As(err, &said) {
		err = said // without what go-redis says around it
	}
	word, _, _ := strings.Cut(err.Error(), " ")
	return word
}

// transient reports whether Redis may take tomorrow what it refuses today.
func transient(err error) bool {
	switch code(err) {
	case "OOM", "READONLY", "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "MISCONF",
		"NOAUTH", "UNBLOCKED", "ASK":
		return true
	}
	return false
}

// forbidden reports whether an error is about who we are, and not about the command.
func forbidden(err error) bool {
	switch code(err) {
	case "NOPERM", "WRONGPASS":
		return true
	}
	return false
}

// unusable reports whether the connection that brought err leads to the wrong server, or is not logged in any more.
func unusable(err error) bool {
	switch code(err) {
	case "READONLY", "NOAUTH", "MASTERDOWN", "LOADING", "WRONGPASS":
		return true
	}
	return false
}

// The reasons that the link counts by.
const (
	reasonUnanswered = "redis_unanswered" // the connection broke: nobody knows whether it was done
	reasonRefused    = "redis_refused"    // Redis answered with an error
	reasonTooOld     = "redis_too_old"    // it waited too long to be sent
	reasonQueueFull  = "redis_queue_full" // too much waits
	reasonClosed     = "redis_closed"     // asked for after Close, or not sent before
	reasonTooBig     = "redis_too_big"    // a message that was received is longer than allowed
	reasonGap        = "redis_gap"        // a connection with subscriptions was lost, and messages with it perhaps
	reasonForeign    = "redis_foreign"    // on a channel of Greenroom's own, something that no node sends
	reasonTwin       = "redis_same_name"  // another node has this node's name
	reasonReconnect  = "redis_reconnect"  // a connection was lost
)

// dropErrors are what a command's callback gets for a reason.
var dropErrors = map[string]error{
	reasonUnanswered: errUnanswered, reasonTooOld: errTooOld, reasonQueueFull: errQueueFull, reasonClosed: errClosed,
}
