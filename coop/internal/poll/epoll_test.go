//go:build linux && !coop_portable

package poll

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// The counter behind Wake is never read, so each wake-up has to add one, whatever the byte order: the
// next but largest value is where writing fails.
func TestEachWakeAddsOne(t *testing.T) {
	p := newPoller(t)
	const wakes = 300
	for range wakes {
		p.Wake()
	}
	var count [8]byte
	if _, err := unix.Read(p.wake, count[:]); err != nil {
		t.Fatal(err)
	}
	if n := binary.NativeEndian.Uint64(count[:]); n != wakes {
		t.Errorf("the counter shows %d", n)
	}
}
