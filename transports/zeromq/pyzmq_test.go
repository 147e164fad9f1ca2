package zeromq

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/internal/guard"
)

// python starts a script of testdata. Without a Python that has pyzmq the test fails, unless
// GREENROOM_SKIP_PYZMQ=1 says that this is known.
func python(t *testing.T, script string, args ...string) *testenv.Process {
	t.Helper()
	if os.Getenv("GREENROOM_SKIP_PYZMQ") == "1" {
		t.Skip("GREENROOM_SKIP_PYZMQ is set")
	}
	return testenv.Start(t, testenv.Command{
		Path: testenv.Python(t, "zmq"), Args: append([]string{"testdata/" + script}, args...),
	})
}

// finished waits for a script's end and returns what it printed.
func finished(t *testing.T, p *testenv.Process) string {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatalf("still running: %s", p.Output())
	}
	if strings.Contains(p.Output(), "Traceback") {
		t.Fatal(p.Output())
	}
	return p.Output()
}

// stop tells a script that everything has arrived.
func stop(t *testing.T, p *testenv.Process) {
	t.Helper()
	if err := p.Stop(); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
}

// abstract numbers the abstract sockets of this process.
var abstract atomic.Int64

// endpoints to try with libzmq.
func endpoints(t *testing.T) map[string]string {
	m := map[string]string{"tcp": anyPort, "ipc": "ipc://" + t.TempDir() + "/s"}
	if runtime.GOOS == "linux" {
		m["abstract"] = fmt.Sprintf("ipc://@greenroom-test-%d-%d", os.Getpid(), abstract.Add(1))
	}
	return m
}

func TestPyzmqPush(t *testing.T) {
	for name, endpoint := range endpoints(t) {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub()
			b := listen(t, h, Options{Pull: endpoint, Principal: "feeds"})
			const n = 5000
			p := python(t, "push.py", b.Addr("pull"), fmt.Sprint(n))
			h.wait(t, "all messages", func() bool { return len(h.pubs) == 6+n })
			stop(t, p)
			for i, want := range []string{
				`/ lobby message [{"eur":4.2}]`, `/ lobby price ["42"]`, `/ lobby image ["AP8=","png"]`,
				`/ a both [1,null]`, `/ b both [1,null]`,
			} {
				p := h.pubs[i]
				args, _ := json.Marshal(p.Args)
				if got := fmt.Sprint(p.Namespace, " ", p.Room, " ", p.Event, " ", string(args)); got != want {
					t.Errorf("publication %d: %s, want %s", i, got, want)
				}
				if p.Via != "zeromq" || p.From.ID != "zeromq" || p.From.Name != "feeds" {
					t.Errorf("publication %d: via %q from %+v", i, p.Via, p.From)
				}
			}
			if big := h.pubs[5].Args[0].(string); len(big) != 300_000 {
				t.Errorf("%d bytes of 300 000", len(big))
			}
			for i := range n {
				if h.pubs[6+i].Args[0] != fmt.Sprint(i) {
					t.Fatalf("message %d is %v", i, h.pubs[6+i].Args)
				}
			}
			for reason, times := range h.counts {
				if reason != reasonNetwork { // a process that ends may reset its connection
					t.Errorf("counted %s %d times", reason, times)
				}
			}
		})
	}
}

func TestPyzmqPublisherConnectsToSub(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Sub: anyPort})
	const n = 5000
	p := python(t, "pub.py", b.Addr("sub"), fmt.Sprint(n))
	h.wait(t, "all messages", func() bool { return len(h.pubs) == n })
	stop(t, p)
	for i, p := range h.pubs {
		if p.Room != "feed" || p.Args[0] != fmt.Sprint(i) {
			t.Fatalf("message %d is %v", i, p)
		}
	}
}

// quietTime is longer than the heartbeat timeout of sub.py, which in turn is longer than a busy machine holds up
// an answer.
const quietTime = 6 * time.Second

func TestPyzmqSubscribers(t *testing.T) {
	t.Parallel() // it waits most of the time
	var all together
	defer all.Wait()
	for _, kind := range []string{"SUB", "XSUB"} {
		for name, endpoint := range endpoints(t) {
			all.run(t, name+"/"+kind, func(t *testing.T) {
				h := newFakeHub()
				b := listen(t, h, Options{Pub: endpoint})
				p := python(t, "sub.py", b.Addr("pub"), kind)
				eventually(t, "the subscription", func() bool {
					return b.egress.topics.size() == 1 && len(b.egress.topics.match(nil, "room")) == 1
				})
				h.emit(t, "other", "e", "not for you")
				var want strings.Builder
				const n = 3000
				for i := range n {
					h.emit(t, "room", "tick", i, map[string]any{"i": i})
					fmt.Fprintf(&want, "room|tick|%d|{\"i\":%d}\n", i, i)
				}
				h.emit(t, "room1", "bytes", []byte("\x00\xff"), strings.Repeat("l", 300))
				fmt.Fprintf(&want, "room1|bytes|\x00\\xff|%s\n", strings.Repeat("l", 300))
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := p.WaitOutput(ctx, "room1|bytes"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(quietTime)
				h.emit(t, "room", "end")
				want.WriteString("disconnects: 0\n")
				if got := finished(t, p); got != want.String() {
					t.Fatalf("heard %d bytes of %d: …%.200q", len(got), want.Len(), got[max(0, len(got)-200):])
				}
			})
		}
	}
}

// TestPyzmqPublishersReconnect: a bridge that ends and comes back is found again, and what comes then is in
// order, nothing twice.
func TestPyzmqPublishersReconnect(t *testing.T) {
	t.Parallel() // it waits most of the time
	for kind, name := range map[string]string{"PUSH": "pull", "PUB": "sub"} {
		t.Run(kind, func(t *testing.T) {
			o := Options{Pull: anyPort, Sub: anyPort}
			var p *testenv.Process
			last := -1
			for round := range 3 {
				h := newFakeHub()
				b := listen(t, h, o)
				if o.Pull, o.Sub = b.Addr("pull"), b.Addr("sub"); round == 0 {
					p = python(t, "steady.py", kind, b.Addr(name))
				}
				h.wait(t, "messages", func() bool { return len(h.pubs) >= 50 })
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				for _, p := range h.pubs {
					n, err := strconv.Atoi(p.Args[0].(string))
					if err != nil || n <= last {
						t.Fatalf("round %d: %q after %d", round, p.Args[0], last)
					}
					last = n
				}
				if len(h.counts) > 0 {
					t.Errorf("round %d counted %v", round, h.counts)
				}
			}
			stop(t, p)
		})
	}
}

// TestPyzmqSubscriberReconnects: it subscribes again by itself.
func TestPyzmqSubscriberReconnects(t *testing.T) {
	t.Parallel() // it waits most of the time
	o := Options{Pub: anyPort}
	var p *testenv.Process
	for round := range 3 {
		h := newFakeHub()
		b := listen(t, h, o)
		if o.Pub = b.Addr("pub"); round == 0 {
			p = python(t, "steady.py", "SUB", b.Addr("pub"))
		}
		eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 2 })
		h.emit(t, "room", "round", round)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := p.WaitOutput(ctx, fmt.Sprintf("room|round|%d\n", round)); err != nil {
			t.Fatal(err, p.Output())
		}
		cancel()
		if round == 2 {
			h.emit(t, "ctl", "end")
			finished(t, p)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if len(h.counts) > 0 {
			t.Errorf("round %d counted %v", round, h.counts)
		}
	}
}

// TestPyzmqUnsubscribes: libzmq counts how often it has subscribed, and cancels when that is undone.
func TestPyzmqUnsubscribes(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{Pub: anyPort})
	p := python(t, "steady.py", "SUB", b.Addr("pub"))
	eventually(t, "its subscriptions", func() bool { return b.egress.topics.size() == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.emit(t, "room", "e", "subscribed twice")
	h.emit(t, "ctl", "unsubscribe")
	h.emit(t, "room", "e", "cancelled once")
	if err := p.WaitOutput(ctx, "cancelled once"); err != nil {
		t.Fatal(err, p.Output())
	}
	h.emit(t, "ctl", "unsubscribe")
	eventually(t, "the cancellation", func() bool { return b.egress.topics.size() == 1 })
	h.emit(t, "room", "e", "cancelled twice")
	h.emit(t, "ctl", "end")
	if got := finished(t, p); got != "room|e|subscribed twice\nroom|e|cancelled once\n" {
		t.Errorf("heard %q", got)
	}
}

// TestPyzmqRefused: libzmq understands the ERROR command, and does not try again and again.
func TestPyzmqRefused(t *testing.T) {
	t.Parallel() // it waits most of the time
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, Pub: anyPort})
	for i, c := range []struct{ name, socketType string }{{"pull", "PUB"}, {"pull", "SUB"}, {"pub", "PUSH"}} {
		said := strings.Fields(finished(t, python(t, "refused.py", b.Addr(c.name), c.socketType)))
		if last := said[max(0, len(said)-1):]; len(last) == 0 || last[0] != "EVENT_DISCONNECTED" || strings.Count(strings.Join(said, " "), "EVENT_CONNECTED") != 1 {
			t.Errorf("a %s at %s: %q", c.socketType, c.name, said)
		}
		h.waitCount(t, guard.ReasonSocketType, i+1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts[guard.ReasonSocketType] != 3 || len(h.counts) != 1 {
		t.Errorf("counted %v", h.counts)
	}
}
