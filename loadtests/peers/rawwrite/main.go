//go:build linux

// Command rawwrite is the floor under the load tests' figures: what the kernel alone takes for a broadcast.
//
//	rawwrite PORT
//
// To a client it looks like a Socket.IO server with the events of the other peers: join(room) with an ack,
// pub(room, text), which sends `msg` to everybody in the room, and echo(value) with an ack. Inside there is one
// thread, one epoll, and for each member of the room one write(2) of a frame that was made once. Nothing is
// checked, nothing is limited, there are no heartbeats and no second namespace: it is a measuring stick and must
// not serve anybody.
package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// member is one client.
type member struct {
	fd    int
	in    []byte // of a frame, or of the upgrade, that has not arrived whole
	out   []byte // what the socket had no room for; empty nearly always
	ready bool   // upgraded
	rooms []string
}

type server struct {
	epoll, listener int
	members         map[int]*member // by descriptor
	rooms           map[string][]*member
	buf             []byte // what was read last
	frame           []byte // what is being written
}

func init() { runtime.LockOSThread() } // main is on the process's first thread, whose time can be told from the runtime's

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: rawwrite PORT")
	}
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal("the port: ", err)
	}
	s, err := listen(port)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.run())
}

func listen(port int) (*server, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 4096); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	s := &server{
		epoll: epoll, listener: fd,
		members: map[int]*member{}, rooms: map[string][]*member{},
		buf: make([]byte, 64<<10),
	}
	return s, s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN)
}

func (s *server) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (s *server) run() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			if int(ev.Fd) == s.listener {
				s.accept()
				continue
			}
			m := s.members[int(ev.Fd)]
			if m == nil {
				continue // closed by an event before this one
			}
			if ev.Events&unix.EPOLLOUT != 0 {
				s.flush(m)
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				s.read(m)
			}
		}
	}
}

func (s *server) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return // EAGAIN: all have come in. Others are tried again at the next event
		}
		m := &member{fd: fd}
		s.members[fd] = m
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err != nil || s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN) != nil {
			s.close(m)
		}
	}
}

func (s *server) close(m *member) {
	if s.members[m.fd] != m {
		return
	}
	delete(s.members, m.fd)
	_ = unix.Close(m.fd) // and epoll forgets it
	for _, room := range m.rooms {
		s.rooms[room] = without(s.rooms[room], m)
	}
}

func without(in []*member, gone *member) []*member {
	out := make([]*member, 0, len(in)) // a broadcast may be walking the old one
	for _, m := range in {
		if m != gone {
			out = append(out, m)
		}
	}
	return out
}

func (s *server) read(m *member) {
	n, err := unix.Read(m.fd, s.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 {
		s.close(m)
		return
	}
	data := s.buf[:n]
	if len(m.in) > 0 {
		m.in = append(m.in, data...)
		data = m.in
	}
	rest := s.take(m, data)
	if len(rest) == 0 {
		m.in = m.in[:0]
		return
	}
	m.in = append(m.in[:0], rest...) // rest may be the end of m.in: append moves it
}

// take handles what has arrived whole and returns what has not.
func (s *server) take(m *member, data []byte) []byte {
	if !m.ready {
		end := bytes.Index(data, []byte("\r\n\r\n"))
		if end < 0 {
			return data
		}
		if !s.upgrade(m, data[:end]) {
			return nil
		}
		data = data[end+4:]
	}
	for {
		text, rest, ok := clientFrame(data)
		if !ok || s.members[m.fd] != m {
			return data
		}
		s.packet(m, text)
		data = rest
	}
}

// clientFrame is the first frame of data, unmasked in place (RFC 6455 section 5.3).
func clientFrame(data []byte) (text, rest []byte, ok bool) {
	if len(data) < 6 {
		return nil, data, false
	}
	size, at := int(data[1]&127), 2
	switch size {
	case 126:
		size, at = int(binary.BigEndian.Uint16(data[2:])), 4
	case 127:
		if len(data) < 10 {
			return nil, data, false
		}
		size, at = int(binary.BigEndian.Uint64(data[2:])&(1<<31-1)), 10
	}
	if len(data) < at+4+size {
		return nil, data, false
	}
	key, text := data[at:at+4], data[at+4:at+4+size]
	if binary.BigEndian.Uint32(key) != 0 {
		for i := range text {
			text[i] ^= key[i&3]
		}
	}
	return text, data[at+4+size:], true
}

// upgrade answers the opening handshake and says the open packet; anything but a WebSocket is refused.
func (s *server) upgrade(m *member, head []byte) bool {
	key := header(head, "sec-websocket-key")
	if key == "" {
		s.send(m, []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		s.close(m)
		return false
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	m.ready = true
	s.send(m, []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n"))
	// An interval of a day is how a server without heartbeats keeps clients from missing them.
	s.say(m, fmt.Sprintf(`0{"sid":"e%d","upgrades":[],"pingInterval":86400000,"pingTimeout":20000,"maxPayload":1000000}`, m.fd))
	return true
}

func header(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		if k, v, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.ToLower(k)) == name {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// packet handles one packet of a client. The arguments of events stay JSON.
func (s *server) packet(m *member, text []byte) {
	switch {
	case bytes.HasPrefix(text, []byte("40")):
		s.say(m, fmt.Sprintf(`40{"sid":"s%d"}`, m.fd))
		return
	case !bytes.HasPrefix(text, []byte("42")):
		return // of another kind: a pong, a DISCONNECT
	}
	id, list, ok := bytes.Cut(text[2:], []byte("["))
	event, args, more := bytes.Cut(list, []byte(","))
	if !ok || !more {
		return
	}
	switch string(event) {
	case `"join"`:
		room := string(bytes.TrimSuffix(args, []byte("]")))
		s.rooms[room] = append(s.rooms[room], m)
		m.rooms = append(m.rooms, room)
		s.say(m, `43`+string(id)+`["ok"]`)
	case `"pub"`:
		room, rest, _ := bytes.Cut(args, []byte(","))
		s.frame = appendFrame(s.frame[:0], `42["msg",`, rest)
		for _, to := range s.rooms[string(room)] {
			s.send(to, s.frame)
		}
	case `"echo"`:
		s.frame = appendFrame(s.frame[:0], `43`+string(id)+`[`, args)
		s.send(m, s.frame)
	}
}

func (s *server) say(m *member, text string) { s.send(m, appendFrame(nil, text, nil)) }

// appendFrame adds a text frame as a server sends it.
func appendFrame(buf []byte, a string, b []byte) []byte {
	buf = append(buf, 0x81)
	switch n := len(a) + len(b); {
	case n < 126:
		buf = append(buf, byte(n))
	case n < 1<<16:
		buf = binary.BigEndian.AppendUint16(append(buf, 126), uint16(n))
	default:
		buf = binary.BigEndian.AppendUint64(append(buf, 127), uint64(n))
	}
	return append(append(buf, a...), b...)
}

// send is the write that is measured. What the socket has no room for waits for EPOLLOUT.
func (s *server) send(m *member, frame []byte) {
	if len(m.out) > 0 {
		m.out = append(m.out, frame...)
		return
	}
	n, err := unix.Write(m.fd, frame)
	switch {
	case errors.Is(err, unix.EAGAIN):
		n = 0
	case err != nil:
		s.close(m)
		return
	}
	if n < len(frame) {
		m.out = append(m.out, frame[n:]...)
		if s.watch(unix.EPOLL_CTL_MOD, m.fd, unix.EPOLLIN|unix.EPOLLOUT) != nil {
			s.close(m)
		}
	}
}

func (s *server) flush(m *member) {
	n, err := unix.Write(m.fd, m.out)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) {
			s.close(m)
		}
		return
	}
	m.out = append(m.out[:0], m.out[n:]...)
	if len(m.out) == 0 && s.watch(unix.EPOLL_CTL_MOD, m.fd, unix.EPOLLIN) != nil {
		s.close(m)
	}
}
