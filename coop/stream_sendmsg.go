//go:build (dragonfly || freebsd || netbsd) && !coop_portable

package coop

import "golang.org/x/sys/unix"

// writev is sendmsg without an address, the same for a connection: x/sys has no writev for these systems.
func writev(fd int, bufs [][]byte) (int, error) { return unix.SendmsgBuffers(fd, bufs, nil, nil, 0) }
