package socketio

import (
	"testing"
	"unsafe"
)

// What a connection keeps of Socket.IO, in bytes; see the same test of the hub.
func TestSizesOfSessions(t *testing.T) {
	for _, c := range []struct {
		name      string
		size, max uintptr
	}{
		{"conn", unsafe.Sizeof(conn{}), 96},
		{"space", unsafe.Sizeof(space{}), 16},
	} {
		t.Logf("%s: %d", c.name, c.size)
		if c.size > c.max && unsafe.Sizeof(uintptr(0)) == 8 {
			t.Errorf("%s has %d bytes, want at most %d", c.name, c.size, c.max)
		}
	}
}
