//go:build unix

package losscheck

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"greenroom/internal/testenv"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// setup is a cluster, and who uses it.
type setup struct {
	adapter    string
	promise    Promise
	args       []string // of the nodes
	js         bool     // one more node, of Node.js
	clients    int
	publishers int
	askers     int
	every      time.Duration // of each publisher
}

// goNodes is how many nodes of Greenroom there are. A Node.js node is the next.
const goNodes = 3

// rooms is how many there are. A client is in two of them.
const rooms = 6

// cluster is real processes: nodes, each behind a proxy of its own to the one Redis.
type cluster struct {
	setup
	t       testing.TB
	seed    uint64
	program string
	redis   *testenv.Redis
	store   *goredis.Client
	proxies []*Proxy
	addrs   []string
	control []string
	procs   []*testenv.Process
	mu      sync.Mutex
	peer    *testenv.Peer // guarded by mu; nil while it is away

	nodes     *Nodes
	ledger    *Ledger
	listeners []*Listener
	senders   []sender
	foreign   int    // the publisher at the Node.js node
	quiet     func() // has publishers end
	read      string // of the stream, so far
}

// sender publishes.
type sender interface {
	Run(ctx, quiet context.Context)
	Running() bool
	In() bool
	Wait()
}

// patient bounds each wait. Nothing is decided by its length.
const patient = 2 * time.Minute

func start(t testing.TB, s setup, seed uint64) *cluster {
	t.Helper()
	n := goNodes
	if s.js {
		n++
	}
	c := &cluster{setup: s, t: t, seed: seed, nodes: NewNodes(n), ledger: new(Ledger), read: "0-0"}
	var flags []string
	if os.Getenv("LOSSCHECK_RACE") != "" {
		flags = []string{"-race"}
	}
	c.program = testenv.Build(t, "greenroom/cmd/greenroom", flags...)
	c.redis = testenv.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	c.store = goredis.NewClient(&goredis.Options{Addr: c.redis.Addr})
	t.Cleanup(func() { _ = c.store.Close() })
	c.procs = make([]*testenv.Process, goNodes)
	for range goNodes {
		p, err := NewProxy(c.redis.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		c.proxies = append(c.proxies, p)
		c.addrs = append(c.addrs, testenv.FreeAddr(t))
		c.control = append(c.control, testenv.FreeAddr(t))
	}
	for i := range n {
		c.up(i)
	}
	c.people()
	return c
}

// up starts a node, and has clients come when it is ready.
func (c *cluster) up(i int) {
	c.t.Helper()
	if i == goNodes {
		// Without a proxy: it is never cut off.
		p := testenv.NewPeer(c.t)
		p.Serve(testenv.PeerNode{Redis: c.redis.URL(), Adapter: c.adapter})
		c.mu.Lock()
		c.peer = p
		c.mu.Unlock()
		c.nodes.Up(i, strings.TrimPrefix(p.URL, "http://"))
		return
	}
	url := "redis://" + c.proxies[i].Addr
	args := []string{
		"--listen", c.addrs[i], "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "tcp://" + c.control[i], "--zmq-workers", "off", "--loops", "1",
		"--node", fmt.Sprintf("node-%d", i), "--redis", url, "--redis-adapter", c.adapter,
	}
	c.procs[i] = testenv.Start(c.t, testenv.Command{
		Path: c.program, Args: append(args, c.args...), Ready: testenv.ReadyHTTP("http://" + c.addrs[i] + "/readyz"),
	})
	c.nodes.Up(i, c.addrs[i])
}

// down ends a node.
func (c *cluster) down(i int, sig syscall.Signal) {
	c.nodes.Down(i)
	switch {
	case i == goNodes:
		c.mu.Lock()
		p := c.peer
		c.peer = nil
		c.mu.Unlock()
		if sig == syscall.SIGKILL {
			p.Kill()
		} else {
			p.Stop()
		}
	case sig == syscall.SIGKILL:
		c.procs[i].Kill()
	default:
		if err := c.procs[i].Stop(); err != nil {
			c.t.Errorf("node %d did not end as it should: %v\n%s", i, err, c.procs[i].Output())
		}
	}
}

// people has publishers and clients come, and go when the test ends.
func (c *cluster) people() {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	c.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	quiet, hush := context.WithCancel(ctx)
	c.quiet = hush
	for i := range c.publishers {
		p := NewPublisher(c.ledger, c.nodes, c.seed, i%rooms, c.every, func(node int) bool { return node < goNodes })
		c.senders = append(c.senders, p)
	}
	for i := range c.askers {
		c.senders = append(c.senders, NewAsker(c.ledger, c.nodes, c.seed, i%rooms, c.every, func(node int) (string, bool) {
			if node >= goNodes {
				return "", false
			}
			return c.control[node], true
		}))
	}
	if c.js {
		c.foreign = c.ledger.Publisher(0)
		all.Go(func() { c.publishThere(quiet) })
	}
	for i := range c.clients {
		l := NewListener(c.ledger, c.nodes, c.seed, i%rooms, (i+1+i/rooms%(rooms-1))%rooms)
		c.listeners = append(c.listeners, l)
		all.Go(func() { l.Run(ctx) })
	}
	c.await("all clients in their rooms", c.allIn)
	for _, p := range c.senders {
		all.Go(func() { p.Run(ctx, quiet) })
	}
}

// publishThere publishes at the Node.js node.
func (c *cluster) publishThere(ctx context.Context) {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	n := 0
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		p := c.peer
		c.mu.Unlock()
		if p == nil {
			continue
		}
		n++
		c.ledger.Sending(c.foreign, n, goNodes)
		if _, err := p.Try(`io.to(args[0]).emit("m", {p: args[1], n: args[2]})`, roomName(0), c.foreign, n); err == nil {
			c.ledger.Acked(c.foreign, n, goNodes)
		}
	}
}

// await waits until cond holds: other processes can only be asked.
func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patient); !cond(); {
		for i, p := range c.procs {
			if p != nil {
				c.alive(i, p)
			}
		}
		if time.Now().After(end) {
			c.t.Fatalf("waited in vain for %s\nso far: %v\n%s", what, c.ledger.Judge(c.promise, c.ledger.Sent()), c.tell())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// alive looks whether a node has ended by itself.
func (c *cluster) alive(i int, p *testenv.Process) {
	c.t.Helper()
	select {
	case <-p.Done():
		c.t.Fatalf("node %d has ended\n%s", i, p.Output())
	default:
		if strings.Contains(p.Output(), "DATA RACE") {
			c.t.Fatalf("node %d: %s", i, p.Output())
		}
	}
}

func (c *cluster) allIn() bool {
	for _, l := range c.listeners {
		if !l.In() {
			return false
		}
	}
	for _, p := range c.senders {
		if p.Running() && !p.In() {
			return false
		}
	}
	return true
}

func (c *cluster) ready() bool {
	for _, addr := range c.addrs {
		if body, code := get("http://" + addr + "/readyz"); code != http.StatusOK {
			_ = body
			return false
		}
	}
	if c.js {
		c.mu.Lock()
		p := c.peer
		c.mu.Unlock()
		if _, err := p.Try(`await ready()`); err != nil {
			c.t.Logf("the Node.js node: %v", err)
			return false
		}
	}
	return true
}

func get(url string) (body string, code int) {
	res, err := http.Get(url)
	if err != nil {
		return err.Error(), 0
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b), res.StatusCode
}

// dropped is what the nodes have counted of what Redis, or the way there, has cost.
func (c *cluster) dropped() (n int, all string) {
	for i, addr := range c.addrs {
		body, _ := get("http://" + addr + "/metrics")
		lines := bufio.NewScanner(strings.NewReader(body))
		for lines.Scan() {
			rest, ok := strings.CutPrefix(lines.Text(), `greenroom_events_total{reason="`)
			reason, value, _ := strings.Cut(rest, `"} `)
			if !ok {
				continue
			}
			all += fmt.Sprintf(" %d:%s=%s", i, reason, value)
			switch reason {
			case "redis_too_old", "redis_queue_full", "redis_unanswered", "redis_refused", "redis_gap", "redis_stream_gap", "redis_stream_full":
				f, _ := strconv.ParseFloat(value, 64)
				n += int(f)
			}
		}
	}
	return n, all
}

func (c *cluster) tell() string {
	var b strings.Builder
	_, counters := c.dropped()
	fmt.Fprintf(&b, "counters:%s\n", counters)
	for i, p := range c.procs {
		out := p.Output()
		fmt.Fprintf(&b, "node %d: …%s\n", i, out[max(0, len(out)-2000):])
	}
	return b.String()
}

// settled waits until some more was sent, and all clients have what was sent so far, which it returns.
func (c *cluster) settled() (mark []int) {
	c.t.Helper()
	return c.have(c.more())
}

// more waits until every publisher has sent some more messages: what comes between two faults is judged strictly.
func (c *cluster) more() []int {
	c.t.Helper()
	before := c.ledger.Sent()
	c.await("publishers to go on", func() bool {
		for i, n := range c.ledger.Sent() {
			if n < before[i]+3 {
				return false
			}
		}
		return true
	})
	return c.ledger.Sent()
}

// have waits until all clients have what was sent up to mark, or a little less, which it returns.
func (c *cluster) have(mark []int) (got []int) {
	c.t.Helper()
	c.await("clients to get what was sent", func() bool {
		behind, _, _, have := c.ledger.Behind(mark)
		got = have
		return behind == 0
	})
	return got
}

// saved waits until what a kill would need is in Redis: the rooms of each client.
func (c *cluster) saved() {
	c.t.Helper()
	if c.promise != Streams {
		return
	}
	c.await("all sessions to be saved", func() bool {
		keys := make([]string, len(c.listeners))
		for i, l := range c.listeners {
			keys[i] = "sio:session:" + l.Session()
		}
		list, err := c.store.MGet(context.Background(), keys...).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		for i, v := range list {
			text, _ := v.(string)
			b, _ := base64.StdEncoding.DecodeString(text)
			for _, r := range c.listeners[i].rooms {
				if !strings.Contains(string(b), roomName(r)) {
					return false
				}
			}
		}
		return true
	})
}

var inStream = regexp.MustCompile(`"m",\{"n":(\d+),"p":(\d+)\}`)

// follow reads what is new in the stream.
func (c *cluster) follow() {
	c.t.Helper()
	if c.promise != Streams {
		return
	}
	for {
		page, err := c.store.XRangeN(context.Background(), "socket.io", "("+c.read, "+", 1000).Result()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, m := range page {
			c.read = m.ID
			text, _ := m.Values["data"].(string)
			if found := inStream.FindStringSubmatch(text); found != nil {
				n, _ := strconv.Atoi(found[1])
				p, _ := strconv.Atoi(found[2])
				c.ledger.Stream(p, n)
			}
		}
		if len(page) < 1000 {
			return
		}
	}
}

// step has one thing fail, and waits until everything is well again.
func (c *cluster) step(s Step) {
	c.t.Helper()
	began := time.Now()
	mark := c.settled()
	c.saved()
	c.follow()
	before, _ := c.dropped()
	c.ledger.Begin(s, mark)
	switch s.Fault {
	case Kill, Term:
		c.down(s.Node, map[Fault]syscall.Signal{Kill: syscall.SIGKILL, Term: syscall.SIGTERM}[s.Fault])
		time.Sleep(s.For)
		c.up(s.Node)
	case Roll:
		for i := range goNodes {
			c.down(i, syscall.SIGTERM)
			c.up(i)
			c.await("clients to come back", c.allIn)
			c.saved()
		}
	case Cut:
		for i, l := range c.listeners {
			if i%goNodes == s.Node%goNodes {
				l.Break()
			}
		}
		time.Sleep(s.For)
	case Hang:
		if err := c.procs[s.Node].Signal(syscall.SIGSTOP); err != nil {
			c.t.Fatal(err)
		}
		time.Sleep(s.For)
		if err := c.procs[s.Node].Signal(syscall.SIGCONT); err != nil {
			c.t.Fatal(err)
		}
	case Freeze:
		c.redis.Freeze()
		time.Sleep(s.For)
		c.goesOn(mark, func(int) bool { return true })
		c.redis.Thaw()
	case Restart, Empty:
		c.redis.Kill()
		time.Sleep(s.For)
		c.goesOn(mark, func(int) bool { return true })
		if s.Fault == Empty {
			if err := os.RemoveAll(filepath.Join(c.redis.Dir, "appendonlydir")); err != nil {
				c.t.Fatal(err)
			}
			for i, l := range c.listeners { // who has to do without what Redis knew
				if i%3 == 0 {
					l.Break()
				}
			}
		}
		c.redis.Restart()
	case Wander, Crash:
		c.proxies[s.Node].Hold()
		time.Sleep(s.For)
		if s.Fault == Crash {
			c.down(s.Node, syscall.SIGKILL)
		} else {
			for _, l := range c.listeners {
				if l.At() == s.Node {
					l.Break()
				}
			}
		}
		time.Sleep(s.For)
		c.proxies[s.Node].Pass()
		if s.Fault == Crash {
			c.up(s.Node)
		}
	case Dark:
		c.redis.Freeze()
		time.Sleep(s.For)
		c.down(s.Node, syscall.SIGKILL)
		time.Sleep(s.For)
		c.redis.Thaw()
		c.up(s.Node)
	case Split:
		c.proxies[s.Node].Hold()
		time.Sleep(s.For)
		c.goesOn(mark, func(node int) bool { return node == s.Node })
		c.proxies[s.Node].Pass()
	}
	c.await("all nodes to be ready", c.ready)
	c.await("clients to come back", c.allIn)
	counted := 0
	if after, _ := c.dropped(); after > before {
		counted = after - before
	}
	c.ledger.End(counted)
	c.t.Logf("%v: %v, counted %d", s, time.Since(began).Round(time.Millisecond), counted)
}

// goesOn waits until clients of nodes without Redis have what was published at their own node since: that must not wait for
// Redis. A Node.js node is none of those.
func (c *cluster) goesOn(mark []int, away func(node int) bool) {
	c.t.Helper()
	upto, last := c.ledger.Sent(), 0
	c.await("local deliveries while Redis is away", func() bool {
		want, got := c.ledger.Local(mark, upto, func(node int) bool { return node < goNodes && away(node) })
		last = got
		return got == want
	})
	c.ledger.Delivered(last)
}

// finish has publishers end, and judges.
func (c *cluster) finish() *Verdict {
	c.t.Helper()
	c.more()
	c.quiet()
	for _, p := range c.senders {
		p.Wait()
	}
	mark := c.ledger.Sent()
	c.have(mark)
	c.follow()
	return c.ledger.Judge(c.promise, mark)
}

// check runs a plan against a cluster: a few rounds of faults, or as many as there is time for.
func check(t *testing.T, s setup, longest time.Duration, faults ...Fault) {
	t.Parallel() // they wait most of the time
	seed, rounds := seedOf(t), 1
	minutes := soak(t)
	if minutes > 0 {
		rounds, longest = 1000, 12*time.Second
	}
	n := goNodes
	if s.js {
		n++
	}
	plan := Plan(seed, rounds, n, longest, faults...)
	t.Logf("LOSSCHECK_SEED=%d: %s", seed, Describe(plan[:min(len(plan), 20)]))
	end := time.Now().Add(minutes)
	c := start(t, s, seed)
	for _, step := range plan {
		if step.Fault == Split || step.Fault == Hang {
			step.Node %= goNodes
		}
		if minutes > 0 && time.Now().After(end) {
			break
		}
		c.step(step)
	}
	v := c.finish()
	_, counters := c.dropped()
	t.Logf("%v\ncounters:%s", v, counters)
	if !v.OK() || v.Expected == 0 {
		t.Errorf("the promise is broken, with LOSSCHECK_SEED=%d\n%s", seed, c.tell())
	}
}

// soak is how long each test goes on, 0 for a short run.
func soak(t *testing.T) time.Duration {
	text := os.Getenv("LOSSCHECK_MINUTES")
	if text == "" {
		return 0
	}
	minutes, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("LOSSCHECK_MINUTES: %v", err)
	}
	return time.Duration(minutes * float64(time.Minute))
}

func seedOf(t *testing.T) uint64 {
	text := os.Getenv("LOSSCHECK_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano() % 1e6)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("LOSSCHECK_SEED: %v", err)
	}
	return seed
}
