package engineio

import (
	"testing"
	"time"
)

func TestMaxSessions(t *testing.T) {
	s := serve(t, Options{MaxSessions: 2})
	p, c := s.poll(t), s.connect(t)
	if a := s.do("GET", pollTarget, ""); a.status != 503 || a.body != `{"code":4,"message":"Server is full"}` || a.header.Get("Retry-After") != "1" {
		t.Errorf("%v %v", a, a.header)
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget))
	if a := conn.response(); a.status != 400 || a.body != "Server is full" {
		t.Error(a)
	}
	if n := s.count("engineio_server_full"); n != 2 {
		t.Errorf("counted %d", n)
	}
	up := p.upgraded() // costs no further session
	up.text("4x")
	up.wantText("4x")
	c.Close()
	s.waitClosed(t, c.sid, ReasonTransportClose)
	s.poll(t)
	if s.Sessions() != 2 {
		t.Errorf("%d sessions", s.Sessions())
	}
}

// Handshakes that fail give their places back.
func TestFailedHandshakesTakeNoPlace(t *testing.T) {
	s := serve(t, Options{MaxSessions: 1, MaxPending: 1})
	for range 3 {
		conn := s.dial(t)
		conn.write(upgradeRequest(wsTarget, "Sec-WebSocket-Key", "bad"))
		conn.response()
		conn.wantEOF()
		s.do("POST", pollTarget, "")
	}
	eventually(t, "the places", func() bool { return s.Sessions() == 0 && s.pending.len() == 0 })
	s.connect(t)
}

func TestPingFlood(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	var b []byte
	for range pingBurst {
		b = append(b, clientFrame(9, true, "p")...)
	}
	c.write(b)
	for range pingBurst {
		c.want(10, "p")
	}
	for range 40 { // faster than pingRate allows, on whatever machine
		b = append(b, b[:len(b)/2]...)
		if len(b) > 1<<20 {
			break
		}
	}
	_, _ = c.Write(b) // the server may close before all is written
	c.wantCloseFrame(1008)
	c.Close()
	s.waitClosed(t, c.sid, ReasonTransportError)
	if n := s.count("engineio_websocket_ping_flood"); n != 1 {
		t.Errorf("counted %d", n)
	}
}

// The rate of pings is a bucket that fills again with time.
func TestPingRate(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	s.on(t, c.sid, func(sock *Socket) {
		w := sock.ws
		w.pings, w.pingsAt = 1, sock.loop.Now()
		w.pong(nil)
		if w.pings != 0 || w.dead {
			t.Errorf("%d tokens left", w.pings)
		}
		w.pingsAt -= 2 * time.Second / pingRate
		w.pong(nil)
		if w.pings != 1 || w.dead {
			t.Errorf("%d tokens left", w.pings)
		}
		w.pingsAt -= 1000 * time.Hour
		w.pong(nil)
		if w.pings != pingBurst-1 {
			t.Errorf("%d tokens left", w.pings)
		}
	})
}
