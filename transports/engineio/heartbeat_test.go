package engineio

import (
	"math/rand/v2"
	"testing"
	"time"
)

// The tests here let real time pass, in short intervals. Only what must happen
// sooner or later decides them; a deadline is moved by hand where it matters.

func TestPingAndPong(t *testing.T) {
	s := serve(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: patience})
	t.Run("websocket", func(t *testing.T) {
		c := s.connect(t)
		for range 3 {
			c.wantText("2")
			s.on(t, c.sid, func(sock *Socket) {
				if !sock.awaiting {
					t.Error("no pong is awaited")
				}
			})
			c.text("3")
		}
		c.text("4x")
		c.wantTextPast("2", "4x")
	})
	t.Run("polling", func(t *testing.T) {
		p := s.poll(t)
		for range 3 {
			p.wantGet("2")
			p.wantPost("3")
		}
	})
}

// wantTextPast is wantText, after any number of others.
func (c *socket) wantTextPast(others, data string) {
	c.t.Helper()
	for {
		if _, got := c.next(); got == data {
			return
		} else if got != others {
			c.t.Fatalf("received %q, wanted %q", got, data)
		}
	}
}

func TestNoPong(t *testing.T) {
	s := serve(t, Options{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond})
	t.Run("websocket", func(t *testing.T) {
		c := s.connect(t)
		c.wantText("2")
		c.wantClose(1008)
		s.waitClosed(t, c.sid, ReasonPingTimeout)
	})
	t.Run("polling", func(t *testing.T) {
		p := s.poll(t)
		p.wantPing()
		s.waitClosed(t, p.sid, ReasonPingTimeout)
		p.wantGone()
	})
	t.Run("polling, a GET waits", func(t *testing.T) {
		p := s.poll(t)
		p.wantPing()
		got := p.start()
		select {
		case a := <-got: // a close, or nothing known any more if the session ended first
			if a.body != "1" && a.status != 400 {
				t.Error(a)
			}
		case <-time.After(patience):
			t.Error("not answered")
		}
		s.waitClosed(t, p.sid, ReasonPingTimeout)
		p.wantGone()
	})
	t.Run("polling, nobody fetched the ping", func(t *testing.T) {
		p := s.poll(t)
		s.waitClosed(t, p.sid, ReasonPingTimeout)
		p.wantGone()
	})
	t.Run("a client that never reads", func(t *testing.T) {
		c := s.attach(t, wsTarget)
		eventually(t, "the end", func() bool { return s.Sessions() == 0 })
		c.wantEOF()
	})
	if n := s.count("engineio_ping_timeout"); n != 5 {
		t.Errorf("counted %d", n)
	}
}

// wantPing gets the ping, or comes too late for it: the intervals are short.
func (c *poller) wantPing() {
	c.t.Helper()
	if a := c.get(); a.status != 400 && (a.status != 200 || a.body != "2") {
		c.t.Fatalf("GET: %v, wanted a ping", a)
	}
}

// A pong that nobody asked for does nothing, before the ping as after it.
func TestPongNotAskedFor(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	var before time.Duration
	c.text("3")
	c.text("3")
	c.text("4x")
	c.wantText("4x")
	s.on(t, c.sid, func(sock *Socket) {
		if sock.awaiting {
			t.Error("a pong is awaited")
		}
		sock.heartbeatDue() // the ping
		before = sock.deadline
		if !sock.awaiting || before != sock.loop.Now()+20*time.Second {
			t.Errorf("awaiting %v until %v", sock.awaiting, before)
		}
	})
	c.wantText("2")
	c.text("3")
	c.text("3")
	c.text("4x")
	c.wantText("4x")
	s.on(t, c.sid, func(sock *Socket) {
		if sock.awaiting || !sock.heartbeat.Active() {
			t.Errorf("awaiting %v, timer %v", sock.awaiting, sock.heartbeat.Active())
		}
	})
}

// While a pong is awaited other packets move its deadline, but only once.
func TestOtherPacketsMoveTheDeadlineOnce(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	// say sends a message and returns the deadline behind it, from one that is about to pass.
	say := func() (moved bool) {
		var soon time.Duration
		s.on(t, c.sid, func(sock *Socket) {
			soon = sock.loop.Now() + 15*time.Second // of the 20 that it would move to
			sock.deadline = soon
		})
		c.text("4x")
		c.wantText("4x")
		s.on(t, c.sid, func(sock *Socket) { moved = sock.deadline != soon })
		return moved
	}
	for round := range 2 {
		s.on(t, c.sid, func(sock *Socket) { sock.heartbeatDue() })
		c.wantText("2")
		if !say() {
			t.Errorf("round %d: the first message did not move the deadline", round)
		}
		if say() {
			t.Errorf("round %d: the second message moved the deadline, too", round)
		}
		c.text("3")
		c.text("4x")
		c.wantText("4x")
	}
}

// A request may notice that the time is over before the timer does.
func TestRequestsNoticeThePassedDeadline(t *testing.T) {
	s := serve(t, Options{})
	for name, do := range map[string]func(*poller) answer{
		"GET":  (*poller).get,
		"POST": func(p *poller) answer { return p.post("4late") },
	} {
		t.Run(name, func(t *testing.T) {
			p := s.poll(t)
			s.on(t, p.sid, func(sock *Socket) {
				sock.heartbeatDue()
				sock.deadline = sock.loop.Now()
			})
			if a := do(p); a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
				t.Error(a)
			}
			s.waitClosed(t, p.sid, ReasonPingTimeout)
			if got := s.waitMessages(t, p.sid, 0); len(got) != 0 {
				t.Errorf("delivered %q", got)
			}
		})
	}
}

// While a session is paused its client cannot be heard: it is not ended, and
// goes on getting the pings that it waits for.
func TestHeartbeatOfAPausedSession(t *testing.T) {
	s := serve(t, Options{PingInterval: 10 * time.Millisecond, PingTimeout: patience},
		func(s *server) { s.onOpen = (*Socket).Pause })
	c := s.connect(t)
	for range 5 {
		c.wantText("2")
		c.text("3")
	}
	c.text("4x")
	s.on(t, c.sid, func(sock *Socket) {
		sock.deadline = sock.loop.Now()
		if sock.heartbeatDue(); sock.expired() || !sock.Open() {
			t.Error("ended for a silence that is the server's own")
		}
		sock.Resume()
	})
	c.wantTextPast("2", "4x")
	s.on(t, c.sid, func(sock *Socket) {
		if sock.awaiting && sock.deadline < sock.loop.Now() {
			t.Error("the old deadline counts again")
		}
	})
}

// A loop that was held until after the deadline finds its timer due before it has looked at its sockets. The
// client whose pong lies there did nothing wrong; one that sent none gets no more than that time again.
func TestALateLoopIsNotTheClientsFault(t *testing.T) {
	s := serve(t, Options{PingInterval: time.Hour, PingTimeout: time.Hour})
	for name, answers := range map[string]bool{"answers": true, "is silent": false} {
		t.Run(name, func(t *testing.T) {
			c := s.connect(t)
			s.on(t, c.sid, func(sock *Socket) {
				sock.awaitPong()
				if answers {
					c.text("3")
				}
				sock.deadline = sock.loop.Now() - 2*lateMax
				if sock.heartbeatDue(); !sock.Open() {
					t.Error("ended although the loop was late")
				}
			})
			if !answers {
				c.wantClose(1008)
				s.waitClosed(t, c.sid, ReasonPingTimeout)
				return
			}
			c.text("4x")
			c.wantText("4x")
			s.on(t, c.sid, func(sock *Socket) {
				if sock.awaiting {
					t.Error("the pong was not seen")
				}
			})
		})
	}
}

// A silent client has PingInterval and PingTimeout together, however coarse timers are. Only a ping that is late
// by more gives it its whole time.
func TestALatePingMovesTheDeadlineOnlyWhenItIsVeryLate(t *testing.T) {
	s := serve(t, Options{PingInterval: time.Hour, PingTimeout: time.Hour})
	for name, c := range map[string]struct{ late, deadline time.Duration }{
		"in time":   {0, time.Hour},
		"a little":  {lateAfter / 2, time.Hour - lateAfter/2},
		"very late": {lateAfter, time.Hour},
		"too early": {-time.Minute, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.connect(t)
			s.on(t, client.sid, func(sock *Socket) {
				now := sock.loop.Now()
				if sock.deadline > now+time.Hour || sock.deadline < now+time.Hour-patience {
					t.Errorf("the ping is due in %v", sock.deadline-now)
				}
				sock.deadline = now - c.late
				sock.heartbeatDue()
				if got := sock.deadline - now; got != c.deadline || !sock.awaiting {
					t.Errorf("the pong is due in %v, want %v", got, c.deadline)
				}
			})
			client.wantText("2")
		})
	}
}

// However the times at which clients were heard are spread, their pings leave on at most twice 256 ticks of
// an interval, none later than asked and none more than 1/256 of it too early.
func TestPingsShareTicks(t *testing.T) {
	for _, interval := range []time.Duration{25 * time.Second, time.Second, 20 * time.Millisecond, 300, 255, 1} {
		t.Run(interval.String(), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, uint64(interval)))
			ticks := map[time.Duration]bool{}
			for range 10_000 {
				now := 1000*time.Hour + time.Duration(random.Int64N(int64(interval)))
				due := pingTick(now, interval)
				if early := now + interval - due; early < 0 || early > interval/pingTicks {
					t.Fatalf("heard at %d, pinged %d too early", now, early)
				}
				ticks[due] = true
			}
			if max := pingTicks * 2; len(ticks) > max {
				t.Errorf("%d ticks, wanted at most %d", len(ticks), max)
			}
		})
	}
}
