package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(bothWays{m}) }

// atDoor has servers accept through [socketio.Server.Listener].
var atDoor bool

// bothWays runs all tests with servers that net/http alone accepts for, and again with a door in front.
type bothWays struct{ m *testing.M }

func (b bothWays) Run() int {
	if code := b.m.Run(); code != 0 {
		return code
	}
	atDoor = true
	return b.m.Run()
}

// patience bounds every wait of these tests. Nothing is decided by its length.
const patience = time.Minute

const (
	// maxPayload is what the servers take in a message.
	maxPayload = 1_000_000
	// heapKept and heapPeak bound what a row may leave in use, and what it may make the heap grow by while it lasts:
	// some messages of maxPayload, on each of the two loops and in the test itself.
	heapKept = 8 << 20
	heapPeak = 128 << 20
)

// site is a server of Socket.IO at an address of its own. All sites of a test share one hub, and its rooms.
type site struct {
	hub  *hub.Hub
	sio  *socketio.Server
	addr string
	log  *logged

	smuggled atomic.Int64 // requests for a path that only stands within another request
}

// logged is a log of which only those records are kept that somebody else could have written: S19.
type logged struct {
	mu    sync.Mutex
	lines int
	odd   []string
}

// Write takes one record.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines++
	line, ended := strings.CutSuffix(string(p), "\n")
	if !ended || !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\n\r\x1b\x00\u2028") {
		l.odd = append(l.odd, string(p))
	}
	return len(p), nil
}

// newSite starts a hub with the namespaces of this test, and a site.
func newSite(t *testing.T) *site {
	t.Helper()
	out := new(logged)
	h, err := hub.New(hub.Options{
		Loops: 2, EventRate: 50, EventBurst: 500, OutboxBytes: 256 << 10,
		Logger: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err = h.HandleFamily(hub.Matching(regexp.MustCompile(`^/game-\d+$`)), func(s *hub.Session) error { return s.Sleep(patience) })
	err = errors.Join(err, h.Handle("/", hub.Relay(hub.RelayOptions{})), h.Handle("/ask", asker))
	if err != nil {
		t.Fatal(err)
	}
	return (&site{hub: h, log: out}).with(t, socketio.Options{})
}

// asker asks until it may not any more, and says so.
func asker(s *hub.Session) error {
	for {
		err := s.AskFunc(patience, func(hub.Answer, error) {}, "question")
		if errors.Is(err, hub.ErrTooManyAsks) {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := s.Emit("enough"); err != nil {
		return err
	}
	for range s.Events() {
	}
	return nil
}

// with starts another site of the same hub. It ends with t.
func (s *site) with(t *testing.T, o socketio.Options) *site {
	t.Helper()
	o.Engine.MaxPayload = maxPayload
	o.Engine.PerMessageDeflate = &engineio.Deflate{}
	next := &site{hub: s.hub, log: s.log, sio: socketio.New(s.hub, o)}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", next.sio)
	mux.HandleFunc("/smuggled", func(http.ResponseWriter, *http.Request) { next.smuggled.Add(1) })
	web := httptest.NewUnstartedServer(mux)
	web.Config.MaxHeaderBytes = 16 << 10
	web.Config.ReadHeaderTimeout = patience
	if o.Engine.BodyTimeout > 0 {
		web.Config.ReadHeaderTimeout = o.Engine.BodyTimeout
	}
	web.Config.ErrorLog = log.New(io.Discard, "", 0) // of what is no HTTP
	if atDoor {
		web.Listener = next.sio.Listener(web.Listener, nil)
	}
	web.Start()
	next.addr = web.Listener.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = next.sio.Close(ctx) // cuts off what is left
		web.Close()
	})
	return next
}

const (
	// moment is how long clients may let the server wait where a row says so. Each row bounds only what it is about:
	// a busy machine must not make its clients late for anything else.
	moment = 200 * time.Millisecond
	// aWhile is the same where the row's own client must be in time before.
	aWhile = 2 * time.Second
)

// waiting is with for the options of Engine.IO alone.
func (s *site) waiting(t *testing.T, o engineio.Options) *site {
	t.Helper()
	return s.with(t, socketio.Options{Engine: o})
}

// counter is how often something was counted.
func (s *site) counter(reason string) uint64 { return s.hub.Counters()[reason] }

// eventually waits until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// witnesses are two clients in a room, one on a WebSocket and one that polls. While a row runs, the room is spoken
// to, one message after the other, and both must hear all of it, and nothing else.
type witnesses struct {
	site  *site
	said  int
	heard []<-chan string
	ask   []func(packet string) error
}

// room is where the witnesses are, and most peers too.
const room = "room"

func newWitnesses(t *testing.T, s *site) *witnesses {
	t.Helper()
	w := &witnesses{site: s}
	t.Cleanup(func() { // when their connections have ended, by clean-ups that come later here
		for _, heard := range w.heard {
			for range heard {
			}
		}
	})
	ws, poll := s.join(t), s.poll(t)
	poll.post(t, "40")
	poll.post(t, `420["join","`+room+`"]`)
	for answered := false; !answered; {
		for _, packet := range poll.get(t) {
			answered = answered || packet == `430[{"ok":true}]`
		}
	}
	w.listen(ws.receive)
	w.listen(poll.receive)
	w.ask = []func(string) error{ws.write, poll.try}
	return w
}

// listen has what receive returns heard, until it fails.
func (w *witnesses) listen(receive func() (string, error)) {
	heard := make(chan string, 16)
	w.heard = append(w.heard, heard)
	go func() {
		defer close(heard)
		for {
			packet, err := receive()
			if err != nil {
				return
			}
			heard <- packet
		}
	}()
}

// next takes what each of the witnesses has heard.
func (w *witnesses) next(want func(packet string) bool) error {
	timeout := time.After(patience)
	for i, heard := range w.heard {
		select {
		case packet, ok := <-heard:
			if !ok {
				return fmt.Errorf("witness %d was disconnected", i)
			}
			if !want(packet) {
				return fmt.Errorf("witness %d heard %.200q behind message %d", i, packet, w.said)
			}
		case <-timeout:
			return fmt.Errorf("witness %d did not hear message %d", i, w.said)
		}
	}
	return nil
}

// say speaks to the room once and waits until both have heard it.
func (w *witnesses) say() error {
	w.said++
	if _, err := w.site.hub.Publish(hub.Publication{Room: room, Event: "tick", Args: []any{w.said}}); err != nil {
		return err
	}
	head := fmt.Sprintf(`42["tick",%d,{`, w.said)
	return w.next(func(packet string) bool { return strings.HasPrefix(packet, head) })
}

// during speaks to the room as long as fn runs, and once before and after. Then both witnesses ask, and are answered.
func (w *witnesses) during(t *testing.T, fn func()) {
	t.Helper()
	stop, result := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if err := w.say(); err != nil {
				result <- err
				return
			}
			select {
			case <-stop:
				result <- w.say()
				return
			default:
			}
		}
	}()
	defer func() {
		close(stop)
		err := <-result
		for _, ask := range w.ask {
			if err == nil {
				err = ask(`421["leave","nowhere"]`)
			}
		}
		if err == nil {
			err = w.next(func(packet string) bool { return packet == `431[{"ok":true}]` })
		}
		if err != nil {
			t.Error(err)
		}
	}()
	fn()
}

// load is what the process holds.
type load struct {
	sessions, connections, namespaces int
	greenlets                         int64
	heap, reserved                    uint64
}

func (s *site) load() (l load) {
	l.sessions, l.namespaces = s.hub.SessionCount(), len(s.hub.Namespaces())
	for _, loop := range s.hub.Loops().All() {
		l.greenlets += loop.Stats().Greenlets
	}
	l.connections = s.sio.Engine().Sessions()
	return l
}

func (l *load) memory() {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	l.heap, l.reserved = m.HeapAlloc, m.HeapSys
}

// settled waits until the hub holds no more than before, and compares the memory.
func (s *site) settled(t *testing.T, before load) {
	t.Helper()
	var now load
	eventually(t, "the row's sessions to go", func() bool {
		now = s.load()
		return now.sessions <= before.sessions && now.connections <= before.connections && now.namespaces <= before.namespaces && now.greenlets <= before.greenlets
	})
	now.memory()
	if now.heap > before.heap+heapKept {
		t.Errorf("%d bytes are in use, %d before", now.heap, before.heap)
	}
	if now.reserved > before.reserved+heapPeak {
		t.Errorf("the heap grew from %d to %d bytes", before.reserved, now.reserved)
	}
}

// dial opens a TCP connection to the site, which ends with t.
func (s *site) dial(t testing.TB) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	bound(c)
	return c
}

// bound gives a connection as long as we have patience.
func bound(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(patience)) // fails as the next call will
}
