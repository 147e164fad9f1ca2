package hub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"greenroom/coop"
	"greenroom/hub"
)

// The examples' transport: clients in the same process. What a real one would write to a socket is
// handed over as text, with session ids replaced by the clients' names.

var text = hub.RegisterWire("text", func(m *hub.Message) []byte { return m.Payload.JSON })

// quiet is where the examples' hubs log to.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// client is one client. It answers questions as answer says.
type client struct {
	session  *hub.Session
	loop     *coop.Loop
	answer   func(event string) (answer string, ok bool)
	received chan string
	acks     chan string
	accepted chan struct{}
	left     chan struct{}
	lastID   int64
}

var names sync.Map // session id → name

// connect brings a client in and returns when the server has let it in.
func connect(h *hub.Hub, name string) *client {
	c := newClient(h, nil)
	c.connect(h, name)
	return c
}

func newClient(h *hub.Hub, answer func(event string) (string, bool)) *client {
	return &client{
		loop: h.Loops().Least(), answer: answer,
		received: make(chan string, 64), acks: make(chan string, 1),
		accepted: make(chan struct{}), left: make(chan struct{}),
	}
}

func (c *client) connect(h *hub.Hub, name string) { c.connectTo(h, "/", name) }

func (c *client) connectTo(h *hub.Hub, namespace, name string) {
	c.loop.Post(func() {
		s, err := h.Connect(c, namespace, &hub.Handshake{Auth: json.RawMessage(`{"name":"` + name + `"}`)})
		if err != nil {
			panic(err)
		}
		c.session = s
		names.Store(s.ID(), name)
	})
	<-c.accepted
}

// emit sends an event; call waits for its ack.
func (c *client) emit(event string, args ...any) { c.deliver(hub.NoAck, event, args) }

func (c *client) call(event string, args ...any) string {
	c.lastID++
	c.deliver(c.lastID, event, args)
	return <-c.acks
}

func (c *client) deliver(ack int64, event string, args []any) {
	p, err := hub.EncodeArgs(event, args...)
	if err != nil {
		panic(err)
	}
	c.loop.Post(func() { _ = c.session.Deliver(hub.NewEvent(event, p, ack)) })
}

// next is the next event that the client gets.
func (c *client) next() string { return <-c.received }

// leave closes the connection from the client's side.
func (c *client) leave() { c.loop.Post(func() { c.session.Closed("transport close") }) }

// readable puts names in the place of ids.
func readable(b []byte) string {
	s := string(b)
	names.Range(func(id, name any) bool {
		s = strings.ReplaceAll(s, id.(string), name.(string))
		return true
	})
	return s
}

func (c *client) Loop() *coop.Loop { return c.loop }
func (c *client) Writable() bool   { return true }
func (c *client) Send(f *hub.Frame) {
	c.received <- readable(f.Bytes(text))
	if m := f.Message(); m.Ack != hub.NoAck && c.answer != nil {
		if a, ok := c.answer(m.Event); ok {
			c.loop.Post(func() { c.session.DeliverAck(m.Ack, hub.Payload{JSON: []byte(a)}) })
		}
	}
}
func (c *client) Accepted(*hub.Session)                      { close(c.accepted) }
func (c *client) Refused(_ *hub.Session, err error)          { fmt.Println("refused:", err) }
func (c *client) Ack(_ *hub.Session, _ int64, p hub.Payload) { c.acks <- readable(p.JSON) }
func (c *client) Leave(*hub.Session, bool)                   { close(c.left) }
