package engineio

import (
	"bytes"
	"net"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// A message whose connection has ended is inflated for nobody: who sends large ones and goes away has nothing of his
// wait for its turn, in memory that no session accounts for.
func TestInflatingAsideEndsWithTheConnection(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}})
	var held []*inflater
	for range cap(s.aside) {
		held = append(held, <-s.aside)
	}
	defer func() {
		for _, f := range held {
			s.aside <- f
		}
	}()
	big := aside(t)
	goroutines := func() int {
		var b strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
		return strings.Count(b.String(), "inflateAside(")
	}
	for name, end := range map[string]func(c *socket){
		"reset": func(c *socket) {
			if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
			c.Close()
		},
		"closed": func(c *socket) { s.on(t, c.sid, func(sock *Socket) { sock.Close("enough") }) },
		"killed": func(c *socket) { s.on(t, c.sid, func(sock *Socket) { sock.kill("enough") }) },
	} {
		t.Run(name, func(t *testing.T) {
			c := s.connectWith(t, deflateOffer...)
			c.write(packedText(big))
			s.eventuallyOn(t, c.sid, "the message", func(sock *Socket) bool { return sock.ws.inflating != nil })
			end(c)
			eventually(t, "the goroutine's end", func() bool { return goroutines() == 0 })
		})
	}
	t.Run("a probe", func(t *testing.T) {
		p := s.poll(t)
		c := p.tryout(deflateOffer...)
		c.write(packedText(big))
		s.eventuallyOn(t, p.sid, "the message", func(sock *Socket) bool { return sock.probe != nil && sock.probe.inflating != nil })
		p.wantPost("1")
		eventually(t, "the goroutine's end", func() bool { return goroutines() == 0 })
	})
}

// What is inflated for a WebSocket that is only being tried says nothing about the client's pong.
func TestInflatingForAProbeIsNoSignOfLife(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}})
	p := s.poll(t)
	var deadline time.Duration
	s.on(t, p.sid, func(sock *Socket) {
		sock.heartbeatDue()
		deadline = sock.deadline
	})
	p.wantGet("2")
	c := p.tryout(deflateOffer...)
	c.write(packedText(aside(t)))
	c.wantClose(1005)
	s.on(t, p.sid, func(sock *Socket) {
		if !sock.awaiting || sock.deadline != deadline {
			t.Errorf("awaiting %v, the deadline has moved by %v", sock.awaiting, sock.deadline-deadline)
		}
	})
}

// Messages that take long for nothing use their connection's turn up like such that become large.
func TestSlowInflatingTakesTurns(t *testing.T) {
	s := serve(t, Options{PerMessageDeflate: &Deflate{}}, func(s *server) { s.onMessage = func(*Socket, string, bool) {} })
	c := s.connectWith(t, deflateOffer...)
	const n = 10 // some 60 ms, or 20 with a processor that nobody has yet
	m := packedBinary(tables(inflateHere - 100))
	s.on(t, c.sid, func(sock *Socket) {
		sock.ws.consume(bytes.Repeat(m, n))
		if sock.ws.held == nil {
			t.Error("all at once")
		}
	})
	s.waitMessages(t, c.sid, n)
	// A turn is over also when nothing is left of what was read: more may lie in the socket.
	s.on(t, c.sid, func(sock *Socket) {
		sock.ws.consume(bytes.Clone(m))
		if sock.ws.held == nil || len(sock.ws.held) > 0 {
			t.Errorf("held: %v", sock.ws.held)
		}
	})
	c.text("4and on")
	s.waitMessages(t, c.sid, n+2)
}
