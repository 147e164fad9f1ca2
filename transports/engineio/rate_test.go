package engineio

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestHandshakeLimits(t *testing.T) {
	type step struct {
		at      time.Duration
		remote  string
		n       int // handshakes
		allowed int // the first of them
		err     *requestError
	}
	tests := []struct {
		name  string
		o     Options
		steps []step
	}{
		{"the server's", Options{HandshakeRate: 10}, []step{
			{0, "192.0.2.1:1", 15, 15, nil},
			{0, "192.0.2.2:1", 10, 5, errHandshakeRate},
			{500 * time.Millisecond, "192.0.2.1:1", 10, 5, errHandshakeRate},
			{time.Hour, "192.0.2.1:1", 30, 20, errHandshakeRate},
		}},
		{"an address's", Options{HandshakeRate: -1, AddressHandshakeRate: 10}, []step{
			{0, "192.0.2.1:1", 25, 20, errAddressRate},
			{0, "192.0.2.1:2", 1, 0, errAddressRate},
			{0, "[::ffff:192.0.2.1]:3", 1, 0, errAddressRate},
			{0, "192.0.2.2:1", 25, 20, errAddressRate},
			{0, "[2001:db8::1]:1", 20, 20, nil},
			{0, "[2001:db8::ffff:2]:1", 1, 0, errAddressRate},
			{0, "[2001:db8:0:1::1]:1", 1, 1, nil},
			{0, "@", 21, 20, errAddressRate},
			{0, "", 1, 0, errAddressRate},
			{200 * time.Millisecond, "192.0.2.1:1", 5, 2, errAddressRate},
		}},
		{"one at its limit leaves the server's share to others", Options{HandshakeRate: 20, AddressHandshakeRate: 10}, []step{
			{0, "192.0.2.1:1", 1000, 20, errAddressRate},
			{0, "192.0.2.2:1", 25, 20, errAddressRate},
			{0, "192.0.2.3:1", 1, 0, errHandshakeRate},
		}},
		{"none", Options{HandshakeRate: -1}, []step{{0, "192.0.2.1:1", 100_000, 100_000, nil}}},
		{"default", Options{}, []step{{0, "192.0.2.1:1", 100_000, 20_000, errHandshakeRate}}},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			o := c.o.withDefaults()
			l := newHandshakeLimits(&o)
			start := time.Now()
			for i, st := range c.steps {
				for n := range st.n {
					err := l.allow(st.remote, start.Add(st.at))
					if (err == nil) != (n < st.allowed) || err != nil && err != st.err {
						t.Fatalf("step %d, handshake %d: %v", i, n, err)
					}
				}
			}
		})
	}
}

// The table of addresses is bounded, and forgets those that were not seen for longest.
func TestHandshakeLimitsForgetAddresses(t *testing.T) {
	o := Options{AddressHandshakeRate: 1}.withDefaults()
	l := newHandshakeLimits(&o)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	first := l.bucket(addr(0))
	for i := range 2 * maxAddresses {
		l.bucket(addr(1 + i))
		if i%1000 == 0 && l.bucket(addr(0)) != first {
			t.Fatalf("an address in use was forgotten after %d others", i)
		}
	}
	if len(l.addresses) != maxAddresses || l.recent.Len() != maxAddresses {
		t.Errorf("%d and %d addresses", len(l.addresses), l.recent.Len())
	}
}

// What a client sees at the limit, and that sessions go on.
func TestTooManyHandshakes(t *testing.T) {
	tests := []struct {
		name    string
		o       Options
		status  int
		counter string
	}{
		{"server", Options{HandshakeRate: 1}, 503, "engineio_handshake_rate"},
		{"address", Options{HandshakeRate: -1, AddressHandshakeRate: 1}, 429, "engineio_address_handshake_rate"},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.o)
			// Two handshakes, and one more in an hour.
			if s.limits.all != nil {
				s.limits.all.SetLimit(rate.Every(time.Hour))
			}
			if s.limits.perAddress > 0 {
				s.limits.perAddress = rate.Every(time.Hour)
			}
			s.settle(t.Context()) // the loops see it
			p := s.poll(t)
			s.poll(t)
			refused := s.do("GET", pollTarget, "")
			if refused.status != c.status || refused.body != `{"code":4,"message":"Too many handshakes"}` || refused.header.Get("Retry-After") != "1" {
				t.Errorf("%v %v", refused, refused.header)
			}
			if n := s.count(c.counter); n != 1 {
				t.Errorf("counted %d", n)
			}
			for i := range 10 {
				p.wantPost(fmt.Sprint("4", i))
				p.wantGet(fmt.Sprint("4", i))
			}
			conn := s.dial(t)
			conn.write(upgradeRequest(wsTarget))
			if a := conn.response(); a.status != 400 || a.body != "Too many handshakes" {
				t.Error(a)
			}
			up := p.upgraded() // an upgrade is no handshake
			up.text("4x")
			up.wantText("4x")
			if n := s.Sessions(); n != 2 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

func BenchmarkAddressLimit(b *testing.B) {
	o := Options{AddressHandshakeRate: 1}.withDefaults()
	l := newHandshakeLimits(&o)
	now := time.Now()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.allow(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1).String(), now)
	}
}
