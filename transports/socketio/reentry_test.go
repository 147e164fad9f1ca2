package socketio

import (
	"testing"

	"greenroom/hub"
)

// What the application does to one session while another of the same connection, or the same one, ends, ends what it
// is meant to and leaves nothing behind.
func TestSessionsThatAreEndedWhileTheyEnd(t *testing.T) {
	again := map[string]func(s *hub.Session){
		"disconnect": func(s *hub.Session) { _ = s.Disconnect("again") },
		"close":      func(s *hub.Session) { _ = s.CloseConn("again") },
	}
	begin := map[string]func(s *hub.Session){
		"disconnect": func(s *hub.Session) { _ = s.Disconnect("first") },
		"close":      func(s *hub.Session) { _ = s.CloseConn("first") },
	}
	for first, end := range begin {
		for second, endAgain := range again {
			t.Run(first+" and "+second, func(t *testing.T) {
				f := serve(t, settings{})
				for _, namespace := range []string{"/", "/a", "/b"} {
					f.handle(t, namespace, func(s *hub.Session) error {
						s.OnDisconnecting(func(string) { endAgain(s) })
						for ev := range s.Events() {
							ev.Ack()
							end(s)
						}
						return nil
					})
				}
				c := f.dial(t)
				for _, namespace := range []string{"/a", "/", "/b"} {
					c.connect(namespace, "")
				}
				c.send(`421["end"]`)
				c.want("431[]", "41")
				if first == "disconnect" && second == "disconnect" { // the others go on
					c.send(`42/a,2["end"]`)
					c.want("43/a,2[]", "41/a,")
					c.send(`42/b,3["end"]`)
					c.want("43/b,3[]", "41/b,")
				} else {
					c.want("41/a,", "41/b,")
					c.wantClosed(1005)
				}
				eventually(t, "the sessions to end", func() bool { return f.hub.SessionCount() == 0 })
				c.conn.Close()
				f.empty(t)
				if n := f.hub.Counters(); len(n) > 0 {
					t.Errorf("counted %v", n)
				}
			})
		}
	}
}

// A session that is refused while it is being refused is refused once.
func TestASessionThatIsEndedWhileItIsRefused(t *testing.T) {
	f := serve(t, settings{})
	f.handle(t, "/", echo)
	f.hub.Of("/").Use(func(s *hub.Session) error {
		s.OnDisconnecting(func(string) { _ = s.Disconnect("again") })
		return &hub.ConnectError{Message: "no"}
	})
	c := f.dial(t)
	c.send("40")
	c.want(`44{"message":"again"}`)
	c.send("40")
	c.want(`44{"message":"again"}`)
}

// An observer that ends a session at once does not leave its client waiting.
func TestASessionThatIsEndedWhenItIsLetIn(t *testing.T) {
	f := serve(t, settings{})
	f.handle(t, "/", echo)
	f.hub.Observe(hub.Observer{Connected: func(s *hub.Session) { _ = s.Disconnect("full") }})
	c := f.dial(t)
	c.connect("/", "")
	c.want("41")
}
