package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
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
	pending [][]byte // event packets that came while a call waited
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
		case bytes.HasPrefix(p, []byte("0")): // Engine.IO open
		case bytes.HasPrefix(p, []byte("40")):
			return nil
		case bytes.HasPrefix(p, []byte("44")):
			return fmt.Errorf("refused: %s", p[2:])
		}
	}
}

func (c *sioClient) Close() error { return c.conn.Close() }

func (c *sioClient) write(packet string) error {
	return wsutil.WriteClientText(c.conn, []byte(packet))
}

// read returns the next packet and answers the server's pings meanwhile.
func (c *sioClient) read(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		p, err := wsutil.ReadServerText(c.conn)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("the server has gone: %w", err)
		}
		if string(p) != "2" {
			return p, nil
		}
		if err := c.write("3"); err != nil {
			return nil, err
		}
	}
}

// Call emits an event and waits for the answer {ok, …}, which is decoded into answer if not nil.
func (c *sioClient) Call(ctx context.Context, answer any, event string, args ...any) error {
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
		raw, ok := bytes.CutPrefix(p, []byte("43"+id+"["))
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

// Events calls fn with every event until ctx ends, fn fails or the server goes.
func (c *sioClient) Events(ctx context.Context, fn func(event string, args []json.RawMessage) error) error {
	for {
		var p []byte
		if len(c.pending) > 0 {
			p, c.pending = c.pending[0], c.pending[1:]
		} else {
			var err error
			if p, err = c.read(ctx); err != nil {
				return err
			}
		}
		body, ok := bytes.CutPrefix(p, []byte("42"))
		if !ok {
			continue
		}
		var all []json.RawMessage
		var event string
		if json.Unmarshal(body, &all) != nil || len(all) == 0 || json.Unmarshal(all[0], &event) != nil {
			continue
		}
		if err := fn(event, all[1:]); err != nil {
			return err
		}
	}
}
