//go:build unix

package redis

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// streamsPair is two nodes with recovery, a client on each, called a and b, and one that moves from a to b, called c.
type streamsPair struct {
	t     *testing.T
	nodes [2]*goNode
	js    *testenv.Peer
	front *front
	mu    sync.Mutex
	said  [2]int // by node
}

func newStreamsPair(t *testing.T, o Options) *streamsPair {
	t.Helper()
	o.Adapter = Streams
	p := &streamsPair{t: t, js: testenv.NewPeer(t)}
	for i, name := range []string{"a", "b"} {
		p.nodes[i] = newGoNodeWith(t, o, hub.Options{Node: name, Recovery: &hub.Recovery{}})
		p.js.Client(quickClient(name, p.nodes[i].url))
	}
	p.front = newFront(t, p.nodes[0].url)
	p.js.Client(quickClient("c", p.front.url))
	return p
}

// say has both nodes send so many messages each.
func (p *streamsPair) say(many int) {
	p.t.Helper()
	for range many {
		for i, n := range p.nodes {
			p.mu.Lock()
			k := p.said[i]
			p.said[i]++
			p.mu.Unlock()
			emit(p.t, n.hub.To("r"), "n", k, i)
		}
	}
}

// heard is what a client has got, by the node that has said it.
func (p *streamsPair) heard(client string) (by [2][]int, all []string) {
	p.t.Helper()
	for _, text := range p.js.Heard(client) {
		var ev []json.RawMessage
		if err := json.Unmarshal([]byte(text), &ev); err != nil || len(ev) < 3 || string(ev[0]) != `"n"` {
			continue
		}
		var n, from int
		if json.Unmarshal(ev[1], &n) != nil || json.Unmarshal(ev[2], &from) != nil || from > 1 {
			p.t.Fatal(text)
		}
		by[from] = append(by[from], n)
		all = append(all, fmt.Sprint(from, "-", n))
	}
	return by, all
}

// hears waits until a client has got the newest messages of both nodes.
func (p *streamsPair) hears(client string) {
	p.t.Helper()
	p.js.Wait(fmt.Sprint(client, " to hear ", p.said), func() bool {
		by, _ := p.heard(client)
		for i := range by {
			if len(by[i]) == 0 || by[i][len(by[i])-1] != p.said[i]-1 {
				return false
			}
		}
		return true
	})
}

// ordered reports how many messages a client has not got, and fails when some came twice, or before earlier ones of the same
// node.
func (p *streamsPair) ordered(client string) (missing int) {
	p.t.Helper()
	by, _ := p.heard(client)
	for i := range by {
		if unique := slices.Compact(slices.Sorted(slices.Values(by[i]))); len(unique) != len(by[i]) || !slices.IsSorted(by[i]) {
			p.t.Errorf("%s got of node %d in disorder, or twice: %v", client, i, by[i])
		}
		missing += p.said[i] - len(by[i])
	}
	return missing
}

// agreed waits for messages that a and b get in the same order.
func (p *streamsPair) agreed() {
	p.t.Helper()
	within(p.t, "one order again", func() bool {
		n := [2]int{}
		for i, c := range []string{"a", "b"} {
			_, all := p.heard(c)
			n[i] = len(all)
		}
		p.say(20)
		p.hears("a")
		p.hears("b")
		_, a := p.heard("a")
		_, b := p.heard("b")
		return slices.Equal(a[n[0]:], b[n[1]:])
	})
}

func (p *streamsPair) counted(reason string) (n uint64) {
	for _, node := range p.nodes {
		n += node.hub.Counters()[reason]
	}
	return n
}

// parted ends the connection of c, which finds nobody until [streamsPair.returned].
func (p *streamsPair) parted() {
	p.front.to("http://127.0.0.1:1")
	p.front.cut()
	p.js.Wait("c to notice", func() bool { s := p.js.States("c"); return s[len(s)-1].State != "connect" })
}

// returned lets c come back to b, and reports whether it has its session.
func (p *streamsPair) returned() bool {
	p.t.Helper()
	before := connects(p.js.States("c"))
	p.front.to(p.nodes[1].url)
	p.js.Wait("c to be back", func() bool { return connects(p.js.States("c")) > before })
	states := p.js.States("c")
	return states[len(states)-1].Recovered
}

// When the master of a stream dies, or hangs, the replica has it. What it had not received its sender adds again, unless
// that has read it back already; own clients have it in any case; and a client that went away before comes back to
// another node after.
func TestStreamsFailover(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testenv.RedisSentinel){
		"killed": func(s *testenv.RedisSentinel) { s.Master.Kill() },
		"frozen": func(s *testenv.RedisSentinel) { s.Master.Freeze() },
		"asked":  func(s *testenv.RedisSentinel) { s.Failover() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.StartRedisSentinel(t)
			p := newStreamsPair(t, Options{URL: s.URL(), Timeout: time.Second})
			p.say(20)
			for _, c := range []string{"a", "b", "c"} {
				p.hears(c)
			}
			within(t, "the session to be saved, there too", func() bool {
				return len(strings.Fields(s.Replica.Do("KEYS", "sio:session:*"))) == 3 &&
					s.Replica.Do("XLEN", "socket.io") == s.Master.Do("XLEN", "socket.io")
			})
			p.parted()
			end := slowly(func(int) { p.say(1) })
			within(t, "some messages", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.said[0] > 40 })
			fail(s)
			within(t, "a new master", func() bool {
				out, _ := s.Replica.Try("INFO", "replication")
				return strings.Contains(out, "role:master")
			})
			for _, n := range p.nodes {
				n.waitReady(t)
			}
			end()
			recovered := p.returned()
			p.agreed()
			p.hears("c")
			if n := p.ordered("a") + p.ordered("b") + p.ordered("c"); n > 0 || !recovered {
				t.Logf("%d are missing, c is recovered: %v", n, recovered)
				if p.counted(reasonStreamGap) == 0 {
					t.Errorf("%d are missing, c is recovered: %v, and nobody has noticed: %v", n, recovered, p.nodes[1].hub.Counters())
				}
			}
			for i, c := range []string{"a", "b"} { // own messages come whatever happens
				by, _ := p.heard(c)
				if !slices.Equal(by[i], counted(p.said[i])) {
					t.Errorf("%s got %d of the %d messages of its own node", c, len(by[i]), p.said[i])
				}
			}
			if n := p.counted(reasonStreamBad) + p.counted(reasonBadSession); n > 0 {
				t.Error("something was not understood")
			}
		})
	}
}

// A Redis that is killed and comes back with all that it has answered has lost nothing: places go on, nobody misses anything
// or gets it twice, sessions are taken over. One that comes back with less is a gap: whoever has missed something knows it.
func TestStreamsRedisRestartsFromDisk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		less bool
	}{
		"append-only file": {args: []string{"--appendonly", "yes", "--appendfsync", "everysec"}},
		"snapshot":         {less: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t, c.args...)
			p := newStreamsPair(t, Options{URL: r.URL(), Timeout: time.Second})
			hearing := func(clients ...string) {
				t.Helper()
				for _, c := range clients {
					p.hears(c)
				}
			}
			p.say(20)
			hearing("a", "b", "c")
			within(t, "the sessions to be saved", func() bool { return len(strings.Fields(r.Do("KEYS", "sio:session:*"))) == 3 })
			p.parted()
			r.Do("SAVE") // which the append-only file goes beyond
			p.say(20)
			hearing("a", "b")
			within(t, "all to be in the stream", func() bool { return r.Do("XLEN", "socket.io") == "80" })
			newest := func() hub.Place {
				id, _, _ := strings.Cut(r.Do("XREVRANGE", "socket.io", "+", "-", "COUNT", "1"), "\n")
				place, ok := hub.ParsePlace(id)
				if !ok {
					t.Fatalf("no place: %q", id)
				}
				return place
			}
			last := newest()
			r.Kill()
			p.say(20)
			for i, c := range []string{"a", "b"} {
				p.js.Wait(c+" to hear its own node", func() bool { by, _ := p.heard(c); return len(by[i]) == p.said[i] })
			}
			r.Restart()
			hearing("a", "b")
			for _, n := range p.nodes {
				n.waitReady(t)
			}
			if now := newest(); now.Compare(last) <= 0 {
				t.Errorf("the newest place is %v, and was %v", now, last)
			}
			recovered := p.returned()
			p.agreed()
			hearing("c")
			if n := p.ordered("a") + p.ordered("b"); n > 0 {
				t.Errorf("%d are missing", n)
			}
			missing, gaps := p.ordered("c"), p.counted(reasonStreamGap)
			switch {
			case !c.less && (missing > 0 || gaps > 0 || !recovered):
				t.Errorf("c misses %d, recovered: %v; %d gaps; counted %v", missing, recovered, gaps, p.nodes[1].hub.Counters())
			case c.less && (gaps != 2 || recovered):
				t.Errorf("c misses %d, recovered: %v; %d gaps; counted %v", missing, recovered, gaps, p.nodes[1].hub.Counters())
			}
			if n := p.counted(reasonStreamDouble) + p.counted(reasonStreamMissing); n > 0 && !c.less {
				t.Errorf("%d doubles or missing", n)
			}
		})
	}
}

// Whatever has become of the stream while a node did not read it, what is lost is known, and what is not is not.
func TestStreamsNoticeWhatIsLost(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	add := func(n int) {
		for range n {
			r.Do("XADD", "socket.io", "*", "nsp", "/", "type", "200")
		}
	}
	for _, c := range []struct {
		name      string
		meanwhile func()
		lost      bool
		later     func() // loses more, before anything is read
		then      int    // so many entries are read
	}{
		{name: "nothing happens", meanwhile: func() {}},
		{name: "entries come", meanwhile: func() { add(3) }, then: 3},
		{name: "trimmed up to what was read", meanwhile: func() { add(2); r.Do("XTRIM", "socket.io", "MAXLEN", "2") }, then: 2},
		{name: "trimmed beyond", meanwhile: func() { add(3); r.Do("XTRIM", "socket.io", "MAXLEN", "2") }, lost: true, then: 2},
		{name: "trimmed wholly", meanwhile: func() { add(3); r.Do("XTRIM", "socket.io", "MAXLEN", "0") }, lost: true},
		{name: "emptied", meanwhile: func() { r.Do("FLUSHALL") }, lost: true},
		{name: "emptied, and filled by others", meanwhile: func() { r.Do("FLUSHALL"); add(9) }, lost: true, then: 9},
		{name: "the end is lost", meanwhile: func() { r.Do("XDEL", "socket.io", lastID(r)); r.Do("XSETID", "socket.io", lastID(r)) }, lost: true},
		{
			name: "the end is lost, and others have come", lost: true, then: 4,
			meanwhile: func() { r.Do("XDEL", "socket.io", lastID(r)); add(4) },
		},
		{
			name: "the end is lost, and then trimmed beyond", lost: true, then: 2,
			meanwhile: func() { r.Do("XDEL", "socket.io", lastID(r)); add(4) },
			later:     func() { r.Do("XTRIM", "socket.io", "MAXLEN", "2") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.Do("DEL", "socket.io")
			add(5)
			l, _ := newTestLink(t, Options{URL: r.URL()}, linkOptions{})
			s := newStreams(Options{Prefix: "socket.io"})
			defer s.cancel()
			s.l, s.a = l, &Adapter{opts: Options{StreamBlock: time.Millisecond}}
			client := s.client(s.ctx, "")
			defer client.Close()
			d := &reader{s: s, conn: client.Conn()}
			defer d.conn.Close()
			look := func() (b batchRead) {
				if err := d.look(); err != nil {
					t.Fatal(err)
				}
				select {
				case b = <-s.batches:
				default:
				}
				return b
			}
			read := func(n int) {
				t.Helper()
				done := make(chan struct{})
				go func() { defer close(done); _ = d.readOn() }() // until the driver ends, or somebody looks
				for n > 0 {
					n -= len((<-s.batches).entries)
				}
				s.cancel()
				<-done
				if n < 0 {
					t.Errorf("%d entries too many", -n)
				}
			}
			if b := look(); !b.begin {
				t.Fatalf("%+v", b)
			}
			add(2)
			list, err := d.conn.XRange(t.Context(), "socket.io", d.last.Next().String(), "+").Result()
			if err != nil || len(list) != 2 {
				t.Fatal(list, err)
			}
			d.last, d.entry, d.added = readStreamEntry(&list[1]).place, true, d.added+2
			c.meanwhile()
			if b := look(); b.lost != c.lost {
				t.Errorf("lost: %v, want %v", b.lost, c.lost)
			}
			if b := look(); b.lost {
				t.Error("it is lost twice")
			}
			if c.later != nil {
				c.later()
				if b := look(); !b.lost {
					t.Error("what was lost later is not known")
				}
			}
			read(c.then)
		})
	}
}

func lastID(r *testenv.Redis) string {
	id, _, _ := strings.Cut(r.Do("XREVRANGE", "socket.io", "+", "-", "COUNT", "1"), "\n")
	return id
}
