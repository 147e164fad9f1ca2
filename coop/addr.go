package coop

import (
	"net"
	"net/netip"
)

// peer4 and peer6 are addresses of TCP peers. A *net.TCPAddr is a struct and a slice behind it, ten times as large, of which
// a stream would keep one for nothing but its logs.
type (
	peer4 struct {
		ip   [4]byte
		port uint16
	}
	peer6 struct {
		ip   [16]byte
		port uint16
	}
)

func (*peer4) Network() string { return "tcp" }
func (*peer6) Network() string { return "tcp" }

func (p *peer4) String() string { return p.addrPort().String() }
func (p *peer6) String() string { return p.addrPort().String() }

func (p *peer4) addrPort() netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom4(p.ip), p.port) }
func (p *peer6) addrPort() netip.AddrPort { return netip.AddrPortFrom(netip.AddrFrom16(p.ip), p.port) }

// packed is a in a small form, if it has one.
func packed(a net.Addr) net.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok || t == nil || t.Zone != "" || t.Port < 0 || t.Port > 0xffff {
		return a
	}
	if ip := t.IP.To4(); ip != nil {
		return &peer4{[4]byte(ip), uint16(t.Port)}
	}
	if len(t.IP) == net.IPv6len {
		return &peer6{[16]byte(t.IP), uint16(t.Port)}
	}
	return a
}

// unpacked undoes packed.
func unpacked(a net.Addr) net.Addr {
	switch p := a.(type) {
	case *peer4:
		return net.TCPAddrFromAddrPort(p.addrPort())
	case *peer6:
		return net.TCPAddrFromAddrPort(p.addrPort())
	}
	return a
}
