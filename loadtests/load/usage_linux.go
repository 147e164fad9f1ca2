package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// userHZ is the unit of processor times in /proc, which Linux has fixed towards user space.
const userHZ = 100

// readServer adds up what the peer's process and its descendants have used; zero if nobody told which it is.
func (r *run) readServer() (reading, error) {
	if r.peer.PID == 0 {
		return reading{}, nil
	}
	return readTree(r.peer.PID)
}

func readTree(pid int) (reading, error) {
	pids := descendants([]int{pid})
	var sum reading
	for _, pid := range pids {
		one, err := readProcess(pid, len(pids) > 1)
		if err != nil {
			if pid != pids[0] {
				continue // a child that has just ended: its parent has its time
			}
			return sum, fmt.Errorf("the server's process %d is gone: %w", pid, err)
		}
		sum.cpu += one.cpu
		sum.rss += one.rss
		sum.processes++
	}
	return sum, nil
}

// descendants follows pids[0] with its children and theirs.
func descendants(pids []int) []int {
	for i := 0; i < len(pids); i++ {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i])) // the pattern is good
		for _, list := range lists {
			text, err := os.ReadFile(list)
			if err != nil {
				continue // a thread that has just ended
			}
			for _, f := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(f); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// readProcess reads one process. One of several shares memory with the others: then its fair share is what counts.
func readProcess(pid int, shared bool) (reading, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return reading{}, err
	}
	stat, err := p.Stat()
	if err != nil {
		return reading{}, err
	}
	if stat.State == "Z" {
		return reading{}, errors.New("it has ended")
	}
	one := reading{processes: 1, rss: int64(stat.ResidentMemory())}
	if shared {
		if rollup, err := p.ProcSMapsRollup(); err == nil {
			one.rss = int64(rollup.Pss)
		}
	}
	// The process's clock counts nanoseconds, all threads, those that have ended too; /proc counts hundredths of a second.
	var ts unix.Timespec
	if err := unix.ClockGettime(processClock(pid), &ts); err == nil {
		one.cpu = time.Duration(ts.Nano())
	} else {
		one.cpu = time.Duration(stat.UTime+stat.STime) * time.Second / userHZ
	}
	one.cpu += time.Duration(stat.CUTime+stat.CSTime) * time.Second / userHZ // of children that were waited for
	return one, nil
}

// processClock is clock_getcpuclockid(3).
func processClock(pid int) int32 { return int32(^pid)<<3 | 2 }

// readOwn reads this process.
func readOwn() reading {
	one, err := readProcess(os.Getpid(), false)
	if err != nil {
		return reading{} // without /proc
	}
	one.cpu = ownCPU() // without our children, one of which may be the server
	return one
}

// nap holds the calling thread.
func nap(d time.Duration) {
	if d > 0 {
		_ = unix.Nanosleep(&unix.Timespec{Sec: int64(d / time.Second), Nsec: int64(d % time.Second)}, nil) // a signal only shortens it
	}
}

// exactSleeps has the calling goroutine's naps end when they are over, not up to 50 µs later, until undo.
func exactSleeps() (undo func()) {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // without it they are less exact
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0: the thread's default
		runtime.UnlockOSThread()
	}
}
