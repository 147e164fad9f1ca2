package engineio

import (
	"errors"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"greenroom/coop"
	"greenroom/hub"
)

const (
	// A client may send pingBurst WebSocket pings at once, and pingRate a
	// second in the long run. Each is answered, so this bounds what a client
	// can make us send. Browsers send none; proxies, one in some seconds.
	pingBurst = 64
	pingRate  = 16
)

// wsConn is one WebSocket of a session: a stream on the session's loop, and the
// reader of its frames. It implements [coop.StreamHandler]. // loop
type wsConn struct {
	s      *Socket
	stream *coop.Stream
	held   []byte // received but not consumed: with the request, while the session is paused, while an upgrade waits
	reader frameReader

	inflating *inflating // a message that is, or was, inflated beside the loop

	pingsAt  time.Duration
	pings    int32 // tokens left of the rate limit
	probes   uint8 // "2probe"s answered
	probed   bool  // the client has been told that this WebSocket works
	base64   bool  // the client of protocol 3 takes no binary frames
	waiting  bool  // the client has upgraded, but a POST is not processed yet
	stalled  bool  // the last write was short
	dead     bool  // input is discarded
	peerDone bool  // the client has sent its close frame
	flushed  bool  // our close frame has left
	broken   bool  // the input makes no sense any more
}

// rawFrame is a frame of fixed bytes, for WebSockets only.
func rawFrame(b []byte) *hub.Frame { return hub.NewFrame(func(hub.Wire) []byte { return b }) }

// openWebSocket opens a session directly on a WebSocket.
func (srv *Server) openWebSocket(w http.ResponseWriter, r *http.Request, p params) {
	var ext extension
	conn, early, err := srv.hijack(w, r, &ext)
	if err != nil {
		srv.sessions.release()
		return
	}
	door, atDoor := conn.(doorConn)
	l := srv.hub.Loops().Least()
	if atDoor {
		l = door.a.loop
	}
	s := srv.newSocket(l, r, p, StateWebSocket)
	if !srv.sessions.add(s) {
		srv.hub.Count(errIDGeneration.reason)
		_ = conn.Close()
		srv.sessions.release()
		return
	}
	c := &wsConn{s: s, held: early, pings: pingBurst, base64: p.base64}
	c.reader.deflate = ext.accepted
	s.ws = c
	s.setWebSocketWire()
	if atDoor {
		door.a.socket = c
		return
	}
	if c.stream, err = s.loop.Attach(conn, c); err != nil {
		srv.hub.Count("engineio_attach_failed")
		_ = conn.Close()
		srv.sessions.remove(s)
		return
	}
	s.later(c.open)
	s.known.Store(true)
}

// open starts a new session, on the loop. The open packet is the first frame.
func (c *wsConn) open() { c.openBehind(nil) }

// openBehind is open for a connection that still has to be sent its answer to the handshake: they leave together.
func (c *wsConn) openBehind(answer []byte) {
	s := c.s
	f := s.srv.opts.Wires.packetFrame(string(PacketOpen) + string(s.openData([]Transport{})))
	if answer != nil {
		f = rawFrame(append(answer, f.Bytes(s.wire(WebSocket, c.base64))...))
	}
	s.Send(f)
	if f := s.srv.greeting; f != nil {
		s.Send(f)
	}
	s.start()
	c.begin()
}

// begin consumes what came early and lets the loop read.
func (c *wsConn) begin() {
	early := c.held
	c.held = nil
	c.stream.Start()
	if len(early) > 0 {
		c.OnRead(c.stream, early)
	}
}

// OnRead implements [coop.StreamHandler].
func (c *wsConn) OnRead(_ *coop.Stream, p []byte) {
	switch {
	case c.dead:
		c.discard(p)
	case c.held != nil:
		c.held = append(c.held, p...) // was on its way when reading was paused
	default:
		c.consume(p)
	}
}

// consume processes input until it is used up, or has to be held.
func (c *wsConn) consume(p []byte) {
	s := c.s
	headers := &s.srv.locals[s.loop.ID()].headers
	inflated := 0
	for {
		switch {
		case c.waiting, s.paused && c == s.ws, c.inflating != nil && !c.inflating.done:
			c.hold(p)
			return
		case c.inflating != nil:
			if !c.takeInflated() {
				c.discard(p)
				return
			}
			continue
		case inflated >= inflateTurn:
			c.hold(p)         // nothing, perhaps, but there may be more in the socket
			s.later(c.resume) // others have their turn
			return
		}
		op, data, rest, err := c.reader.next(headers, p, s.srv.opts.MaxPayload, s.loop.Now())
		if err != nil {
			c.fail(err)
			return
		}
		if op == 0 {
			if c.reader.unfinished() && c == s.ws {
				s.alive() // bytes are a sign of life, too
			}
			return
		}
		if c.reader.packed && !op.IsControl() {
			began := time.Now()
			if data, err = c.inflate(op, data); err != nil {
				c.fail(err)
				return
			}
			if c.inflating != nil {
				p = rest
				continue
			}
			inflated += inflateCost + max(len(data), int(time.Since(began)/inflateByte))
		}
		c.frame(op, data)
		if p = rest; c.dead {
			c.discard(p)
			return
		}
	}
}

// hold keeps input for resume. Nothing more is read meanwhile.
func (c *wsConn) hold(p []byte) {
	c.held = append(make([]byte, 0, len(p)), p...)
	c.stream.PauseRead()
}

// resume consumes what was held and reads on.
func (c *wsConn) resume() {
	if c.dead || c.held == nil {
		return
	}
	p := c.held
	c.held = nil
	c.consume(p)
	if c.held == nil && !c.dead {
		c.stream.ResumeRead()
	}
}

// frame processes a message or control frame.
func (c *wsConn) frame(op ws.OpCode, data []byte) {
	switch op {
	case ws.OpPing:
		c.pong(data)
	case ws.OpPong:
		if c == c.s.ws {
			c.s.alive()
		}
	case ws.OpClose:
		c.peerClose(data)
	default:
		c.message(op, data)
	}
}

func (c *wsConn) message(op ws.OpCode, data []byte) {
	if c != c.s.ws {
		c.tryUpgrade(op, data)
		return
	}
	p, err := c.s.parseFrame(op, data)
	if err != nil {
		c.s.badPacket()
		return
	}
	c.s.packet(p)
}

// pong answers a WebSocket ping, within the rate limit.
func (c *wsConn) pong(data []byte) {
	s := c.s
	now := s.loop.Now()
	if c.pings < pingBurst {
		gained := int32(min((now-c.pingsAt)*pingRate/time.Second, pingBurst))
		if gained > 0 {
			c.pings = min(c.pings+gained, pingBurst)
			c.pingsAt = now
		}
	} else {
		c.pingsAt = now
	}
	if c.pings == 0 {
		s.srv.hub.Count("engineio_websocket_ping_flood")
		c.fail(errPingFlood)
		return
	}
	c.pings--
	b := append(appendFrameHeader(make([]byte, 0, 2+len(data)), ws.OpPong, len(data)), data...)
	if c == s.ws {
		s.alive()
		s.Send(rawFrame(b))
		return
	}
	c.writeProbe(b)
}

// peerClose answers the client's close frame with its own status.
func (c *wsConn) peerClose(data []byte) {
	c.peerDone = true
	if err := checkClose(data); err != nil {
		c.fail(err)
		return
	}
	echo := data
	if len(echo) > 2 {
		echo = echo[:2] // the status; the reason is the client's own
	}
	b := append(appendFrameHeader(make([]byte, 0, 4), ws.OpClose, len(echo)), echo...)
	if c != c.s.ws {
		c.flushed = true
		c.writeProbe(b)
		c.s.dropProbe()
		return
	}
	c.s.end(ReasonTransportClose, ending{frame: rawFrame(b)})
}

// fail closes the connection over something that the client did.
func (c *wsConn) fail(err error) {
	s := c.s
	c.broken = true
	s.srv.dropped("engineio_websocket_error", err.Error(), s.request.RemoteAddr)
	frame := closeFrame(StatusProtocolError, "protocol error")
	var e *closeError
	if errors.As(err, &e) {
		frame = closeFrame(CloseStatus(e.code), e.reason)
	}
	if c != s.ws {
		c.flushed = true
		c.writeProbe(frame)
		s.dropProbe()
		return
	}
	s.end(ReasonTransportError, ending{frame: rawFrame(frame)})
}

// overdue reports whether a message has been incomplete for too long.
func (c *wsConn) overdue() bool {
	return c.reader.unfinished() && c.s.loop.Now()-c.reader.since > maxUnfinished
}

// flush writes what is queued.
func (c *wsConn) flush() {
	drained, err := c.s.out.WriteTo(c.stream)
	c.stalled = !drained
	if err != nil {
		c.stream.Close() // OnClose follows
		return
	}
	if drained && c.s.State() == StateClosing {
		c.lastFlushed()
	}
}

// shut sends the last frame and stops listening.
func (c *wsConn) shut(frame *hub.Frame) {
	held := c.held
	c.silence()
	c.discard(held)
	c.stream.ResumeRead() // to see the client's close frame, or its end
	if frame == nil {
		c.s.out.Clear()
		c.stream.Close()
		return
	}
	c.s.out.PushLast(frame)
	c.s.auxTimer().Reset(min(wsCloseTimeout, c.s.srv.opts.CloseTimeout))
}

// lastFlushed goes on when the close frame has left.
func (c *wsConn) lastFlushed() {
	if c.flushed {
		return
	}
	c.flushed = true
	if c.peerDone {
		c.stream.Close()
		return
	}
	c.s.auxTimer().Reset(min(wsLinger, c.s.srv.opts.CloseTimeout))
}

// closeDue ends a close that takes too long. When it was the loop that took long, the last frame may not have been
// written yet.
func (c *wsConn) closeDue() {
	if !c.flushed && !c.stalled {
		if c.flush(); c.flushed {
			return
		}
	}
	c.stream.Close() // gone follows in its OnClose
}

// discard looks only for the client's close frame. When it and ours have passed
// the connection is done (RFC 6455, section 7.1.1).
func (c *wsConn) discard(p []byte) {
	headers := &c.s.srv.locals[c.s.loop.ID()].headers
	for !c.broken && !c.peerDone {
		op, _, rest, err := c.reader.next(headers, p, c.s.srv.opts.MaxPayload, c.s.loop.Now())
		switch {
		case err != nil:
			c.broken = true
		case op == 0:
			return
		case op == ws.OpClose:
			c.peerDone = true
			if c.flushed {
				c.stream.Close()
			}
		}
		p = rest
	}
}

// OnWritable implements [coop.StreamHandler].
func (c *wsConn) OnWritable(*coop.Stream) {
	if c == c.s.ws {
		c.flush()
	}
}

// OnClose implements [coop.StreamHandler].
func (c *wsConn) OnClose(*coop.Stream, error) {
	s := c.s
	c.silence()
	switch c {
	case s.probe:
		s.dropProbe()
	case s.ws:
		s.out.Clear()
		defer s.gone() // also when the handler's OnClose panics
		if s.State() < StateClosing {
			s.leaveOpen()
			s.tell(ReasonTransportClose, false)
		}
	}
}

// refuseWebSocket answers 101 and closes at once, as Node.js does to a second
// WebSocket for a session. On net/http's goroutine.
func (srv *Server) refuseWebSocket(w http.ResponseWriter, r *http.Request) {
	srv.dropped("engineio_second_websocket", "the session has a WebSocket", r.RemoteAddr)
	conn, early, err := srv.hijack(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(wsLinger)) // a connection without deadlines is closed below all the same
	if _, err := conn.Write(ws.CompiledClose); err != nil {
		return
	}
	// Until the client closes, too, or has wasted its time: an end with input unread could overtake
	// the close frame.
	var reader frameReader
	var headers headerReader
	buf := make([]byte, 512)
	p := early
	for range 64 {
		for len(p) > 0 {
			op, _, rest, err := reader.next(&headers, p, len(buf), 0)
			if err != nil || op == ws.OpClose {
				return
			}
			p = rest
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		p = buf[:n]
	}
}
