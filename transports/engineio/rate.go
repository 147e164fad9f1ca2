package engineio

import (
	"container/list"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds the client addresses whose handshakes are counted. The one not seen for longest is
// forgotten, and starts afresh. At 200 bytes each that is 13 MB.
const maxAddresses = 65536

var (
	errHandshakeRate = &requestError{4, "Too many handshakes", http.StatusServiceUnavailable, "engineio_handshake_rate"}
	errAddressRate   = &requestError{4, "Too many handshakes", http.StatusTooManyRequests, "engineio_address_handshake_rate"}
)

// handshakeLimits are the token buckets of handshakes: of the server, and of each address. Any goroutine.
type handshakeLimits struct {
	all        *rate.Limiter // nil: no limit
	perAddress rate.Limit    // 0: no limit
	burst      int

	mu        sync.Mutex
	addresses map[netip.Addr]*list.Element
	recent    list.List // of *addressLimit, the one seen last in front
}

type addressLimit struct {
	addr   netip.Addr
	bucket *rate.Limiter
}

func newHandshakeLimits(o *Options) *handshakeLimits {
	l := &handshakeLimits{addresses: make(map[netip.Addr]*list.Element)}
	if o.HandshakeRate > 0 {
		l.all = rate.NewLimiter(rate.Limit(o.HandshakeRate), 2*o.HandshakeRate)
	}
	if o.AddressHandshakeRate > 0 {
		l.perAddress, l.burst = rate.Limit(o.AddressHandshakeRate), 2*o.AddressHandshakeRate
	}
	return l
}

// allow takes a token for a handshake from remote, or returns why there is none. The address comes first,
// so that one client at its limit does not use up the others' share.
func (l *handshakeLimits) allow(remote string, now time.Time) *requestError {
	if l.perAddress > 0 && !l.bucket(addressOf(remote)).AllowN(now, 1) {
		return errAddressRate
	}
	if l.all != nil && !l.all.AllowN(now, 1) {
		return errHandshakeRate
	}
	return nil
}

// bucket returns the bucket of an address.
func (l *handshakeLimits) bucket(a netip.Addr) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.addresses[a]; e != nil {
		l.recent.MoveToFront(e)
		return e.Value.(*addressLimit).bucket
	}
	if l.recent.Len() >= maxAddresses {
		oldest := l.recent.Remove(l.recent.Back()).(*addressLimit)
		delete(l.addresses, oldest.addr)
	}
	b := rate.NewLimiter(l.perAddress, l.burst)
	l.addresses[a] = l.recent.PushFront(&addressLimit{a, b})
	return b
}

// addressOf is the address that a limit is kept for: of IPv6 the network, as whoever has one address has
// all 2^64 of it. What is no address, such as that of a Unix socket, shares one limit.
func addressOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	network, _ := a.Prefix(64) // an IPv6 address has one
	return network.Addr()
}
