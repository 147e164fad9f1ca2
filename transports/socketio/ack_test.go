package socketio

import (
	"errors"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

func TestAcksOfTheServer(t *testing.T) {
	f := serveEcho(t, settings{})
	for name, c := range map[string]struct{ send, want string }{
		"with arguments":      {`42456["ack",1,"2",{"3":[false]}]`, `43456[1,"2",{"3":[false]}]`},
		"without arguments":   {`420["ack"]`, `430[]`},
		"the highest id":      {`42999999999999999["ack",0]`, `43999999999999999[0]`},
		"leading zeros":       {`42007["ack",0]`, `437[0]`},
		"in another place":    {`42/custom,5["ack","x"]`, `43/custom,5["x"]`},
		"null and nothing":    {`421["ack",null]`, `431[null]`},
		"no ack is asked for": {`42["ack",1]`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			peer, _ := f.join(t, "/")
			peer.connect("/custom", "")
			peer.want(`42/custom,["auth",{}]`)
			peer.send(c.send)
			if c.want != "" {
				peer.want(c.want)
			}
			peer.alive()
		})
	}
}

// An event is answered once, whatever the handler does.
func TestOneAnswerPerEvent(t *testing.T) {
	f := serve(t, settings{})
	f.handle(t, "/", func(s *hub.Session) error {
		for ev := range s.Events() {
			if err := errors.Join(ev.Ack("first"), ev.Ack("second")); err != nil {
				return err
			}
			ev.Refuse(errors.New("third"))
			if err := s.Emit("done"); err != nil {
				return err
			}
		}
		return nil
	})
	c := f.dial(t)
	c.connect("/", "")
	c.send(`427["x"]`, `427["x"]`, `42["x"]`) // the client may use an id again
	c.want(`437["first"]`, `42["done"]`, `437["first"]`, `42["done"]`, `42["done"]`)
}

// A table of handlers refuses what does not fit, in the words that every call is refused in.
func TestRefusals(t *testing.T) {
	f := serve(t, settings{})
	f.handle(t, "/", hub.Events{
		"double": func(n int) int { return 2 * n },
		"fail":   func() error { return &hub.Error{Code: "nope", Message: "not today"} },
	})
	c := f.dial(t)
	c.connect("/", "")
	c.send(`421["double",21]`, `422["fail"]`, `423["nosuch"]`, `424["double"]`, `425["double","x"]`, `42["nosuch"]`, `426["double",1]`)
	c.want(
		`431[42]`,
		`432[{"error":{"code":"nope","message":"not today"},"ok":false}]`,
		`433[{"error":{"code":"unknown_event","message":"no such event: \"nosuch\""},"ok":false}]`,
		`434[{"error":{"code":"bad_arguments","message":"double: want 1 argument, got 0"},"ok":false}]`,
		`435[{"error":{"code":"bad_arguments","message":"double: argument 1: want a whole number, got a string"},"ok":false}]`,
		`436[2]`)
	f.counted(t, "event_refused", 5)
}

// ask serves "/" with a handler that asks once what the client says with `ask`, and emits how it went.
func serveAsk(t *testing.T, within time.Duration, result chan<- error) *fixture {
	f := serve(t, settings{})
	f.handle(t, "/", func(s *hub.Session) error {
		for range s.Events() {
			answer, err := hub.Ask[any](s, within, "question", 1)
			if err == nil {
				err = s.Emit("heard", answer)
			}
			result <- err
		}
		return nil
	})
	return f
}

func TestAcksOfTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		binary []byte
		want   string
	}{
		"a value":               {answer: `430["forty"]`, want: `42["heard","forty"]`},
		"only the first counts": {answer: `430[1,2,3]`, want: `42["heard",1]`},
		"nothing":               {answer: `430[]`, want: `42["heard",null]`},
		"no payload at all":     {answer: `430`, want: `42["heard",null]`},
		"binary": {
			answer: `461-0[{"_placeholder":true,"num":0}]`, binary: []byte{1, 2, 3},
			want: `451-["heard",{"_placeholder":true,"num":0}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			result := make(chan error, 1)
			f := serveAsk(t, patience, result)
			peer := f.dial(t)
			peer.connect("/", "")
			peer.send(`42["go"]`)
			peer.want(`420["question",1]`)
			peer.send(c.answer)
			if c.binary != nil {
				peer.sendBinary(c.binary)
			}
			peer.want(c.want)
			if c.binary != nil {
				peer.wantBinary(c.binary)
			}
			if err := <-result; err != nil {
				t.Error(err)
			}
			// Ids go on; an id is used once.
			peer.send(`430["again"]`, `42["go"]`)
			peer.want(`421["question",1]`)
			peer.send(`431["yes"]`)
			peer.want(`42["heard","yes"]`)
			f.counted(t, "ack_unexpected", 1)
		})
	}
}

// Acks that nobody waits for are counted and do no harm.
func TestUnexpectedAcks(t *testing.T) {
	f := serveEcho(t, settings{})
	c, _ := f.join(t, "/")
	c.send(`43`, `43[]`, `430["x"]`, `43999999999999999[]`, `461-3["x",{"_placeholder":true,"num":0}]`)
	c.sendBinary(nil)
	c.alive()
	f.counted(t, "ack_unexpected", 5)
}

func TestAskTimesOut(t *testing.T) {
	result := make(chan error, 1)
	f := serveAsk(t, 20*time.Millisecond, result)
	c := f.dial(t)
	c.connect("/", "")
	c.send(`42["go"]`)
	c.want(`420["question",1]`)
	if err := <-result; !errors.Is(err, coop.ErrTimeout) {
		t.Errorf("got %v, want a timeout", err)
	}
	c.send(`430["late"]`)
	f.counted(t, "ack_unexpected", 1)
}

// What is waited for ends when its client leaves, at once and for the right reason.
func TestAskEndsWithTheClient(t *testing.T) {
	for name, leave := range map[string]func(*client){
		"disconnects": func(c *client) { c.send(`41`) },
		"hangs up":    func(c *client) { c.conn.Close() },
		"breaks the rules": func(c *client) {
			c.send(`4abc`)
			c.wantClosed(1002)
		},
	} {
		t.Run(name, func(t *testing.T) {
			result := make(chan error, 1)
			f := serveAsk(t, time.Hour, result)
			c := f.dial(t)
			c.connect("/", "")
			c.send(`42["go"]`)
			c.want(`420["question",1]`)
			leave(c)
			if err := <-result; !errors.Is(err, hub.ErrGone) {
				t.Errorf("got %v, want %v", err, hub.ErrGone)
			}
		})
	}
}

// A handler that goes on after its client has left can emit and ack; it hears that nobody is there.
func TestAfterTheClientLeft(t *testing.T) {
	type outcome struct {
		emit, ack, join error
		reason          string
	}
	result := make(chan outcome, 1)
	f := serve(t, settings{})
	f.handle(t, "/", func(s *hub.Session) error {
		for ev := range s.Events() {
			for s.Connected() {
				_ = s.Sleep(time.Hour) // ends when the client leaves
			}
			result <- outcome{s.Emit("x"), ev.Ack("late"), s.Join("room"), s.Reason()}
		}
		return nil
	})
	c := f.dial(t)
	c.connect("/", "")
	c.send(`421["x"]`, `41`)
	got := <-result
	if !errors.Is(got.emit, hub.ErrGone) || got.ack != nil || !errors.Is(got.join, hub.ErrGone) || got.reason != ReasonClientDisconnect {
		t.Errorf("got %+v", got)
	}
	c.connect("/", "") // and nothing was sent in between
	if f.hub.Of("/").RoomCount() != 0 {
		t.Error("a room without members")
	}
}
