//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"greenroom/coop/internal/poll"
)

// readBudget is how many bytes one stream may read in a tick before the others get their turn.
const readBudget = 256 << 10

// readSize is the loop's read buffer.
const readSize = 64 << 10

// maxVec is how many buffers the kernel takes in one writev (IOV_MAX).
const maxVec = 1024

// adopt duplicates the connection's descriptor, away from Go's own poller, and returns the connection that holds the
// old one. It returns nil for a connection that is, or may be, more than a descriptor: having a SyscallConn says
// nothing, since a struct around a *net.TCPConn has it too and its Read would be passed over.
func (s *Stream) adopt(c net.Conn) (old net.Conn, err error) {
	secure, d := detachableTLS(c)
	if d != nil {
		c = d.Conn
	}
	var sc syscall.Conn
	switch c := c.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil, nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("attach connection: %w", err)
	}
	var fd int
	var dupErr error
	if err := raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return nil, fmt.Errorf("attach connection: %w", err)
	}
	if dupErr != nil {
		return nil, fmt.Errorf("attach connection: duplicate descriptor: %w", dupErr)
	}
	s.fd = int32(fd)
	if d != nil {
		t := &tlsCarrier{s: s, tls: secure}
		s.via = t
		d.detach(t)
	}
	return c, nil
}

// giveBack undoes adopt.
func (s *Stream) giveBack(c, old net.Conn) {
	if _, d := detachableTLS(c); d != nil {
		d.reattach(old)
	}
	s.releaseFD()
}

// register begins events.
func (s *Stream) register(t poll.Token) error { return s.loop.poller.Add(int(s.fd), t) }

// drainFD reads what has arrived and nobody wants. A socket that is closed on top of such bytes resets the
// connection and drops what it still had to send. The loop's buffers may be in use by the caller.
func (s *Stream) drainFD() {
	var buf [4 << 10]byte
	for budget := readBudget; budget > 0; {
		n, err := sysRead(int(s.fd), buf[:])
		if n <= 0 && err != unix.EINTR {
			return
		}
		budget -= max(n, 0)
	}
}

// releaseFD closes the descriptor, which also takes it out of the poller.
func (s *Stream) releaseFD() {
	unix.Close(int(s.fd))
	s.fd = -1
}

// made returns a buffer of the loop's, which is made when it is first needed.
func made(buf []byte, size int) []byte {
	if buf == nil {
		buf = make([]byte, size)
	}
	return buf
}

// readFD reads until there is no more for now, the handler pauses, or the budget is spent.
func (s *Stream) readFD() {
	l := s.loop
	l.readBuf = made(l.readBuf, readSize)
	for budget := readBudget; budget > 0; {
		n, err := sysRead(int(s.fd), l.readBuf)
		switch {
		case n > 0:
			budget -= n
			// A short read has emptied the socket: what comes next is a new edge. Only an end that
			// was announced already has to be fetched.
			if n < len(l.readBuf) && s.flags&streamEnding == 0 {
				s.flags &^= streamUnread
			}
			s.onRead(l.readBuf[:n])
			if s.flags&(streamClosed|streamPaused) != 0 || s.flags&streamUnread == 0 {
				return
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.flags &^= streamUnread
			return
		case err == nil:
			s.fail(io.EOF)
			return
		default:
			s.fail(s.opError("read", err))
			return
		}
	}
	l.queueStream(s)
}

// checkBroken ends a paused stream whose connection has failed. One that the peer has closed in good
// order, as seen on Unix sockets, keeps what can still be read for ResumeRead.
func (s *Stream) checkBroken() {
	code, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		s.fail(s.opError("getsockopt", err))
	case code != 0:
		s.fail(s.opError("read", unix.Errno(code)))
	}
}

func (s *Stream) writeFD(p []byte) (int, error) {
	n, err := s.sendFD(p)
	if err != nil {
		s.fail(err)
	}
	return n, err
}

// sendFD is writeFD for one who can still read after an error. As in package net nothing asks for
// MSG_NOSIGNAL or SO_NOSIGPIPE: Go's runtime turns a SIGPIPE of any descriptor but 1 and 2 into the EPIPE
// that comes with it.
func (s *Stream) sendFD(p []byte) (int, error) {
	for n := 0; ; {
		m, err := sysWrite(int(s.fd), p[n:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.flags |= streamFull
			return n, nil
		case err != nil:
			return n, s.opError("write", err)
		default:
			if n += m; n == len(p) {
				return n, nil
			}
		}
	}
}

func (s *Stream) writevFD(bufs [][]byte) (int, error) {
	total := 0
	for len(bufs) > 0 {
		n, err := writev(int(s.fd), bufs[:min(len(bufs), maxVec)])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			s.flags |= streamFull
			return total, nil
		case err != nil:
			err = s.opError("writev", err)
			s.fail(err)
			return total, err
		}
		total += n
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if n > 0 { // the first one went in part
			m, err := s.writeFD(bufs[0][n:])
			total += m
			if err != nil || s.flags&streamFull != 0 {
				return total, err
			}
			bufs = bufs[1:]
		}
	}
	return total, nil
}

func (s *Stream) opError(op string, err error) error {
	e := &net.OpError{Op: op, Addr: unpacked(s.remote), Err: os.NewSyscallError(op, err)}
	if s.remote != nil { // nobody knows the peer of some unnamed sockets
		e.Net = s.remote.Network()
	}
	return e
}

// pullFD reads once, into a buffer of the caller's. 0 without an error: there is nothing for now.
func (s *Stream) pullFD(p []byte) (int, error) {
	for {
		n, err := sysRead(int(s.fd), p)
		switch {
		case n > 0:
			if n < len(p) && s.flags&streamEnding == 0 {
				s.flags &^= streamUnread // as in readFD
			}
			return n, nil
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.flags &^= streamUnread
			return 0, nil
		case err == nil:
			return 0, io.EOF
		default:
			return 0, s.opError("read", err)
		}
	}
}

// shutdownFD ends the writing side.
func (s *Stream) shutdownFD() error {
	if err := unix.Shutdown(int(s.fd), unix.SHUT_WR); err != nil {
		return s.opError("shutdown", err)
	}
	return nil
}
