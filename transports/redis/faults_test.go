//go:build unix

package redis

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/internal/testenv"
)

// hasty notices a silent server within a second.
var hasty = linkOptions{timeout: 700 * time.Millisecond, pingEvery: 300 * time.Millisecond, messageAge: 500 * time.Millisecond}

// A server that hangs is noticed, what is published meanwhile has one fate that is counted, and keeps its order; when it goes on
// everything goes on.
func TestFrozenRedis(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	l, w := newTestLink(t, Options{URL: r.URL(), Timeout: hasty.timeout}, hasty)
	l.subscribe(subChannel, "c")
	within(t, "ready", func() bool { return l.ready() == nil })
	sent := 0
	publish := func() {
		l.publish(false, "c", fmt.Appendf(nil, "%06d", sent))
		sent++
	}
	publish()
	r.Freeze()
	within(t, "noticed", func() bool { publish(); return l.ready() != nil })
	within(t, "old messages are dropped", func() bool { publish(); return w.counted(reasonTooOld) > 0 && w.counted(reasonGap) > 0 })
	r.Thaw()
	within(t, "ready again", func() bool { return l.ready() == nil })
	for range 10 {
		publish()
	}
	last := fmt.Sprintf("c %06d", sent-1)
	within(t, "the last message", func() bool { return slices.Contains(w.heard(), last) })
	got := w.heard()
	if !slices.IsSorted(got) {
		t.Error("the order has changed")
	}
	if len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Error("a message came twice")
	}
	var taken, old, unknown int
	within(t, "one fate for each", func() bool { // a message may be heard before its answer is
		taken, old, unknown = int(l.stats().Published), w.counted(reasonTooOld), w.counted(reasonUnanswered)
		return taken+old+unknown == sent
	})
	if len(got) > taken+unknown {
		t.Errorf("%d were received, %d taken", len(got), taken)
	}
}

// While Redis is away the queue is bounded, by count and by bytes, and nothing else grows.
func TestAwayIsBounded(t *testing.T) { // alone, since it counts goroutines
	addr := testenv.FreeAddr(t)
	o := hasty
	o.queueLen, o.queueBytes, o.messageAge = 100, 100_000, time.Hour
	l, w := newTestLink(t, Options{URL: "redis://" + addr}, o)
	within(t, "an attempt", func() bool { return l.ready() != nil && !errors.Is(l.ready(), errConnecting) })
	before := runtime.NumGoroutine()
	for i := range 10_000 {
		l.publish(false, "c", make([]byte, 1))
		l.subscribe(subChannel, "same")
		if i%2 == 0 {
			l.unsubscribe(subChannel, "same")
		}
	}
	if s := l.stats(); s.Queued != 100 || w.counted(reasonQueueFull) != 9900 {
		t.Errorf("queued %d, dropped %d", s.Queued, w.counted(reasonQueueFull))
	}
	results := make(chan error, 1)
	l.enqueue(command{cmd: goredis.NewCmd(t.Context(), "SET", "k", "v"), done: func(c goredis.Cmder) { results <- c.Err() }})
	if err := <-results; !errors.Is(err, errQueueFull) {
		t.Errorf("a command more: %v", err)
	}
	if after := runtime.NumGoroutine(); after > before+5 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
	if lines := w.logged(); len(lines) != 1 {
		t.Errorf("logged: %q", lines)
	}
}

// Errors that pass: a command that may wait is done when Redis takes it again, a message is dropped and counted, and
// the operator is told, once.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for code, c := range map[string]struct {
		begin, end func(r *testenv.Redis)
	}{
		"OOM": {
			begin: func(r *testenv.Redis) { r.Do("CONFIG", "SET", "maxmemory", "1") },
			end:   func(r *testenv.Redis) { r.Do("CONFIG", "SET", "maxmemory", "0") },
		},
		"READONLY": {
			begin: func(r *testenv.Redis) { r.Do("REPLICAOF", "127.0.0.1", "1") },
			end:   func(r *testenv.Redis) { r.Do("REPLICAOF", "NO", "ONE") },
		},
		"NOAUTH": {
			begin: func(r *testenv.Redis) {
				r.Do("CONFIG", "SET", "requirepass", "x")
				r.Do("-a", "x", "CLIENT", "KILL", "TYPE", "pubsub")
				r.Do("-a", "x", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			},
			end: func(r *testenv.Redis) { r.Do("-a", "x", "CONFIG", "SET", "requirepass", "") },
		},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
			l.subscribe(subChannel, "c")
			within(t, "ready", func() bool { return l.ready() == nil })
			c.begin(r)
			results := make(chan error, 1)
			l.enqueue(command{
				cmd: goredis.NewCmd(t.Context(), "SET", "k", "v"), keep: time.Hour,
				done: func(c goredis.Cmder) { results <- c.Err() },
			})
			within(t, "told", func() bool { err := l.ready(); return err != nil && strings.Contains(err.Error(), code) })
			c.end(r)
			if err := <-results; err != nil && !errors.Is(err, errUnanswered) {
				t.Errorf("the command: %v", err)
			}
			within(t, "ready again", func() bool { return l.ready() == nil })
			told := 0
			for _, line := range w.logged() {
				if strings.Contains(line, code) {
					told++
				}
			}
			if told != 1 {
				t.Errorf("%q", w.logged())
			}
		})
	}
}

// A channel that Redis' ACL forbids leaves the others alone, is told, and is subscribed as soon as that is allowed.
func TestForbiddenChannel(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	r.Do("ACL", "SETUSER", "ann", "on", ">pw", "+@all", "resetchannels", "&a*")
	l, w := newTestLink(t, Options{URL: r.URL(), User: "ann", Password: "pw"}, hasty)
	l.subscribe(subChannel, "a", "b")
	confirmed := make(chan bool, 1)
	l.subscribed(subChannel, "b", func() { confirmed <- true })
	within(t, "told", func() bool { err := l.ready(); return err != nil && strings.Contains(err.Error(), "NOPERM") })
	l.publish(false, "a", []byte("1"))
	within(t, "a message", func() bool { return slices.Contains(w.heard(), "a 1") })
	l.publish(false, "b", []byte("2"))
	within(t, "refused", func() bool { return w.counted(reasonRefused) > 0 })
	select {
	case <-confirmed:
		t.Error("a refused channel was called confirmed")
	default:
	}
	r.Do("ACL", "SETUSER", "ann", "&b")
	<-confirmed
	l.publish(false, "b", []byte("3"))
	within(t, "ready", func() bool { return l.ready() == nil })
	within(t, "its message", func() bool { return slices.Contains(w.heard(), "b 3") })
}

// A node that does not take its messages quickly enough is thrown out by Redis: it comes back, and knows that there is
// a gap.
func TestOutputBufferLimit(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	r.Do("CONFIG", "SET", "client-output-buffer-limit", "pubsub 256kb 0 0")
	topo, err := newTopology(Options{URL: r.URL()})
	if err != nil {
		t.Fatal(err)
	}
	w := new(witness)
	release := make(chan struct{})
	var once sync.Once
	held := make(chan struct{})
	slow := newLink(topo, linkOptions{}, testLog(w), w.count, func(channel string, body []byte) {
		once.Do(func() { close(held); <-release })
		w.message(channel, body[:min(len(body), 4)])
	})
	t.Cleanup(slow.close)
	slow.subscribe(subChannel, "c")
	within(t, "ready", func() bool { return slow.ready() == nil })
	fast, _ := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	fast.publish(false, "c", make([]byte, 1000))
	<-held
	within(t, "Redis has thrown it out", func() bool {
		for range 50 {
			fast.publish(false, "c", make([]byte, 100_000))
		}
		return !strings.Contains(r.Do("CLIENT", "LIST", "TYPE", "pubsub"), "name=greenroom")
	})
	close(release)
	within(t, "the gap", func() bool { return w.counted(reasonGap) > 0 })
	within(t, "the flood to end", func() bool { return fast.stats().Queued == 0 })
	within(t, "ready again", func() bool { return slow.ready() == nil })
	within(t, "a message", func() bool {
		fast.publish(false, "c", []byte("last")) // the end of the flood may have thrown it out once more
		return slices.Contains(w.heard(), "c last")
	})
}

// A message that is longer than allowed is skipped, and its neighbours are not.
func TestTooBigMessage(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{maxMessage: 1000})
	l.subscribe(subChannel, "c")
	within(t, "ready", func() bool { return l.ready() == nil })
	l.publish(false, "c", []byte("1"))
	l.publish(false, "c", make([]byte, 500_000))
	l.publish(false, "c", []byte("2"))
	within(t, "both", func() bool { return slices.Equal(w.heard(), []string{"c 1", "c 2"}) })
	if w.counted(reasonTooBig) != 1 || w.counted(reasonGap) != 0 {
		t.Errorf("counted: %v", w.counts)
	}
}

// Whatever a server says that is none: the link waits longer and longer between attempts, and harms nobody.
func TestNotRedis(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing, and closes": "",
		"another protocol":    "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a huge answer":       "$500000000\r\n",
		"endless letters":     strings.Repeat("x", 1<<16),
		"loading":             strings.Repeat("-LOADING Redis is loading the dataset in memory\r\n", 10),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lis, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var came atomic.Int64
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					conn, err := lis.Accept()
					if err != nil {
						return
					}
					came.Add(1)
					wg.Go(func() {
						defer conn.Close()
						_ = conn.SetDeadline(time.Now().Add(patience))
						_, _ = conn.Read(make([]byte, 1000))
						_, _ = io.WriteString(conn, answer)
						if answer != "" {
							_, _ = io.Copy(io.Discard, conn)
						}
					})
				}
			})
			t.Cleanup(func() { _ = lis.Close(); wg.Wait() })
			l, w := newTestLink(t, Options{URL: "redis://" + lis.Addr().String(), Timeout: 200 * time.Millisecond}, linkOptions{timeout: 200 * time.Millisecond})
			l.subscribe(subChannel, "c")
			l.publish(false, "c", []byte("x"))
			begin := time.Now()
			within(t, "six attempts", func() bool { return came.Load() >= 6 })
			if err := l.ready(); err == nil {
				t.Error("it is ready")
			}
			// Three waits of each connection, at least half of 50, 100 and 200 ms, less what is under way.
			if took := time.Since(begin); took < 25*time.Millisecond {
				t.Errorf("six attempts within %v", took)
			}
			if n := len(w.logged()); n > 2 {
				t.Errorf("logged: %q", w.logged())
			}
		})
	}
}

// A link that is closed sends what waits, if Redis is there, and tells those who wait for an answer.
func TestClose(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	l, _ := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	within(t, "ready", func() bool { return l.ready() == nil })
	for i := range 5000 {
		l.enqueue(command{cmd: goredis.NewCmd(t.Context(), "RPUSH", "k", i)})
	}
	l.close()
	if n := r.Do("LLEN", "k"); n != "5000" {
		t.Errorf("%s of 5000 commands were done", n)
	}
	results := make(chan error, 2)
	done := func(c goredis.Cmder) { results <- c.Err() }
	l.enqueue(command{cmd: goredis.NewCmd(t.Context(), "PING"), done: done})
	if err := <-results; !errors.Is(err, errClosed) || !errors.Is(l.ready(), errClosed) {
		t.Errorf("after close: %v, %v", err, l.ready())
	}
	away, _ := newTestLink(t, Options{URL: "redis://" + testenv.FreeAddr(t)}, linkOptions{})
	away.enqueue(command{cmd: goredis.NewCmd(t.Context(), "PING"), keep: time.Hour, done: done})
	away.close()
	if err := <-results; !errors.Is(err, errClosed) {
		t.Errorf("closed while Redis was away: %v", err)
	}
}
