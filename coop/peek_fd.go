//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// share duplicates the connection's descriptor; the connection goes on to hold the old one.
func (s *Stream) share(c net.Conn) error {
	if _, d := detachableTLS(c); d != nil {
		return errors.ErrUnsupported
	}
	old, err := s.adopt(c)
	if err == nil && old == nil {
		err = errors.ErrUnsupported
	}
	return err
}

// unregister ends events. Closing the descriptor is not enough while there is another one for the same connection.
func (s *Stream) unregister() {
	if s.flags&streamStarted != 0 {
		s.loop.poller.Remove(int(s.fd))
	}
}

// connFD makes a connection of the descriptor again. It is nil if that fails, and the descriptor closed.
func (s *Stream) connFD() net.Conn {
	f := os.NewFile(uintptr(s.fd), "")
	s.fd = -1
	defer f.Close() // the connection has a duplicate
	c, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	return c
}

// peekFD copies what has arrived into the loop's buffer and leaves it in the system's. Nothing and no error: there is
// nothing for now.
func (s *Stream) peekFD() ([]byte, error) {
	l := s.loop
	l.readBuf = made(l.readBuf, readSize)
	for {
		n, err := sysPeek(int(s.fd), l.readBuf)
		switch {
		case n > 0:
			return l.readBuf[:n], nil
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return nil, nil
		case err == nil:
			return nil, io.EOF
		default:
			return nil, s.opError("recvfrom", err)
		}
	}
}

// skipFD reads bytes that are there, and drops them.
func (s *Stream) skipFD(n int) error {
	l := s.loop
	l.readBuf = made(l.readBuf, readSize)
	for n > 0 {
		m, err := sysRead(int(s.fd), l.readBuf[:min(n, len(l.readBuf))])
		switch {
		case m > 0:
			n -= m
		case err == unix.EINTR:
		case err == nil:
			return io.ErrUnexpectedEOF
		default:
			return s.opError("read", err)
		}
	}
	return nil
}
