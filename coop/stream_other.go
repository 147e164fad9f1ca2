//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd) || coop_portable

package coop

import (
	"net"

	"greenroom/coop/internal/poll"
)

// Without a poller for descriptors every stream is served by goroutines.

func (s *Stream) adopt(net.Conn) (net.Conn, error)    { return nil, nil }
func (s *Stream) giveBack(c, old net.Conn)            {}
func (s *Stream) register(poll.Token) error           { return nil }
func (s *Stream) drainFD()                            {}
func (s *Stream) releaseFD()                          {}
func (s *Stream) readFD()                             {}
func (s *Stream) pullFD([]byte) (int, error)          { return 0, ErrClosed }
func (s *Stream) sendFD([]byte) (int, error)          { return 0, ErrClosed }
func (s *Stream) shutdownFD() error                   { return ErrClosed }
func (s *Stream) checkBroken()                        {}
func (s *Stream) writeFD([]byte) (int, error)         { return 0, ErrClosed }
func (s *Stream) writevFD(bufs [][]byte) (int, error) { return 0, ErrClosed }
