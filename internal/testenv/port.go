package testenv

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var handedOut = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// The ports that are given. Systems give those from 32768 on to connections that somebody opens: a server that ends and is
// started again would find its port taken by one.
const firstPort, lastPort = 10_000, 32_000

// FreePort returns a TCP port of the loopback interface that nobody listens on, and that this process
// has not been given before. Another process may still take it before its user does; where the server
// can listen on port 0 and say which one it got, prefer that.
func FreePort(t testing.TB) int {
	t.Helper()
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		handedOut.Lock()
		seen := handedOut.ports[port]
		handedOut.ports[port] = true
		handedOut.Unlock()
		if seen {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		_ = l.Close() // it never accepted anything
		return port
	}
	t.Fatalf("finding a free port on 127.0.0.1: %v", last)
	return 0
}

// FreeAddr is FreePort as "127.0.0.1:port".
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}
