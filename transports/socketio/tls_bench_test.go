//go:build linux && !coop_portable

package socketio

import (
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// cpuTime is what the process has used so far, in nanoseconds.
func cpuTime(b *testing.B) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkDelivery is one message for a room of 200, and the next when all have it: the processor's time for each
// of the deliveries, with the client's read of it, which is the same without TLS and with it: clients here count
// bytes and decrypt nothing.
func BenchmarkDelivery(b *testing.B) {
	plain := serveEcho(b, settings{})
	secure := plain.overTLS(b)
	for _, kind := range []struct {
		name     string
		f        *fixture
		overhead int // of a TLS record
	}{{"plain", plain, 0}, {"tls", secure, 22}} {
		for _, size := range []struct {
			name  string
			bytes int
		}{{"64B", 64}, {"1KB", 1024}} {
			b.Run(kind.name+"/"+size.name, func(b *testing.B) {
				kind.f.benchDelivery(b, strings.Repeat("x", size.bytes), kind.overhead)
			})
		}
	}
}

func (f *fixture) benchDelivery(b *testing.B, text string, overhead int) {
	const members = 200
	u, err := url.Parse(f.url)
	if err != nil {
		b.Fatal(err)
	}
	frame := ws.MustCompileFrame(ws.NewTextFrame([]byte(`42["said","` + text + `"]`)))
	arrived := make(chan error, members)
	more := make([]chan struct{}, members)
	for i := range members {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		over := conn
		if f.tls != nil {
			config := f.tls.Clone()
			config.ServerName, config.MinVersion = "localhost", tls.VersionTLS13
			over = tls.Client(conn, config)
		}
		target, err := url.Parse(f.wsURL())
		if err != nil {
			b.Fatal(err)
		}
		r, _, err := ws.Dialer{}.Upgrade(over, target)
		if err != nil {
			b.Fatal(err)
		}
		c := newClient(b, over, r)
		c.next()
		c.connect("/", "")
		c.want(`42["auth",{}]`)
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
		more[i] = make(chan struct{}, 1)
		go func() {
			buf := make([]byte, len(frame)+overhead)
			for range more[i] {
				_, err := io.ReadFull(conn, buf)
				arrived <- err
			}
		}()
	}
	before := cpuTime(b)
	for b.Loop() {
		for _, m := range more {
			m <- struct{}{}
		}
		if err := f.hub.To("room").Emit("said", text); err != nil {
			b.Fatal(err)
		}
		for range members {
			if err := <-arrived; err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/members, "cpu-ns/delivery")
	for _, m := range more {
		close(m)
	}
}
