package hub

import (
	"testing"
	"unsafe"
)

// What a session is made of, in bytes. A change that makes one larger should be worth it a hundred thousand times: the
// bounds are what the allocator hands out.
func TestSizesOfSessions(t *testing.T) {
	for _, c := range []struct {
		name      string
		size, max uintptr
	}{
		{"Session", unsafe.Sizeof(Session{}), 288},
		{"inbox", unsafe.Sizeof(inbox{}), 64},
		{"Handshake", unsafe.Sizeof(Handshake{}), 32},
		{"Request", unsafe.Sizeof(Request{}), 96},
		{"Outbox", unsafe.Sizeof(Outbox{}), 96},
		{"membership", unsafe.Sizeof(membership{}), 16},
	} {
		t.Logf("%s: %d", c.name, c.size)
		if c.size > c.max && unsafe.Sizeof(uintptr(0)) == 8 {
			t.Errorf("%s has %d bytes, want at most %d", c.name, c.size, c.max)
		}
	}
}
