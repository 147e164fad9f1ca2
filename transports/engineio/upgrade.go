package engineio

import (
	"net/http"

	"github.com/gobwas/ws"

	"greenroom/hub"
)

// maxProbes bounds how often one upgrade may ask whether the WebSocket works.
const maxProbes = 8

// serveUpgrade gives a polling session a WebSocket to try. One at a time, and
// none once it has one.
func (srv *Server) serveUpgrade(w http.ResponseWriter, r *http.Request, s *Socket, p params) {
	switch {
	case r.Method != http.MethodGet, srv.opts.NoUpgrades:
		srv.refuse(w, r, errBadRequest)
		return
	case !srv.opts.CORS.allowsOrigin(r):
		srv.refuse(w, r, errForeignOrigin)
		return
	case !srv.prepareWebSocket(w, r):
		return
	case !s.claimed.CompareAndSwap(false, true):
		srv.refuseWebSocket(w, r)
		return
	}
	var ext extension
	conn, early, err := srv.hijack(w, r, &ext)
	if err != nil {
		s.claimed.Store(false)
		return
	}
	c := &wsConn{s: s, held: early, pings: pingBurst, base64: p.base64}
	c.reader.deflate = ext.accepted
	if c.stream, err = s.loop.Attach(conn, c); err != nil {
		srv.hub.Count("engineio_attach_failed")
		s.claimed.Store(false)
		_ = conn.Close()
		return
	}
	s.later(c.tryOut)
}

// tryOut begins an upgrade, on the loop. The session goes on polling until the
// client says that the WebSocket works.
func (c *wsConn) tryOut() {
	s := c.s
	if s.State() != StatePolling || s.doomed {
		c.stream.Start()
		c.end()
		return
	}
	s.setState(StateUpgrading)
	s.probe = c
	s.auxTimer().Reset(s.srv.opts.UpgradeTimeout)
	c.begin()
}

// tryUpgrade processes a message on a WebSocket that is being tried. Anything
// but the two packets of the dance ends the try, and the session polls on.
func (c *wsConn) tryUpgrade(op ws.OpCode, data []byte) {
	s := c.s
	switch {
	case op == ws.OpText && string(data) == "2probe" && c.probes < maxProbes:
		c.probes++
		c.probed = true
		c.writeProbe(append(appendFrameHeader(nil, ws.OpText, len("3probe")), "3probe"...))
		s.answerPoll() // the client waits for its poll to end before it upgrades
	case op == ws.OpText && string(data) == string(PacketUpgrade) && s.State() == StateClosing:
		s.lastUpgrade(s.srv.bye)
	case op == ws.OpText && string(data) == string(PacketUpgrade):
		if s.post.Load() != nil {
			// Packets of this POST come before what follows on the WebSocket;
			// a message may even be split over the two.
			c.waiting = true
			s.aux.Stop() // the client has done its part
			s.answerPoll()
			return
		}
		s.upgrade()
	default:
		s.srv.dropped("engineio_bad_upgrade", "not a packet of the upgrade", s.request.RemoteAddr)
		s.dropProbe()
	}
}

// writeProbe writes to a WebSocket that is being tried. So little is sent there
// that a full socket buffer means a client that does not read.
func (c *wsConn) writeProbe(b []byte) {
	n, err := c.stream.Write(b)
	if (err != nil || n < len(b)) && !c.dead {
		c.s.srv.hub.Count("engineio_bad_upgrade")
		c.s.dropProbe()
	}
}

// upgrade makes the WebSocket that was tried the session's transport. What
// waited for a poll leaves there now, in order.
func (s *Socket) upgrade() {
	c := s.probe
	s.probe, s.ws = nil, c
	s.aux.Stop()
	s.setState(StateWebSocket)
	if s.poll != nil {
		s.poll.answer(pollNoop)
		s.poll = nil
	}
	s.setWebSocketWire()
	if h, ok := s.handler.(UpgradeHandler); ok {
		h.OnUpgrade(s)
	}
	s.srv.observers.upgraded(s)
	if s.out.Len() > 0 {
		s.out.Schedule()
	}
	switch {
	case s.version == 3:
		s.refreshed = false
		s.awaitPong()
		if s.paused {
			s.heartbeat.Reset(s.srv.opts.PingTimeout / 2) // see reassure
		}
	case s.awaiting:
		// The ping may have been lost with the last poll, or the pong be on its way: start afresh.
		s.awaiting = false
		s.heartbeat.Reset(s.srv.opts.PingInterval)
	}
	if c.waiting {
		c.waiting = false
		c.resume()
	}
}

// lastUpgrade is the upgrade of a session that the server has closed meanwhile. The official client stops polling
// before it upgrades and does not begin again when that fails, so that this is where it hears of the close.
func (s *Socket) lastUpgrade(frame *hub.Frame) {
	c := s.probe
	s.probe, s.ws, c.waiting = nil, c, false
	if s.poll != nil {
		s.poll.answer(pollNoop)
		s.poll = nil
	}
	s.setWebSocketWire()
	c.shut(frame)
}

// setWebSocketWire has the outbox encode for the session's WebSocket.
func (s *Socket) setWebSocketWire() {
	w := s.wire(WebSocket, s.ws.base64)
	if s.ws.reader.deflate {
		s.out.Pack(compressed(w), s.srv.opts.PerMessageDeflate.Threshold)
	}
	s.out.SetWire(w)
}

// dropProbe ends the try, if there is one; the session polls on.
func (s *Socket) dropProbe() {
	c := s.probe
	if c == nil {
		return
	}
	s.probe = nil
	if s.State() == StateUpgrading {
		s.aux.Stop()
		s.setState(StatePolling)
	}
	s.claimed.Store(false)
	c.end()
}

// end closes a WebSocket that did not become its session's transport.
func (c *wsConn) end() {
	if c.dead {
		return
	}
	c.silence()
	if !c.flushed {
		_, _ = c.stream.Write(ws.CompiledClose) // as far as it gets
	}
	c.stream.Close()
}
