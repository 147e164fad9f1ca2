package socketio

import (
	"errors"

	"greenroom/transports/engineio"
)

// What closes a connection beside packets that make no sense, see [Error]. The counters stand in the
// hub's, too.
var (
	refuseNotJoined    = policy("socketio_not_joined", "namespace not joined")
	refusePartial      = policy("socketio_partial_timeout", "attachments not sent in time")
	refuseOverload     = policy("", "too many events waiting") // the hub has counted it
	refuseSecond       = protocol("socketio_second_connect", "namespace connected already")
	refuseConnectError = protocol("socketio_connect_error_from_client", "only the server refuses connections")
	refuseNoConnect    = &engineio.Refusal{
		Counter: "socketio_connect_timeout", Reason: ReasonForcedClose,
		Status: engineio.StatusPolicy, Text: "no namespace connected in time",
	}
)

func policy(counter, text string) *engineio.Refusal {
	return &engineio.Refusal{Counter: counter, Reason: engineio.ReasonForcedClose, Status: engineio.StatusPolicy, Text: text}
}

func protocol(counter, text string) *engineio.Refusal {
	return &engineio.Refusal{Counter: counter, Reason: engineio.ReasonForcedClose, Status: engineio.StatusProtocolError, Text: text}
}

// refusal is what a packet that makes no sense closes its connection with.
func refusal(err error) *engineio.Refusal {
	var e *Error
	if !errors.As(err, &e) {
		return protocol("socketio_bad_packet", "bad packet")
	}
	switch e {
	case errBinaryTooLarge:
		return &engineio.Refusal{Counter: e.reason, Reason: engineio.ReasonForcedClose, Status: engineio.StatusTooBig, Text: e.Text}
	case errTooMany, errTooDeep:
		return policy(e.reason, e.Text)
	}
	return protocol(e.reason, e.Text)
}

// refused counts a namespace's refusal and logs it at debug level; the client gets a CONNECT_ERROR.
func (c *conn) refused(counter, namespace string, err error) {
	c.srv.hub.Count(counter)
	c.srv.log.Debug("a namespace was refused", "counter", counter, "namespace", namespace, "reason", err, "remote", c.sock.Request().RemoteAddr)
	c.noteLeft(namespace, c.sock.Loop().Now())
	c.refuse(namespace, err)
}
