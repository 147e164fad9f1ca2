//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// client is one Socket.IO session on a WebSocket, after its handshake only a descriptor and the bytes of
// a frame that has not arrived whole.
type client struct {
	fd   int
	rest []byte
}

// connectedAtOnce bounds the handshakes under way, so that no peer's accept queue overflows.
const connectedAtOnce = 32

// handshakeWithin is for one client.
const handshakeWithin = 30 * time.Second

// connectAll opens n sessions; join is sent by each, with ack id 0, unless empty.
func connectAll(addr string, n int, join string) ([]*client, error) {
	clients := make([]*client, n)
	var group errgroup.Group
	group.SetLimit(connectedAtOnce)
	for i := range clients {
		group.Go(func() error {
			c, err := connect(addr, join)
			if err != nil {
				return fmt.Errorf("client %d of %d: %w", i+1, n, err)
			}
			clients[i] = c
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		closeAll(clients)
		return nil, err
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			_ = unix.Close(c.fd)
		}
	}
}

// connect does the opening handshake of RFC 6455, Engine.IO 4's open packet, Socket.IO 5's CONNECT, and
// the join, and hands over the descriptor.
func connect(addr, join string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, handshakeWithin)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	if err := upgrade(conn, r, addr); err != nil {
		return nil, err
	}
	if err := expect(conn, r, "0{"); err != nil {
		return nil, err
	}
	if err := say(conn, "40"); err != nil {
		return nil, err
	}
	if err := expect(conn, r, "40{"); err != nil {
		return nil, err
	}
	if join != "" {
		if err := say(conn, join); err != nil {
			return nil, err
		}
		if err := expect(conn, r, "430["); err != nil {
			return nil, err
		}
	}
	fd, err := descriptor(conn)
	if err != nil {
		return nil, err
	}
	rest := make([]byte, r.Buffered())
	if _, err := r.Read(rest); err != nil && len(rest) > 0 {
		return nil, err
	}
	return &client{fd: fd, rest: rest}, nil
}

// upgrade sends a fixed key: the accept value proves nothing to us that the status does not.
func upgrade(conn net.Conn, r *bufio.Reader, addr string) error {
	_, err := fmt.Fprintf(conn, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr)
	if err != nil {
		return err
	}
	status, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("websocket handshake: %w", err)
	}
	if !strings.HasPrefix(status, "HTTP/1.1 101") {
		return fmt.Errorf("websocket handshake: the server answers %q", strings.TrimSpace(status))
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("websocket handshake: %w", err)
		}
		if strings.TrimSpace(line) == "" {
			return nil
		}
	}
}

// expect reads frames until one that begins with want; pings on the way are answered.
func expect(conn net.Conn, r *bufio.Reader, want string) error {
	for {
		head, err := r.Peek(2)
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", want, err)
		}
		need := 2
		if head[1] == 126 {
			need = 4
		}
		if head, err = r.Peek(need); err != nil {
			return fmt.Errorf("waiting for %q: %w", want, err)
		}
		_, size, _, ok := frameHead(head)
		if !ok || need+size > r.Size() {
			return fmt.Errorf("waiting for %q: a frame that this client does not understand", want)
		}
		frame, err := r.Peek(need + size)
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", want, err)
		}
		text := string(frame[need:])
		if _, err := r.Discard(len(frame)); err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(text, want):
			return nil
		case text == "2":
			if err := say(conn, "3"); err != nil {
				return err
			}
		case bytes.HasPrefix(frame, []byte{0x88}) || strings.HasPrefix(text, "44"):
			return fmt.Errorf("waiting for %q: the server says %q", want, text)
		}
	}
}

func say(conn net.Conn, text string) error {
	_, err := conn.Write(appendFrame(nil, text))
	return err
}

// descriptor takes the socket out of Go's netpoller: a duplicate, non-blocking like the original.
func descriptor(conn net.Conn) (int, error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(p uintptr) { fd, dupErr = unix.Dup(int(p)) }); err != nil {
		return 0, err
	}
	return fd, dupErr
}
