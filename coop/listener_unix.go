//go:build unix

package coop

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// setBacklog changes how many connections the system queues for a socket that listens already.
func setBacklog(ln net.Listener, n int) error {
	sc, ok := ln.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	var listenErr error
	if err := raw.Control(func(fd uintptr) { listenErr = unix.Listen(int(fd), n) }); err != nil {
		return fmt.Errorf("set backlog: %w", err)
	}
	if listenErr != nil {
		return fmt.Errorf("set backlog: %w", listenErr)
	}
	return nil
}
