//go:build unix

package redis

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// A Redis that stands still, refuses everything, or is slow: each node serves its own clients meanwhile, says what is wrong,
// keeps no more than it may, and is one with the others again afterwards.
func TestRedisStandsStill(t *testing.T) {
	t.Parallel()
	background := func(t *testing.T, r *testenv.Redis, args ...string) {
		host, port, _ := strings.Cut(r.Addr, ":")
		cmd := exec.Command(testenv.Program(t, "redis-cli", "redis-tools"), append([]string{"-h", host, "-p", port}, args...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() }) // it is answered in the end
	}
	for name, c := range map[string]struct {
		begin func(t *testing.T, r *testenv.Redis, p *proxy)
		end   func(r *testenv.Redis, p *proxy)
		says  string // by Ready
		ready bool   // it stays so
	}{
		"a script without end": {
			begin: func(t *testing.T, r *testenv.Redis, _ *proxy) {
				r.Do("CONFIG", "SET", "busy-reply-threshold", "50")
				background(t, r, "EVAL", "while true do end", "0")
			},
			end:  func(r *testenv.Redis, _ *proxy) { r.Do("SCRIPT", "KILL") },
			says: "BUSY",
		},
		"a command that takes long": {
			begin: func(t *testing.T, r *testenv.Redis, _ *proxy) { background(t, r, "DEBUG", "SLEEP", "4") },
			end:   func(r *testenv.Redis, _ *proxy) { r.Do("PING") },
		},
		"a slow way": {
			begin: func(_ *testing.T, _ *testenv.Redis, p *proxy) { p.set(func() { p.slow = 100 * time.Millisecond }) },
			end:   func(_ *testenv.Redis, p *proxy) { p.set(func() { p.slow = 0 }) },
			ready: true,
		},
	} {
		for _, kind := range []Kind{Classic, Streams} {
			t.Run(name+", "+string(kind), func(t *testing.T) {
				t.Parallel()
				const most = 100
				r := testenv.StartRedis(t, "--enable-debug-command", "yes")
				p := newProxy(t, r.Addr)
				o := Options{URL: p.url(), Adapter: kind, QueueCommands: most, MessageAge: patience}
				if !c.ready {
					o.Timeout = hasty.timeout
				}
				a, adapter := relayNode(t, "a", o)
				o.URL = r.URL()
				b, other := relayNode(t, "b", o)
				ann, bo := relayClient(t, a, `{}`), relayClient(t, b, `{}`)
				emit := func(h *hub.Hub, what string) {
					t.Helper()
					if err := h.Of("/").To().Emit("said", what); err != nil {
						t.Fatal(err)
					}
				}
				heard := func(c *memoryClient, what string) int { return strings.Count(c.heard(), `"`+what+`"`) }
				await := func(c *memoryClient, what string) {
					t.Helper()
					within(t, what, func() bool { return heard(c, what) > 0 })
				}
				meet := func(when string) {
					t.Helper()
					for i, h := range []*hub.Hub{a, b} {
						emit(h, when+strconv.Itoa(i))
					}
					for i := range 2 {
						await(ann, when+strconv.Itoa(i))
						await(bo, when+strconv.Itoa(i))
					}
				}
				defer func() {
					if t.Failed() {
						t.Logf("counted %v and %v; %+v and %+v", a.Counters(), b.Counters(), adapter.Stats(), other.Stats())
					}
				}()
				meet("before")

				c.begin(t, r, p)
				n := 20
				if !c.ready {
					within(t, "said", func() bool {
						err := adapter.Ready()
						return err != nil && strings.Contains(err.Error(), c.says) && other.Ready() != nil
					})
					n = 10 * most
				}
				for i := range n {
					emit(a, "during"+strconv.Itoa(i))
				}
				await(ann, "during"+strconv.Itoa(n-1)) // before the fault ends
				if !c.ready {
					if q := adapter.Stats().Queued; q > most {
						t.Errorf("%d commands wait, %d may", q, most)
					}
					counted := a.Counters()
					if counted[reasonQueueFull]+counted[reasonStreamFull]+counted[reasonRefused] == 0 {
						t.Errorf("%d messages for %d places, and counted is %v", n, most, counted)
					}
				} else if err := adapter.Ready(); err != nil {
					t.Errorf("slow, and not ready: %v", err)
				}

				c.end(r, p)
				within(t, "ready, and room for more", func() bool {
					return adapter.Ready() == nil && other.Ready() == nil && adapter.Stats().Queued == 0
				})
				meet("after")
				var got []int
				for i := range n {
					if times := heard(ann, "during"+strconv.Itoa(i)); times != 1 {
						t.Errorf("message %d came %d times to its own node's client", i, times)
					}
					switch times := heard(bo, "during"+strconv.Itoa(i)); {
					case times > 1:
						t.Errorf("message %d came %d times to the other", i, times)
					case times == 1:
						got = append(got, strings.Index(bo.heard(), `"during`+strconv.Itoa(i)+`"`))
					}
				}
				if !slices.IsSorted(got) {
					t.Error("another order")
				}
				if c.ready && len(got) != n {
					t.Errorf("a slow way has cost %d of %d", n-len(got), n)
				}
			})
		}
	}
}
