package engineio

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// tryout attaches a WebSocket to a polling session.
func (p *poller) tryout(headers ...string) *socket {
	p.t.Helper()
	c := p.s.attach(p.t, wsTarget+"&sid="+p.sid, headers...)
	c.sid = p.sid
	return c
}

// upgraded is tryout and the dance.
func (p *poller) upgraded() *socket {
	p.t.Helper()
	c := p.tryout()
	c.text("2probe")
	c.wantText("3probe")
	c.text("5")
	return c
}

// wantLeft checks that the session does not poll any more.
func (p *poller) wantLeft() {
	p.t.Helper()
	for _, a := range []answer{p.get(), p.post("4x")} {
		if a.status != 400 || a.body != `{"code":3,"message":"Bad request"}` {
			p.t.Errorf("polling after the upgrade: %v", a)
		}
	}
}

func TestUpgrade(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	waiting := p.begin()
	c := p.tryout()
	c.text("2probe")
	c.wantText("3probe")
	wantAnswer(t, waiting, 200, "6") // at once
	p.wantGet("6")                   // and so is any other
	p.wantPost("4by post")
	p.wantGet("4by post")
	c.text("5")
	c.text("4by websocket")
	c.wantText("4by websocket")
	p.wantLeft()
	if st := s.session(t, p.sid).sock.State(); st != StateWebSocket {
		t.Error(st)
	}
	c.text("4still here")
	c.wantText("4still here")
	c.Close()
	s.waitClosed(t, p.sid, ReasonTransportClose)
	p.wantGone()
}

func TestUpgradeWithoutProbe(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	waiting := p.begin()
	c := p.tryout()
	c.text("5")
	wantAnswer(t, waiting, 200, "6")
	c.text("4x")
	c.wantText("4x")
}

// What waits for a poll leaves on the WebSocket, before what is sent later.
func TestUpgradeFlushesWhatWaits(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	s.on(t, p.sid, func(sock *Socket) {
		sock.SendText([]byte("one"))
		sock.SendBinary([]byte{2})
	})
	c := p.upgraded()
	c.wantText("4one")
	c.want(ws.OpBinary, "\x02")
	s.on(t, p.sid, func(sock *Socket) { sock.SendText([]byte("three")) })
	c.wantText("4three")
}

// Everything that ends a try before the upgrade, and leaves the session polling.
func TestFailedUpgrades(t *testing.T) {
	s := serve(t, Options{})
	tests := []struct {
		name    string
		do      func(c *socket)
		code    ws.StatusCode // of the close frame; 0: the client is gone itself
		counter string
	}{
		{"a message", func(c *socket) { c.text("4hello") }, 1005, "engineio_bad_upgrade"},
		{"a ping without probe", func(c *socket) { c.text("2") }, 1005, "engineio_bad_upgrade"},
		{"another probe text", func(c *socket) { c.text("2probe!") }, 1005, "engineio_bad_upgrade"},
		{"rubbish", func(c *socket) { c.text("abc") }, 1005, "engineio_bad_upgrade"},
		{"empty", func(c *socket) { c.text("") }, 1005, "engineio_bad_upgrade"},
		{"binary", func(c *socket) { c.frame(ws.OpBinary, true, "5") }, 1005, "engineio_bad_upgrade"},
		{"too many probes", func(c *socket) {
			for range maxProbes {
				c.text("2probe")
				c.wantText("3probe")
			}
			c.text("2probe")
		}, 1005, "engineio_bad_upgrade"},
		{"a message after the probe", func(c *socket) { c.text("2probe"); c.wantText("3probe"); c.text("4x") }, 1005, "engineio_bad_upgrade"},
		{"unmasked", func(c *socket) { c.write(ws.MustCompileFrame(ws.NewTextFrame([]byte("5")))) }, 1002, "engineio_websocket_error"},
		{"no UTF-8", func(c *socket) { c.text("\xff") }, 1007, "engineio_websocket_error"},
		{"the client closes", func(c *socket) { c.frame(ws.OpClose, true, closePayload(1000, "")) }, 1000, ""},
		{"the client vanishes", func(c *socket) { c.Close() }, 0, ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := s.poll(t)
			before := s.count(c.counter)
			conn := p.tryout()
			c.do(conn)
			if c.code != 0 {
				conn.wantClose(c.code)
			}
			s.eventuallyOn(t, p.sid, "polling again", func(sock *Socket) bool { return sock.State() == StatePolling && !sock.claimed.Load() })
			if c.counter != "" && s.count(c.counter) != before+1 {
				t.Errorf("%s went from %d to %d", c.counter, before, s.count(c.counter))
			}
			p.wantPost("4lives")
			p.wantGet("4lives")
			again := p.upgraded()
			again.text("4x")
			again.wantText("4x")
		})
	}
}

func TestUpgradeTimeout(t *testing.T) {
	quick, patient := serve(t, Options{UpgradeTimeout: 50 * time.Millisecond}), serve(t, Options{UpgradeTimeout: time.Hour})
	for name, tc := range map[string]struct {
		s  *server
		do func(*socket)
	}{
		"silent":       {quick, func(*socket) {}},
		"half a frame": {quick, func(c *socket) { c.write(clientFrame(ws.OpText, true, "5")[:3]) }},
		"probed": {patient, func(c *socket) {
			c.text("2probe")
			c.wantText("3probe")
			patient.on(t, c.sid, func(sock *Socket) { sock.aux.Reset(0) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := tc.s
			before := s.count("engineio_upgrade_timeout")
			p := s.poll(t)
			c := p.tryout()
			tc.do(c)
			c.wantClose(1005)
			s.waitCount(t, "engineio_upgrade_timeout", before+1)
			p.wantPost("4lives")
			p.wantGet("4lives")
		})
	}
}

// One WebSocket at a time: another for the same session is closed at once and
// the first is not touched.
func TestSecondWebSocketForASession(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	first := p.tryout()
	s.eventuallyOn(t, p.sid, "the try", func(sock *Socket) bool { return sock.State() == StateUpgrading })
	second := p.tryout()
	second.wantClose(1005)
	first.text("2probe")
	first.wantText("3probe")
	first.text("5")
	first.text("4x")
	first.wantText("4x")
	p.tryout().wantClose(1005)
	first.text("4y")
	first.wantText("4y")

	direct := s.connect(t)
	s.attach(t, wsTarget+"&sid="+direct.sid).wantClose(1005)
	direct.text("4z")
	direct.wantText("4z")
	if n := s.count("engineio_second_websocket"); n != 3 {
		t.Errorf("counted %d", n)
	}
}

func TestUpgradesSwitchedOff(t *testing.T) {
	s := serve(t, Options{NoUpgrades: true})
	p := s.poll(t)
	c := s.dial(t)
	c.write(upgradeRequest(wsTarget + "&sid=" + p.sid))
	if a := c.response(); a.status != 400 || a.body != "Bad request" {
		t.Error(a)
	}
	p.wantPost("4x")
	p.wantGet("4x")
}

// Packets of a POST that is still on its way come before those of the WebSocket.
func TestUpgradeWaitsForAPOST(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	post := p.upload(6, "4on")
	c := p.upgraded()
	c.text("4two")
	s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
	s.on(t, p.sid, func(sock *Socket) { sock.SendText([]byte("zero")) })
	p.wantGet("6") // the client has left: nothing is given to a late poll
	post.write([]byte("e!!"))
	if a := post.response(); a.status != 200 || a.body != "ok" {
		t.Error(a)
	}
	c.wantText("4zero")
	c.wantText("4one!!")
	c.wantText("4two")
	if got := s.waitMessages(t, p.sid, 2); got[0] != "one!!" || got[1] != "two" {
		t.Errorf("received %q", got)
	}
}

// A POST that fails while an upgrade waits for it takes the session with it.
func TestUpgradeWaitsForAPOSTThatFails(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	post := p.upload(6, "4on")
	c := p.upgraded()
	s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
	post.Close()
	c.wantClose(1005)
	s.waitClosed(t, p.sid, ReasonTransportError)
}

func TestCloseWhileUpgrading(t *testing.T) {
	s := serve(t, Options{})
	for name, do := range map[string]func(p *poller){
		ReasonTransportClose: func(p *poller) { p.wantPost("1") },
		ReasonForcedClose: func(p *poller) {
			s.on(t, p.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
			p.wantGet("6\x1e1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.poll(t)
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			do(p)
			c.wantClose(1005)
			s.waitClosed(t, p.sid, name)
		})
	}
}

// The official client does not poll any more once its probe was answered, so that the WebSocket is where it hears of a
// close, and of what was sent before.
func TestCloseBeforeTheUpgradeIsHeardAfterIt(t *testing.T) {
	s := serve(t, Options{})
	for name, post := range map[string]bool{"at once": false, "with a POST under way": true} {
		t.Run(name, func(t *testing.T) {
			p := s.poll(t)
			c := p.tryout()
			c.text("2probe")
			c.wantText("3probe")
			if post {
				defer p.upload(6, "4on").Close()
				s.eventuallyOn(t, p.sid, "the POST", func(sock *Socket) bool { return sock.post.Load() != nil })
				c.text("5")
				s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
			}
			s.on(t, p.sid, func(sock *Socket) {
				sock.SendText([]byte("the last word"))
				sock.Close(ReasonForcedClose)
			})
			if !post {
				c.text("5")
			}
			c.wantText("4the last word")
			c.wantClose(1005)
			s.waitClosed(t, p.sid, ReasonForcedClose)
		})
	}
}

// A close while the upgrade waits for a POST that is being processed: held up by a pause, or the very message that
// makes the handler close. The WebSocket is where the client hears of it, and nothing behind the "5" is delivered.
func TestCloseWhileAnUpgradeWaitsForMessages(t *testing.T) {
	t.Run("paused", func(t *testing.T) {
		s := serve(t, Options{}, pauseAt)
		p := s.poll(t)
		answered := make(chan answer, 1)
		go func() { answered <- p.post(join("4pause", "4b")) }()
		s.waitMessages(t, p.sid, 1)
		c := p.upgraded()
		c.text("4c")
		s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
		s.on(t, p.sid, func(sock *Socket) {
			sock.SendText([]byte("the last word"))
			sock.Close(ReasonForcedClose)
			sock.Resume()
		})
		wantAnswer(t, answered, 200, "ok")
		c.wantText("4the last word")
		c.wantClose(1005)
		s.waitClosed(t, p.sid, ReasonForcedClose)
		s.wantMessages(t, p.sid, "pause")
		if got := s.waitMessages(t, p.sid, 0); len(got) != 1 {
			t.Errorf("received %q", got)
		}
	})
	for name, c := range map[string]struct {
		end    func(*Socket)
		code   ws.StatusCode
		reason string
	}{
		"by the handler":       {func(sock *Socket) { sock.Close(ReasonForcedClose) }, 1005, ReasonForcedClose},
		"over what it is told": {func(sock *Socket) { sock.Refuse(refusePending) }, 1008, ReasonForcedClose},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{}, func(s *server) { s.onMessage = func(sock *Socket, _ string, _ bool) { c.end(sock) } })
			p := s.poll(t)
			post := p.upload(6, "4cl")
			conn := p.upgraded()
			conn.text("4c")
			s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
			post.write([]byte("ose"))
			if a := post.response(); a.status != 200 || a.body != "ok" {
				t.Error(a)
			}
			conn.wantClose(c.code)
			s.waitClosed(t, p.sid, c.reason)
			if got := s.waitMessages(t, p.sid, 0); len(got) != 1 {
				t.Errorf("received %q", got)
			}
		})
	}
}

// After an upgrade the session lives by the WebSocket's heartbeat.
func TestHeartbeatGoesOnAfterTheUpgrade(t *testing.T) {
	s := serve(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: patience})
	p := s.poll(t)
	p.wantGet("2") // and no pong: the upgrade starts afresh
	c := p.upgraded()
	for range 3 {
		c.wantText("2")
		c.text("3")
	}
}

// An answer whose packets were lost ends the session even when it has moved to
// a WebSocket meanwhile: the client must know.
func TestLostAnswerAfterTheUpgrade(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	c := p.upgraded()
	c.text("4x")
	c.wantText("4x")
	s.on(t, p.sid, func(sock *Socket) { sock.pollLost(&pollRequest{s: sock}) }) // a noop
	c.text("4y")
	c.wantText("4y")
	s.on(t, p.sid, func(sock *Socket) { sock.pollLost(&pollRequest{s: sock, taken: true}) })
	c.wantClose(1005)
	s.waitClosed(t, p.sid, ReasonTransportError)
}

// Messages in both directions, the upgrade at a random moment among them: none
// lost, none twice, all in order.
func TestUpgradeUnderLoad(t *testing.T) {
	s := serve(t, Options{}, func(s *server) { s.onMessage = func(*Socket, string, bool) {} })
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		upgradeUnderLoad(t, s, rand.New(rand.NewPCG(uint64(round), 3)))
	}
}

func upgradeUnderLoad(t *testing.T, s *server, r *rand.Rand) {
	t.Helper()
	const n = 60
	p := s.poll(t)
	downAt, upAt := r.IntN(n), r.IntN(n)
	pause := time.Duration(r.IntN(300)) * time.Microsecond

	sock := s.session(t, p.sid).sock
	var sending, polling sync.WaitGroup
	sending.Go(func() { // the server's messages
		for i := range n {
			sock.Loop().Post(func() { sock.SendText(fmt.Append(nil, i)) })
			if i%4 == 0 {
				time.Sleep(pause) // spreads them over the change
			}
		}
	})
	defer sending.Wait()
	var got []string
	reachedDown := make(chan struct{})
	probed := make(chan struct{})
	polling.Go(func() { // the client's GETs, as the official client does them
		signalled := false
		for {
			a := p.get()
			if a.status != 200 {
				t.Error(a)
				break
			}
			for packet := range strings.SplitSeq(a.body, "\x1e") {
				if packet != "6" {
					got = append(got, packet)
				}
			}
			if len(got) >= downAt && !signalled {
				signalled = true
				close(reachedDown)
			}
			select {
			case <-probed:
				return // paused
			default:
			}
		}
		if !signalled {
			close(reachedDown)
		}
	})
	for i := range upAt {
		p.wantPost(fmt.Sprint("4up", i))
	}
	<-reachedDown
	c := p.tryout()
	c.text("2probe")
	c.wantText("3probe")
	close(probed)
	p.wantPost(fmt.Sprint("4up", upAt))
	polling.Wait() // the poll under way has ended; the server goes on sending
	c.text("5")
	for i := upAt + 1; i < n; i++ {
		c.text(fmt.Sprint("4up", i))
	}
	for len(got) < n {
		_, packet := c.next()
		got = append(got, packet)
	}
	for i, packet := range got {
		if packet != fmt.Sprint("4", i) {
			t.Fatalf("message %d to the client is %q", i, packet)
		}
	}
	up := s.waitMessages(t, p.sid, n)
	for i, m := range up {
		if m != fmt.Sprint("up", i) {
			t.Fatalf("message %d from the client is %q", i, m)
		}
	}
}
