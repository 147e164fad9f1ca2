package coop_test

import (
	"net"
	"runtime"
	"testing"

	"greenroom/coop"
)

// heapOf is how much live heap each of n things costs, in bytes.
func heapOf(n int, make func() any) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	all := []any{}
	for range n {
		all = append(all, make())
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(all)
	return int(int64(after.HeapAlloc)-int64(before.HeapAlloc)) / n
}

// TestTLSStreamMemoryScale: what TLS costs beside the stream, idle, in bytes of live heap. What crypto/tls read the
// handshake and a large message into is not kept.
func TestTLSStreamMemoryScale(t *testing.T) {
	if !onDescriptors || raceEnabled {
		t.Skip("measures streams on descriptors, without the race detector")
	}
	const n = 300
	hangs(t)
	l := started(t, coop.LoopOptions{})
	stream := func(secure bool, message int) any {
		local, remote := tcpPair(t)
		var client net.Conn = remote
		if secure {
			local, client = tlsPair(t, detachable(t, local), remote)
		}
		h := newHandler()
		got, want := make(chan struct{}), message
		h.read = func(_ *coop.Stream, p []byte) {
			if want -= len(p); want == 0 {
				close(got)
			}
		}
		attach(t, l, local, h)
		client.Write(make([]byte, message))
		<-got
		h.read = nil
		return remote // without the client's end of TLS
	}
	plain := heapOf(n, func() any { return stream(false, 1) })
	small := heapOf(n, func() any { return stream(true, 1) }) - plain
	large := heapOf(n, func() any { return stream(true, 100_000) }) - plain
	if most := 6 << 10; small > most || large > most {
		t.Errorf("TLS costs %d bytes, after a large message %d; want at most %d (see dropSlack)", small, large, most)
	}
	t.Logf("TLS costs %d bytes of heap beside the %d of a stream and its client; after a large message %d", small, plain, large)
}
