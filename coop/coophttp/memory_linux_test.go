//go:build !coop_portable

package coophttp_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"greenroom/coop/coophttp"
)

// An idle connection holds a greenlet and structs, no buffers.
func TestServerIdleConnectionsAreSmall(t *testing.T) {
	if race {
		t.Skip("everything is larger")
	}
	const conns, limit = 500, 7 << 10
	s := serve(t, &coophttp.Server{Handler: http.HandlerFunc(hello)})
	var before, after runtime.MemStats
	all := make([]net.Conn, conns)
	for i := range all {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all[i] = c
	}
	await(t, "all are accepted", func() bool { return s.loop.Stats().Streams == conns })
	settle := func(m *runtime.MemStats) {
		for range 4 { // stacks shrink by half each time
			runtime.GC()
		}
		runtime.ReadMemStats(m)
	}
	settle(&before)
	for _, c := range all {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
	}
	settle(&after)
	if grown := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse); grown > conns*2<<10 {
		t.Errorf("a request leaves %d bytes a connection", grown/conns)
	}
	for _, c := range all {
		c.Close()
	}
	await(t, "all have gone", func() bool { return s.loop.Stats().Streams == 0 })
	settle(&before)
	// What Go's own part of a connection costs is in it, on the client's side.
	per := (int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)) / conns
	t.Logf("%d bytes a connection", per)
	if per > limit {
		t.Errorf("%d bytes a connection", per)
	}
}
