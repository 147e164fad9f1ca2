package hub

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// diary is what an observer was told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func (d *diary) observer() Observer {
	return Observer{
		Connected:        func(s *Session) { d.add("connected %s", s.Namespace()) },
		Disconnected:     func(s *Session) { d.add("disconnected %s %v", s.Reason(), s.Rooms()) },
		Updated:          func(s *Session) { d.add("updated %v", s.Data) },
		Joined:           func(_ *Session, room string) { d.add("joined %s", room) },
		Left:             func(_ *Session, room string) { d.add("left %s", room) },
		Received:         func(_ *Session, ev *Event) { d.add("received %s", ev.Payload().JSON) },
		Sent:             func(_ *Session, m *Message) { d.add("sent %s", m.Payload.JSON) },
		RoomCreated:      func(_ *Namespace, room string) { d.add("created %s", room) },
		RoomDeleted:      func(_ *Namespace, room string) { d.add("deleted %s", room) },
		NamespaceCreated: func(ns *Namespace) { d.add("namespace %s", ns.Name()) },
	}
}

func TestObserversAreToldInTheOrderOfASessionsLife(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	var d diary
	cancel := h.Observe(d.observer())
	h.Of("/").Use(func(s *Session) error { return s.Join("early") })
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			switch ev.Name {
			case "join":
				s.Join("a")
				s.Join("a") // no second time
				s.Join("$hidden")
				s.SetData("x")
			case "ask":
				if _, err := Ask[int](s, 10*time.Second, "question"); err != nil {
					return err
				}
			case "leave":
				s.Leave("a")
				s.Leave("a")
			}
			ev.Ack()
		}
		return nil
	})
	c := newFakeConn(h, 0)
	c.onSend = func(f *Frame) {
		if m := f.Message(); m.Ack != NoAck {
			c.session.DeliverAck(m.Ack, Payload{JSON: []byte("[1]")})
		}
	}
	c.connect(t, "/", "{}")
	c.call(t, 1, "join", 7)
	if err := h.To("a").Emit("news", 1); err != nil {
		t.Fatal(err)
	}
	c.waitEvents(t, 1)
	c.call(t, 2, "ask")
	c.call(t, 3, "leave")
	c.leave("transport close")
	want := []string{
		"namespace /", "created early", "joined early", "connected /",
		`received ["join",7]`, "created a", "joined a", "updated x", `sent ["news",1]`,
		`received ["ask"]`, `sent ["question"]`,
		`received ["leave"]`, "deleted a", "left a",
		"deleted early", "left early", "disconnected transport close [early $hidden]",
	}
	if got := d.all(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	cancel()
	connect(t, h, 0, "/", "{}")
	if n := len(d.all()); n != len(want) {
		t.Errorf("told %q after the cancel", d.all()[len(want):])
	}
	if h.observed() {
		t.Error("the list of observers is not empty")
	}
}

func TestRefusedSessionsAreNeitherConnectedNorDisconnectedForObservers(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	h.Of("/").Use(func(s *Session) error { return &ConnectError{Message: "no"} })
	mustHandle(t, h, "/", chatter)
	var d diary
	h.Observe(d.observer())
	connect(t, h, 0, "/", "{}")
	if got := d.all(); len(got) != 0 {
		t.Errorf("told %q", got)
	}
}

func TestAPanicInAnObserverHarmsNobody(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	var d diary
	h.Observe(Observer{
		Connected:   func(*Session) { panic("connected") },
		RoomCreated: func(*Namespace, string) { panic("created") },
		Received:    func(*Session, *Event) { panic("received") },
	})
	h.Observe(d.observer())
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		if err := s.Join("a"); err != nil {
			t.Error(err)
		}
	})
	c.emit(t, NoAck, "x")
	if got, want := d.all(), []string{"connected /", "created a", "joined a", `received ["x"]`}; !slices.Equal(got, want) {
		t.Errorf("the other observer was told %q, want %q", got, want)
	}
	if n := h.Counters()["callback_panicked"]; n != 3 {
		t.Errorf("%d panics counted, want 3", n)
	}
	if n := len(h.Of("/").Session(c.session.ID()).Rooms()); n != 1 {
		t.Errorf("the session is in %d rooms", n)
	}
}

// A room that is left on one loop while it is entered on another is created and deleted in turns.
func TestRoomsAreToldInOrderAcrossLoops(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	mustHandle(t, h, "/", chatter)
	var d diary
	h.Observe(Observer{
		RoomCreated: func(_ *Namespace, room string) { d.add("created") },
		RoomDeleted: func(_ *Namespace, room string) { d.add("deleted") },
	})
	var wg sync.WaitGroup
	for loop := range 2 {
		c := connect(t, h, loop, "/", "{}")
		wg.Go(func() {
			for range 500 {
				c.on(func(s *Session) {
					if err := s.Join("a"); err != nil {
						t.Error(err)
					}
				})
				c.on(func(s *Session) { s.Leave("a") })
			}
		})
	}
	wg.Wait()
	got := d.all()
	if len(got) < 2 || len(got)%2 != 0 {
		t.Fatalf("told %d times", len(got))
	}
	for i, line := range got {
		if want := []string{"created", "deleted"}[i%2]; line != want {
			t.Fatalf("%d is %s, want %s", i, line, want)
		}
	}
}

func TestVolatileMessagesThatAreMissedWereNotSent(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	var d diary
	h.Observe(Observer{Sent: func(_ *Session, m *Message) { d.add("sent %s", m.Event) }})
	c.on(func(*Session) { c.busy = true })
	h.To().Volatile().Emit("missed")
	h.To().Emit("kept")
	c.waitEvents(t, 1)
	if got := d.all(); !slices.Equal(got, []string{"sent kept"}) {
		t.Errorf("told %q", got)
	}
}

func TestEmitVolatile(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", chatter)
	c := connect(t, h, 0, "/", "{}")
	c.on(func(s *Session) {
		c.busy = true
		for range 2 {
			if err := s.EmitVolatile("missed"); err != nil {
				t.Error(err)
			}
		}
		c.busy = false
		if err := s.EmitVolatile("sent", 1); err != nil {
			t.Error(err)
		}
		s.Closed("transport close")
		if err := s.EmitVolatile("late"); !errors.Is(err, ErrGone) {
			t.Errorf("after the end: %v", err)
		}
	})
	if got := c.events(); !slices.Equal(got, []string{`["sent",1]`}) {
		t.Errorf("sent %q", got)
	}
	if n := h.Counters()["volatile_dropped"]; n != 2 {
		t.Errorf("%d counted", n)
	}
}
