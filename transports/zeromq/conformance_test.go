package zeromq

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// What a peer can do wrong is tried on every socket that peers reach, whatever stands behind it.

// role is one of them.
type role struct {
	name  string          // as Bridge.Addr has it; connect for the connections to publishers
	peer  zmq4.SocketType // of who comes
	wrong zmq4.SocketType // of who is not let in
	whole []byte          // a message that is heard in the room "evil"; nil if there is none
	told  []byte          // what follows the handshake unasked
}

const evilRequest = `{"method":"publish","params":{"room":"evil","event":"e","args":["done"]}}`

var roles = []role{
	{"pull", zmq4.Push, zmq4.Sub, rawMessage("evil", "e", `"done"`), nil},
	{"sub", zmq4.Pub, zmq4.Push, rawMessage("evil", "e", `"done"`), rawMessage("\x01")},
	{"pub", zmq4.Sub, zmq4.Push, nil, nil},
	{"control", zmq4.Dealer, zmq4.Pub, rawMessage("me", "", evilRequest), nil},
	{"workers", zmq4.Dealer, zmq4.Pub, nil, nil},
	{"connect", zmq4.Pub, zmq4.Sub, rawMessage("evil", "e", `"done"`), rawMessage("\x01")},
}

func (r role) hello() []byte { return rawHello(string(r.peer)) }

// everything is a bridge with all endpoints, and peers at them that must be served whatever others do.
type everything struct {
	h     *hub.Hub
	b     *Bridge
	push  *Pusher
	heard *Subscription
	asker *asker
}

func newEverything(t testing.TB, o Options) *everything {
	t.Helper()
	h := newHub(t, hub.Options{Loops: 1})
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		t.Fatal(err)
	}
	o.Pull, o.Sub, o.Pub, o.Control, o.Workers = anyPort, anyPort, anyPort, anyPort, anyPort
	b := listen(t, h, o)
	return &everything{h, b, push(t, b.Addr("pull")), subscribe(t, b, "room", "evil"), ask(t, b.Addr("control"), zmq4.Dealer)}
}

// served checks that who is there is served, and who comes to any endpoint let in; and that nothing was published
// in between.
func (e *everything) served(t testing.TB, text string) {
	t.Helper()
	for _, r := range roles[:5] {
		eventually(t, "a new peer at "+r.name, func() bool {
			c, err := connect(context.Background(), e.b.Addr(r.name), r.peer)
			if err == nil {
				c.close()
			}
			return err == nil
		})
	}
	e.asker.t = t
	e.asker.must("ping", nil)
	e.sound(t, text)
}

// sound publishes text and checks that it is what is heard next.
func (e *everything) sound(t testing.TB, text string) {
	t.Helper()
	send(t, e.push, "room", text)
	if got := receive(t, e.heard); !strings.HasPrefix(got, "room|") || !strings.Contains(got, text) {
		t.Fatalf("heard %q in place of %q", got, text)
	}
}

// counted are the bridge's own counters.
func (e *everything) counted() map[string]int {
	m := make(map[string]int)
	for reason, n := range e.h.Counters() {
		if strings.HasPrefix(reason, "zeromq_") && n > 0 {
			m[reason] = int(n)
		}
	}
	return m
}

// guests returns connections of n raw peers in a role. For connect, each is a publisher that o must name.
func guests(t testing.TB, r role, n int, o Options) (*everything, []net.Conn) {
	t.Helper()
	conns := make([]net.Conn, n)
	if r.name != "connect" {
		e := newEverything(t, o)
		for i := range conns {
			conns[i] = rawDial(t, e.b.Addr(r.name))
		}
		return e, conns
	}
	listeners := make([]net.Listener, n)
	for i := range listeners {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		listeners[i] = ln
		o.Connect = append(o.Connect, endpointOf(ln.Addr()))
	}
	o.RedialMin, o.Heartbeat = time.Hour, -1 // each is tried once, and speaks as it likes
	e := newEverything(t, o)
	for i, ln := range listeners {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns[i] = c
	}
	return e, conns
}

// offence is what a peer does to have its own connection ended, and nothing else.
type offence struct {
	name, reason string
	input        []byte
	shaken       bool // input stands behind greeting and READY of the role's peer
	then         func(net.Conn)
}

func property(name, value string) string {
	return string(rune(len(name))) + name + string([]byte{0, 0, byte(len(value) >> 8), byte(len(value))}) + value
}

// offences are those of a role: groups of one kind, in the order in which a connection meets them.
func offences(r role) []offence {
	typ := property("Socket-Type", string(r.peer))
	ready := func(properties string) []byte { return concat(rawGreeting(), rawCommand("READY", properties)) }
	greets := func(mechanism string) []byte {
		g := rawGreeting()
		copy(g[12:32], mechanism+strings.Repeat("\x00", 20))
		return g
	}
	halfClose := func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() }
	reset := func(c net.Conn) {
		// A write that meets the reset takes the error, and leaves the reader a plain end: so all that is written comes first.
		_, _ = readHandshake(c, len(r.told))
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	trickle := func(c net.Conn) {
		for _, b := range r.hello() { // it would take nine seconds
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // slowness is what this is about
		}
	}
	inMessage := func(reason string) string {
		if r.name == "pub" { // which takes no message of several frames
			return guard.ReasonFrames
		}
		return reason
	}
	list := []offence{
		// 1: it does not get on
		{name: "silence", reason: reasonHandshake},
		{name: "a byte now and then", reason: reasonHandshake, then: trickle},
		{name: "half a greeting", reason: reasonHandshake, input: rawGreeting()[:30]},
		{name: "greeting only", reason: reasonHandshake, input: rawGreeting()},
		{name: "half a READY", reason: reasonHandshake, input: r.hello()[:70]},
		// 2: not ZMTP, or not ours
		{name: "noise", reason: guard.ReasonGreeting, input: bytes.Repeat([]byte{0x5a}, 64)},
		{name: "HTTP", reason: guard.ReasonGreeting, input: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{name: "TLS", reason: guard.ReasonGreeting, input: []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
		{name: "ZMTP 1", reason: guard.ReasonVersion, input: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00")},
		{name: "ZMTP 2", reason: guard.ReasonVersion, input: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01\x08")},
		{name: "wrong footer", reason: guard.ReasonGreeting, input: []byte("\xff\x00\x00\x00\x00\x00\x00\x00\x01\xff\x03\x01")},
		{name: "mechanism without NUL", reason: guard.ReasonMechanism, input: greets("NULLNULLNULLNULLNULL")},
		{name: "unknown mechanism", reason: guard.ReasonMechanism, input: greets("FOO")},
		{name: "PLAIN", reason: guard.ReasonMechanism, input: concat(greets("PLAIN"), rawCommand("HELLO", "\x04user\x08password"))},
		{name: "CURVE", reason: guard.ReasonMechanism, input: greets("CURVE")},
		// 3: READY
		{name: "name of no bytes", reason: guard.ReasonReady, input: ready(typ + "\x00\x00\x00\x00\x00")},
		{name: "value of 4 GiB", reason: guard.ReasonReady, input: ready(typ + "\x01X\xff\xff\xff\xff")},
		{name: "10 000 properties", reason: guard.ReasonReady, input: ready(typ + strings.Repeat(property("X", ""), 10_000))},
		{name: "type twice", reason: guard.ReasonReady, input: ready(typ + typ)},
		{name: "no type", reason: guard.ReasonReady, input: ready(property("Identity", "me"))},
		{name: "name beyond it", reason: guard.ReasonReady, input: ready("\xffSocket")},
		{name: "type FOO", reason: guard.ReasonSocketType, input: rawHello("FOO")},
		{name: "type CLIENT", reason: guard.ReasonSocketType, input: rawHello("CLIENT")},
		{name: "wrong type", reason: guard.ReasonSocketType, input: rawHello(string(r.wrong))},
		{name: "long identity", reason: guard.ReasonReady, input: ready(typ + property("Identity", strings.Repeat("i", 256)))},
		{name: "identity of the socket's own", reason: guard.ReasonReady, input: ready(typ + property("Identity", "\x00me"))},
		{name: "ERROR", reason: guard.ReasonPeerError, input: concat(rawGreeting(), rawCommand("ERROR", "\x02no"))},
		{name: "HELLO of CURVE", reason: guard.ReasonReady, input: concat(rawGreeting(), rawCommand("HELLO", strings.Repeat("h", 194)))},
		{name: "message before READY", reason: guard.ReasonReady, input: concat(rawGreeting(), rawMessage("evil", "x"))},
		{name: "READY of 2^62", reason: guard.ReasonReady, input: concat(rawGreeting(), longFrame(4, 1<<62))},
		// 4: sizes
		{name: "frame of 2^31", reason: guard.ReasonFrameSize, shaken: true, input: longFrame(0, 1<<31)},
		{name: "frame of 2^62", reason: guard.ReasonFrameSize, shaken: true, input: longFrame(0, 1<<62)},
		{name: "frame of 2^63", reason: guard.ReasonFrameSize, shaken: true, input: longFrame(0, 1<<63)},
		{name: "frame of 2^64-1", reason: guard.ReasonFrameSize, shaken: true, input: longFrame(1, 1<<64-1)},
		{name: "frame above the limit", reason: guard.ReasonFrameSize, shaken: true, input: longFrame(0, 1<<20+1)},
		{name: "a million empty frames", reason: guard.ReasonFrames, shaken: true, input: bytes.Repeat([]byte{1, 0}, 1_000_000)},
		{name: "command of 1 GiB", reason: guard.ReasonCommand, shaken: true, input: longFrame(4, 1<<30)},
		{name: "commands in a message", reason: inMessage(guard.ReasonCommand), shaken: true, input: concat([]byte("\x01\x00"), bytes.Repeat(rawCommand("PONG", ""), 1000))},
		{name: "MORE and the end", reason: inMessage(guard.ReasonTruncated), shaken: true, input: []byte("\x01\x04evil"), then: halfClose},
		{name: "half a header and the end", reason: guard.ReasonTruncated, shaken: true, input: []byte("\x02\x00\x00"), then: halfClose},
		// 5: flags and commands
		{name: "flags F8", reason: guard.ReasonFlags, shaken: true, input: []byte("\xf8\x00")},
		{name: "flags 08", reason: guard.ReasonFlags, shaken: true, input: []byte("\x08\x00")},
		{name: "COMMAND with MORE", reason: guard.ReasonFlags, shaken: true, input: []byte("\x05\x00")},
		{name: "empty command", reason: guard.ReasonCommand, shaken: true, input: []byte("\x04\x00")},
		{name: "name beyond its command", reason: guard.ReasonCommand, shaken: true, input: []byte("\x04\x03\x09PI")},
		{name: "PING without a ttl", reason: guard.ReasonPing, shaken: true, input: rawCommand("PING", "")},
		{name: "PING with a long context", reason: guard.ReasonPing, shaken: true, input: rawCommand("PING", "\x00\x00"+strings.Repeat("c", 17))},
		{name: "PING flood", reason: guard.ReasonPingFlood, shaken: true, input: bytes.Repeat(rawCommand("PING", "\x00\x00"), 3000)},
		{name: "a promise not kept", reason: guard.ReasonHeartbeat, shaken: true, input: rawCommand("PING", "\x00\x01")},
		// 7: ends
		{name: "reset in a frame", reason: reasonNetwork, shaken: true, input: []byte("\x00\x04ev"), then: reset},
		{name: "half-closed", shaken: true, then: halfClose},
	}
	for n := range len(typ) { // 3 again: cut anywhere
		list = append(list, offence{name: fmt.Sprintf("READY cut at %d", n), reason: guard.ReasonReady, input: ready(typ[:n])})
	}
	if r.name == "pub" { // which takes nothing but a topic
		list = append(list,
			offence{name: "topic of 1 MiB", reason: guard.ReasonFrameSize, shaken: true, input: concat(longFrame(0, 1<<20), make([]byte, 1<<20))},
			offence{name: "SUBSCRIBE of 300 bytes", reason: guard.ReasonTopic, shaken: true, input: rawCommand("SUBSCRIBE", strings.Repeat("t", 300))},
			offence{name: "topics held at the end", shaken: true, input: bytes.Repeat(rawMessage("\x01room"), 3), then: halfClose})
	} else {
		list = append(list,
			offence{name: "message above the limit", reason: guard.ReasonMessageSize, shaken: true, input: bytes.Repeat(concat(longFrame(1, 1<<20), make([]byte, 1<<20)), 3)})
	}
	if r.whole != nil { // cut anywhere, it is not heard
		for n := 1; n < len(r.whole); n++ {
			list = append(list, offence{name: fmt.Sprintf("message cut at %d", n), reason: guard.ReasonTruncated, shaken: true, input: r.whole[:n], then: halfClose})
		}
	}
	return list
}

// TestOffences: each in each role, all at once. It ends its own connection, is counted once under its reason, and
// nobody else sees anything of it. Descriptors and goroutines go with it.
func TestOffences(t *testing.T) {
	returned := footprint(t)
	var all together // they wait for handshakes to be too long most of the time
	for _, r := range roles {
		var slow, others []offence
		for _, o := range offences(r) {
			if o.reason == reasonHandshake {
				slow = append(slow, o)
			} else {
				others = append(others, o)
			}
		}
		// Those who do not get on wait for the end of their time, which for the others must not come on any machine.
		all.run(t, r.name+" in time", func(t *testing.T) { offend(t, r, slow, 3*time.Second) })
		all.run(t, r.name, func(t *testing.T) { offend(t, r, others, patience) })
	}
	all.Wait()
	returned()
}

func offend(t *testing.T, r role, list []offence, timeout time.Duration) {
	e, conns := guests(t, r, len(list), Options{HandshakeTimeout: timeout, MaxPending: 1000})
	var sent sync.WaitGroup
	for i, o := range list {
		input := o.input
		if o.shaken {
			input = concat(r.hello(), input)
		}
		sent.Go(func() {
			_, _ = conns[i].Write(input) // it may be closed while we write
			if o.then != nil {
				o.then(conns[i])
			}
		})
	}
	served := e.served
	if timeout < patience { // a new peer might be late itself, and be counted
		served = e.sound
	}
	served(t, "beside them")
	sent.Wait()
	want := make(map[string]int)
	for i, o := range list {
		t.Run(o.name, func(t *testing.T) {
			if o.reason != reasonNetwork { // that one has closed itself
				waitClosed(t, conns[i])
			}
			_ = conns[i].Close()
		})
		silent := o.reason == "" || r.name == "connect" && (o.reason == reasonHandshake || o.reason == reasonNetwork)
		if !silent { // what a publisher that we have called lacks stands in its state
			want[o.reason]++
		}
	}
	total := func(m map[string]int) (sum int) {
		for _, n := range m {
			sum += n
		}
		return sum
	}
	eventually(t, "the counters", func() bool { return total(e.counted()) >= total(want) })
	if got := e.counted(); !maps.Equal(got, want) {
		t.Errorf("counted %v\nwant    %v", got, want)
	}
	for _, p := range e.b.Publishers() {
		if p.Connected || p.Err == nil {
			t.Errorf("%+v", p)
		}
	}
	served(t, "after them")
}

// TestWholeMessagesAreHeard: what TestOffences sends in parts, and sees that nobody hears, is heard when it is whole.
func TestWholeMessagesAreHeard(t *testing.T) {
	for _, r := range roles {
		if r.whole == nil {
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			e, conns := guests(t, r, 1, Options{HandshakeTimeout: patience})
			if _, err := conns[0].Write(concat(r.hello(), r.whole)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, e.heard); !strings.HasPrefix(got, "evil|e|") || !strings.Contains(got, "done") {
				t.Errorf("heard %q", got)
			}
			e.sound(t, "behind it") // once
			if got := e.counted(); len(got) > 0 {
				t.Errorf("counted %v", got)
			}
		})
	}
}
