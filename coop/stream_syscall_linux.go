//go:build linux && !coop_portable && !race && !msan && !asan

package coop

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A read or write of a socket that never blocks takes some microseconds. It is made without telling the
// scheduler, which else would look after a loop that writes to thousands of sockets in a row as after one that
// hangs: that is up to 4 % of a delivery to 1000 clients, and 11 % of one to 10 000 (docs/performance.md). With the race
// detector the calls are those of package syscall, which tell it who happens before whom.
//
// One that did block would stand in the way of every collection of garbage. So each call says itself that it must not
// wait: the descriptor's own mode is shared with every duplicate of it, and os.File.Fd changes it.

func sysRead(fd int, p []byte) (int, error) {
	return rawIO(unix.SYS_RECVFROM, fd, p, unix.MSG_DONTWAIT)
}

func sysWrite(fd int, p []byte) (int, error) {
	return rawIO(unix.SYS_SENDTO, fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func sysPeek(fd int, p []byte) (int, error) {
	return rawIO(unix.SYS_RECVFROM, fd, p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
}

func rawIO(call uintptr, fd int, p []byte, flags uintptr) (int, error) {
	n, _, e := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}
