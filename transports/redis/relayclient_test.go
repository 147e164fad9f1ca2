//go:build unix

package redis

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"greenroom/coop"
	"greenroom/hub"
)

// wire encodes a message as its JSON.
var wire = hub.RegisterWire("redis test", func(m *hub.Message) []byte { return m.Payload.JSON })

// memoryClient is a client of Relay without a connection.
type memoryClient struct {
	loop *coop.Loop

	mu      sync.Mutex
	session *hub.Session
	in      bool
	got     []string
	acks    map[int64]string
	calls   int64
}

var relays sync.Map // of hubs that have Relay

func relayClient(t *testing.T, h *hub.Hub, auth string) *memoryClient {
	t.Helper()
	if _, has := relays.LoadOrStore(h, true); !has {
		if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
			t.Fatal(err)
		}
	}
	c := &memoryClient{loop: h.Loops().All()[0], acks: make(map[int64]string)}
	c.loop.Post(func() {
		s, err := h.Connect(c, "/", &hub.Handshake{Auth: json.RawMessage(auth)})
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.session = s
		c.mu.Unlock()
	})
	within(t, "the client is in", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.in && c.session != nil })
	return c
}

func (c *memoryClient) id() string { return c.session.ID() }

func (c *memoryClient) heard() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got, "\n")
}

func (c *memoryClient) call(t *testing.T, event string, args ...any) map[string]any {
	t.Helper()
	p, err := hub.EncodeArgs(event, args...)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.calls++
	id := c.calls
	c.mu.Unlock()
	c.loop.Post(func() { _ = c.session.Deliver(hub.NewEvent(event, p, id)) })
	text := ""
	within(t, "the ack of "+event, func() bool { c.mu.Lock(); defer c.mu.Unlock(); text = c.acks[id]; return text != "" })
	var answer []map[string]any
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer) != 1 {
		t.Fatalf("%s: %s", event, text)
	}
	return answer[0]
}

func (c *memoryClient) Loop() *coop.Loop { return c.loop }
func (c *memoryClient) Writable() bool   { return true }

func (c *memoryClient) Send(f *hub.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, string(f.Bytes(wire)))
}

func (c *memoryClient) Accepted(*hub.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = true
}
func (c *memoryClient) Refused(*hub.Session, error) {}
func (c *memoryClient) Ack(_ *hub.Session, id int64, p hub.Payload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks[id] = string(p.JSON)
}
func (c *memoryClient) Leave(*hub.Session, bool) {}
