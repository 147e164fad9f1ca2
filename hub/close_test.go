package hub

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"greenroom/coop"
)

// TestCloseEndsEverything: sessions in every kind of wait end, loops and goroutines are gone, and what
// is called afterwards says so or does nothing.
func TestCloseEndsEverything(t *testing.T) {
	here := goleak.IgnoreCurrent()
	h, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	waits := map[string]func(*Session) error{
		"/events":   chatter,
		"/wait":     func(s *Session) error { _, err := s.Wait("never", time.Hour); return err },
		"/ask":      func(s *Session) error { _, err := Ask[int](s, time.Hour, "never"); return err },
		"/sleep":    func(s *Session) error { return s.Sleep(time.Hour) },
		"/greenlet": func(s *Session) error { return s.Greenlet().Sleep(time.Hour) },
		"/stubborn": func(s *Session) error {
			return errors.Join(s.Greenlet().Sleep(time.Hour), s.Greenlet().Sleep(time.Hour))
		},
		"/relay":      Relay(RelayOptions{}).Serve,
		"/middleware": chatter,
	}
	var mu sync.Mutex
	ended := make(map[string]error)
	var conns []*fakeConn
	for name, wait := range waits {
		mustHandle(t, h, name, func(s *Session) error {
			err := wait(s)
			mu.Lock()
			defer mu.Unlock()
			ended[name] = err
			return err
		})
	}
	entered := make(chan struct{}, 4)
	h.Of("/middleware").Use(func(s *Session) error { entered <- struct{}{}; return s.Greenlet().Sleep(time.Hour) })
	for name := range waits {
		for loop := range 2 {
			if name == "/middleware" {
				c := newFakeConn(h, loop)
				c.loop.Post(func() { c.session, _ = h.Connect(c, name, &Handshake{}) })
				<-entered
				conns = append(conns, c)
				continue
			}
			conns = append(conns, connect(t, h, loop, name, "{}"))
		}
	}
	if n := h.SessionCount(); n != len(conns) {
		t.Errorf("%d sessions, want %d", n, len(conns))
	}
	watch(t, connect(t, h, 0, "/relay", "{}"), "r") // a timer of the presence is on
	publish := func() error {
		_, err := h.Publish(Publication{Namespace: "/relay", Room: "r", Event: "e"})
		return err
	}
	if err := publish(); err != nil {
		t.Error(err)
	}

	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if n := h.SessionCount(); n != 0 {
				t.Errorf("%d sessions after Close", n)
			}
		})
	}
	closers.Wait()
	if len(ended) != len(waits)-1 {
		t.Errorf("ended: %v", ended)
	}
	for _, name := range []string{"/wait", "/ask", "/sleep", "/greenlet", "/stubborn"} {
		if err := ended[name]; !errors.Is(err, coop.ErrKilled) {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	for _, c := range conns {
		if c.session.Connected() || !c.session.Greenlet().Ended() {
			t.Errorf("a session of %s lives", c.session.Namespace())
		}
		if c.session.Namespace() != "/middleware" && c.state != "left" || c.session.Namespace() == "/middleware" && c.state != "refused" {
			t.Errorf("a client of %s was told %q", c.session.Namespace(), c.state)
		}
	}
	if err := goleak.Find(here); err != nil {
		t.Error(err)
	}

	if err := publish(); !errors.Is(err, ErrClosed) {
		t.Errorf("publishing: %v", err)
	}
	if err := h.Of("/events").To("r").Emit("e"); err != nil {
		t.Errorf("emitting to nobody: %v", err)
	}
	h.Of("/events").To().Disconnect("x")
	if s, err := h.Connect(newFakeConn(h, 0), "/events", &Handshake{}); s != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("connecting: %v", err)
	}
	if n := h.inFlight.Load(); n != 0 || h.Saturated() {
		t.Errorf("%d deliveries are said to be on their way", n)
	}
}

type flushFunc func()

func (f flushFunc) Flush() { f() }

// TestCloseBeforeASessionBegins: a greenlet that is killed before it ran cannot tidy up.
func TestCloseBeforeASessionBegins(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(*Session) error { t.Error("the handler ran"); return nil })
	l := h.Loops().All()[0]
	closed := make(chan error)
	l.Post(func() {
		// When this flusher runs the greenlets of the tick have had their turn; the next tick begins with
		// what was posted, which is the hub's end.
		l.QueueFlush(flushFunc(func() {
			if _, err := h.Connect(newFakeConn(h, 0), "/", &Handshake{}); err != nil {
				t.Error(err)
			}
			posts := l.Stats().Posts
			go func() { closed <- h.Close() }()
			waitFor(t, func() bool { return l.Stats().Posts > posts })
		}))
	})
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n := h.SessionCount(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestCloseWhileBusy: publishers, joins and new clients go on while the hub closes.
func TestCloseWhileBusy(t *testing.T) {
	for range 5 {
		h := newTestHub(t, Options{Loops: 2})
		mustHandle(t, h, "/", Relay(RelayOptions{Rate: -1}))
		a, b := connect(t, h, 0, "/", "{}"), connect(t, h, 1, "/", "{}")
		a.call(t, 1, "join", "r", map[string]any{"presence": true})
		b.call(t, 1, "join", "r")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		going := func(fn func(i int)) {
			started := make(chan struct{})
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
						fn(i)
					}
					if i == 0 {
						close(started)
					}
				}
			})
			<-started
		}
		going(func(i int) {
			if _, err := h.Publish(Publication{Room: "r", Event: "e", Args: []any{i}}); err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		going(func(i int) {
			if err := h.To("r", "other").Emit("e"); err != nil {
				t.Error(err)
			}
			_ = h.In("r").Join(fmt.Sprint("r", i%10))
		})
		going(func(i int) {
			c := newFakeConn(h, i%2)
			done := make(chan struct{})
			if !c.loop.Post(func() { defer close(done); c.session, _ = h.Connect(c, "/", &Handshake{}) }) {
				return
			}
			select {
			case <-done:
			case <-stop: // a loop that is posted to without a pause drops the rest when it has to end
			}
		})
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		close(stop)
		wg.Wait()
		if n := h.SessionCount(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
	}
}

// TestPanicIsLoggedWithTheSession: under the same name as every other line about it.
func TestPanicIsLoggedWithTheSession(t *testing.T) {
	var log bytes.Buffer
	h := newTestHub(t, Options{Loops: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	mustHandle(t, h, "/", func(s *Session) error {
		for range s.Events() {
			panic("boom")
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.emit(t, NoAck, "go")
	waitFor(t, func() bool { return h.Counters()["handler_failed"] == 1 })
	c.on(func(*Session) {}) // behind the line
	if want := "session=" + c.session.ID() + " panic=boom"; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in %s", want, log.String())
	}
}

// TestCallbackPanicsAreCounted: a tap that panics is a mistake of the program; the loop goes on.
func TestCallbackPanicsAreCounted(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.loop.Post(func() { panic("boom") })
	c.on(func(*Session) {})
	if n := h.Counters()["callback_panicked"]; n != 1 {
		t.Errorf("%d counted", n)
	}
}

func TestNamespaces(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	h.Of("/made") // but without a handler
	for _, name := range []string{"/made", "/never", "", "made", "/,"} {
		c := connect(t, h, 0, name, "{}")
		if !errors.Is(c.err, ErrUnknownNamespace) || h.HasNamespace(name) {
			t.Errorf("%q: %v, known %v", name, c.err, h.HasNamespace(name))
		}
	}
	if n := h.SessionCount(); n != 0 || len(h.namespaces) != 2 {
		t.Errorf("%d sessions, %d namespaces", n, len(h.namespaces))
	}
	if _, err := h.Publish(Publication{Namespace: "/never", Room: "r", Event: "e"}); err == nil || len(h.namespaces) != 2 {
		t.Errorf("publishing into an unknown namespace: %v", err)
	}
	mustHandle(t, h, "/made", chatter)
	if c := connect(t, h, 0, "/made", "{}"); c.state != "accepted" || c.session.Namespace() != "/made" {
		t.Errorf("after registering: %s", c.state)
	}
	// A second handler is a mistake, and the first one stays.
	if err := h.Handle("/", func(*Session) error { return nil }); !errors.Is(err, ErrHandled) {
		t.Errorf("a second handler: %v", err)
	}
	connect(t, h, 0, "/", "{}").on(func(s *Session) {
		if !s.Connected() {
			t.Error("it took the place of the first one")
		}
	})
}

func TestTaps(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		if err := s.Join("a"); err != nil {
			t.Error(err)
		}
	})
	var one, two []string
	stopOne := h.Tap(func(m *Message) { one = append(one, m.Room+":"+m.Event) })
	stopTwo := h.Tap(func(m *Message) { two = append(two, m.Room+":"+m.Event) })
	emit := func(event string, rooms ...string) {
		if err := h.To(rooms...).Emit(event); err != nil {
			t.Error(err)
		}
	}
	emit("e1", "a")
	emit("e2", "nobody")
	emit("e3", "a", "nobody")
	emit("not tapped")                        // to everybody
	emit("not tapped either", c.session.ID()) // to one
	stopOne()
	stopOne()
	emit("e4", "a")
	stopTwo()
	emit("e5", "a")
	all := []string{"a:e1", "nobody:e2", "a:e3", "nobody:e3", "a:e4"}
	slices.Sort(one)
	slices.Sort(two)
	slices.Sort(all)
	if !slices.Equal(two, all) {
		t.Errorf("one tap saw %q, want %q", two, all)
	}
	if want := slices.DeleteFunc(all, func(s string) bool { return s == "a:e4" }); !slices.Equal(one, want) {
		t.Errorf("the other saw %q, want %q", one, want)
	}
}

// A handler that closes its hub is told that it cannot, and the hub goes on and can still be closed.
func TestCloseByAHandlerIsRefused(t *testing.T) {
	h, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		refused <- h.Close()
		return s.Sleep(time.Hour)
	})
	c := connect(t, h, 1, "/", "{}")
	if err := <-refused; !errors.Is(err, coop.ErrOnLoop) {
		t.Errorf("got %v", err)
	}
	c.on(func(*Session) {}) // the loop is alive
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

// A tap that panics does so in whoever publishes, and leaves no room locked behind it.
func TestPanicOfATapLeavesNoRoomLocked(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	joined := make(chan error, 1)
	mustHandle(t, h, "/", func(s *Session) error {
		joined <- errors.Join(s.Join("a"), s.Join("b"))
		return s.Sleep(time.Hour)
	})
	connect(t, h, 0, "/", "{}")
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	for name, publish := range map[string]func(){
		"one":     func() { _ = h.To("a").Emit("x") },
		"several": func() { _ = h.To("a", "b").Emit("x") },
		"publish": func() { _, _ = h.Publish(Publication{Room: "a", Event: "x"}) },
	} {
		cancel := h.Tap(func(*Message) { panic("tap") })
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the tap was not called", name)
				}
			}()
			publish()
		}()
		cancel()
		done := make(chan struct{})
		go func() { publish(); close(done) }()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatalf("%s: the room is locked", name)
		}
	}
}
