package socketio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/hub"
)

// What was on its way when a namespace was refused is dropped and counted, whatever it is, and the client may
// try again.
func TestPacketsAfterRefusal(t *testing.T) {
	for name, c := range map[string]struct{ connect, reply, namespace string }{
		"by a middleware":    {`40/x,{"a":"plain"}`, `44/x,{"message":"not authorized"}`, "/x"},
		"there is no such":   {`40/none,`, `44/none,{"message":"Invalid namespace"}`, "/none"},
		"there are too many": {`40/custom,`, `44/custom,{"message":"Too many namespaces"}`, "/custom"},
	} {
		t.Run(name, func(t *testing.T) {
			f := serveEcho(t, settings{server: Options{MaxNamespaces: 2}})
			f.refuse(t, "/x")
			peer, _ := f.join(t, "/")
			if c.namespace == "/custom" {
				peer.connect("/x", "")
				peer.want(`42/x,["auth",{}]`)
			}
			peer.send(c.connect)
			peer.want(c.reply)
			peer.send(`42`+c.namespace+`,["event"]`, `451-`+c.namespace+`,["event",{"_placeholder":true,"num":0}]`)
			peer.sendBinary([]byte{1})
			peer.send(`43`+c.namespace+`,1[]`, `41`+c.namespace+`,`)
			peer.alive()
			f.counted(t, "socketio_left_namespace", 4)
			peer.send(c.connect)
			peer.want(c.reply)
			peer.alive()
		})
	}
}

// A client need not wait for the answer to its CONNECT, however long the middlewares take: what it sends
// meanwhile reaches the handler, in order, once it is let in, and nobody when it is not.
func TestPacketsBehindConnect(t *testing.T) {
	events := []string{`42["message",1]`, `451-["message",{"_placeholder":true,"num":0}]`, `427["ack","x"]`}
	for name, c := range map[string]struct {
		auth    string
		want    []string
		dropped uint64
	}{
		"let in":  {`{}`, []string{`42["auth",{}]`, `42["message-back",1]`, `451-["message-back",{"_placeholder":true,"num":0}]`}, 0},
		"refused": {`{"a":"plain"}`, nil, 3},
	} {
		for _, undecided := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", undecided for a while: ", undecided), func(t *testing.T) {
				release := new(coop.Event)
				f := serve(t, settings{hub: hub.Options{Loops: 1}})
				if undecided {
					f.hub.Of("/").Use(func(s *hub.Session) error { return release.Wait(s.Greenlet()) })
				}
				f.refuse(t, "/")
				peer := f.dial(t)
				peer.send(`40`+c.auth, events[0], events[1])
				peer.sendBinary([]byte{5})
				peer.send(events[2])
				if undecided {
					peer.ping()
					f.hub.Loops().All()[0].Post(release.Set)
				}
				if c.want == nil {
					peer.want(`44{"message":"not authorized"}`)
					eventually(t, "all to be dropped", func() bool {
						n := f.hub.Counters()
						return n["event_before_refusal"]+n["socketio_left_namespace"] == c.dropped
					})
					peer.connect("/", "")
					peer.want(`42["auth",{}]`)
					peer.alive()
					return
				}
				if m := peer.next(); !strings.HasPrefix(m.text, `40{"sid":`) {
					t.Fatalf("got %s", m)
				}
				peer.want(c.want...)
				peer.wantBinary([]byte{5})
				peer.want(`437["x"]`)
				peer.alive()
			})
		}
	}
}

// While the middlewares have not decided, a second CONNECT, which the official client sends when the
// application connects twice, is not answered twice; a DISCONNECT ends it, and the client may come again.
func TestPendingConnect(t *testing.T) {
	release := new(coop.Event)
	f := serve(t, settings{hub: hub.Options{Loops: 1}})
	f.hub.Of("/").Use(func(s *hub.Session) error { return release.Wait(s.Greenlet()) })
	f.handle(t, "/", echo)
	c := f.dial(t)
	c.send(`40`, `40`, `40{"second":true}`)
	f.counted(t, "socketio_repeated_connect", 2)
	changed := f.dial(t)
	changed.send(`40{"first":1}`, `42["message","lost"]`, `41`, `42["message","late"]`, `40{"again":1}`, `42["message","kept"]`)
	changed.ping()
	f.hub.Loops().All()[0].Post(release.Set)
	for peer, want := range map[*client][]string{
		c:       {`42["auth",{}]`},
		changed: {`42["auth",{"again":1}]`, `42["message-back","kept"]`},
	} {
		if m := peer.next(); !strings.HasPrefix(m.text, `40{"sid":`) {
			t.Fatalf("got %s", m)
		}
		peer.want(want...)
		peer.alive()
	}
	f.left(t, 2)
}

// What waits for a middleware is bounded as everything in an inbox is: the client is not read from.
func TestFloodBehindConnect(t *testing.T) {
	release := new(coop.Event)
	f := serve(t, settings{hub: hub.Options{Loops: 1, InboxEvents: 8}})
	f.hub.Of("/").Use(func(s *hub.Session) error { return release.Wait(s.Greenlet()) })
	f.handle(t, "/", echo)
	c := f.dial(t)
	c.send(`40`)
	const n = 100
	for i := range n {
		c.send(fmt.Sprintf(`42["message",%d]`, i))
	}
	f.counted(t, "socketio_reading_paused", 1)
	f.hub.Loops().All()[0].Post(release.Set)
	if m := c.next(); !strings.HasPrefix(m.text, `40{"sid":`) {
		t.Fatalf("got %s", m)
	}
	c.want(`42["auth",{}]`)
	for i := range n {
		c.want(fmt.Sprintf(`42["message-back",%d]`, i))
	}
}

// A binary packet that is never finished does not prolong the time to connect.
func TestConnectTimeoutAndPartials(t *testing.T) {
	const connect, part = 10 * time.Second, 4 * time.Second // less than a heartbeat
	const header = `451-["message",{"_placeholder":true,"num":0}]`
	for name, c := range map[string]struct {
		steps   func(c *client, pass func(time.Duration))
		counter string
	}{
		"the packet is late first": {func(c *client, pass func(time.Duration)) {
			c.send(header)
			c.ping()
			pass(part)
		}, "socketio_partial_timeout"},
		"the namespace is late first": {func(c *client, pass func(time.Duration)) {
			pass(connect - part + 1)
			c.send(header)
			c.ping()
			pass(part - 1)
		}, "socketio_connect_timeout"},
		"a whole packet changes nothing": {func(c *client, pass func(time.Duration)) {
			pass(part)
			c.send(header)
			c.sendBinary([]byte{1})
			c.ping()
			pass(connect - part)
		}, "socketio_connect_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			f, pass := serveByHand(t, settings{server: Options{ConnectTimeout: connect, PartialTimeout: part}})
			f.refuse(t, "/")
			peer := f.dial(t)
			peer.send(`40{"a":"slow"}`)
			peer.ping()
			c.steps(peer, pass)
			peer.wantClosed(1008)
			f.counted(t, c.counter, 1)
			f.empty(t)
		})
	}
}

// Unconnected counts connections until their first namespace, or their end.
func TestUnconnected(t *testing.T) {
	f := serveEcho(t, settings{})
	is := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " unconnected"), func() bool { return f.sio.Unconnected() == n })
	}
	is(0)
	a, b, c := f.dial(t), f.dial(t), f.dial(t)
	is(3)
	a.connect("/", "")
	a.want(`42["auth",{}]`)
	is(2)
	a.send(`41`)
	a.connect("/custom", "")
	a.want(`42/custom,["auth",{}]`)
	is(2) // once is enough
	b.send(`40/none,`)
	b.want(`44/none,{"message":"Invalid namespace"}`)
	is(2)
	b.conn.Close()
	is(1)
	c.send(`4abc`)
	c.wantClosed(1002)
	is(0)
	a.conn.Close()
	f.empty(t)
	is(0)
}
