package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"greenroom/coop"
)

// wsLink is a WebSocket on a stream of the loop: frames are read where they arrive, and nothing is kept but one that
// has not come whole.
type wsLink struct {
	u        *user
	stream   *coop.Stream
	rest     []byte // of what arrived: an incomplete frame, or head of the answer
	out      []byte // what the socket has not taken yet
	parts    []byte // of a message in several frames, so far
	state    wsState
	first    byte      // of the message that parts belong to
	inflater *inflater // nil if nothing is compressed
}

type wsState uint8

const (
	wsAnswering wsState = iota // to our request
	wsOpen
	wsClosed
)

// The key is always the same: the answer proves only that a server understands the handshake.
const (
	wsKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	wsAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// maxAnswer bounds the head of a server's answer.
const maxAnswer = 16 << 10

// errEnded is the end of a connection by the server.
var errEnded = errors.New("the server closed the connection")

func upgradeRequest(r *run) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", r.target(WebSocket), r.peer.Addr, wsKey)
	if r.plan.Deflate {
		b.WriteString("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

func (l *wsLink) open(g *coop.Greenlet) error {
	loop, ctx, addr := g.Loop(), g.Context(), l.u.run.peer.Addr
	s, err := coop.Await(g, func() (*coop.Stream, error) {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		s, err := loop.Attach(c, l) // nobody may be waiting any more: then it ends with the loop
		if err != nil {
			c.Close()
		}
		return s, err
	})
	if err != nil {
		return err
	}
	l.stream = s
	s.Start()
	if err := l.write(l.u.run.request); err != nil {
		return err
	}
	_, err = l.u.expect(g, upgraded)
	return err
}

// upgraded is what the inbox is told when the handshake is done; no packet begins with it.
const upgraded = "\x00upgraded"

// OnRead is the stream's.
func (l *wsLink) OnRead(_ *coop.Stream, p []byte) {
	r := l.u.run
	now := r.now()
	r.gather()
	if len(l.rest) > 0 {
		l.rest = append(l.rest, p...)
		p = l.rest
	}
	n, err := l.take(p, now)
	if err != nil {
		l.fail(err)
		return
	}
	if n == len(p) {
		if l.rest != nil {
			l.rest = nil // few frames are ever cut
		}
		return
	}
	l.rest = append(l.rest[:0], p[n:]...)
}

// take deals with what is whole in p, and returns how much that was.
func (l *wsLink) take(p []byte, now time.Duration) (n int, err error) {
	if l.state == wsAnswering {
		end := bytes.Index(p, []byte("\r\n\r\n"))
		if end < 0 {
			if len(p) > maxAnswer {
				return 0, errors.New("websocket handshake: the server's answer has no end")
			}
			return 0, nil
		}
		n = end + 4
		if err := l.answered(p[:n]); err != nil {
			return 0, err
		}
		l.state = wsOpen
		l.u.inbox.TryPut(upgraded)
	}
	for l.state == wsOpen {
		first, size, at, ok := frameHead(p[n:])
		if ok && p[n+1] >= 128 {
			return n, errors.New("a masked frame, which a server must not send")
		}
		if !ok || len(p)-n < at+size {
			if ok && size > maxFrame {
				return 0, fmt.Errorf("a frame of more than %d bytes", maxFrame)
			}
			return n, nil
		}
		payload := p[n+at : n+at+size]
		n += at + size
		if first == finBit|opText && l.parts == nil {
			err = l.u.packet(payload, now)
		} else {
			err = l.frame(first, payload, now)
		}
		if err != nil {
			return n, err
		}
	}
	return len(p), nil
}

// answered checks the server's answer to the handshake.
func (l *wsLink) answered(head []byte) error {
	a, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return fmt.Errorf("websocket handshake: the server does not speak HTTP: %.80q", head)
	}
	if a.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("websocket handshake: the server answers %s", a.Status)
	}
	if a.Header.Get("Sec-WebSocket-Accept") != wsAccept || !strings.EqualFold(a.Header.Get("Upgrade"), "websocket") {
		return errors.New("websocket handshake: the server's answer is not WebSocket's")
	}
	l.inflater, err = newInflater(a.Header.Values("Sec-WebSocket-Extensions"), l.u.run)
	return err
}

// frame deals with every frame but a whole uncompressed text.
func (l *wsLink) frame(first byte, payload []byte, now time.Duration) error {
	switch op := first & 15; {
	case op == opClose:
		if len(payload) > 2 {
			return fmt.Errorf("%w: %.100q", errEnded, payload[2:])
		}
		return errEnded
	case op == opPing:
		return l.seal(append(make([]byte, frameSpace), payload...), opPong)
	case op == opPong:
		return nil
	case op == opText && l.parts == nil, op == opCont && l.parts != nil:
	default:
		return fmt.Errorf("a frame that begins with %#x, which this client did not ask for", first)
	}
	if op := first & 15; op == opText {
		l.first = first
	}
	if first&finBit == 0 {
		if len(l.parts)+len(payload) > maxFrame {
			return fmt.Errorf("a message of more than %d bytes", maxFrame)
		}
		l.parts = append(append(make([]byte, 0, len(l.parts)+len(payload)+1), l.parts...), payload...)
		return nil
	}
	if l.parts != nil {
		payload = append(l.parts, payload...)
		l.parts = nil
	}
	if l.first&^(finBit|rsv1Bit) != opText {
		return fmt.Errorf("a frame that begins with %#x, which this client did not ask for", l.first)
	}
	if l.first&rsv1Bit != 0 {
		var err error
		if payload, err = l.inflater.inflate(payload); err != nil {
			return err
		}
	}
	return l.u.packet(payload, now)
}

func (l *wsLink) send(buf []byte) error { return l.seal(buf, opText) }

func (l *wsLink) ping(text string) error {
	var buf [frameSpace + 2]byte
	return l.seal(append(buf[:frameSpace], text...), opText)
}

func (l *wsLink) seal(buf []byte, op byte) error { return l.write(sealFrame(buf, op)) }

// maxUnsent is what may wait for a server that does not read. Beyond it the run has measured all there is to know.
const maxUnsent = 64 << 20

// write sends p, or keeps it until the socket takes it.
func (l *wsLink) write(p []byte) error {
	if len(l.out) == 0 {
		n, err := l.stream.Write(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	if len(l.out)+len(p) > maxUnsent {
		return fmt.Errorf("the server has not read for so long that %d bytes wait", maxUnsent)
	}
	l.out = append(l.out, p...)
	return nil
}

// OnWritable is the stream's.
func (l *wsLink) OnWritable(s *coop.Stream) {
	n, err := s.Write(l.out)
	if err != nil {
		return // OnClose says why
	}
	if l.out = l.out[n:]; len(l.out) == 0 {
		l.out = nil
	}
}

// fail ends the link for a reason of ours.
func (l *wsLink) fail(err error) {
	if l.state == wsClosed {
		return
	}
	l.state = wsClosed
	l.stream.Close()
	l.u.ended(err)
}

// OnClose is the stream's.
func (l *wsLink) OnClose(_ *coop.Stream, err error) {
	if l.state == wsClosed {
		return
	}
	l.state = wsClosed
	if errors.Is(err, io.EOF) {
		err = errEnded
	}
	l.u.ended(err)
}

// leave is close; nothing has to be waited for.
func (l *wsLink) leave(*coop.Greenlet) { l.close() }

// close leaves as the protocol asks, if it has come so far.
func (l *wsLink) close() {
	if l.stream == nil || l.state == wsClosed {
		return
	}
	if l.state == wsOpen {
		buf := [frameSpace + 2]byte{frameSpace: 1000 >> 8, frameSpace + 1: 1000 & 255}
		_, _ = l.stream.Write(sealFrame(buf[:], opClose)) // it is the end in any case
	}
	l.state = wsClosed
	l.stream.Close()
}
