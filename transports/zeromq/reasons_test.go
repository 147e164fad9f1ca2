package zeromq

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestLogIsRateLimited: one line a reason and interval, and the next one says how many were left out.
func TestLogIsRateLimited(t *testing.T) {
	var out bytes.Buffer
	l := newRateLog(slog.New(slog.NewTextHandler(&out, nil)))
	l.interval = time.Hour
	for range 1000 {
		l.warn("reason_a", "refused a")
		l.warn("reason_b", "refused b", "detail", "x\ny")
	}
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Fatalf("%d lines:\n%s", n, out.String())
	}
	out.Reset()
	l.last["reason_a"].at = time.Now().Add(-time.Hour) // the interval is over
	l.warn("reason_a", "refused a")
	l.warn("reason_a", "refused a")
	if line := out.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "not_logged_before=999") || !strings.Contains(line, "reason=reason_a") {
		t.Errorf("%s", line)
	}
}

// TestRefusedFloodDoesNotFloodTheLog, whatever it is that a peer sends without end.
func TestRefusedFloodDoesNotFloodTheLog(t *testing.T) {
	h := newFakeHub()
	var out bytes.Buffer
	b, err := Listen(h, Options{Pull: anyPort, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.log.interval = time.Hour
	p := push(t, b.Addr("pull"))
	for range 5000 {
		send(t, p, "$reserved", "x")
	}
	h.waitCount(t, reasonRoom, 5000)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log:\n%.2000s", n, out.String())
	}
}

// TestRefusalIsLoggedOnce: the reason stands in its own field, not in the detail again.
func TestRefusalIsLoggedOnce(t *testing.T) {
	h := newFakeHub()
	var out bytes.Buffer
	b, err := Listen(h, Options{Pull: anyPort, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p := push(t, b.Addr("pull"))
	send(t, p, "$reserved", "x")
	h.waitCount(t, reasonRoom, 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	line := out.String()
	if strings.Count(line, "bad_room") != 1 || !strings.Contains(line, "reason="+reasonRoom) || !strings.Contains(line, "are reserved") {
		t.Errorf("%s", line)
	}
}
