package engineio

import (
	"fmt"
	"slices"
	"testing"
)

func TestObserver(t *testing.T) {
	s := serve(t, Options{})
	var rec recorder
	o := Observer{
		Opened:   func(sock *Socket) { rec.add("opened " + sock.State().String()) },
		Upgraded: func(sock *Socket) { rec.add("upgraded " + sock.State().String()) },
		Closed:   func(_ *Socket, reason string) { rec.add("closed " + reason) },
		Received: func(_ *Socket, n int) { rec.add(fmt.Sprint("received ", n)) },
		Sent:     func(_ *Socket, n int) { rec.add(fmt.Sprint("sent ", n)) },
	}
	cancel := s.Observe(o)
	cancelEmpty := s.Observe(Observer{}) // with nothing to call
	p := s.poll(t)
	if n := s.Polling(); n != 1 {
		t.Errorf("%d poll", n)
	}
	p.wantPost("4abc") // the handler sends it back
	p.wantGet("4abc")
	c := p.upgraded()
	c.text("4x")
	c.wantText("4x")
	if n := s.Polling(); n != 0 {
		t.Errorf("%d poll after the upgrade", n)
	}
	c.text("1")
	c.wantClose(1005)
	want := []string{
		"opened polling", "received 3", "sent 4", "upgraded websocket", "received 1", "sent 4", "closed " + ReasonTransportClose,
	}
	if got := rec.take(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	cancel()
	cancelEmpty()
	s.poll(t).wantPost("4abc")
	if got := rec.take(); len(got) != 0 {
		t.Errorf("told %q after the cancel", got)
	}
	if s.observers.list.Load() != nil {
		t.Error("the list is not empty")
	}
}

// Pings are no messages, nor is what comes before the handler.
func TestObserverHearsNoHeartbeat(t *testing.T) {
	s := serve(t, Options{PingInterval: 1})
	var rec recorder
	s.Observe(Observer{Received: func(*Socket, int) { rec.add("received") }, Sent: func(*Socket, int) { rec.add("sent") }})
	c := s.connect(t)
	c.wantText("2")
	c.text("3")
	c.wantText("2")
	if got := rec.take(); len(got) != 0 {
		t.Errorf("told %q", got)
	}
}
