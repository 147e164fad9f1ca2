package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"greenroom/coop"
)

// A dialect is what is said over a link. Its methods are called on the loop.
type dialect interface {
	// path is the endpoint's and query what it is asked with.
	path() string
	query(transport string) string

	login(g *coop.Greenlet, u *user) error
	join(g *coop.Greenlet, u *user) error

	// refused reports whether a packet of the login says that it has failed.
	refused(text string) bool

	heartbeat(p []byte) bool      // reports whether p is one
	beat(u *user, p []byte) error // answers it, where that is the client's part
	pingEvery() time.Duration     // how often the client has to begin, 0 for never; known after a login

	// packet takes in one of the measurement.
	packet(u *user, p []byte, now time.Duration) error

	// publish and echo append the packet that carries a text.
	publish(buf []byte, l *lane, text []byte) []byte
	echo(buf []byte, seq uint32, text []byte) []byte
}

func newDialect(protocol string) (dialect, error) {
	switch protocol {
	case EIO4:
		return &socketIO{version: 4, event: "pub"}, nil
	case EIO3:
		return &socketIO{version: 3, event: "pub"}, nil
	case Relay:
		return &socketIO{version: 4, event: "publish", extra: `"msg",`, after: `,{"echo":true}`}, nil
	case Centrifuge:
		return &centrifuge{}, nil
	}
	return nil, fmt.Errorf("protocol %q: want %s, %s, %s or %s", protocol, EIO4, EIO3, Relay, Centrifuge)
}

// socketIO is Socket.IO 5 on Engine.IO 4, or Socket.IO 4 on Engine.IO 3: text packets, and events that carry a
// string first.
type socketIO struct {
	version      int
	event        string // that publishes; its arguments are the room, extra, the text, and what is after it
	extra, after string
	interval     time.Duration
}

func (d *socketIO) path() string { return "/socket.io/" }

func (d *socketIO) query(transport string) string {
	q := "EIO=" + strconv.Itoa(d.version) + "&transport=" + transport
	if d.version == 3 && transport == Polling {
		q += "&b64=1" // text is all we understand
	}
	return q
}

func (d *socketIO) login(g *coop.Greenlet, u *user) error {
	text, err := u.expect(g, "0")
	if err != nil {
		return err
	}
	var open struct {
		SID          string `json:"sid"`
		PingInterval int    `json:"pingInterval"`
	}
	if err := json.Unmarshal([]byte(text), &open); err != nil {
		return fmt.Errorf("the server opens with %.200q, which is not Engine.IO: %w", text, err)
	}
	if d.version == 3 {
		if open.PingInterval <= 0 {
			return fmt.Errorf("the server opens with a ping interval of %d ms", open.PingInterval)
		}
		d.interval = time.Duration(open.PingInterval) * time.Millisecond
		_, err := u.expect(g, "40") // the root namespace is connected without asking
		return err
	}
	if err := u.say("40"); err != nil {
		return err
	}
	_, err = u.expect(g, "40{")
	return err
}

func (d *socketIO) join(g *coop.Greenlet, u *user) error {
	if u.lane == nil || u.run.plan.Mode == Echo {
		return nil
	}
	if err := u.say(`420["join","` + u.lane.name + `"]`); err != nil {
		return err
	}
	_, err := u.expect(g, "430[")
	return err
}

func (d *socketIO) refused(text string) bool {
	return len(text) > 0 && (text[0] == '1' || len(text) > 1 && text[0] == '4' && (text[1] == '4' || text[1] == '1'))
}

func (d *socketIO) heartbeat(p []byte) bool { return len(p) == 1 && (p[0] == '2' || p[0] == '3') }

func (d *socketIO) beat(u *user, p []byte) error {
	if p[0] == '2' {
		return u.link.ping("3")
	}
	return nil
}

func (d *socketIO) pingEvery() time.Duration { return d.interval }

var (
	socketIOMessage = []byte(`42["msg","`)
	socketIOAck     = []byte(`43`)
)

func (d *socketIO) packet(u *user, p []byte, now time.Duration) error {
	switch {
	case bytes.HasPrefix(p, socketIOMessage):
		u.delivery(p[len(socketIOMessage):], now)
	case d.heartbeat(p):
		return d.beat(u, p)
	case bytes.HasPrefix(p, socketIOAck):
		u.answer(p[len(socketIOAck):], `["`, now)
	case d.refused(string(p[:min(len(p), 2)])):
		return fmt.Errorf("the server says %.200q", p)
	}
	return nil // events of a server's own cost what they cost
}

func (d *socketIO) publish(buf []byte, l *lane, text []byte) []byte {
	buf = append(buf, `42["`...)
	buf = append(buf, d.event...)
	buf = append(buf, `","`...)
	buf = append(buf, l.name...)
	buf = append(buf, `",`...)
	buf = append(buf, d.extra...)
	buf = append(buf, '"')
	buf = append(buf, text...)
	buf = append(buf, '"')
	buf = append(buf, d.after...)
	return append(buf, ']')
}

func (d *socketIO) echo(buf []byte, seq uint32, text []byte) []byte {
	buf = append(buf, `42`...)
	buf = strconv.AppendUint(buf, firstCall+uint64(seq), 10)
	buf = append(buf, `["echo","`...)
	buf = append(buf, text...)
	return append(buf, `"]`...)
}

// centrifuge is the JSON protocol of Centrifuge's WebSocket endpoint: commands with ids, replies, pushes; a frame can
// hold several, one a line.
type centrifuge struct{}

func (d *centrifuge) path() string        { return "/connection/websocket" }
func (d *centrifuge) query(string) string { return "" }

func (d *centrifuge) login(g *coop.Greenlet, u *user) error {
	if err := u.say(`{"id":1,"connect":{}}`); err != nil {
		return err
	}
	_, err := u.expect(g, `{"id":1,"connect":`)
	return err
}

func (d *centrifuge) join(g *coop.Greenlet, u *user) error {
	if u.lane == nil || u.run.plan.Mode == Echo {
		return nil
	}
	if err := u.say(`{"id":2,"subscribe":{"channel":"` + u.lane.name + `"}}`); err != nil {
		return err
	}
	_, err := u.expect(g, `{"id":2,"subscribe":`)
	return err
}

var (
	centrifugeError = []byte(`"error":{`)
	centrifugePush  = []byte(`{"push":{"channel":"`)
	centrifugePub   = []byte(`","pub":{"data":"`)
	centrifugeID    = []byte(`{"id":`)
)

func (d *centrifuge) refused(text string) bool { return bytes.Contains([]byte(text), centrifugeError) }

func (d *centrifuge) heartbeat(p []byte) bool { return len(p) == 2 && p[0] == '{' && p[1] == '}' }

func (d *centrifuge) beat(u *user, _ []byte) error { return u.link.ping("{}") }

func (d *centrifuge) pingEvery() time.Duration { return 0 }

func (d *centrifuge) packet(u *user, p []byte, now time.Duration) error {
	for len(p) > 0 {
		line := p
		if i := bytes.IndexByte(p, '\n'); i >= 0 {
			line, p = p[:i], p[i+1:]
		} else {
			p = nil
		}
		if err := d.line(u, line, now); err != nil {
			return err
		}
	}
	return nil
}

func (d *centrifuge) line(u *user, p []byte, now time.Duration) error {
	switch {
	case bytes.HasPrefix(p, centrifugePush):
		rest := p[len(centrifugePush):]
		if i := bytes.Index(rest[:min(len(rest), 64)], centrifugePub); i >= 0 {
			u.delivery(rest[i+len(centrifugePub):], now)
			return nil
		}
		return d.alarm(p)
	case d.heartbeat(p):
		return d.beat(u, p)
	case bytes.HasPrefix(p, centrifugeID) && u.run.plan.Mode == Echo:
		if bytes.Contains(p[:min(len(p), 64)], centrifugeError) {
			return d.alarm(p)
		}
		u.answer(p[len(centrifugeID):], `,"rpc":{"data":"`, now)
	case bytes.Contains(p[:min(len(p), 64)], centrifugeError):
		return d.alarm(p)
	}
	return nil // replies to publishing
}

// alarm is for what a server says instead of doing its work.
func (d *centrifuge) alarm(p []byte) error {
	if bytes.Contains(p, centrifugeError) || bytes.Contains(p, []byte(`"disconnect":{`)) {
		return fmt.Errorf("the server says %.200q", p)
	}
	return nil
}

func (d *centrifuge) publish(buf []byte, l *lane, text []byte) []byte {
	buf = append(buf, `{"id":3,"publish":{"channel":"`...)
	buf = append(buf, l.name...)
	buf = append(buf, `","data":"`...)
	buf = append(buf, text...)
	return append(buf, `"}}`...)
}

func (d *centrifuge) echo(buf []byte, seq uint32, text []byte) []byte {
	buf = append(buf, `{"id":`...)
	buf = strconv.AppendUint(buf, firstCall+uint64(seq), 10)
	buf = append(buf, `,"rpc":{"method":"echo","data":"`...)
	buf = append(buf, text...)
	return append(buf, `"}}`...)
}

// firstCall is the id of a client's first echo; those before it are for the login.
const firstCall = 10

// answer takes in the ack of a call: its id, between, and the text.
func (u *user) answer(p []byte, between string, now time.Duration) {
	var id uint64
	i := 0
	for ; i < len(p) && i < 12 && p[i] >= '0' && p[i] <= '9'; i++ {
		id = id*10 + uint64(p[i]-'0')
	}
	rest, ok := bytes.CutPrefix(p[i:], []byte(between))
	seq, number := getHex(rest)
	if !ok || !number || id != firstCall+uint64(seq) {
		u.run.faults.Stray++
		return
	}
	u.delivery(rest, now)
}
