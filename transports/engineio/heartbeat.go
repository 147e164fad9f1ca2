package engineio

import "time"

// A loop that was held looks at its timers before its sockets: a pong that came in time may still lie
// there. One whose deadline passed longer ago than lateAfter gets as much time again, at most lateMax.
const (
	lateAfter = 10 * time.Millisecond
	lateMax   = time.Second
)

// pingTicks is how many times in a PingInterval pings are sent.
const pingTicks = 256

// The heartbeat: a ping PingInterval after the handshake or the last pong (pingTick), and a
// pong within PingTimeout of it. While a pong is awaited any other packet moves
// the deadline once, so that a client busy with a long upload is not taken for
// dead (as engine.io 6.6 does). One timer per session does it all.

// startHeartbeat arms the timer of a new session.
func (s *Socket) startHeartbeat() {
	s.heartbeat.Init(s.loop, s.heartbeatDue)
	if s.version == 3 {
		s.awaitPong()
		return
	}
	s.awaitPing()
}

// awaitPing arms the timer for the next ping.
func (s *Socket) awaitPing() {
	s.awaiting = false
	now := s.loop.Now()
	s.deadline = pingTick(now, s.srv.opts.PingInterval)
	s.heartbeat.Reset(s.deadline - now)
}

// pingTick is when a client is pinged that was heard now: after interval, or earlier by less than 1/256 of it, on
// a tick that it shares with all clients whose pings fall due in that time. A loop at rest then wakes up a few
// times a second for all of its sessions, and not once for every ping and once for every pong.
func pingTick(now, interval time.Duration) time.Duration {
	due := now + interval
	return due - due%max(interval/pingTicks, 1)
}

func (s *Socket) heartbeatDue() {
	switch {
	case s.deaf() && s.version == 3:
		s.reassure()
	case s.deaf():
		// We do not listen at the moment: silence proves nothing. But the client listens for
		// our pings.
		s.awaiting, s.refreshed = true, false
		s.heartbeat.Reset(s.srv.opts.PingInterval)
		s.Send(s.srv.ping)
	case s.ws != nil && s.ws.overdue():
		s.ws.fail(errUnfinished)
	case s.awaiting && s.excuse():
	case s.awaiting:
		s.pingTimeout()
	default:
		s.refreshed = false
		s.awaitPongSince(s.pingDue())
		s.Send(s.srv.ping)
	}
}

// deaf reports whether we do not read what the client sends.
func (s *Socket) deaf() bool { return s.paused || s.ws != nil && s.ws.inflating != nil }

// excuse lets the client have the time by which the loop, not the client, was late. Once a deadline.
func (s *Socket) excuse() bool {
	late := s.loop.Now() - s.deadline
	if s.excused || late < lateAfter {
		return false
	}
	s.excused = true
	s.heartbeat.Reset(min(late, lateMax))
	return true
}

// pingDue is when the client's time for its pong begins: when the ping was due. A timer is always late by a
// little, and whoever says nothing has PingInterval and PingTimeout together, not more. A ping that is late
// by more than that is no fault of the client's.
func (s *Socket) pingDue() time.Duration {
	now := s.loop.Now()
	if late := now - s.deadline; late < 0 || late >= lateAfter {
		return now
	}
	return s.deadline
}

// awaitPong gives the client PingTimeout from now; one of protocol 3, which is to send a ping, the interval on
// top of that.
func (s *Socket) awaitPong() { s.awaitPongSince(s.loop.Now()) }

func (s *Socket) awaitPongSince(since time.Duration) {
	s.awaiting, s.excused = true, false
	s.deadline = since + s.srv.opts.PingTimeout
	if s.version == 3 {
		s.deadline += s.srv.opts.PingInterval
	}
	s.heartbeat.Reset(s.deadline - s.loop.Now())
}

func (s *Socket) pong() {
	if !s.awaiting {
		return
	}
	s.awaitPing()
}

// alive notes that the client has sent something other than a pong.
func (s *Socket) alive() {
	if s.awaiting && !s.refreshed {
		s.refreshed = true
		s.awaitPong()
	}
}

// expired ends the session if its deadline has passed, which a request may
// notice before the timer does.
func (s *Socket) expired() bool {
	if !s.awaiting || s.paused || s.loop.Now() < s.deadline {
		return false
	}
	s.pingTimeout()
	return true
}

func (s *Socket) pingTimeout() { s.refuse(refuseSilence) }
