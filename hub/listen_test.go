package hub

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestMiddlewaresOfASession(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	var order []string
	mustHandle(t, h, "/", func(s *Session) error {
		s.Use(func(ev *Event) error {
			order = append(order, "first "+ev.Name)
			if ev.Name == "bad" {
				return errors.New("no")
			}
			return s.Sleep(time.Millisecond) // it may park
		})
		s.Use(func(ev *Event) error { order = append(order, "second "+ev.Name); return nil })
		s.OnAny(func(ev *Event) { order = append(order, "any "+ev.Name) })
		if _, err := s.Wait("go", 10*time.Second); err != nil {
			return err
		}
		for ev := range s.Events() {
			order = append(order, "handler "+ev.Name)
			ev.Ack("ok")
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	c.emit(t, NoAck, "early") // Wait passes it over
	c.emit(t, NoAck, "bad")
	c.emit(t, NoAck, "go")
	if got := c.call(t, 1, "x"); got != `["ok"]` {
		t.Errorf("x: %s", got)
	}
	if got := c.call(t, 2, "bad"); got != `[{"error":{"code":"error","message":"no"},"ok":false}]` {
		t.Errorf("bad: %s", got)
	}
	c.on(func(s *Session) {
		want := []string{
			"any early", "first early", "second early", "any bad", "first bad", "any go", "first go", "second go",
			"handler early", "any x", "first x", "second x", "handler x", "any bad", "first bad",
		}
		if !slices.Equal(order, want) {
			t.Errorf("got  %q\nwant %q", order, want)
		}
		if s.inbox.count != 0 || s.inbox.bytes != 0 {
			t.Errorf("%d events, %d bytes are said to wait", s.inbox.count, s.inbox.bytes)
		}
	})
	if n := h.Counters()["event_refused"]; n != 2 {
		t.Errorf("%d refusals counted", n)
	}
}

func TestListenersCanBeCancelled(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	mustHandle(t, h, "/", func(s *Session) error {
		for ev := range s.Events() {
			ev.Ack()
		}
		return nil
	})
	c := connect(t, h, 0, "/", "{}")
	var in, out []string
	var cancelIn, cancelOut, keptIn func()
	c.on(func(s *Session) {
		cancelIn = s.OnAny(func(ev *Event) { in = append(in, ev.Name); cancelIn() }) // while it runs
		keptIn = s.OnAny(func(ev *Event) { in = append(in, "kept "+ev.Name) })
		cancelOut = s.OnAnyOutgoing(func(m *Message) { out = append(out, m.Event); cancelOut() })
		s.OnAnyOutgoing(func(m *Message) {
			out = append(out, "kept "+m.Event)
			s.Emit("nested") // is not told
		})
		s.OnAnyOutgoing(func(*Message) { panic("listener") })
	})
	c.call(t, 1, "a")
	c.call(t, 2, "b")
	c.on(func(s *Session) {
		keptIn()
		s.Emit("x")
		s.Join("r")
	})
	c.call(t, 3, "c")
	h.To("r").Emit("y")
	c.waitEvents(t, 4)
	c.on(func(*Session) {
		if want := []string{"a", "kept a", "kept b"}; !slices.Equal(in, want) {
			t.Errorf("in %q, want %q", in, want)
		}
		if want := []string{"x", "kept x", "kept y"}; !slices.Equal(out, want) {
			t.Errorf("out %q, want %q", out, want)
		}
	})
	if n := h.Counters()["callback_panicked"]; n != 2 {
		t.Errorf("%d panics counted", n)
	}
}

func TestDisconnectingComesBeforeTheRoomsAreLeft(t *testing.T) {
	for name, end := range map[string]func(c *fakeConn){
		"transport close": func(c *fakeConn) { c.leave("transport close") },
		"kicked":          func(c *fakeConn) { c.hub.To(c.session.ID()).Disconnect("kicked") },
		"closed":          func(c *fakeConn) { c.hub.To(c.session.ID()).CloseConn("closed") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHub(t, Options{Loops: 1})
			var d diary
			ended := make(chan struct{})
			mustHandle(t, h, "/", Events{
				"connect": func(s *Session) error {
					s.OnDisconnecting(func(string) { panic("callback") })
					return s.Join("a")
				},
				"disconnecting": func(s *Session, reason string) {
					d.add("disconnecting %s %v %v %q", reason, s.Rooms(), s.Connected(), s.Reason())
					s.To("a").Emit("bye", s.ID())
					s.Disconnect("again") // ends it, once
				},
				"disconnect": func(s *Session) {
					d.add("disconnect %s %v", s.Reason(), s.Connected())
					close(ended)
				},
			})
			mustHandle(t, h, "/other", chatter)
			c := connect(t, h, 0, "/", "{}")
			watcher := connect(t, h, 0, "/", "{}")
			end(c)
			<-ended
			want := []string{"disconnecting " + name + ` [a] true ""`, "disconnect again false"}
			if got := d.all(); !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if got := watcher.waitEvents(t, 1)[0]; got != `["bye","`+c.session.ID()+`"]` {
				t.Errorf("the others got %s", got)
			}
			if n := h.Counters()["callback_panicked"]; n != 1 {
				t.Errorf("%d panics counted", n)
			}
		})
	}
}
