package hub

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A namespace of a family waits for the clients of its sessions as long as they may come back, however often they
// do, and with it what they miss.
func TestANamespaceStaysWhileItsClientsMayComeBack(t *testing.T) {
	var clock handClock
	h := newTestHub(t, Options{Loops: 1, Clock: &clock, Recovery: &Recovery{}})
	var d diary
	h.Observe(Observer{
		NamespaceCreated: func(ns *Namespace) { d.add("created %s", ns.Name()) },
		NamespaceDeleted: func(ns *Namespace) { d.add("deleted %s", ns.Name()) },
	})
	if _, err := h.HandleFamily(gameName, stays); err != nil {
		t.Fatal(err)
	}
	c := come(t, h, 0, "/game-1", "", "")
	c.on(func(s *Session) { _ = s.Emit("hello") })
	for range 3 { // the timer of each time comes while the client is away for the next
		pid, offset := c.ticketOf()
		c.leave("transport close")
		waitFor(t, func() bool { return h.SessionCount() == 0 })
		clock.pass(h, 70*time.Second)
		emit(t, h.Of("/game-1").To(), "missed")
		if c = come(t, h, 0, "/game-1", pid, offset); !c.session.Recovered() {
			t.Fatalf("not recovered: %v", h.Counters())
		}
		c.wantGot(t, `["missed"]`, "accepted")
	}
	if n := len(h.Namespaces()); n != 1 {
		t.Errorf("%d namespaces", n)
	}
	c.leave("transport close")
	waitFor(t, func() bool { return h.SessionCount() == 0 })
	clock.pass(h, 121*time.Second)
	waitFor(t, func() bool { return len(h.Namespaces()) == 0 && h.children == 0 })
	if got := d.all(); !slices.Equal(got, []string{"created /game-1", "deleted /game-1"}) {
		t.Errorf("told %q", got)
	}
}

// Those that cannot come back keep no namespace: who was refused, who has left, who was forgotten.
func TestANamespaceGoesAtOnceWhenNobodyMayComeBack(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1, Recovery: &Recovery{}})
	f, err := h.HandleFamily(gameName, stays)
	if err != nil {
		t.Fatal(err)
	}
	f.Use(func(s *Session) error {
		if s.Namespace() == "/game-1" {
			return &ConnectError{Message: "no"}
		}
		return nil
	})
	if c := come(t, h, 0, "/game-1", "", ""); c.state != "refused" {
		t.Error(c.state)
	}
	come(t, h, 0, "/game-2", "", "").leave("client namespace disconnect")
	c := come(t, h, 0, "/game-3", "", "")
	c.on(func(s *Session) { _ = s.Disconnect("kicked") })
	waitFor(t, func() bool { return len(h.Namespaces()) == 0 && h.children == 0 })
}

// Clients on two loops come back all the time while their namespace is dropped and made again in between.
func TestComingBackToANamespaceThatIsMadeAgain(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2, Recovery: &Recovery{MaxDisconnection: time.Microsecond}})
	if _, err := h.HandleFamily(gameName, stays); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for loop := range 2 {
		work.Go(func() {
			var pid, offset string
			for i := range 200 {
				c := come(t, h, loop, "/game-1", pid, offset)
				if err := h.Of("/game-1").To(c.session.ID()).Emit("n", i); err != nil {
					t.Error(err)
				}
				want := `["n",` + strconv.Itoa(i) + `]`
				c.wait(t, want, func() bool { return slices.Contains(c.got, want) })
				pid, offset = c.ticketOf()
				c.leave("transport close")
			}
		})
	}
	work.Wait()
	waitFor(t, func() bool { return len(h.Namespaces()) == 0 && h.children == 0 })
}

// handClock is a clock that the test moves on.
type handClock struct{ now atomic.Int64 }

func (c *handClock) Now() time.Duration { return time.Duration(c.now.Load()) }

func (c *handClock) WakeAt(time.Duration) (time.Time, bool) { return time.Now().Add(time.Hour), true }

// pass moves the clock of h and lets timers that are due run.
func (c *handClock) pass(h *Hub, d time.Duration) {
	c.now.Add(int64(d))
	settled(h)
	settled(h)
}
