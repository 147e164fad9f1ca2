package engineio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

func TestServerCloses(t *testing.T) {
	s := serve(t, Options{})
	closeIt := func(sid string) {
		s.on(t, sid, func(sock *Socket) {
			sock.SendText([]byte("last"))
			sock.Close(ReasonForcedClose)
			sock.Close("again")
			sock.SendText([]byte("too late"))
			if sock.Open() {
				t.Error("still open")
			}
		})
	}
	t.Run("websocket", func(t *testing.T) {
		c := s.connect(t)
		closeIt(c.sid)
		c.wantText("4last")
		c.wantClose(1005)
		s.waitClosed(t, c.sid, ReasonForcedClose)
	})
	t.Run("polling, a GET waits", func(t *testing.T) {
		p := s.poll(t)
		got := p.begin()
		closeIt(p.sid)
		wantAnswer(t, got, 200, "4last")
		p.wantGet("6\x1e1")
		s.waitClosed(t, p.sid, ReasonForcedClose)
		p.wantGone()
	})
	t.Run("polling, a GET waits for nothing", func(t *testing.T) {
		p := s.poll(t)
		got := p.begin()
		s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
		wantAnswer(t, got, 200, "1")
		s.waitClosed(t, p.sid, ReasonForcedClose)
		p.wantGone()
	})
	t.Run("polling, no GET waits", func(t *testing.T) {
		p := s.poll(t)
		closeIt(p.sid)
		if a := p.post("4x"); a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
			t.Errorf("POST to a closing session: %v", a)
		}
		p.wantGet("4last")
		p.wantGet("6\x1e1")
		s.waitClosed(t, p.sid, ReasonForcedClose)
		p.wantGone()
	})
}

// A loop that was held finds the close's time over before it has written the last frame.
func TestALateLoopStillSaysGoodbye(t *testing.T) {
	s := serve(t, Options{})
	c := s.connect(t)
	s.on(t, c.sid, func(sock *Socket) {
		sock.SendText([]byte("last"))
		sock.Close(ReasonForcedClose)
		sock.auxDue()
	})
	c.wantText("4last")
	c.wantClose(1005)
	s.waitClosed(t, c.sid, ReasonForcedClose)
}

// A polling client that never comes back is given up after CloseTimeout, and so
// is a WebSocket client that does not read or close.
func TestCloseTimeout(t *testing.T) {
	s := serve(t, Options{CloseTimeout: 50 * time.Millisecond})
	p := s.poll(t)
	c := s.connect(t)
	deaf := s.connect(t)
	s.on(t, deaf.sid, func(sock *Socket) {
		for range 60 {
			sock.SendText(make([]byte, 16<<10))
		}
		sock.Close(ReasonForcedClose)
	})
	for _, sid := range []string{p.sid, c.sid} {
		s.on(t, sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
	}
	for _, sid := range []string{p.sid, c.sid, deaf.sid} {
		s.waitClosed(t, sid, ReasonForcedClose)
	}
	p.wantGone()
	eventually(t, "the right number of sessions", func() bool { return s.Sessions() == 0 })
}

func TestClientClosesByPOST(t *testing.T) {
	s := serve(t, Options{})
	t.Run("a GET waits", func(t *testing.T) {
		p := s.poll(t)
		got := p.begin()
		p.wantPost("1")
		wantAnswer(t, got, 200, "6")
		s.waitClosed(t, p.sid, ReasonTransportClose)
		p.wantGone()
	})
	t.Run("the GET comes later", func(t *testing.T) {
		p := s.poll(t)
		p.wantPost("1")
		// Within a short grace, which a slow machine may miss.
		if a := p.get(); (a.status != 200 || a.body != "6") && a.status != 400 {
			t.Error(a)
		}
		s.waitClosed(t, p.sid, ReasonTransportClose)
		p.wantGone()
	})
}

func TestGraceAnswersOneGET(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	var first, second response
	s.on(t, p.sid, func(sock *Socket) {
		sock.packet(Packet{Type: PacketClose})
		for _, r := range []*response{&first, &second} {
			poll := &pollRequest{s: sock, reply: make(chan response, 1)}
			sock.onPoll(poll)
			*r = <-poll.reply
		}
	})
	if string(first.body) != "6" || second.err != errUnknownSID {
		t.Errorf("%q, then %+v", first.body, second)
	}
	s.waitClosed(t, p.sid, ReasonTransportClose)
}

func TestServerClose(t *testing.T) {
	s := serve(t, Options{CloseTimeout: patience})
	poll, waiting, c := s.poll(t), s.poll(t), s.connect(t)
	got := waiting.begin()
	for _, sid := range []string{poll.sid, c.sid} {
		s.on(t, sid, func(sock *Socket) { sock.SendText([]byte("last words")) })
	}
	closed := make(chan error, 2)
	for range 2 { // both return
		go func() { closed <- s.Close(context.Background()) }()
	}
	wantAnswer(t, got, 200, "1")
	c.wantText("4last words")
	c.wantClose(1005)
	// The last one may be told later, by another loop: a GET before that would wait for it.
	s.eventuallyOn(t, poll.sid, "the end to come", func(sock *Socket) bool { return !sock.Open() })
	poll.wantGet("4last words")
	if a := s.do("GET", pollTarget, ""); a.status != 503 || a.body != `{"code":4,"message":"Server is shutting down"}` || a.header.Get("Retry-After") != "1" {
		t.Errorf("a new client: %v", a)
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget))
	if a := conn.response(); a.status != 400 || a.body != "Server is shutting down" {
		t.Errorf("a new client: %v", a)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait for the last poll: %v", err)
	default:
	}
	poll.wantGet("6\x1e1")
	for range 2 {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("Close does not return")
		}
	}
	// OnClose has been called when Close returns: nothing to wait for.
	s.mu.Lock()
	defer s.mu.Unlock()
	for sid, rec := range s.seen {
		if len(rec.closes) != 1 || rec.closes[0] != ReasonShutdown {
			t.Errorf("%s: %q", sid, rec.closes)
		}
	}
	if s.count("engineio_shutting_down") != 2 {
		t.Errorf("counted %d", s.count("engineio_shutting_down"))
	}
}

func TestServerCloseLosesItsPatience(t *testing.T) {
	s := serve(t, Options{})
	p, c := s.poll(t), s.connect(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Close: %v", err)
	}
	s.waitClosed(t, p.sid, ReasonShutdown)
	s.waitClosed(t, c.sid, ReasonShutdown)
	c.wantEOF()
	eventually(t, "no sessions", func() bool { return s.Sessions() == 0 })
}

// Clients that come at the moment of Close are served or refused, and none is
// left behind: every handler that was made is told the end.
func TestClientsDuringServerClose(t *testing.T) {
	for round := range 10 {
		s := serve(t, Options{CloseTimeout: 10 * time.Millisecond})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 4 {
					if i%2 == 0 {
						s.do("GET", pollTarget, "")
						continue
					}
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						return
					}
					_, _ = c.Write(upgradeRequest(wsTarget))
					_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
					_, _ = c.Read(make([]byte, 512))
					_ = c.Close()
				}
			})
		}
		ctx := context.Background()
		if round%2 == 1 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			cancel() // cut at once
		}
		_ = s.Close(ctx)
		wg.Wait()
		eventually(t, "no sessions", func() bool { return s.Sessions() == 0 })
		s.wait(t, "OnClose everywhere", func() bool {
			for _, rec := range s.seen {
				if len(rec.closes) != 1 {
					return false
				}
			}
			return true
		})
	}
}

// A Close that finds a session before it has started leaves it to start.
func TestServerCloseBeforeTheSessionStarts(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("cut ", cut), func(t *testing.T) {
			s := serve(t, Options{CloseTimeout: 10 * time.Millisecond})
			p := s.poll(t)
			s.on(t, p.sid, func(sock *Socket) {
				h := sock.handler
				sock.handler = nil
				s.closing.Store(true)
				s.cut.Store(cut)
				sock.shutdown()
				if !sock.Open() {
					t.Error("ended before it began")
				}
				sock.handler = h
				sock.shutdown() // as start does
			})
			s.waitClosed(t, p.sid, ReasonShutdown)
		})
	}
}

// A session that starts while the server closes sees it.
func TestSessionStartsWhileTheServerCloses(t *testing.T) {
	s := serve(t, Options{}, func(s *server) { s.onOpen = func(*Socket) { s.closing.Store(true) } })
	p := s.poll(t)
	p.wantGet("6\x1e1")
	s.waitClosed(t, p.sid, ReasonShutdown)
}

// Close returns after the last OnClose, which may be posted only when the last
// session is gone.
func TestServerCloseWaitsForOnClose(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	got := p.begin()
	rec := s.session(t, p.sid)
	goOn := make(chan struct{})
	rec.sock.Loop().Post(func() {
		rec.sock.Close(ReasonForcedClose)
		<-goOn
	})
	wantAnswer(t, got, 200, "1")
	closed := make(chan error)
	go func() { closed <- s.Close(context.Background()) }()
	eventually(t, "Close", s.closing.Load)
	time.Sleep(10 * time.Millisecond) // the time that a Close which does not wait would need
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(rec.closes) != 1 {
		t.Errorf("OnClose: %q", rec.closes)
	}
}

// A handler may close its session from anywhere.
func TestHandlerCloses(t *testing.T) {
	t.Run("in onOpen", func(t *testing.T) {
		s := serve(t, Options{}, func(s *server) { s.onOpen = func(sock *Socket) { sock.Close("no") } })
		p := s.poll(t)
		p.wantGet("6\x1e1")
		s.waitClosed(t, p.sid, "no")
		c := s.connect(t)
		c.wantClose(1005)
		s.waitClosed(t, c.sid, "no")
	})
	t.Run("in OnMessage", func(t *testing.T) {
		s := serve(t, Options{}, func(s *server) {
			s.onMessage = func(sock *Socket, text string, _ bool) {
				sock.SendText([]byte("bye"))
				sock.Close("enough of " + text)
			}
		})
		p := s.poll(t)
		p.wantPost(join("4a", "4b"))
		p.wantGet("4bye")
		p.wantGet("6\x1e1")
		s.waitClosed(t, p.sid, "enough of a")
		c := s.connect(t)
		c.write(append(clientFrame(1, true, "4a"), clientFrame(1, true, "4b")...))
		c.wantText("4bye")
		c.wantClose(1005)
		s.waitClosed(t, c.sid, "enough of a")
		for _, sid := range []string{p.sid, c.sid} {
			if got := s.waitMessages(t, sid, 1); len(got) != 1 {
				t.Errorf("delivered %q", got)
			}
		}
	})
	t.Run("in OnClose", func(t *testing.T) {
		s := serve(t, Options{}, func(s *server) { s.onClose = func(sock *Socket) { sock.Close("again") } })
		c := s.connect(t)
		c.text("1")
		c.wantClose(1005)
		s.waitClosed(t, c.sid, ReasonTransportClose)
	})
}

// An OnClose that panics leaves nothing behind.
func TestOnClosePanics(t *testing.T) {
	s := serve(t, Options{}, func(s *server) { s.onClose = func(*Socket) { panic("handler's bug") } })
	for name, end := range map[string]func(p *poller, c *socket){
		"closed by the client": func(p *poller, c *socket) { p.wantPost("1"); c.text("1") },
		"killed": func(p *poller, c *socket) {
			for _, sid := range []string{p.sid, c.sid} {
				sock := s.session(t, sid).sock
				sock.Loop().Post(func() { sock.kill("killed") })
			}
		},
		"connection lost": func(p *poller, c *socket) { p.upload(9, "4").Close(); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			p, c := s.poll(t), s.connect(t)
			end(p, c)
			eventually(t, "no sessions", func() bool { return s.Sessions() == 0 })
		})
	}
}

// Hub and loops gone: requests are answered all the same.
func TestRequestsAfterTheHubHasClosed(t *testing.T) {
	s := serve(t, Options{})
	p, q := s.poll(t), s.poll(t)
	if err := s.hub.Close(); err != nil {
		t.Fatal(err)
	}
	if a := p.get(); a.status != 400 {
		t.Error(a)
	}
	if a := q.post("4x"); a.status != 400 {
		t.Error(a)
	}
	if a := s.do("GET", pollTarget, ""); a.status != 503 {
		t.Error(a)
	}
	conn := s.dial(t)
	conn.write(upgradeRequest(wsTarget))
	conn.response()
	conn.wantEOF()
	eventually(t, "no sessions", func() bool { return s.Sessions() == 0 })
}
