//go:build unix

package redis

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/internal/testenv"
)

// Whatever a network does between a node and Redis: what is published comes once at most, in its order, each with one
// fate that is counted, and all is well again afterwards.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	for name, c := range map[string]struct {
		begin func(p *proxy)
		lossy bool
	}{
		"pieces of a byte": {begin: func(p *proxy) { p.set(func() { p.split = true }) }},
		"delay":            {begin: func(p *proxy) { p.set(func() { p.slow = 20 * time.Millisecond }) }},
		"cut":              {begin: (*proxy).cut, lossy: true},
		"stall":            {begin: func(p *proxy) { p.set(func() { p.stalled = true }) }, lossy: true},
		// The first bytes of a reply, a reply but for its last byte, one and a part of the next; in the midst of many.
		"cut after 1 byte":     {begin: func(p *proxy) { p.set(func() { p.fuse = 1 }) }, lossy: true},
		"cut after 3 bytes":    {begin: func(p *proxy) { p.set(func() { p.fuse = 3 }) }, lossy: true},
		"cut after 6 bytes":    {begin: func(p *proxy) { p.set(func() { p.fuse = 6 }) }, lossy: true},
		"cut after 1001 bytes": {begin: func(p *proxy) { p.set(func() { p.fuse = 1001 }) }, lossy: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channel := t.Name()
			p := newProxy(t, r.Addr)
			there, heardThere := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
			o := hasty
			if !c.lossy {
				o = linkOptions{timeout: patience, messageAge: patience}
			}
			here, heardHere := newTestLink(t, Options{URL: p.url(), Timeout: o.timeout}, o)
			there.subscribe(subChannel, channel)
			here.subscribe(subChannel, channel)
			within(t, "ready", func() bool { return here.ready() == nil && there.ready() == nil })
			sent := 0
			publish := func(n int) {
				for range n {
					here.publish(false, channel, fmt.Appendf(nil, "%06d", sent))
					sent++
				}
			}
			publish(100)
			c.begin(p)
			publish(400)
			if c.lossy {
				within(t, "noticed", func() bool { publish(1); return heardHere.counted(reasonReconnect) > 0 })
				publish(100)
				p.heal()
				within(t, "ready again", func() bool { return here.ready() == nil })
				publish(100)
			}
			last := fmt.Sprintf("%s %06d", channel, sent-1)
			within(t, "the last", func() bool {
				return slices.Contains(heardHere.heard(), last) && slices.Contains(heardThere.heard(), last)
			})
			fates := func() int {
				return int(here.stats().Published) + heardHere.counted(reasonTooOld) + heardHere.counted(reasonUnanswered)
			}
			within(t, "a fate for each", func() bool { return fates() == sent })
			for where, w := range map[string]*witness{"here": heardHere, "there": heardThere} {
				got := w.heard()
				if !slices.IsSorted(got) {
					t.Errorf("%s: another order", where)
				}
				if len(slices.Compact(slices.Clone(got))) != len(got) {
					t.Errorf("%s: a message came twice", where)
				}
				if !c.lossy && (len(got) != sent || w.counted(reasonReconnect)+w.counted(reasonGap) > 0) {
					t.Errorf("%s: %d of %d, %v", where, len(got), sent, w.counts)
				}
			}
			if n, taken := len(heardThere.heard()), int(here.stats().Published); n < taken || n > taken+heardHere.counted(reasonUnanswered) {
				t.Errorf("%d arrived, %d were taken, %v", n, taken, heardHere.counts)
			}
			if n := len(heardHere.logged()); c.lossy && n > 3 || !c.lossy && n > 0 {
				t.Errorf("logged: %q", heardHere.logged())
			}
		})
	}
}

// A way to Redis that is slow and never breaks does not bring messages of long ago.
func TestSlowNetworkDropsTheOld(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := newProxy(t, r.Addr)
	l, w := newTestLink(t, Options{URL: p.url(), Timeout: patience}, linkOptions{timeout: patience, messageAge: 300 * time.Millisecond})
	within(t, "ready", func() bool { return l.ready() == nil })
	p.set(func() { p.slow = 20 * time.Millisecond })
	const n = 300
	for range n {
		l.publish(false, "c", make([]byte, 100<<10)) // 19 s of them
	}
	within(t, "old messages are dropped", func() bool { return w.counted(reasonTooOld) > 0 })
	within(t, "nothing waits", func() bool {
		return int(l.stats().Published)+w.counted(reasonTooOld) == n && l.stats().QueuedBytes == 0
	})
	if w.counted(reasonReconnect) > 0 || l.ready() != nil {
		t.Errorf("%v, %v", w.counts, l.ready())
	}
}

// One node is cut off from Redis, the other is not: both serve their own clients. When the network is whole again nothing
// comes twice, and they are one cluster.
func TestNodeIsCutOff(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Classic, Sharded} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := newProxy(t, r.Addr)
			a, adapter := relayNode(t, "a", Options{URL: p.url(), Adapter: kind, Timeout: hasty.timeout, MessageAge: patience})
			b, _ := relayNode(t, "b", Options{URL: r.URL(), Adapter: kind})
			ann, bo := relayClient(t, a, `{}`), relayClient(t, b, `{}`)
			emit := func(from string) {
				t.Helper()
				h := a
				if from[0] == 'b' {
					h = b
				}
				if err := h.Of("/").To().Emit("said", from); err != nil {
					t.Fatal(err)
				}
			}
			heard := func(c *memoryClient, what string) int { return strings.Count(c.heard(), `"`+what+`"`) }
			await := func(c *memoryClient, what string) {
				t.Helper()
				within(t, what, func() bool { return heard(c, what) > 0 })
			}
			for _, from := range []string{"a before", "b before"} {
				emit(from)
				await(ann, from)
				await(bo, from)
			}
			p.cut()
			within(t, "noticed", func() bool { return adapter.Ready() != nil })
			for i := range 50 {
				emit("a cut " + strconv.Itoa(i))
				emit("b cut " + strconv.Itoa(i))
			}
			await(ann, "a cut 49")
			await(bo, "b cut 49")
			p.heal()
			within(t, "ready", func() bool { return adapter.Ready() == nil })
			for _, from := range []string{"a after", "b after"} {
				emit(from)
				await(ann, from)
				await(bo, from)
			}
			for i := range 50 {
				here, there := "a cut "+strconv.Itoa(i), "b cut "+strconv.Itoa(i)
				if heard(ann, here) != 1 || heard(bo, there) != 1 {
					t.Errorf("%s came %d times to its own clients, %s %d times", here, heard(ann, here), there, heard(bo, there))
				}
				if heard(bo, here) != 1 || heard(ann, there) != 0 { // what waits is sent, what was missed is missed
					t.Errorf("%s came %d times to the other, %s %d times", here, heard(bo, here), there, heard(ann, there))
				}
			}
			for _, from := range []string{"a before", "b before", "a after", "b after"} {
				if heard(ann, from) != 1 || heard(bo, from) != 1 {
					t.Errorf("%s came %d and %d times", from, heard(ann, from), heard(bo, from))
				}
			}
		})
	}
}

// A Redis that has too many clients says so, once, and takes us when others have left.
func TestTooManyClients(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t, "--maxclients", "2")
	var others []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", r.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "+PONG\r\n" {
			t.Fatal(line, err)
		}
		others = append(others, conn)
	}
	l, w := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
	l.subscribe(subChannel, "c")
	within(t, "told", func() bool {
		err := l.ready()
		return err != nil && strings.Contains(err.Error(), "max number of clients")
	})
	for _, conn := range others {
		_ = conn.Close()
	}
	within(t, "ready", func() bool { return l.ready() == nil })
	exchange(t, l, w, false, "c")
	said := 0
	for _, line := range w.logged() {
		if strings.Contains(line, "max number of clients") {
			said++
		}
	}
	if said != 1 || len(w.logged()) > 3 {
		t.Errorf("logged: %q", w.logged())
	}
}

// A link can be closed whatever it is waiting for.
func TestCloseWhileConnecting(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"plain": {URL: "redis://"}, "TLS": {URL: "rediss://", TLS: new(tls.Config)}, "Cluster with TLS": {URL: "rediss+cluster://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lis, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			came := make(chan bool, 100)
			wg.Go(func() {
				for {
					conn, err := lis.Accept()
					if err != nil {
						return
					}
					wg.Go(func() {
						defer conn.Close()
						if n, _ := conn.Read(make([]byte, 1)); n == 1 {
							came <- true
						}
						_, _ = io.Copy(io.Discard, conn)
					})
				}
			})
			o.URL += lis.Addr().String()
			o.Timeout = time.Hour
			topo, err := newTopology(o)
			if err != nil {
				t.Fatal(err)
			}
			w := new(witness)
			l := newLink(topo, linkOptions{timeout: time.Hour}, testLog(w), w.count, w.message)
			l.publish(false, "c", []byte("x"))
			<-came
			<-came
			l.close() // ends before the test's time does, or goroutines are found
			_ = lis.Close()
			wg.Wait()
			if w.counted(reasonClosed) != 1 {
				t.Errorf("%v", w.counts)
			}
		})
	}
}

// While a slot moves, commands about its keys are done where these are.
func TestSlotMovesWithKeys(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t, 2, false)
	l, w := newTestLink(t, Options{URL: c.URL()}, linkOptions{})
	results := make(chan goredis.Cmder, 100)
	do := func(words ...any) error {
		l.enqueue(command{cmd: goredis.NewCmd(t.Context(), words...), key: words[1].(string), done: func(c goredis.Cmder) { results <- c }})
		return (<-results).Err()
	}
	within(t, "it knows the owners", func() bool { return l.topo.owner("{k}old") != "" })
	if err := do("RPUSH", "{k}old", "1"); err != nil {
		t.Fatal(err)
	}
	slot := slotOf("k")
	from, to := c.Masters[0], c.Masters[1]
	if c.Owner(from, slot) != from.Addr {
		from, to = to, from
	}
	s := strconv.Itoa(slot)
	to.Do("CLUSTER", "SETSLOT", s, "IMPORTING", c.ID(from))
	from.Do("CLUSTER", "SETSLOT", s, "MIGRATING", c.ID(to))
	for i := range 20 { // the old key is where it was, the new one is with the new owner
		if err := do("RPUSH", "{k}old", i); err != nil {
			t.Error(err)
		}
		if err := do("RPUSH", "{k}new", i); err != nil {
			t.Error(err)
		}
	}
	host, port, _ := net.SplitHostPort(to.Addr)
	from.Do("MIGRATE", host, port, "{k}old", "0", "5000")
	if err := do("RPUSH", "{k}old", "last"); err != nil {
		t.Error(err)
	}
	to.Do("CLUSTER", "SETSLOT", s, "NODE", c.ID(to))
	from.Do("CLUSTER", "SETSLOT", s, "NODE", c.ID(to))
	if err := do("RPUSH", "{k}new", "last"); err != nil {
		t.Error(err)
	}
	if old, added := to.Do("LLEN", "{k}old"), to.Do("LLEN", "{k}new"); old != "22" || added != "21" {
		t.Errorf("%s and %s were done", old, added)
	}
	if err := l.ready(); err != nil || w.counted(reasonRefused) > 0 {
		t.Errorf("%v, %v", err, w.counts)
	}
}

// A node of a Cluster may know no address of its own, and leave it out.
func TestMovedWithoutAHost(t *testing.T) {
	topo := newCluster(&goredis.ClusterOptions{Addrs: []string{"192.0.2.1:6379"}}, func() {})
	defer topo.close()
	for said, want := range map[string]string{":6381": "192.0.2.1:6381", "192.0.2.7:1": "192.0.2.7:1", "?:2": "192.0.2.1:2"} {
		if got := topo.from("", said); got != want {
			t.Errorf("%s is %s, want %s", said, got, want)
		}
	}
}
