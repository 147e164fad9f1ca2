package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

var (
	errInvalidNamespace  = &hub.ConnectError{Message: "Invalid namespace"}
	errTooManyNamespaces = &hub.ConnectError{Message: "Too many namespaces"}
	errNamespaceRate     = &hub.ConnectError{Message: "Namespaces joined too often"}
)

// OnMessage implements [engineio.Handler].
func (c *conn) OnMessage(_ *engineio.Socket, data []byte, binary bool) {
	if c.closed {
		return
	}
	if c.srv.opts.Parser == Msgpack {
		c.onMsgpack(data, binary)
		return
	}
	if binary {
		c.attachment(data)
		return
	}
	if c.partial != nil {
		c.illegal(errUnexpectedText)
		return
	}
	p, err := decode(data, c.srv.opts.decoding(c.v4))
	if err != nil {
		c.illegal(err)
		return
	}
	switch {
	case p.Type == Connect:
		c.connect(p)
	case p.Attachments == 0:
		c.dispatch(p, hub.Payload{JSON: bytes.Clone(p.JSON)})
	case c.known(p):
		c.partial = newPartial(p)
		c.setTimer()
	}
}

// illegal closes the connection over a packet, as the Node.js server does.
func (c *conn) illegal(err error) { c.sock.Refuse(refusal(err)) }

// attachment takes a binary message.
func (c *conn) attachment(data []byte) {
	if c.partial == nil {
		c.illegal(errUnexpectedBin)
		return
	}
	complete, err := c.partial.add(data, c.srv.opts.Engine.MaxPayload)
	if err != nil {
		c.illegal(err)
		return
	}
	if complete {
		whole := c.partial
		c.partial = nil
		c.setTimer()
		c.dispatch(whole.packet, whole.payload())
	}
}

// connect asks the hub for a session in a namespace. Its middlewares may take
// their time; Accepted or Refused follow.
func (c *conn) connect(p Packet) {
	namespace := string(p.Namespace)
	if i := c.find(p.Namespace); i >= 0 {
		if c.spaces[i].joined {
			c.sock.Refuse(refuseSecond)
			return
		}
		// The official client says it twice when the application does.
		c.srv.hub.Count("socketio_repeated_connect")
		return
	}
	if len(c.spaces) >= c.srv.opts.MaxNamespaces {
		c.refused("socketio_too_many_namespaces", namespace, errTooManyNamespaces)
		return
	}
	if c.churns() {
		c.refused("socketio_namespace_rate", namespace, errNamespaceRate)
		return
	}
	hs := hub.Handshake{Request: c.sock.Request(), Auth: noAuth}
	switch {
	case c.v4:
		hs.Auth = queryAuth(p.query)
	case p.JSON != nil:
		hs.Auth = bytes.Clone(p.JSON)
	}
	pid, offset := c.earlier(hs.Auth)
	s, err := c.srv.hub.Reconnect(c, namespace, &hs, pid, offset)
	switch {
	case errors.Is(err, hub.ErrUnknownNamespace) && c.v4 && namespace == "/":
		c.srv.hub.Count("socketio_unknown_namespace")
	case errors.Is(err, hub.ErrUnknownNamespace):
		c.refused("socketio_unknown_namespace", namespace, errInvalidNamespace)
	case errors.Is(err, hub.ErrTooManyNamespaces):
		c.refused("socketio_too_many_namespaces", namespace, errTooManyNamespaces)
	case err != nil:
		c.sock.Close(engineio.ReasonShutdown) // the hub is closed
	default:
		c.left = slices.DeleteFunc(c.left, func(d departure) bool { return d.namespace == namespace })
		c.spaces = append(c.spaces, space{session: s})
		c.opened++
	}
}

// churns reports whether the client has joined, and so left, namespaces too often of late. The handlers of those that
// it has left may still be at work: without a bound they would pile up.
func (c *conn) churns() bool {
	if now := c.sock.Loop().Now(); now-c.openedFrom > leftGrace {
		c.opened, c.openedFrom = 0, now
	}
	return int(c.opened) >= 2*c.srv.opts.MaxNamespaces
}

// earlier is what the client says of the session that it had, in the CONNECT packet's object beside its own
// keys: the session's pid, and the offset of the last event that it got. Anything but two texts is nothing.
func (c *conn) earlier(auth json.RawMessage) (pid, offset string) {
	if !c.srv.recovery || !bytes.Contains(auth, []byte(`"pid"`)) {
		return "", ""
	}
	var said struct {
		PID    string `json:"pid"`
		Offset string `json:"offset"`
	}
	if json.Unmarshal(auth, &said) != nil {
		return "", ""
	}
	return said.PID, said.Offset
}

// noAuth is the payload of a CONNECT that has none.
var noAuth = json.RawMessage("{}")

// known reports whether p is for a namespace that was joined, or asked for: what a
// client sends right behind its CONNECT must not depend on how fast that is
// decided. If it is for one that was left or refused lately p goes on, to be
// ignored; otherwise the connection is closed.
func (c *conn) known(p Packet) bool {
	if c.find(p.Namespace) >= 0 || c.leftLately(p.Namespace, c.sock.Loop().Now()) {
		return true
	}
	c.sock.Refuse(refuseNotJoined)
	return false
}

// dispatch gives a complete packet to its session. The payload is the session's
// to keep.
func (c *conn) dispatch(p Packet, payload hub.Payload) {
	if p.Type == ConnectError {
		c.sock.Refuse(refuseConnectError)
		return
	}
	if !c.known(p) {
		return
	}
	i := c.find(p.Namespace)
	if i < 0 {
		c.srv.hub.Count("socketio_left_namespace")
		return
	}
	s := c.spaces[i].session
	switch p.Type {
	case Disconnect:
		c.remove(i)
		s.Closed(ReasonClientDisconnect)
	case Event, BinaryEvent:
		c.deliver(i, hub.NewEvent(p.Event, payload, p.ID))
	case Ack, BinaryAck:
		if payload.JSON == nil {
			payload.JSON = []byte("[]")
		}
		s.DeliverAck(p.ID, payload)
	}
}

// deliver gives an event to the namespace at i, and stops reading when its
// handler does not keep up.
func (c *conn) deliver(i int, ev *hub.Event) {
	sp := &c.spaces[i]
	err := sp.session.Deliver(ev)
	if errors.Is(err, hub.ErrOverloaded) {
		c.sock.Refuse(refuseOverload)
		return
	}
	if err == nil && sp.session.InboxFull() && !sp.full {
		sp.full = true
		c.srv.hub.Count("socketio_reading_paused")
		s := sp.session
		s.OnInboxRoom(func() { c.roomIn(s) })
		c.sock.Pause()
	}
}

// roomIn goes on reading when a session's inbox has room again.
func (c *conn) roomIn(s *hub.Session) {
	if i := c.index(s); i >= 0 {
		c.spaces[i].full = false
		c.resume()
	}
}
