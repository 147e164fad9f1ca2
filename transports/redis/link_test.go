//go:build unix

package redis

import (
	"fmt"
	"slices"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/internal/testenv"
)

func TestLink(t *testing.T) {
	r := testenv.StartRedis(t)
	l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	l.subscribe(subChannel, "a", "b")
	l.subscribe(subPattern, "p*")
	l.subscribe(subShard, "s")
	within(t, "ready", func() bool { return l.ready() == nil })
	for _, c := range []struct {
		kind    subKind
		channel string
	}{{subChannel, "a"}, {subPattern, "p*"}, {subShard, "s"}} {
		called := false
		if l.subscribed(c.kind, c.channel, func() { called = true }); !called {
			t.Errorf("subscribed(%d, %q) has not called at once", c.kind, c.channel)
		}
	}
	l.publish(false, "a", []byte("1"))
	l.publish(false, "nobody", []byte("2"))
	l.publish(false, "pq", []byte("3"))
	l.publish(true, "s", []byte("4"))
	l.publish(false, "b", []byte{})
	want := []string{"a 1", "pq 3", "s 4", "b "}
	within(t, "messages", func() bool { return len(w.heard()) >= len(want) })
	if got := w.heard(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	n, err := l.subscribers(t.Context(), false, "a")
	if n != 1 || err != nil {
		t.Errorf("subscribers: %d, %v", n, err)
	}
	if n, err := l.subscribers(t.Context(), true, "s"); n != 1 || err != nil {
		t.Errorf("subscribers of a sharded channel: %d, %v", n, err)
	}

	l.unsubscribe(subChannel, "a")
	within(t, "nobody at a", func() bool { n, _ := l.subscribers(t.Context(), false, "a"); return n == 0 })
	results := make(chan error, 2)
	l.enqueue(command{cmd: goredis.NewStatusCmd(t.Context(), "SET", "k", "v"), done: func(c goredis.Cmder) { results <- c.Err() }})
	l.enqueue(command{cmd: goredis.NewStatusCmd(t.Context(), "NONSENSE"), done: func(c goredis.Cmder) { results <- c.Err() }})
	if err := <-results; err != nil {
		t.Error(err)
	}
	if err := <-results; err == nil {
		t.Error("nonsense worked")
	}
}

// Messages of one channel arrive in the order in which they were published, at any rate.
func TestLinkKeepsOrder(t *testing.T) {
	r := testenv.StartRedis(t)
	l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	l.subscribe(subChannel, "c")
	within(t, "ready", func() bool { return l.ready() == nil })
	const n = 20_000
	for i := range n {
		l.publish(false, "c", fmt.Append(nil, i))
	}
	within(t, "all", func() bool { return len(w.heard()) == n })
	for i, got := range w.heard() {
		if want := fmt.Sprint("c ", i); got != want {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

func TestLinkComesBack(t *testing.T) {
	r := testenv.StartRedis(t)
	l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	l.subscribe(subChannel, "c")
	within(t, "ready", func() bool { return l.ready() == nil })
	r.Kill()
	within(t, "away", func() bool { return l.ready() != nil })
	l.subscribe(subChannel, "d")
	l.publish(false, "c", []byte("kept"))
	r.Restart()
	within(t, "ready again", func() bool { return l.ready() == nil })
	l.publish(false, "d", []byte("2"))
	within(t, "a message", func() bool { return slices.Contains(w.heard(), "d 2") })
	if w.counted(reasonGap) != 1 {
		t.Errorf("gaps: %d", w.counted(reasonGap))
	}
	if lines := w.logged(); len(lines) != 2 {
		t.Errorf("logged: %q", lines)
	}
}
