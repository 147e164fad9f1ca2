package engineio

import (
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

const (
	// wsCloseTimeout bounds how long a closing WebSocket may take to send what
	// is left; wsLinger, how long we then wait for the client's side. Closing a
	// descriptor with unread input makes TCP send a reset, which could overtake
	// our close frame.
	wsCloseTimeout = 5 * time.Second
	wsLinger       = time.Second
	// closeGrace is how long the id of a session that its client closed by POST
	// answers one more GET. The client sends both at the same time, on two
	// connections, and the POST may win.
	closeGrace = 100 * time.Millisecond
)

// Bodies that end a poll.
const (
	pollNoop     = "6"
	pollClose    = "1"
	pollLastCall = "6\x1e1" // a close that waited for its poll
)

// ending says how a session closes on the wire.
type ending struct {
	frame    *hub.Frame // WebSocket: the last frame
	poll     string     // polling: the answer to a waiting GET
	remember bool       // polling: without a waiting GET, wait for the next
	grace    bool       // polling: without a waiting GET, answer one that is on its way
	later    bool       // call OnClose in a later callback
}

// Close ends the session from the server's side. What was sent before still
// leaves. OnClose follows in a later callback, so that it is safe to call Close
// from anywhere on the loop.
func (s *Socket) Close(reason string) {
	s.end(reason, ending{frame: s.srv.bye, poll: pollClose, remember: true, later: true})
}

// closedByClient answers a close packet.
func (s *Socket) closedByClient() {
	s.end(ReasonTransportClose, ending{frame: s.srv.bye, poll: pollNoop, grace: true})
}

// end takes the session from any open state to closing or closed. Once only.
func (s *Socket) end(reason string, e ending) {
	if s.State() >= StateClosing {
		return
	}
	if s.probe != nil && !(e.remember && s.probe.probed) {
		s.dropProbe()
	}
	s.leaveOpen()
	defer s.endWire(e) // also when OnClose panics
	s.tell(reason, e.later)
}

// endWire says on the wire what end has decided.
func (s *Socket) endWire(e ending) {
	switch {
	case s.ws != nil:
		s.ws.shut(e.frame)
	case s.probe != nil && s.probe.waiting:
		s.lastUpgrade(e.frame)
	default:
		s.endPolling(e)
	}
}

func (s *Socket) endPolling(e ending) {
	if e.remember && s.out.Len() > 0 {
		s.answerPoll() // what was sent before the close goes first
	}
	switch {
	case s.poll != nil:
		s.poll.answer(e.poll)
		s.poll = nil
		s.gone()
	case e.remember:
		s.auxTimer().Reset(s.srv.opts.CloseTimeout)
	case e.grace:
		s.out.Clear()
		s.grace = true
		s.auxTimer().Reset(closeGrace)
	default:
		s.gone()
	}
}

// kill ends the session without ceremony: its client cannot be written to.
func (s *Socket) kill(reason string) {
	if s.State() == StateClosed {
		return
	}
	defer s.cutWire() // also when OnClose panics
	s.dropProbe()
	if s.State() != StateClosing {
		s.leaveOpen()
		s.tell(reason, false)
	}
}

func (s *Socket) cutWire() {
	if s.ws != nil {
		s.ws.silence()
		s.out.Clear()
		s.ws.stream.Close()
		return
	}
	s.gone()
}

// runDoom ends a session whose outbox is full. Of what waits only the frame that has left in part goes on
// its way, and then a close frame, if the client reads as much as that in time.
func (s *Socket) runDoom() {
	if s.ws == nil || s.State() >= StateClosing {
		s.kill(ReasonTransportError)
		return
	}
	s.out.DropUnsent()
	s.refuse(refuseSlow)
}

// leaveOpen ends all that belongs to an open session only.
func (s *Socket) leaveOpen() {
	s.setState(StateClosing)
	s.heartbeat.Stop()
	s.heard()
	p := s.post.Load()
	switch {
	case p == nil:
	case p.processing:
		s.postDone(p, response{body: []byte("ok")}) // its packets were received, as far as we got
	default:
		p.abort()
	}
}

// tell calls OnClose.
func (s *Socket) tell(reason string, later bool) {
	if later && s.loop.Post(func() { s.told(reason) }) {
		return
	}
	s.told(reason)
}

func (s *Socket) told(reason string) {
	s.srv.observers.closed(s, reason)
	s.handler.OnClose(s, reason)
}

// gone is the last thing that happens to a session.
func (s *Socket) gone() {
	if State(s.state.Swap(uint32(StateClosed))) == StateClosed {
		return
	}
	s.dropProbe()
	if s.aux != nil {
		s.aux.Stop()
	}
	if s.poll != nil {
		s.poll.answer(pollClose)
		s.poll = nil
	}
	s.grace = false
	s.out.Clear()
	s.srv.sessions.remove(s)
}

// auxTimer is the timer of whatever is bounded in time beside the heartbeat: an
// upgrade or a close, never both.
func (s *Socket) auxTimer() *coop.Timer {
	if s.aux == nil {
		s.aux = new(coop.Timer)
		s.aux.Init(s.loop, s.auxDue)
	}
	return s.aux
}

func (s *Socket) auxDue() {
	switch s.State() {
	case StateUpgrading:
		s.srv.dropped("engineio_upgrade_timeout", "upgrade not finished in time", s.request.RemoteAddr)
		s.dropProbe()
	case StateClosing:
		if s.ws != nil {
			s.ws.closeDue()
			return
		}
		s.gone()
	}
}
