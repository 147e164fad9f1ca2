package zmq_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
	"greenroom/transports/zeromq/zmq"
)

// shop is what each session of the namespace runs: it asks the service at an endpoint what its client asks it.
func shop(s *hub.Session, service string, within time.Duration) error {
	g := s.Greenlet()
	sock, err := zmq.New(zmq.REQ, zmq.Options{Resend: time.Second})
	if err != nil {
		return err
	}
	defer sock.Close(g)
	if err := sock.Dial(service); err != nil {
		return err
	}
	for ev := range s.Events() {
		var thing string
		if err := ev.Args(&thing); err != nil {
			return err
		}
		var price [][]byte
		err := g.WithTimeout(within, func() (err error) {
			if err = sock.Send(g, []byte(thing)); err == nil {
				price, err = sock.Recv(g)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := ev.Ack(thing, string(price[0])); err != nil {
			return err
		}
	}
	return nil
}

// customer is a client in memory. Its methods run on its loop.
type customer struct {
	loop    *coop.Loop
	session *hub.Session
	answers chan string
	refused chan error
}

func (c *customer) Loop() *coop.Loop                           { return c.loop }
func (c *customer) Writable() bool                             { return true }
func (c *customer) Send(*hub.Frame)                            {}
func (c *customer) Accepted(*hub.Session)                      {}
func (c *customer) Refused(_ *hub.Session, err error)          { c.refused <- err }
func (c *customer) Ack(_ *hub.Session, _ int64, p hub.Payload) { c.answers <- string(p.JSON) }
func (c *customer) Leave(*hub.Session, bool)                   {}

// enter brings a customer in.
func enter(t *testing.T, h *hub.Hub, loop int) *customer {
	t.Helper()
	c := &customer{loop: h.Loops().All()[loop], answers: make(chan string, 100), refused: make(chan error, 1)}
	done := make(chan error, 1)
	c.loop.Post(func() {
		var err error
		c.session, err = h.Connect(c, "/", &hub.Handshake{})
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *customer) ask(t *testing.T, thing string) {
	t.Helper()
	text, err := json.Marshal([]string{"price", thing})
	if err != nil {
		t.Fatal(err)
	}
	c.loop.Post(func() {
		if err := c.session.Deliver(hub.NewEvent("price", hub.Payload{JSON: text}, 1)); err != nil {
			c.refused <- err
		}
	})
}

func (c *customer) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-c.answers:
		if got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	case err := <-c.refused:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("no answer")
	}
}

// shopping is a hub whose sessions run shop. It tells how they ended.
func shopping(t *testing.T, endpoint string, within time.Duration) (*hub.Hub, <-chan error) {
	t.Helper()
	h, err := hub.New(hub.Options{Loops: 2, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	ended := make(chan error, 10)
	err = h.Handle("/", func(s *hub.Session) error {
		err := shop(s, endpoint, within)
		ended <- err
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, ended
}

// Sessions of two loops ask a service in Python, which is killed and started again while they wait. One whose client
// has left meanwhile ends when it has its answer.
func TestSessionsAskAServiceInPython(t *testing.T) {
	endpoint := "ipc://" + t.TempDir() + "/shop"
	h, ended := shopping(t, endpoint, patience)
	service := python(t, "testdata/service.py", endpoint)
	var all []*customer
	for i := range 6 {
		all = append(all, enter(t, h, i%2))
	}
	for _, c := range all {
		for _, thing := range []string{"tea", "coffee", "milk"} {
			c.ask(t, thing)
		}
	}
	for _, c := range all {
		for _, want := range []string{`["tea","3.20"]`, `["coffee","2.80"]`, `["milk","sold out"]`} {
			c.expect(t, want)
		}
	}

	service.Kill()
	for _, c := range all {
		c.ask(t, "tea")
	}
	all[0].loop.Post(func() { all[0].session.Closed("client namespace disconnect") })
	python(t, "testdata/service.py", endpoint)
	for _, c := range all[1:] {
		c.expect(t, `["tea","3.20"]`)
	}
	if err := <-ended; err != nil {
		t.Errorf("the session that has been left: %v", err)
	}
	select {
	case got := <-all[0].answers:
		t.Errorf("who has left gets %s", got)
	default:
	}
}

// A service that is not there costs a session its time, no more.
func TestASessionGivesUp(t *testing.T) {
	h, ended := shopping(t, "ipc://"+t.TempDir()+"/nobody", 20*time.Millisecond)
	enter(t, h, 0).ask(t, "tea")
	wantErr(t, <-ended, coop.ErrTimeout)
}
