package coop

import "net"

// Parked counts the greenlets of the loop that wait, and the places of those who wait from elsewhere.
// Loop only.
func Parked(l *Loop) (n int) {
	for g := l.live.newest; g != nil; g = g.older {
		if g.state == parked {
			n++
		}
	}
	for p := l.places.newest; p != nil; p = p.older {
		n++
	}
	return n
}

// Below is the connection below one of a [Detachable] listener, any other as it is.
func Below(c net.Conn) net.Conn {
	if d, ok := c.(*detachable); ok {
		return d.Conn
	}
	return c
}
