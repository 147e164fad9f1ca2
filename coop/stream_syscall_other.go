//go:build ((linux && (race || msan || asan)) || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// With the race detector it is package syscall's calls that matter: package net uses them too, and what was done before
// something was written to a connection then has happened before what reads it.

func sysRead(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

func sysWrite(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }

func sysPeek(fd int, p []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if n > 0 {
		_, _ = syscall.Read(fd, nil) // reads nothing, and tells the race detector
	}
	return n, err
}
