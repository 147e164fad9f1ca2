package engineio

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
)

// pendingWait waits until n clients have said nothing yet.
func (s *server) pendingWait(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " pending sessions"), func() bool { return s.pending.len() == n })
}

// Clients that say nothing have a bound of their own, at which the oldest goes for a newcomer.
func TestOldestPendingSessionIsEvicted(t *testing.T) {
	s := serve(t, Options{MaxPending: 2})
	first := s.poll(t)
	s.pendingWait(t, 1)
	second := s.connect(t)
	s.pendingWait(t, 2)
	third := s.poll(t)
	s.waitClosed(t, first.sid, ReasonForcedClose)
	first.wantGone()
	fourth := s.connect(t)
	second.wantClose(1008)
	s.waitClosed(t, second.sid, ReasonForcedClose)
	if n := s.count("engineio_pending_evicted"); n != 2 {
		t.Errorf("%d evicted", n)
	}
	// Who has spoken stays, whatever it said.
	third.wantPost("3")
	fourth.text("4x")
	fourth.wantText("4x")
	s.pendingWait(t, 0)
	for range 5 {
		s.poll(t)
	}
	third.wantPost("4x")
	third.wantGet("4x")
	fourth.text("4x")
	fourth.wantText("4x")
	s.waitCount(t, "engineio_pending_evicted", 5)
	s.pendingWait(t, 2)
	if n := s.count("engineio_server_full"); n != 0 {
		t.Errorf("%d refused", n)
	}
}

// A waiting poll of a session that is evicted is answered.
func TestEvictionAnswersThePoll(t *testing.T) {
	s := serve(t, Options{MaxPending: 1})
	p := s.poll(t)
	got := p.begin()
	s.poll(t)
	wantAnswer(t, got, 200, "1")
	s.waitClosed(t, p.sid, ReasonForcedClose)
}

// Whoever floods the server with handshakes locks nobody out who speaks.
func TestFloodOfHandshakesLocksNobodyOut(t *testing.T) {
	const bound = 50
	s := serve(t, Options{MaxPending: bound})
	flood := func() {
		for range 2 * bound {
			if a := s.do("GET", pollTarget, ""); a.status != 200 {
				t.Fatal(a)
			}
		}
	}
	flood()
	p, c := s.poll(t), s.connect(t)
	p.wantPost("4x")
	c.text("4x")
	s.waitMessages(t, c.sid, 1)
	flood()
	p.wantGet("4x")
	c.wantText("4x")
	eventually(t, "no more sessions than allowed", func() bool { return s.pending.len() == bound && s.Sessions() == bound+2 })
	if n := s.count("engineio_pending_evicted"); n != 3*bound {
		t.Errorf("%d evicted, want %d", n, 3*bound)
	}
}

// lockedBuffer is a log that several loops write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Evictions are logged, once a minute at most; what single clients do wrong, at debug level only.
func TestRefusalsAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		level slog.Level
		want  map[string]bool // what the log holds
	}{
		"as operators have it": {slog.LevelInfo, map[string]bool{
			"say nothing are closed for newcomers": true, "engineio_bad_packet": false, "Session ID unknown": false}},
		"at debug level": {slog.LevelDebug, map[string]bool{
			"say nothing are closed for newcomers": true, "engineio_bad_packet": true, "Session ID unknown": true}},
	} {
		t.Run(name, func(t *testing.T) {
			log := new(lockedBuffer)
			s := serve(t, Options{MaxPending: 1}, hub.Options{Loops: 2, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: c.level}))})
			for range 10 {
				s.poll(t)
			}
			s.waitCount(t, "engineio_pending_evicted", 9)
			p := s.poll(t)
			p.post("rubbish")
			p.wantGone()
			s.waitClosed(t, p.sid, ReasonParseError)
			text := log.String()
			for part, want := range c.want {
				if strings.Contains(text, part) != want {
					t.Errorf("%q is there: %v, in\n%s", part, !want, text)
				}
			}
			if n := strings.Count(text, "level=WARN"); n != 1 {
				t.Errorf("%d warnings in\n%s", n, text)
			}
			if strings.Contains(text, p.sid) {
				t.Error("the log holds a session's id, which is a secret")
			}
		})
	}
}

func TestEvictionsAreReportedOnceAMinute(t *testing.T) {
	var p pending
	start := time.Now()
	for _, c := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Second, false}, {59 * time.Second, false}, {time.Minute, true}, {61 * time.Second, false}, {2 * time.Minute, true}} {
		if got := p.report(start.Add(c.after)); got != c.want {
			t.Errorf("after %v: %v", c.after, got)
		}
	}
}
