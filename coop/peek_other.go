//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd) || coop_portable

package coop

import (
	"errors"
	"net"
)

func (s *Stream) share(net.Conn) error    { return errors.ErrUnsupported }
func (s *Stream) unregister()             {}
func (s *Stream) connFD() net.Conn        { return nil }
func (s *Stream) peekFD() ([]byte, error) { return nil, ErrClosed }
func (s *Stream) skipFD(int) error        { return ErrClosed }
