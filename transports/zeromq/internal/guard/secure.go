package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// secure is a net.Conn that speaks a security mechanism with the peer and plays a NULL peer to the [Conn] above it,
// and through that to zmq4: it hands up the greeting and the READY of such a peer, made from what the peer has
// proved, and turns that one's greeting and READY into the mechanism's. So all checks of the Conn hold for what the
// peer says under the mechanism as well, and zmq4 knows nothing of it.
//
// The handshake runs inside Read, on the owner's goroutine; Write is the flusher's.
type secure struct {
	net.Conn
	mechanism mechanism
	server    bool
	limits    Limits

	// Reading, the owner's.
	phase phase
	in    inbox
	up    []byte // read before anything else

	// Writing.
	mu      sync.Mutex
	greeted int  // bytes of the NULL greeting from above, which go nowhere
	open    bool // the handshake is done in this direction
	sealed  []byte
	closed  chan struct{}
	once    sync.Once
}

// mechanism is one side of one connection's security.
type mechanism interface {
	// name stands in the greeting.
	name() string
	// shake exchanges commands until the peer's metadata are known and the peer is admitted. It returns the body of a
	// command in NULL's form: READY with those metadata, or the peer's ERROR. Owner.
	shake(*secure) ([]byte, error)
	// ready takes our own metadata. What it appends to dst is sent. sends reports whether messages may follow. The
	// secure's mu is held.
	ready(dst, metadata []byte) (out []byte, sends bool, err error)
	// read is Read after the handshake. Owner.
	read(s *secure, p []byte) (int, error)
	// write appends frames as they go over the wire.
	write(dst, frames []byte) ([]byte, error)
}

func newSecure(raw net.Conn, m mechanism, server bool, l Limits) *secure {
	return &secure{Conn: raw, mechanism: m, server: server, limits: l.WithDefaults(), closed: make(chan struct{})}
}

// Read implements net.Conn.
func (s *secure) Read(p []byte) (int, error) {
	for len(s.up) == 0 {
		switch s.phase {
		case phaseGreeting:
			if err := s.greet(); err != nil {
				return 0, err
			}
			s.up = appendGreeting(nil, "NULL", false)
			s.phase = phaseReady
		case phaseReady:
			command, err := s.mechanism.shake(s)
			if err != nil {
				return 0, err
			}
			s.up = appendCommand(nil, command)
			s.phase = phaseTraffic
		default:
			return s.mechanism.read(s, p)
		}
	}
	n := copy(p, s.up)
	s.up = s.up[n:]
	return n, nil
}

// greet exchanges greetings; ours first, because libzmq waits for it.
func (s *secure) greet() error {
	if err := s.send(appendGreeting(nil, s.mechanism.name(), s.server)); err != nil {
		return err
	}
	for {
		b := s.in.bytes()
		b = b[:min(len(b), greetingBytes)]
		if len(b) > 0 {
			if err := checkGreeting(b, s.mechanism.name()); err != nil {
				return hushed(err)
			}
		}
		if len(b) == greetingBytes {
			if s.server && b[32] == 1 {
				return silent(ReasonMechanism, "the peer wants to be the server of %s as well", s.mechanism.name())
			}
			s.in.r += greetingBytes
			return nil
		}
		if err := s.in.fill(s.Conn); err != nil {
			return err
		}
	}
}

// command reads the next command of the handshake, of at most limit bytes. What it returns is good until the next
// call.
func (s *secure) command(limit int, reason string) ([]byte, error) {
	check := func(h header) error {
		if h.flags&^flagLong != flagCommand {
			return silent(reason, "a frame with flags %#02x in place of a command", h.flags)
		}
		if h.size > uint64(limit) {
			return silent(reason, "a command of %d bytes", h.size)
		}
		return nil
	}
	for {
		// The flags alone tell a peer that sends messages.
		if b := s.in.bytes(); len(b) > 0 && b[0]&^flagLong != flagCommand {
			return nil, silent(reason, "a frame with flags %#02x in place of a command", b[0])
		}
		body, total, ok, err := s.in.frame(check)
		if err != nil {
			return nil, err
		}
		if ok {
			s.in.r += total
			return body, nil
		}
		if err := s.in.fill(s.Conn); err != nil {
			return nil, err
		}
	}
}

// reply sends a command of the handshake.
func (s *secure) reply(body []byte) error { return s.send(appendCommand(nil, body)) }

// send writes past the flusher, during the handshake.
func (s *secure) send(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Conn.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout)); err != nil {
		return err
	}
	_, err := s.Conn.Write(b)
	return err
}

// Write implements net.Conn for the flusher: p is a piece of the greeting, or whole frames.
func (s *secure) Write(p []byte) (int, error) {
	size := len(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(greetingBytes-s.greeted, len(p))
	s.greeted += n
	p = p[n:]
	out, err := s.sealed[:0], error(nil)
	for len(p) > 0 && !s.open {
		h, ok := parseHeader(p)
		if !ok || h.flags&flagCommand == 0 || uint64(len(p)-h.len) < h.size {
			return 0, errors.New("guard: a message before the handshake is done")
		}
		body := p[h.len : h.len+int(h.size)]
		name, data, err := splitCommand(body)
		switch {
		case err != nil:
			return 0, err
		case name == "READY":
			if out, s.open, err = s.mechanism.ready(out, data); err != nil {
				return 0, err
			}
		default: // ERROR is the same for all mechanisms
			out = append(out, p[:h.len+int(h.size)]...)
		}
		p = p[h.len+int(h.size):]
	}
	if len(p) > 0 {
		if out, err = s.mechanism.write(out, p); err != nil {
			return 0, err
		}
	}
	if len(out) > 0 {
		if _, err := s.Conn.Write(out); err != nil {
			return 0, err
		}
	}
	if s.sealed = out; cap(out) > keepBuffer {
		s.sealed = nil
	}
	return size, nil
}

// opens lets messages be sent from now on.
func (s *secure) opens() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
}

// Close implements net.Conn.
func (s *secure) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// CloseWrite tells the peer that nothing more comes.
func (s *secure) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return s.Close()
}

// waitFor receives our own metadata, which zmq4 sends as READY once it has the peer's greeting.
func (s *secure) waitFor(metadata <-chan []byte) ([]byte, error) {
	select {
	case m := <-metadata:
		return m, nil
	case <-s.closed:
		return nil, ErrClosed
	}
}

// ended is what a read error means after the handshake, when the peer may be in the middle of a frame.
func (s *secure) ended(err error) error {
	if errors.Is(err, io.EOF) && len(s.in.bytes()) > 0 {
		return violation(ReasonTruncated, "the peer left in the middle of a message")
	}
	return err
}

// appendGreeting appends our greeting.
func appendGreeting(dst []byte, mechanism string, server bool) []byte {
	g := [greetingBytes]byte{0: 0xFF, 9: 0x7F, 10: 3}
	copy(g[12:32], mechanism)
	if server {
		g[32] = 1
	}
	return append(dst, g[:]...)
}

// appendCommand appends a command with its header.
func appendCommand(dst, body []byte) []byte {
	start := len(dst)
	dst = AppendHeader(dst, len(body), false)
	dst[start] |= flagCommand
	return append(dst, body...)
}

// nullReady is the READY that stands for a peer's metadata.
func nullReady(metadata []byte) []byte { return append([]byte("\x05READY"), metadata...) }

// peerError is the body when it is an ERROR, which the parser above explains.
func peerError(body []byte) bool { return bytes.HasPrefix(body, []byte("\x05ERROR")) }

// silent is a violation that the peer is told nothing about: it closes, as libzmq does.
func silent(reason, format string, args ...any) *Violation {
	return &Violation{Reason: reason, Detail: fmt.Sprintf(format, args...), Silent: true}
}

// hushed makes an error of a check that NULL shares a silent one.
func hushed(err error) error {
	if v := (*Violation)(nil); errors.As(err, &v) {
		return silent(v.Reason, "%s", v.Detail)
	}
	return err
}
