//go:build unix

package load

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownCPU is this process's processor time so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0 // cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// checkDescriptors refuses a run that would stop half way for want of descriptors. Go has raised the soft limit to
// the hard one when the program began.
func checkDescriptors(need int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // then we shall see
	}
	if have := uint64(limit.Cur); have < uint64(need) {
		return fmt.Errorf("%d descriptors are needed and %d allowed: raise the limit (ulimit -n %d) or use fewer clients", need, have, need)
	}
	return nil
}

// alone puts a server into a process group of its own: an interrupt at the terminal is for us, and we stop it.
func alone(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func terminate(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGTERM) }

func kill(p *os.Process) { _ = unix.Kill(-p.Pid, unix.SIGKILL) }
