package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// sioClient is as much of a Socket.IO 5 client as a shell command needs: one WebSocket, the
// namespace "/", calls with acks, and events. Its methods are for one goroutine.
type sioClient struct {
	conn    net.Conn
	nextAck int
	pending []sioPacket // that came while a call waited
}

// sioPacket is a packet with the binary values that came behind it. The text of one that has some starts
// like that of one that has none: "42", not "451-".
type sioPacket struct {
	text        []byte
	attachments [][]byte
}

// maxPending bounds the events kept while a call waits for its ack.
const maxPending = 10_000

// dialSocketIO connects to a server given by its http:// or https:// address.
func dialSocketIO(ctx context.Context, addr, name string) (*sioClient, error) {
	u, err := url.Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path = strings.TrimSuffix(u.Path, "/") + "/socket.io/"
	u.RawQuery = "EIO=4&transport=websocket"
	conn, br, _, err := ws.Dial(ctx, u.String())
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	if br != nil { // the server's first packet came with its answer to the upgrade
		head := make([]byte, br.Buffered())
		_, _ = br.Read(head)
		conn = &headConn{Conn: conn, head: bytes.NewReader(head)}
	}
	c := &sioClient{conn: conn}
	if err := c.handshake(ctx, name); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connecting to %s: %w", addr, err)
	}
	return c, nil
}

// headConn reads what was buffered before the rest.
type headConn struct {
	net.Conn
	head *bytes.Reader
}

func (c *headConn) Read(p []byte) (int, error) {
	if c.head.Len() > 0 {
		return c.head.Read(p)
	}
	return c.Conn.Read(p)
}

func (c *sioClient) handshake(ctx context.Context, name string) error {
	defer c.within(ctx)()
	auth, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return err
	}
	if err := c.write("40" + string(auth)); err != nil {
		return err
	}
	for {
		p, err := c.read(ctx)
		if err != nil {
			return err
		}
		switch {
		case bytes.HasPrefix(p.text, []byte("0")): // Engine.IO open
		case bytes.HasPrefix(p.text, []byte("40")):
			return nil
		case bytes.HasPrefix(p.text, []byte("44")):
			return fmt.Errorf("refused: %q", p.text[2:])
		}
	}
}

func (c *sioClient) Close() error { return c.conn.Close() }

func (c *sioClient) write(packet string) error {
	return wsutil.WriteClientText(c.conn, []byte(packet))
}

// within has reading and writing end with ctx; the returned func lifts that.
func (c *sioClient) within(ctx context.Context) (lift func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
}

// maxAttachments is the most binary values of one packet.
const maxAttachments = 1000

// read returns the next packet, whole, and answers the server's pings meanwhile. The caller is within ctx.
func (c *sioClient) read(ctx context.Context) (p sioPacket, err error) {
	if p.text, err = c.frame(ctx, ws.OpText); err != nil {
		return p, err
	}
	if string(p.text) == "41" || string(p.text) == "1" {
		return p, errors.New("the server has ended the connection")
	}
	head, rest, ok := bytes.Cut(p.text, []byte("-"))
	if !ok || len(head) < 3 || head[0] != '4' || head[1] != '5' && head[1] != '6' {
		return p, nil
	}
	n, err := strconv.Atoi(string(head[2:]))
	if err != nil || n > maxAttachments {
		return p, fmt.Errorf("a packet that starts with %.20q", p.text)
	}
	p.text = append([]byte{'4', head[1] - 3}, rest...) // 45 is an event like 42, 46 an ack like 43
	for range n {
		b, err := c.frame(ctx, ws.OpBinary)
		if err != nil {
			return p, err
		}
		p.attachments = append(p.attachments, b)
	}
	return p, nil
}

// frame returns the next frame of a kind that is not a ping.
func (c *sioClient) frame(ctx context.Context, kind ws.OpCode) ([]byte, error) {
	for {
		p, op, err := wsutil.ReadServerData(c.conn)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, fmt.Errorf("the server has gone: %w", err)
		case op == ws.OpText && string(p) == "2":
			if err := c.write("3"); err != nil {
				return nil, err
			}
		case op != kind:
			return nil, fmt.Errorf("a frame of kind %#x where %#x is due", op, kind)
		default:
			return p, nil
		}
	}
}

// Call emits an event and waits for the answer {ok, …}, which is decoded into answer if not nil.
func (c *sioClient) Call(ctx context.Context, answer any, event string, args ...any) error {
	defer c.within(ctx)()
	body, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		return err
	}
	id := strconv.Itoa(c.nextAck)
	c.nextAck++
	if err := c.write("42" + id + string(body)); err != nil {
		return err
	}
	for {
		p, err := c.read(ctx)
		if err != nil {
			return err
		}
		raw, ok := bytes.CutPrefix(p.text, []byte("43"+id+"["))
		if !ok {
			if len(c.pending) < maxPending {
				c.pending = append(c.pending, p)
			}
			continue
		}
		raw = bytes.TrimSuffix(raw, []byte("]"))
		var verdict struct {
			OK    bool `json:"ok"`
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal(raw, &verdict); err != nil {
			return fmt.Errorf("the answer to %s: %w", event, err)
		}
		if !verdict.OK {
			return fmt.Errorf("%s: %s (%s)", event, verdict.Error.Message, verdict.Error.Code)
		}
		if answer == nil {
			return nil
		}
		return json.Unmarshal(raw, answer)
	}
}

// Events calls fn with every event until ctx ends, fn fails or the server goes. Binary values stand in the
// arguments as the string "<n bytes>".
func (c *sioClient) Events(ctx context.Context, fn func(event string, args []json.RawMessage) error) error {
	defer c.within(ctx)()
	for {
		var p sioPacket
		if len(c.pending) > 0 {
			p, c.pending = c.pending[0], c.pending[1:]
		} else {
			var err error
			if p, err = c.read(ctx); err != nil {
				return err
			}
		}
		body, ok := bytes.CutPrefix(p.text, []byte("42"))
		if !ok {
			continue
		}
		var all []json.RawMessage
		var event string
		if json.Unmarshal(p.described(body), &all) != nil || len(all) == 0 || json.Unmarshal(all[0], &event) != nil {
			continue
		}
		if err := fn(event, all[1:]); err != nil {
			return err
		}
	}
}

// placeholder matches a binary value's place in a packet's JSON. Inside a string its quotes would be escaped.
var placeholder = regexp.MustCompile(`\{"_placeholder":true,"num":([0-9]+)\}`)

// described is body with the binary values replaced by what there is to say of them.
func (p *sioPacket) described(body []byte) []byte {
	if len(p.attachments) == 0 {
		return body
	}
	return placeholder.ReplaceAllFunc(body, func(place []byte) []byte {
		n, err := strconv.Atoi(string(placeholder.FindSubmatch(place)[1]))
		if err != nil || n >= len(p.attachments) {
			return place
		}
		return fmt.Appendf(nil, "%q", described(p.attachments[n]))
	})
}

// described is how binary data is shown to people.
func described(b []byte) string { return fmt.Sprintf("<%d bytes>", len(b)) }
