package engineio

import (
	"container/list"
	"sync/atomic"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

// State is where a session stands.
//
//	polling ⇄ upgrading → websocket
//	   └─────────┴────────────┴──→ closing → closed
type State uint32

const (
	// StatePolling: packets travel by GET and POST.
	StatePolling State = iota
	// StateUpgrading: as polling, while a WebSocket is being tried.
	StateUpgrading
	// StateWebSocket: packets travel by WebSocket.
	StateWebSocket
	// StateClosing: the handler has been told; last bytes are on their way.
	StateClosing
	// StateClosed: nothing is left.
	StateClosed
)

// String names the state.
func (s State) String() string {
	switch s {
	case StatePolling:
		return "polling"
	case StateUpgrading:
		return "upgrading"
	case StateWebSocket:
		return "websocket"
	case StateClosing:
		return "closing"
	}
	return "closed"
}

// Socket is one Engine.IO session. It lives on one loop: unless a comment says
// otherwise its methods may be called there only. Requests that arrive on
// net/http's goroutines post to the loop and wait for an answer.
type Socket struct {
	srv     *Server
	loop    *coop.Loop
	handler Handler

	out  hub.Outbox
	ws   *wsConn                     // in StateWebSocket, and while that closes
	poll *pollRequest                // the GET that waits
	post atomic.Pointer[postRequest] // the POST being uploaded or processed

	heartbeat coop.Timer
	deadline  time.Duration // of the pong, or when the next ping is due, on the loop's clock
	awaiting  bool          // a pong is awaited
	refreshed bool          // the deadline was moved once since the ping
	excused   bool          // the deadline was moved because the loop was late
	pending   bool          // the client has not sent anything
	paused    bool          // the handler wants no more for now
	resuming  bool          // a resume is posted
	doomed    bool          // the outbox is full, the end is posted
	grace     bool          // closed, but one GET is still answered

	known atomic.Bool // its start is posted: requests may be, too

	version uint8 // of the protocol: 4 or 3
	base64  bool  // the polling client of protocol 3 takes no binary bodies
	jsonp   bool  // it wants scripts instead of bodies

	state   atomic.Uint32 // written on the loop
	claimed atomic.Bool   // a WebSocket was given to the session, or is being tried
	probe   *wsConn       // in StateUpgrading
	aux     *coop.Timer   // of an upgrade or a close, made when needed

	place   *list.Element // guarded by the server's list of pending sessions
	sid     string
	request *hub.Request
}

// ID is the session's id: 20 characters of [A-Za-z0-9_-]. It is a secret between
// this client and the server: whoever knows it can read and write. Any goroutine.
func (s *Socket) ID() string { return s.sid }

// Loop is the loop that the session lives on. Any goroutine.
func (s *Socket) Loop() *coop.Loop { return s.loop }

// Request is the HTTP request that opened the session. Any goroutine.
func (s *Socket) Request() *hub.Request { return s.request }

// State is where the session stands. Any goroutine.
func (s *Socket) State() State { return State(s.state.Load()) }

func (s *Socket) setState(st State) { s.state.Store(uint32(st)) }

// Open reports whether messages can be sent.
func (s *Socket) Open() bool { return s.State() < StateClosing && !s.doomed }

// Send queues a frame and never blocks; it leaves at the end of the tick. After
// the session was closed it does nothing. When the client does not read and its
// outbox is full, the session ends in a later callback.
func (s *Socket) Send(f *hub.Frame) {
	if !s.Open() {
		return
	}
	before := s.out.Bytes()
	if err := s.out.Push(f); err != nil {
		s.doomed = true
		s.later(s.runDoom)
		return
	}
	if s.handler != nil && s.srv.observers.list.Load() != nil && f != s.srv.ping && f != s.srv.pong {
		if n := s.out.Bytes() - before; n > 0 { // else it was dropped, or others for it
			s.srv.observers.sent(s, n)
		}
	}
}

// SendText sends one message. data is kept: do not modify it. It must be UTF-8 and
// may not hold the byte 0x1e, which separates packets for a polling client.
func (s *Socket) SendText(data []byte) { s.Send(s.srv.opts.Wires.MessageFrame(data, nil)) }

// SendBinary sends a binary message, see SendText.
func (s *Socket) SendBinary(data []byte) { s.Send(s.srv.opts.Wires.BinaryFrame(data)) }

// Writable reports whether what is sent now would leave at the end of the tick.
func (s *Socket) Writable() bool {
	switch s.State() {
	case StateWebSocket:
		return !s.ws.stalled
	case StatePolling, StateUpgrading:
		return s.poll != nil && s.out.Len() == 0
	}
	return false
}

// Flush writes out what was sent in this tick. It implements [coop.Flusher].
func (s *Socket) Flush() {
	if s.ws != nil {
		s.ws.flush()
		return
	}
	s.answerPoll()
}

// Pause makes the session stop reading from its client, in the middle of what
// was received if need be: a WebSocket is not read, a POST not answered. The
// heartbeat does not end a paused session.
func (s *Socket) Pause() {
	if !s.paused && s.version == 3 && s.Open() {
		s.heartbeat.Reset(s.srv.opts.PingTimeout / 2) // see reassure
	}
	s.paused, s.resuming = true, false
}

// Resume undoes Pause. What was held is processed in a later callback.
func (s *Socket) Resume() {
	if !s.paused || s.resuming {
		return
	}
	s.resuming = true
	s.later(s.runResume)
}

func (s *Socket) runResume() {
	if !s.resuming || !s.Open() {
		return // paused again meanwhile
	}
	s.resuming, s.paused = false, false
	if s.awaiting {
		s.awaitPong() // the client could not be heard meanwhile
	}
	if p := s.post.Load(); p != nil && p.processing {
		s.processPost(p)
	}
	if s.ws != nil && !s.paused {
		s.ws.resume()
	}
}

// later runs fn on the session's loop. Any goroutine. When the loop has ended, so
// have its streams, and only the books remain to be put in order.
func (s *Socket) later(fn func()) {
	if !s.loop.Post(fn) {
		s.orphaned()
	}
}

// orphaned ends a session whose loop has ended. Nothing else touches the session
// any more.
func (s *Socket) orphaned() {
	if State(s.state.Swap(uint32(StateClosed))) != StateClosed {
		s.srv.pending.remove(s)
		s.srv.sessions.remove(s)
	}
}

// packet processes a packet from the client, from either transport.
func (s *Socket) packet(p Packet) {
	if !s.Open() {
		return
	}
	s.heard()
	if p.Type == PacketMessage {
		s.srv.observers.received(s, len(p.Data))
	}
	if s.version == 3 {
		s.packet3(p)
		return
	}
	if p.Type == PacketPong {
		s.pong()
		return
	}
	s.alive()
	switch p.Type {
	case PacketMessage:
		s.handler.OnMessage(s, p.Data, p.Binary)
	case PacketClose:
		s.closedByClient()
	case PacketPing:
		// In protocol 4 only the server sends pings.
		s.refuse(refusePing)
	}
	// Open, upgrade and noop mean nothing here and do no harm; Node.js ignores them as well.
}

// badPacket ends the session over something that is no packet.
func (s *Socket) badPacket() { s.refuse(refuseBadPacket) }
