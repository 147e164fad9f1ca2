package coop

import (
	"net"
	"testing"
)

func TestAddressesSurvivePacking(t *testing.T) {
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1).To4(), Port: 65535},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}, &net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"},
		&net.TCPAddr{Port: 1}, &net.UnixAddr{Name: "/tmp/x", Net: "unix"}, memoryAddr("here"), nil, (*net.TCPAddr)(nil),
	} {
		p := packed(a)
		got := unpacked(p)
		if (got == nil) != (a == nil) {
			t.Fatalf("%v became %v", a, got)
		}
		if a != nil && (got.String() != a.String() || got.Network() != a.Network() || p.String() != a.String() || p.Network() != a.Network()) {
			t.Errorf("%v became %v, then %v", a, p, got)
		}
	}
}
