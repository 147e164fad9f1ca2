//go:build ((linux && (race || msan || asan)) || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import "golang.org/x/sys/unix"

func sysRead(fd int, p []byte) (int, error) { return unix.Read(fd, p) }

func sysWrite(fd int, p []byte) (int, error) { return unix.Write(fd, p) }

func sysPeek(fd int, p []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n, err
}
