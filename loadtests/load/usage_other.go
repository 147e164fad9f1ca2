//go:build !linux

package load

import (
	"time"
)

// readServer knows nothing where there is no /proc.
func (r *run) readServer() (reading, error) { return reading{}, nil }

func readOwn() reading { return reading{cpu: ownCPU()} }

func nap(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

func exactSleeps() (undo func()) { return func() {} }
