//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// client is a Socket.IO client over WebSocket that reads and counts, at the least cost: it shares the machine with what is
// measured.
type client struct {
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
}

// dial connects a client to a node.
func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 32<<10)}
	_, err = fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr)
	if err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(resp.Status)
	}
	if err := c.send("40"); err != nil {
		return nil, err
	}
	for {
		text, err := c.next()
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(string(text), "40") {
			return c, nil
		}
	}
}

func (c *client) send(text string) error {
	frame := append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...) // a mask of zeros
	_, err := c.conn.Write(frame)
	return err
}

// join has it join the room.
func (c *client) join() error { return c.send(`42["join","room"]`) }

// next is the next message, valid until the one after it; heartbeats are answered, answers left out.
func (c *client) next() ([]byte, error) {
	for {
		head, err := c.r.Peek(2)
		if err != nil {
			return nil, err
		}
		n, skip := int(head[1]), 2
		switch n {
		case 126:
			if head, err = c.r.Peek(4); err != nil {
				return nil, err
			}
			n, skip = int(binary.BigEndian.Uint16(head[2:])), 4
		case 127:
			return nil, errors.New("a message too large")
		}
		_, _ = c.r.Discard(skip)
		if cap(c.buf) < n {
			c.buf = make([]byte, n)
		}
		c.buf = c.buf[:n]
		if _, err := io.ReadFull(c.r, c.buf); err != nil {
			return nil, err
		}
		if string(c.buf) == "2" {
			if err := c.send("3"); err != nil {
				return nil, err
			}
			continue
		}
		if bytes.HasPrefix(c.buf, []byte("43")) {
			continue
		}
		return c.buf, nil
	}
}

// sent is when the message was sent, as its publisher says: 42["message","…
func sent(text []byte) (at int64) {
	const head = len(`42["message","`)
	if len(text) < head {
		return 0
	}
	for _, b := range text[head:] {
		if b < '0' || b > '9' {
			break
		}
		at = at*10 + int64(b-'0')
	}
	return at
}
