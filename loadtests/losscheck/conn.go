package losscheck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// conn is a connection of Engine.IO 4 over WebSocket, with a Socket.IO session in "/".
type conn struct {
	c   net.Conn
	in  io.ReadWriter
	sid string
	pid string
	// recovered says that the session is the earlier one, and early what came before it was told so.
	recovered bool
	early     []string

	mu   sync.Mutex
	last int
	acks map[int]chan json.RawMessage
	gone chan struct{} // closed with the connection
}

// errLeave is a server that ends the session: an official client does not come back from that by itself.
var errLeave = errors.New("the server has ended the session")

// dial connects to a node at host:port. pid and offset are those of the session to come back to, or empty.
func dial(ctx context.Context, addr, pid, offset string) (*conn, error) {
	c, rest, _, err := ws.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return nil, err
	}
	k := &conn{c: c, acks: make(map[int]chan json.RawMessage), gone: make(chan struct{})}
	var in io.Reader = c
	if rest != nil {
		in = bufio.NewReader(io.MultiReader(rest, c))
	}
	k.in = struct {
		io.Reader
		io.Writer
	}{in, (*locked)(k)}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if err := k.connect(pid, offset); err != nil {
		_ = c.Close()
		return nil, err
	}
	return k, nil
}

// locked writes whole frames for several goroutines.
type locked conn

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.c.Write(p)
}

func (k *conn) connect(pid, offset string) error {
	if p, err := k.read(); err != nil || p == "" || p[0] != '0' {
		return fmt.Errorf("opening: %q, %w", p, err)
	}
	auth := ""
	if pid != "" && offset != "" {
		auth = fmt.Sprintf(`{"pid":%q,"offset":%q}`, pid, offset)
	}
	if err := k.write("40" + auth); err != nil {
		return err
	}
	for {
		p, err := k.read()
		switch {
		case err != nil:
			return err
		case len(p) > 1 && p[:2] == "40":
			var answer struct{ SID, PID string }
			if err := json.Unmarshal([]byte(p[2:]), &answer); err != nil {
				return err
			}
			k.sid, k.pid = answer.SID, answer.PID
			k.recovered = pid != "" && answer.PID == pid
			return nil
		case len(p) > 1 && p[:2] == "42":
			k.early = append(k.early, p[2:])
		default:
			return fmt.Errorf("connecting: %q", p)
		}
	}
}

// read returns the next packet, and answers pings.
func (k *conn) read() (string, error) {
	for {
		p, err := wsutil.ReadServerText(k.in)
		if err != nil {
			return "", err
		}
		if string(p) != "2" {
			return string(p), nil
		}
		if err := k.write("3"); err != nil {
			return "", err
		}
	}
}

func (k *conn) write(packet string) error {
	frame := ws.MaskFrame(ws.NewTextFrame([]byte(packet)))
	b, err := ws.CompileFrame(frame)
	if err != nil {
		return err
	}
	_, err = (*locked)(k).Write(b)
	return err
}

// serve gives events to fn, as JSON arrays, until the connection ends.
func (k *conn) serve(fn func(event string)) error {
	defer close(k.gone)
	defer k.c.Close()
	for {
		p, err := k.read()
		switch {
		case err != nil:
			return err
		case len(p) < 2 || p[0] != '4':
		case p[1] == '2':
			fn(p[2:])
		case p[1] == '3':
			k.acked(p[2:])
		case p[1] == '1':
			return errLeave
		}
	}
}

// over reports whether the connection has ended.
func (k *conn) over() bool {
	select {
	case <-k.gone:
		return true
	default:
		return false
	}
}

func (k *conn) acked(p string) {
	n := 0
	for n < len(p) && p[n] >= '0' && p[n] <= '9' {
		n++
	}
	id, err := strconv.Atoi(p[:n])
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if ch := k.acks[id]; ch != nil {
		ch <- json.RawMessage(p[n:])
		delete(k.acks, id)
	}
}

// emit sends an event; the channel gets its answer.
func (k *conn) emit(args ...any) (<-chan json.RawMessage, error) {
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	ch := make(chan json.RawMessage, 1)
	k.mu.Lock()
	k.last++
	id := k.last
	k.acks[id] = ch
	k.mu.Unlock()
	return ch, k.write("42" + strconv.Itoa(id) + string(text))
}

// ask is emit, and waits for the answer or the end of the connection.
func (k *conn) ask(ctx context.Context, args ...any) (json.RawMessage, error) {
	ch, err := k.emit(args...)
	if err != nil {
		return nil, err
	}
	select {
	case answer := <-ch:
		return answer, nil
	case <-k.gone:
		return nil, io.ErrUnexpectedEOF
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
