package socketio

import (
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/engineio"
)

// quietHandler is what the sessions of these tests run.
func quietHandler(s *hub.Session) error {
	var room string
	for ev := range s.Events() {
		if ev.Match("join", &room) {
			ev.Ack(s.Join(room) == nil)
		}
	}
	return nil
}

// memoryClient is the client's end of a session in memory. It connects to a namespace and then counts what comes.
type memoryClient struct {
	crowd     *memoryCrowd
	connected bool
}

// memoryCrowd are the clients of a server, all in memory.
type memoryCrowd struct {
	f         *fixture
	r         *http.Request
	connected atomic.Int64
	heard     atomic.Int64
}

// The client's frames are masked with zeros.
var (
	connectFrame = []byte{0x81, 0x82, 0, 0, 0, 0, '4', '0'}
	openedPrefix = []byte("0{")
)

// OnRead implements [coop.StreamHandler]. The frames of these tests are short, and arrive whole.
func (c *memoryClient) OnRead(s *coop.Stream, p []byte) {
	for len(p) >= 2 {
		head, n := 2, int(p[1])
		if n == 126 {
			head, n = 4, int(p[2])<<8|int(p[3])
		}
		text := p[head : head+n]
		p = p[head+n:]
		switch {
		case text[0] == openedPrefix[0]:
			s.Write(connectFrame)
		case !c.connected:
			c.connected = true
			c.crowd.connected.Add(1)
		default:
			c.crowd.heard.Add(1)
		}
	}
}

// OnWritable implements [coop.StreamHandler].
func (c *memoryClient) OnWritable(*coop.Stream) {}

// OnClose implements [coop.StreamHandler].
func (c *memoryClient) OnClose(*coop.Stream, error) {}

func newMemoryCrowd(t testing.TB) *memoryCrowd { return newMemoryCrowdOf(t, quietHandler) }

func newMemoryCrowdOf(t testing.TB, handler any) *memoryCrowd {
	t.Helper()
	f := serve(t, settings{hub: hub.Options{MaxRooms: -1}, server: Options{Engine: engineio.Options{PingInterval: noPings, MaxSessions: 1 << 20, MaxPending: 1 << 20}}})
	f.handle(t, "/", handler)
	r, err := http.NewRequest("GET", "/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI = r.URL.RequestURI()
	return &memoryCrowd{f: f, r: r}
}

// grow connects more clients until there are n.
func (c *memoryCrowd) grow(t testing.TB, n int) {
	t.Helper()
	loops := c.f.hub.Loops().All()
	for i := int(c.connected.Load()); i < n; i++ {
		l := loops[i%len(loops)]
		err := c.f.sio.Engine().OpenStream(l, c.r, func(h coop.StreamHandler) (*coop.Stream, error) {
			near, far, err := coop.Pipe(l, l, h, &memoryClient{crowd: c}, coop.PipeOptions{})
			if err == nil {
				l.Post(far.Start)
			}
			return near, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 { // or the queues of the loops would be what is measured
			eventually(t, "clients to connect", func() bool { return int(c.connected.Load()) > i-1000 })
		}
	}
	eventually(t, "all to connect", func() bool { return int(c.connected.Load()) == n })
}

// memory is what the process's Go memory is made of, without garbage.
func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// memoryPerSession is what a session may cost at any number, both ends, stack and all.
const memoryPerSession = 5 << 10

// A session costs the same whether there are 50 000 or 200 000.
func TestMemoryIsLinearAtScale(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("needs a gigabyte, and no race detector")
	}
	c := newMemoryCrowd(t)
	c.grow(t, 1000)
	before, from := memory(), 1000
	for _, n := range []int{50_000, 100_000, 200_000} {
		c.grow(t, n)
		now := memory()
		each := (now - before) / uint64(n-from)
		t.Logf("%d sessions: %d bytes for each of the last %d", n, each, n-from)
		if each > memoryPerSession {
			t.Errorf("a session costs %d bytes at %d, want at most %d", each, n, memoryPerSession)
		}
		before, from = now, n
	}
}

// memoryPerResting is what a session whose handler is a table, or Relay, may cost: it has no stack while it waits.
const memoryPerResting = 5 << 9

// The sessions that rest cost half of those that wait on a stack, both ends of the connection included.
func TestIdleSessionsOfTablesHaveNoStackAtScale(t *testing.T) {
	if raceDetector || testing.Short() {
		t.Skip("needs some memory, and no race detector")
	}
	table := hub.Events{"join": func(s *hub.Session, room string) bool { return s.Join(room) == nil }}
	for name, handler := range map[string]any{"table": table, "relay": hub.Relay(hub.RelayOptions{})} {
		t.Run(name, func(t *testing.T) {
			const from, n = 1000, 20_000
			c := newMemoryCrowdOf(t, handler)
			c.grow(t, from)
			before := memory()
			c.grow(t, n)
			each := (memory() - before) / (n - from)
			t.Logf("%d bytes a session", each)
			if each > memoryPerResting {
				t.Errorf("a session costs %d bytes, want at most %d", each, memoryPerResting)
			}
		})
	}
}

// BenchmarkBroadcastToAll is one message to 200 000 sessions, until all clients have it.
func BenchmarkBroadcastToAll(b *testing.B) {
	const n = 200_000
	c := newMemoryCrowd(b)
	c.grow(b, n)
	b.ResetTimer()
	for i := range b.N {
		if err := c.f.hub.To().Emit("all", "hear this"); err != nil {
			b.Fatal(err)
		}
		want := int64(i+1) * n
		for deadline := time.Now().Add(time.Minute); c.heard.Load() < want; time.Sleep(100 * time.Microsecond) {
			if time.Now().After(deadline) {
				b.Fatalf("%d of %d were heard", c.heard.Load(), want)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/delivery")
}

// BenchmarkRoomAmongIdleRooms is a message to a room of ten, alone and among 100 000 rooms in which nothing happens.
func BenchmarkRoomAmongIdleRooms(b *testing.B) {
	for name, idle := range map[string]int{"alone": 0, "among 100000": 100_000} {
		b.Run(name, func(b *testing.B) {
			const busy, idlers = 10, 100
			c := newMemoryCrowd(b)
			c.grow(b, busy+idlers)
			all, err := c.f.hub.To().Sessions()
			if err != nil || len(all) != busy+idlers {
				b.Fatal(len(all), err)
			}
			for i := range idle {
				c.f.hub.To(all[busy+i%idlers].ID).Join("idle " + strconv.Itoa(i))
			}
			for _, s := range all[:busy] {
				c.f.hub.To(s.ID).Join("busy")
			}
			eventually(b, "all to be in their rooms", func() bool { // those of sessions' ids are not among them
				list, err := c.f.hub.To("busy").Sessions()
				return err == nil && len(list) == busy && len(c.f.hub.Of("/").Rooms()) == idle+1
			})
			runtime.GC() // what making the rooms has left is not theirs
			b.ResetTimer()
			for i := range b.N {
				if err := c.f.hub.To("busy").Emit("m", "hello"); err != nil {
					b.Fatal(err)
				}
				if i%100 < 99 && i < b.N-1 {
					continue
				}
				for want := int64(i+1) * busy; c.heard.Load() < want; {
					time.Sleep(10 * time.Microsecond) // to spin would keep a loop from its core
				}
			}
		})
	}
}
