//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// loop is the generator: one thread that waits on all clients, answers pings, counts deliveries and
// keeps the publisher's window full. Not for more than one goroutine.
type loop struct {
	epoll   int
	clients []*client
	start   time.Time
	events  []unix.EpollEvent
	buf     []byte

	// publishing; clients[0] publishes
	prefix  []byte // of a delivery: everything before the message's number
	message []byte // the frame to send
	seqAt   int    // where its number goes
	window  int
	gather  time.Duration // see wait
	every   time.Duration // paced: between two messages; 0: as the window allows
	nextAt  time.Duration
	seq     uint32
	open    int           // messages that have not reached everybody
	ring    []outgoing    // by seq modulo its length
	arrived time.Duration // when anything last arrived

	// measured
	measuring  bool
	deliveries uint64
	latency    histogram
}

type outgoing struct {
	seq  uint32
	left int // clients that have not got it yet
	sent time.Duration
}

// stalledAfter ends a run in which nothing arrives any more although messages are under way.
const stalledAfter = 5 * time.Second

var errClosed = errors.New("the server closed a connection")

func newLoop(clients []*client) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	l := &loop{epoll: fd, clients: clients, start: time.Now(), events: make([]unix.EpollEvent, 512), buf: make([]byte, 256<<10)}
	for i, c := range clients {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(i)}
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, c.fd, &ev); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *loop) close() { _ = unix.Close(l.epoll) }

func (l *loop) now() time.Duration { return time.Since(l.start) }

// publish prepares for sending: the room, the text's size, and the dialect.
func (l *loop) publish(o options, d dialect, room string) {
	text := bytes.Repeat([]byte{'x'}, o.size)
	head := fmt.Sprintf(d.prefix, room)
	whole := head + string(text) + d.suffix
	l.message = appendFrame(nil, whole)
	l.seqAt = len(l.message) - len(whole) + len(head)
	l.prefix = []byte(`42["msg","`)
	l.window = o.window
	l.gather = o.gather
	l.ring = make([]outgoing, maxWindow)
	if o.rate > 0 {
		l.every = time.Duration(float64(time.Second) / o.rate)
	}
}

// runFor runs until the time is over, or fails.
func (l *loop) runFor(d time.Duration) error {
	end := l.now() + d
	l.arrived = l.now()
	for {
		now := l.now()
		if now >= end {
			return nil
		}
		if l.open > 0 && now-l.arrived > stalledAfter {
			return fmt.Errorf("nothing has arrived for %s; %d messages are missing for some of the %d clients", stalledAfter, l.open, len(l.clients))
		}
		if err := l.fill(now); err != nil {
			return err
		}
		n, err := l.wait(l.timeout(now, end))
		if err != nil {
			return err
		}
		for _, ev := range l.events[:n] {
			if err := l.read(l.clients[ev.Fd]); err != nil {
				return err
			}
		}
	}
}

// wait fills l.events. While a server writes to its sockets one by one, waking for each would cost the
// generator more than the server: it lets some gather first.
func (l *loop) wait(ms int) (int, error) {
	n, err := unix.EpollWait(l.epoll, l.events, ms)
	if n > 0 && n < len(l.clients)/2 && l.gather > 0 {
		_ = unix.Nanosleep(&unix.Timespec{Nsec: l.gather.Nanoseconds()}, nil) // a signal only shortens it
		n, err = unix.EpollWait(l.epoll, l.events, 0)
	}
	if err == unix.EINTR {
		return 0, nil
	}
	return max(n, 0), err
}

// timeout is in ms, rounded up to at most 100: a paced message is late by less than 1 ms.
func (l *loop) timeout(now, end time.Duration) int {
	until := min(end-now, 100*time.Millisecond)
	if l.every > 0 && l.open < l.window {
		until = min(until, max(l.nextAt-now, 0))
	}
	return int((until + time.Millisecond - 1) / time.Millisecond)
}

// fill sends what the window, and the pace, allow.
func (l *loop) fill(now time.Duration) error {
	if l.message == nil {
		return nil
	}
	for l.open < l.window {
		if l.every > 0 {
			if now < l.nextAt {
				return nil
			}
			l.nextAt = max(l.nextAt+l.every, now-10*l.every) // after a hiccup catch up a little, not all
		}
		slot := &l.ring[int(l.seq)%len(l.ring)]
		if slot.left > 0 {
			return nil // a straggler holds the oldest place
		}
		*slot = outgoing{seq: l.seq, left: len(l.clients), sent: l.now()}
		putSeq(l.message[l.seqAt:], l.seq)
		if err := writeAll(l.clients[0].fd, l.message); err != nil {
			return fmt.Errorf("publishing: %w", err)
		}
		l.seq++
		l.open++
	}
	return nil
}

// writeAll waits when the socket is full: a server that does not read the publisher is slow, not broken.
func writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := unix.Write(fd, p)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			wait := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if _, err := unix.Poll(wait, int(stalledAfter.Milliseconds())); err != nil && err != unix.EINTR {
				return err
			}
		case err != nil:
			return err
		default:
			p = p[n:]
		}
	}
	return nil
}

// read takes what one client has got and keeps only an incomplete frame.
func (l *loop) read(c *client) error {
	kept := copy(l.buf, c.rest)
	n, err := unix.Read(c.fd, l.buf[kept:])
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return errClosed
	}
	now := l.now()
	p := l.buf[:kept+n]
	for len(p) > 0 {
		first, size, at, ok := frameHead(p)
		if !ok || len(p) < at+size {
			break
		}
		if err := l.frame(c, first, p[at:at+size], now); err != nil {
			return err
		}
		p = p[at+size:]
	}
	if at, size := 10, len(p); size > len(l.buf)-at {
		return fmt.Errorf("a frame larger than %d bytes", len(l.buf))
	}
	c.rest = append(c.rest[:0], p...)
	return nil
}

func (l *loop) frame(c *client, first byte, payload []byte, now time.Duration) error {
	switch {
	case first == closeFrame:
		return errClosed
	case first == pingFrame:
		return writeAll(c.fd, []byte{pongFrame, 0x80, 0, 0, 0, 0})
	case first != textFrame:
		return fmt.Errorf("a frame of kind %#x, which this client did not ask for", first)
	case len(payload) == 1 && payload[0] == '2': // Engine.IO's heartbeat
		return writeAll(c.fd, []byte{textFrame, 0x81, 0, 0, 0, 0, '3'})
	case l.prefix != nil && bytes.HasPrefix(payload, l.prefix):
		return l.delivery(payload[len(l.prefix):], now)
	}
	return nil // acks and events of a server's own cost what they cost
}

func (l *loop) delivery(text []byte, now time.Duration) error {
	seq, ok := getSeq(text)
	if !ok {
		return fmt.Errorf("a message without a number: %.40q", text)
	}
	slot := &l.ring[int(seq)%len(l.ring)]
	if slot.seq != seq || slot.left == 0 {
		return fmt.Errorf("message %d came once too often", seq)
	}
	l.arrived = now
	slot.left--
	if slot.left == 0 {
		l.open--
	}
	if l.measuring {
		l.deliveries++
		l.latency.add(now - slot.sent)
	}
	return nil
}
