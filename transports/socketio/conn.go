package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/engineio"
)

// Reasons of this layer with which sessions end; see also the engineio package.
const (
	ReasonClientDisconnect = "client namespace disconnect"
	ReasonServerDisconnect = "server namespace disconnect"
	ReasonForcedClose      = "forced server close" // no namespace was joined in time
)

// leftGrace is how long packets for a namespace that was left, or refused, are
// ignored: they were on their way when the server said so. Others close the
// connection.
const leftGrace = 5 * time.Second

// conn is the Socket.IO side of one connection: its namespaces, and the binary
// packet that is coming in. It is the Engine.IO session's handler, and the
// [hub.Conn] of all its namespaces. Everything runs on the session's loop.
type conn struct {
	srv       *Server
	sock      *engineio.Socket
	spaces    []space
	left      []departure
	partial   *partial
	owing     *owing // until a namespace is joined, and with a partial
	connected bool   // one was joined, once
	closed    bool
	v4        bool  // the client speaks protocol 4, see v4.go
	opened    int32 // namespaces joined since openedFrom

	openedFrom time.Duration
}

// owing bounds the time for what a client owes. Most connections owe nothing, and have none.
type owing struct {
	timer     coop.Timer
	connectBy time.Duration // on the loop's clock, when a namespace must be joined
}

// space is one namespace of a connection.
type space struct {
	session *hub.Session
	joined  bool // the client has been told; before, what it sends waits for that
	full    bool // its inbox is why we do not read
}

type departure struct {
	namespace string
	at        time.Duration // on the loop's clock
}

// open makes the handler of a new Engine.IO session.
func (srv *Server) open(s *engineio.Socket) engineio.Handler {
	c := &conn{srv: srv, sock: s}
	c.wait(srv.opts.ConnectTimeout)
	c.owing.connectBy = s.Loop().Now() + srv.opts.ConnectTimeout
	srv.unconnected.Add(1)
	if s.Protocol() == 3 {
		c.v4 = true
		c.connect(Packet{Type: Connect, Namespace: rootNamespace})
	}
	return c
}

// timeout ends connections that join nothing, or leave a packet incomplete.
func (c *conn) timeout() {
	if c.connected || c.sock.Loop().Now() < c.owing.connectBy {
		c.sock.Refuse(refusePartial)
		return
	}
	c.sock.Refuse(refuseNoConnect)
}

// wait sets the timer.
func (c *conn) wait(d time.Duration) {
	if c.owing == nil {
		c.owing = new(owing)
		c.owing.timer.Init(c.sock.Loop(), c.timeout)
	}
	c.owing.timer.Reset(d)
}

// stopTimer is for a client that owes nothing.
func (c *conn) stopTimer() {
	if c.owing != nil {
		c.owing.timer.Stop()
		c.owing = nil
	}
}

// setTimer sets the timer for the partial, if there is one, and for the first
// namespace, if none was joined: whichever comes first.
func (c *conn) setTimer() {
	switch {
	case c.partial != nil && c.connected:
		c.wait(c.srv.opts.PartialTimeout)
	case c.connected:
		c.stopTimer()
	default:
		left := max(0, c.owing.connectBy-c.sock.Loop().Now())
		if c.partial != nil {
			left = min(c.srv.opts.PartialTimeout, left)
		}
		c.wait(left)
	}
}

// OnClose implements [engineio.Handler].
func (c *conn) OnClose(_ *engineio.Socket, reason string) {
	c.closed = true
	if !c.connected {
		c.srv.unconnected.Add(-1)
	}
	c.stopTimer()
	c.partial = nil
	spaces := c.spaces
	c.spaces, c.left = nil, nil
	for _, sp := range spaces {
		sp.session.Closed(reason)
	}
}

// find returns the index of a namespace, -1 when it is not there.
func (c *conn) find(namespace []byte) int {
	for i := range c.spaces {
		if c.spaces[i].session.Namespace() == string(namespace) {
			return i
		}
	}
	return -1
}

func (c *conn) index(s *hub.Session) int {
	return slices.IndexFunc(c.spaces, func(sp space) bool { return sp.session == s })
}

// remove forgets the namespace at i, for good after leftGrace.
func (c *conn) remove(i int) {
	c.noteLeft(c.spaces[i].session.Namespace(), c.sock.Loop().Now())
	c.spaces = slices.Delete(c.spaces, i, i+1)
	c.resume()
}

// noteLeft remembers that a namespace was left, of as many as a connection may have.
func (c *conn) noteLeft(namespace string, now time.Duration) {
	c.left = slices.DeleteFunc(c.left, func(d departure) bool { return now-d.at > leftGrace || d.namespace == namespace })
	if len(c.left) == c.srv.opts.MaxNamespaces {
		c.left = slices.Delete(c.left, 0, 1)
	}
	c.left = append(c.left, departure{namespace, now})
}

// leftLately reports whether packets for a namespace may still be on their way.
func (c *conn) leftLately(namespace []byte, now time.Duration) bool {
	for _, d := range c.left {
		if d.namespace == string(namespace) && now-d.at <= leftGrace {
			return true
		}
	}
	return false
}

// resume lets the engine read again when no inbox is full any more.
func (c *conn) resume() {
	if !slices.ContainsFunc(c.spaces, func(sp space) bool { return sp.full }) {
		c.sock.Resume()
	}
}

// Loop implements [hub.Conn].
func (c *conn) Loop() *coop.Loop { return c.sock.Loop() }

// Send implements [hub.Conn]. A message with more binary values than the official
// client takes would make it close its connection, so it is dropped.
func (c *conn) Send(f *hub.Frame) {
	if m := f.Message(); m != nil && !c.srv.opts.Parser.carries(len(m.Payload.Attachments)) {
		c.srv.hub.Count("socketio_unsendable_message")
		return
	}
	c.sock.Send(f)
}

// Writable implements [hub.Conn].
func (c *conn) Writable() bool { return c.sock.Writable() }

// Accepted implements [hub.Conn].
func (c *conn) Accepted(s *hub.Session) {
	i := c.index(s)
	if i < 0 {
		return
	}
	c.spaces[i].joined = true
	if !c.connected {
		c.connected = true
		c.srv.unconnected.Add(-1)
		if c.partial == nil {
			c.stopTimer()
		}
	}
	var reply hub.Payload
	if !c.v4 {
		reply.JSON = connected(s)
	}
	c.Send(c.srv.opts.Parser.frame(Connect, s.Namespace(), hub.NoAck, reply))
}

// connected is what a client is told of its session. The ids need no escaping.
func connected(s *hub.Session) []byte {
	if pid := s.RecoveryID(); pid != "" {
		return []byte(`{"sid":"` + s.ID() + `","pid":"` + pid + `"}`)
	}
	return []byte(`{"sid":"` + s.ID() + `"}`)
}

// Refused implements [hub.Conn].
func (c *conn) Refused(s *hub.Session, err error) {
	if i := c.index(s); i >= 0 {
		c.remove(i)
	}
	c.refused("socketio_connect_refused", s.Namespace(), err)
}

// refuse sends a CONNECT_ERROR.
func (c *conn) refuse(namespace string, err error) {
	reason := errorJSON(err)
	if c.v4 && !errors.Is(err, errInvalidNamespace) {
		reason = errorJSON4(reason)
	}
	c.Send(c.srv.opts.Parser.frame(ConnectError, namespace, hub.NoAck, hub.Payload{JSON: reason}))
}

// errorJSON is the payload of a CONNECT_ERROR.
func errorJSON(err error) []byte {
	body := struct {
		Message string `json:"message"`
		Data    any    `json:"data,omitempty"`
	}{Message: err.Error()}
	var e *hub.ConnectError
	if errors.As(err, &e) {
		body.Message, body.Data = e.Message, e.Data
	}
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if enc.Encode(body) != nil {
		// The application's data cannot be encoded; the message always can.
		w.Reset()
		body.Data = nil
		_ = enc.Encode(body)
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n"))
}

// tooManyToAck stands in for an answer with more binary values than the official client takes.
var tooManyToAck = hub.Payload{JSON: []byte(`[{"ok":false,"error":{"code":"too_many_attachments",` +
	`"message":"the answer has more than 10 binary values"}}]`)}

// Ack implements [hub.Conn].
func (c *conn) Ack(s *hub.Session, id int64, p hub.Payload) {
	if !c.srv.opts.Parser.carries(len(p.Attachments)) {
		c.srv.hub.Count("socketio_unsendable_ack")
		p = tooManyToAck
	}
	c.Send(c.srv.opts.Parser.frame(Ack, s.Namespace(), id, p))
}

// Leave implements [hub.Conn].
func (c *conn) Leave(s *hub.Session, closeConn bool) {
	if i := c.index(s); i >= 0 {
		c.goodbye(i)
	}
	if !closeConn {
		return
	}
	for len(c.spaces) > 0 {
		s := c.spaces[0].session
		s.Closed(ReasonServerDisconnect)
		if i := c.index(s); i >= 0 { // else the application has ended it meanwhile
			c.goodbye(i)
		}
	}
	c.sock.Close(engineio.ReasonForcedClose)
}

// goodbye tells the client that the server has left the namespace at i.
func (c *conn) goodbye(i int) {
	sp := c.spaces[i]
	c.remove(i)
	if sp.joined {
		c.Send(c.srv.opts.Parser.frame(Disconnect, sp.session.Namespace(), hub.NoAck, hub.Payload{}))
	}
}
