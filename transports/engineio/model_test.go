package engineio

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// sessionModel is an Engine.IO session as its client may expect it, and the client: what was sent and not
// fetched, the GET that hangs, the WebSocket. Every step does one thing, checks what the client sees of it,
// and then that the session is where the model is.
type sessionModel struct {
	testing.TB // of the property: a failure shrinks
	s          *server
	p          *poller
	conns      []*raw // to be closed at the end

	phase    State    // StateClosing: the server has closed, a GET is still to be told
	reason   string   // of the close
	waiting  []string // packets for the client
	received []string // messages that the server must have got
	get      *raw     // the GET that hangs
	ws       *socket  // being tried, or the session's
	probes   int
	awaiting bool // a pong
	moved    bool // its deadline
	graceful bool // one more GET may be answered 6
	sent     int  // numbers messages
}

// sessionStep is one thing that may happen to a session.
type sessionStep struct {
	ends bool // the session, most of the time
	when func(m *sessionModel) bool
	do   func(m *sessionModel)
}

// rapidTB lets the package's helpers fail the property instead of the test.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (r rapidTB) Helper()                      { r.rt.Helper() }
func (r rapidTB) Error(args ...any)            { r.rt.Error(args...) }
func (r rapidTB) Errorf(f string, args ...any) { r.rt.Errorf(f, args...) }
func (r rapidTB) Fatal(args ...any)            { r.rt.Fatal(args...) }
func (r rapidTB) Fatalf(f string, args ...any) { r.rt.Fatalf(f, args...) }

func (m *sessionModel) dial() *raw {
	c := m.s.dial(m)
	m.conns = append(m.conns, c)
	return c
}

// open begins a new session.
func (m *sessionModel) open() {
	m.p = m.s.poll(m)
	*m = sessionModel{TB: m.TB, s: m.s, p: m.p, conns: m.conns}
}

func (m *sessionModel) openPolling() bool {
	return m.phase == StatePolling || m.phase == StateUpgrading
}

// alive notes that the client has sent something.
func (m *sessionModel) alive() {
	if m.awaiting {
		m.moved = true
	}
}

// answered checks the answer to the GET that hangs.
func (m *sessionModel) answered(body string) {
	m.Helper()
	if a := m.get.response(); a.status != 200 || a.body != body {
		m.Fatalf("the waiting GET: %v, wanted %q", a, body)
	}
	m.get = nil
}

// over checks what the client sees of the end: the GET that hangs is answered with poll, a session's WebSocket
// is closed with status, one that was being tried without.
func (m *sessionModel) over(reason, poll string, status ws.StatusCode) {
	m.Helper()
	if m.get != nil {
		m.answered(poll)
	}
	if m.ws != nil {
		if m.phase == StateUpgrading {
			status = ws.StatusNoStatusRcvd
		}
		m.ws.wantClose(status)
		m.ws = nil
	}
	m.phase, m.reason, m.waiting = StateClosed, reason, nil
}

// send is a packet to the client.
func (m *sessionModel) send(packet string) {
	m.Helper()
	switch {
	case m.phase == StateWebSocket:
		m.ws.wantText(packet)
	case m.get != nil:
		m.answered(packet)
	default:
		m.waiting = append(m.waiting, packet)
	}
}

func (m *sessionModel) message() string {
	m.sent++
	return fmt.Sprint("m", m.sent)
}

func (m *sessionModel) wantUnknown(a answer) {
	m.Helper()
	if a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
		m.Fatalf("%v, wanted an unknown session", a)
	}
}

func (m *sessionModel) wantMismatch(a answer) {
	m.Helper()
	if a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
		m.Fatalf("%v, wanted a mismatch", a)
	}
}

// doGet is a GET while none hangs. It is left hanging when there is nothing to say.
func (m *sessionModel) doGet() {
	m.Helper()
	c := m.dial()
	c.write(fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", m.p.target()))
	want := ""
	switch {
	case m.phase == StateClosed:
		a := c.response()
		if m.graceful && a.status == 200 && a.body == "6" {
			m.graceful = false
			return
		}
		m.wantUnknown(a)
		return
	case m.phase == StateWebSocket:
		m.wantMismatch(c.response())
		return
	case len(m.waiting) > 0:
		want = join(m.waiting...)
		m.waiting = nil
	case m.phase == StateClosing:
		want = "6\x1e1"
		m.phase = StateClosed
		defer m.probeClosed()
	case m.probes > 0:
		want = "6"
	default:
		m.s.waitPolling(m, m.p.sid)
		m.get = c
		return
	}
	if a := c.response(); a.status != 200 || a.body != want {
		m.Fatalf("GET: %v, wanted %q", a, want)
	}
}

// doPost is a POST that is answered with status. It reports whether the session was there to take it.
func (m *sessionModel) doPost(body string, status int, headers ...string) bool {
	m.Helper()
	a := m.s.do("POST", m.p.target(), body, headers...)
	switch {
	case m.phase == StateWebSocket && len(headers) == 0:
		m.wantMismatch(a)
		return false
	case m.phase >= StateClosing && len(headers) == 0:
		m.wantUnknown(a)
		return false
	}
	if a.status != status {
		m.Fatalf("POST %q: %v, wanted %d", body, a, status)
	}
	return true
}

// try gives the session a WebSocket to try.
func (m *sessionModel) try() {
	m.Helper()
	c := &socket{raw: m.dial()}
	c.write(upgradeRequest(wsTarget + "&sid=" + m.p.sid))
	a := c.response()
	if m.phase == StateClosed && a.status == 400 {
		return
	}
	if a.status != 101 {
		m.Fatal(a)
	}
	if m.phase != StatePolling {
		c.wantClose(ws.StatusNoStatusRcvd)
		return
	}
	m.ws, m.phase, m.probes = c, StateUpgrading, 0
}

// upgrade makes the WebSocket that is tried the session's.
func (m *sessionModel) upgrade() {
	m.Helper()
	m.ws.text("5")
	if m.get != nil {
		m.answered("6")
	}
	for _, packet := range m.waiting {
		m.ws.wantText(packet)
	}
	m.phase, m.waiting, m.probes, m.awaiting = StateWebSocket, nil, 0, false
}

// sessionSteps are what may happen, and when.
var sessionSteps = map[string]sessionStep{
	"a new session": {false, func(m *sessionModel) bool { return m.phase == StateClosed }, (*sessionModel).open},
	"server sends": {false, func(m *sessionModel) bool { return m.phase < StateClosing }, func(m *sessionModel) {
		text := m.message()
		m.s.on(m, m.p.sid, func(s *Socket) { s.SendText([]byte(text)) })
		m.send("4" + text)
	}},
	"server sends two": {false, func(m *sessionModel) bool { return m.phase < StateClosing && m.get == nil }, func(m *sessionModel) {
		one, two := m.message(), m.message()
		m.s.on(m, m.p.sid, func(s *Socket) { s.SendText([]byte(one)); s.SendText([]byte(two)) })
		m.send("4" + one)
		m.send("4" + two)
	}},
	"server closes": {true, func(m *sessionModel) bool { return m.phase < StateClosing }, func(m *sessionModel) {
		m.s.on(m, m.p.sid, func(s *Socket) { s.Close(ReasonForcedClose) })
		if m.phase == StateWebSocket || m.get != nil {
			m.over(ReasonForcedClose, "1", ws.StatusNoStatusRcvd)
			return
		}
		if m.probes > 0 { // the client may hear of it on the WebSocket alone
			m.phase, m.reason = StateClosing, ReasonForcedClose
			return
		}
		waiting := m.waiting
		m.over(ReasonForcedClose, "", 0)
		m.phase, m.waiting = StateClosing, waiting
	}},
	"the heartbeat is due": {false, func(m *sessionModel) bool { return m.phase < StateClosing }, func(m *sessionModel) {
		m.s.on(m, m.p.sid, (*Socket).heartbeatDue)
		if m.awaiting {
			m.over(ReasonPingTimeout, "1", ws.StatusPolicyViolation)
			return
		}
		m.awaiting, m.moved = true, false
		m.send("2")
	}},
	"GET": {false, func(m *sessionModel) bool { return m.get == nil }, (*sessionModel).doGet},
	"GET beside another": {true, func(m *sessionModel) bool { return m.get != nil }, func(m *sessionModel) {
		if a := m.p.get(); a.status != 400 || !strings.Contains(a.body, "Another GET") {
			m.Fatal(a)
		}
		m.over(ReasonTransportError, "1", 0)
	}},
	"GET is dropped": {true, func(m *sessionModel) bool { return m.get != nil }, func(m *sessionModel) {
		m.get.Close()
		m.get = nil
		m.over(ReasonTransportError, "", 0)
	}},
	"POST a message": {false, always, func(m *sessionModel) {
		text := m.message()
		if m.doPost("4"+text, 200) {
			m.received = append(m.received, text)
			m.alive()
		}
	}},
	"POST two messages and a pong": {false, always, func(m *sessionModel) {
		one, two := m.message(), m.message()
		if m.doPost(join("4"+one, "3", "4"+two), 200) {
			m.received = append(m.received, one, two)
			m.awaiting = false
		}
	}},
	"POST a pong": {false, always, func(m *sessionModel) {
		if m.doPost("3", 200) {
			m.awaiting = false
		}
	}},
	"POST what means nothing": {false, always, func(m *sessionModel) {
		if m.doPost("6", 200) {
			m.alive()
		}
	}},
	"POST a close": {true, always, func(m *sessionModel) {
		if m.doPost("1", 200) {
			m.graceful = m.get == nil
			m.over(ReasonTransportClose, "6", 0)
		}
	}},
	"POST a ping": {true, always, func(m *sessionModel) {
		if m.doPost("2", 200) {
			m.over(ReasonTransportError, "1", 0)
		}
	}},
	"POST a message and rubbish": {true, always, func(m *sessionModel) {
		text := m.message()
		if m.doPost(join("4"+text, "x"), 400) {
			m.received = append(m.received, text)
			m.over(ReasonParseError, "1", 0)
		}
	}},
	"POST too much": {false, (*sessionModel).openPolling, func(m *sessionModel) {
		m.doPost("4"+strings.Repeat("x", 1000), 413)
	}},
	"POST octets": {true, (*sessionModel).openPolling, func(m *sessionModel) {
		m.doPost("4x", 400, "Content-Type", "application/octet-stream")
		m.over(ReasonTransportError, "1", 0)
	}},
	"POST is dropped": {true, (*sessionModel).openPolling, func(m *sessionModel) {
		c := m.p.upload(100, "4x")
		c.Close()
		m.over(ReasonTransportError, "1", 0)
	}},
	"POST beside another": {true, (*sessionModel).openPolling, func(m *sessionModel) {
		c := m.p.upload(100, "4x")
		m.doPost("4y", 400, "X-Second", "yes")
		c.wantEOF()
		c.Close()
		m.over(ReasonTransportError, "1", 0)
	}},
	"a WebSocket is tried": {false, always, (*sessionModel).try},
	"probe": {false, func(m *sessionModel) bool { return m.phase == StateUpgrading }, func(m *sessionModel) {
		m.ws.text("2probe")
		if m.probes++; m.probes > maxProbes {
			m.probeOver()
			return
		}
		m.ws.wantText("3probe")
		if m.get != nil {
			m.answered("6")
		}
	}},
	"upgrade": {false, func(m *sessionModel) bool { return m.phase == StateUpgrading }, (*sessionModel).upgrade},
	"upgrade of what was closed": {true, func(m *sessionModel) bool { return m.phase == StateClosing && m.ws != nil }, func(m *sessionModel) {
		m.upgrade()
		m.over(ReasonForcedClose, "", ws.StatusNoStatusRcvd)
	}},
	"no packet of the upgrade": {false, func(m *sessionModel) bool { return m.phase == StateUpgrading }, func(m *sessionModel) {
		m.ws.text("4x")
		m.probeOver()
	}},
	"the tried WebSocket is dropped": {false, func(m *sessionModel) bool { return m.phase == StateUpgrading }, func(m *sessionModel) {
		m.ws.Close()
		m.ws, m.phase, m.probes = nil, StatePolling, 0
	}},
	"WebSocket: a message": {false, onWebSocket, func(m *sessionModel) {
		text := m.message()
		m.ws.text("4" + text)
		m.received = append(m.received, text)
		m.alive()
	}},
	"WebSocket: a pong": {false, onWebSocket, func(m *sessionModel) {
		m.ws.text("3")
		m.awaiting = false
		m.ws.frame(ws.OpPing, true, "x") // that it was read shows nowhere else, when none was awaited
		m.ws.want(ws.OpPong, "x")
	}},
	"WebSocket: a ping of its own": {false, onWebSocket, func(m *sessionModel) {
		m.ws.frame(ws.OpPing, true, "x")
		m.ws.want(ws.OpPong, "x")
		m.alive()
	}},
	"WebSocket: a close packet": {true, onWebSocket, func(m *sessionModel) {
		m.ws.text("1")
		m.over(ReasonTransportClose, "", ws.StatusNoStatusRcvd)
	}},
	"WebSocket: a close frame": {true, onWebSocket, func(m *sessionModel) {
		m.ws.frame(ws.OpClose, true, closePayload(1000, ""))
		m.over(ReasonTransportClose, "", ws.StatusNormalClosure)
	}},
	"WebSocket: rubbish": {true, onWebSocket, func(m *sessionModel) {
		m.ws.text("x")
		m.over(ReasonParseError, "", ws.StatusProtocolError)
	}},
	"WebSocket: dropped": {true, onWebSocket, func(m *sessionModel) {
		m.ws.Close()
		m.ws = nil
		m.over(ReasonTransportClose, "", 0)
	}},
}

func always(*sessionModel) bool { return true }

func onWebSocket(m *sessionModel) bool { return m.phase == StateWebSocket }

// probeClosed: the session is over, and so is the try.
func (m *sessionModel) probeClosed() {
	m.Helper()
	if m.ws != nil {
		m.ws.wantClose(ws.StatusNoStatusRcvd)
		m.ws, m.probes = nil, 0
	}
}

// probeOver: the try has failed, the session polls on.
func (m *sessionModel) probeOver() {
	m.Helper()
	m.ws.wantClose(ws.StatusNoStatusRcvd)
	m.ws, m.phase, m.probes = nil, StatePolling, 0
}

// settled waits until the session is where the model is.
func (m *sessionModel) settled(step string) {
	m.Helper()
	rec := m.s.session(m, m.p.sid)
	var got string
	same := func(s *Socket) bool {
		m.s.mu.Lock()
		messages, closes := slices.Clone(rec.messages), slices.Clone(rec.closes)
		m.s.mu.Unlock()
		var reasons []string
		if m.reason != "" {
			reasons = []string{m.reason}
		}
		got = fmt.Sprintf("%v, %d packets wait, a GET hangs: %v, a pong is awaited: %v, moved: %v, received %q, closed %q",
			s.State(), s.out.Len(), s.poll != nil, s.awaiting, s.refreshed, messages, closes)
		if !slices.Equal(messages, m.received) || !slices.Equal(closes, reasons) {
			return false
		}
		if m.phase == StateClosed {
			// A short grace keeps the id for one GET more.
			return s.State() == StateClosed || s.State() == StateClosing && s.grace
		}
		return s.State() == m.phase && s.out.Len() == len(m.waiting) && (s.poll != nil) == (m.get != nil) &&
			(m.phase == StateClosing || s.awaiting == m.awaiting && (!m.awaiting || s.refreshed == m.moved))
	}
	done := false
	for deadline := time.Now().Add(patience); !done; time.Sleep(100 * time.Microsecond) {
		m.s.on(m, m.p.sid, func(s *Socket) { done = same(s) })
		if !done && time.Now().After(deadline) {
			m.Fatalf("after %q the session is %s;\nwanted %v, %d packets, %v, %v, %v, %q, %q", step, got,
				m.phase, len(m.waiting), m.get != nil, m.awaiting, m.moved, m.received, m.reason)
		}
	}
}

// TestSessionModel lets clients and server do anything in any order: GET, POST, upgrades, closes, lost
// connections, pings without pongs. Nothing is lost, nothing comes twice, every session ends once and for the
// right reason.
func TestSessionModel(t *testing.T) {
	s := serve(t, Options{MaxPayload: 500, PingInterval: time.Hour, PingTimeout: time.Hour, UpgradeTimeout: time.Hour},
		func(s *server) { s.onMessage = func(*Socket, string, bool) {} })
	rapid.Check(t, func(rt *rapid.T) {
		m := &sessionModel{TB: rapidTB{t, rt}, s: s}
		defer func() {
			for _, c := range m.conns {
				c.Close()
			}
		}()
		m.open()
		// A walk from the start rarely gets as far as a WebSocket.
		switch rapid.SampledFrom([]State{StatePolling, StateUpgrading, StateWebSocket}).Draw(rt, "start") {
		case StateUpgrading:
			m.try()
		case StateWebSocket:
			m.try()
			m.upgrade()
		}
		m.settled("the start")
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			var lasting, ending []string
			for name, step := range sessionSteps {
				switch {
				case !step.when(m):
				case step.ends:
					ending = append(ending, name)
				default:
					lasting = append(lasting, name)
				}
			}
			names := lasting
			if len(ending) > 0 && rapid.IntRange(0, 9).Draw(rt, "ends") == 9 {
				names = ending
			}
			slices.Sort(names) // a seed means the same walk again
			turn := 7 * i % len(names)
			names = slices.Concat(names[turn:], names[:turn]) // rapid prefers the first ones
			name := rapid.SampledFrom(names).Draw(rt, "step")
			sessionSteps[name].do(m)
			m.settled(name)
		}
		m.s.on(m, m.p.sid, func(s *Socket) { s.kill(ReasonForcedClose) })
	})
}
