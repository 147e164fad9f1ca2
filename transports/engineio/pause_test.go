package engineio

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// pauseAt makes the handler pause at messages that begin with "pause".
func pauseAt(s *server) {
	s.onMessage = func(sock *Socket, text string, _ bool) {
		if strings.HasPrefix(text, "pause") {
			sock.Pause()
		}
	}
}

func (s *server) wantMessages(t testing.TB, sid string, want ...string) {
	t.Helper()
	if got := s.waitMessages(t, sid, len(want)); join(got...) != join(want...) {
		t.Fatalf("received %q, wanted %q", got, want)
	}
}

func TestPauseHoldsAWebSocket(t *testing.T) {
	s := serve(t, Options{}, pauseAt)
	c := s.connect(t)
	var b []byte
	for _, m := range []string{"a", "pause 1", "b", "pause 2", "c"} {
		b = append(b, clientFrame(ws.OpText, true, "4"+m)...)
	}
	c.write(b[:len(b)-3])
	s.wantMessages(t, c.sid, "a", "pause 1")
	c.write(b[len(b)-3:]) // the rest of a frame, while the session is paused
	c.frame(ws.OpPing, true, "unheard")
	s.on(t, c.sid, func(sock *Socket) {
		if !sock.Open() || len(sock.ws.held) == 0 {
			t.Error("nothing is held")
		}
		sock.Resume()
		sock.Resume()
	})
	s.wantMessages(t, c.sid, "a", "pause 1", "b", "pause 2")
	s.on(t, c.sid, func(sock *Socket) {
		sock.Resume()
		sock.Pause() // takes it back
	})
	s.wantMessages(t, c.sid, "a", "pause 1", "b", "pause 2")
	s.on(t, c.sid, (*Socket).Resume)
	s.wantMessages(t, c.sid, "a", "pause 1", "b", "pause 2", "c")
	c.want(ws.OpPong, "unheard")
}

func TestPauseHoldsAPOST(t *testing.T) {
	s := serve(t, Options{}, pauseAt)
	p := s.poll(t)
	answered := make(chan answer, 1)
	go func() { answered <- p.post(join("4a", "4pause", "4b", "4pause", "4c")) }()
	for _, n := range []int{2, 4} {
		s.waitMessages(t, p.sid, n)
		s.on(t, p.sid, func(sock *Socket) { // what the server sends still leaves
			sock.SendText(fmt.Append(nil, n))
		})
		p.wantGet(fmt.Sprint("4", n))
		select {
		case a := <-answered:
			t.Fatalf("the POST is answered already: %v", a)
		default:
		}
		s.on(t, p.sid, (*Socket).Resume)
	}
	wantAnswer(t, answered, 200, "ok")
	s.wantMessages(t, p.sid, "a", "pause", "b", "pause", "c")
}

// A client that sends much to a paused session is held up by TCP: next to
// nothing is kept for it.
func TestPauseBoundsWhatIsHeld(t *testing.T) {
	s := serve(t, Options{}, pauseAt)
	c := s.connect(t)
	c.text("4pause")
	s.wantMessages(t, c.sid, "pause")
	const n = 300
	done := make(chan error, 1)
	var sent atomic.Int64
	_ = c.SetDeadline(time.Now().Add(3 * patience)) // for all of it, the pause included
	go func() {
		var err error
		for i := 0; i < n && err == nil; i++ {
			_, err = c.Write(clientFrame(ws.OpText, true, "4"+strings.Repeat("x", 100_000)))
			sent.Add(1)
		}
		done <- err
	}()
	var last int64
	quiet := 0
	eventually(t, "the client to be held up", func() bool {
		now := sent.Load()
		if quiet++; now != last {
			last, quiet = now, 0
		}
		return quiet == 200 // looks, a millisecond apart
	})
	if last == n {
		t.Error("all was taken")
	}
	s.on(t, c.sid, func(sock *Socket) {
		if held := len(sock.ws.held); held > 256<<10 {
			t.Errorf("%d bytes are held", held)
		}
	})
	s.on(t, c.sid, (*Socket).Resume)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.waitMessages(t, c.sid, 1+n)
}

// The end of a paused session answers what it held.
func TestClosingAPausedSession(t *testing.T) {
	s := serve(t, Options{}, pauseAt)
	p := s.poll(t)
	answered := make(chan answer, 1)
	go func() { answered <- p.post(join("4pause", "4b")) }()
	s.waitMessages(t, p.sid, 1)
	s.on(t, p.sid, func(sock *Socket) {
		sock.Close(ReasonForcedClose)
		sock.Resume()
	})
	wantAnswer(t, answered, 200, "ok")
	p.wantGet("6\x1e1")
	s.waitClosed(t, p.sid, ReasonForcedClose)

	c := s.connect(t)
	c.write(append(clientFrame(ws.OpText, true, "4pause"), clientFrame(ws.OpText, true, "4b")...))
	s.waitMessages(t, c.sid, 1)
	s.on(t, c.sid, func(sock *Socket) { sock.Close(ReasonForcedClose) })
	c.wantClose(1005)
	s.waitClosed(t, c.sid, ReasonForcedClose)
	for _, sid := range []string{p.sid, c.sid} {
		s.wantMessages(t, sid, "pause")
	}
}

// An upgrade waits for a paused POST as long as it takes.
func TestUpgradeWhilePaused(t *testing.T) {
	s := serve(t, Options{}, pauseAt)
	p := s.poll(t)
	answered := make(chan answer, 1)
	go func() { answered <- p.post(join("4pause", "4b")) }()
	s.waitMessages(t, p.sid, 1)
	c := p.upgraded()
	c.text("4pause too")
	c.text("4c")
	s.eventuallyOn(t, p.sid, "the upgrade packet", func(sock *Socket) bool { return sock.probe != nil && sock.probe.waiting })
	s.on(t, p.sid, func(sock *Socket) {
		if sock.aux.Active() {
			t.Error("the upgrade can still time out")
		}
		sock.Resume()
	})
	wantAnswer(t, answered, 200, "ok")
	s.wantMessages(t, p.sid, "pause", "b", "pause too")
	s.on(t, p.sid, (*Socket).Resume)
	s.wantMessages(t, p.sid, "pause", "b", "pause too", "c")
}

// A paused client of protocol 3 is reassured on its new transport as well.
func TestUpgradeOfAPausedClient3(t *testing.T) {
	s := serve3(t, Options{PingInterval: time.Hour, PingTimeout: 20 * time.Millisecond})
	p := s.poll3(t, "")
	s.on(t, p.sid, (*Socket).Pause)
	c := s.attach(t, wsTarget3+"&sid="+p.sid)
	c.text("5")
	for range 3 {
		c.wantText("3")
	}
}

func TestWritable(t *testing.T) {
	s := serve(t, Options{})
	p := s.poll(t)
	writable := func(sid string, want bool) {
		t.Helper()
		s.on(t, sid, func(sock *Socket) {
			if sock.Writable() != want {
				t.Errorf("writable: %v", !want)
			}
		})
	}
	writable(p.sid, false)
	got := p.begin()
	writable(p.sid, true)
	s.on(t, p.sid, func(sock *Socket) {
		sock.SendText([]byte("a"))
		if sock.Writable() {
			t.Error("writable twice for one poll")
		}
	})
	wantAnswer(t, got, 200, "4a")
	writable(p.sid, false)
	c := s.connect(t)
	writable(c.sid, true)
	s.on(t, c.sid, func(sock *Socket) {
		sock.Close("x")
		if sock.Writable() {
			t.Error("writable after Close")
		}
	})
}
