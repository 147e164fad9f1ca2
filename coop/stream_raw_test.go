//go:build linux && !coop_portable && !race && !msan && !asan

package coop_test

import (
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"greenroom/coop"
)

// Whether a descriptor's calls wait is a matter of all its duplicates, and os.File.Fd has them wait. A loop does not, even so.
func TestStreamNeverWaits(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	twin, err := c.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	r := newReader()
	s, err := l.Attach(c, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(int(twin.Fd()), false); err != nil {
		t.Fatal(err)
	}
	sent := make(chan int, 1)
	l.Post(func() {
		s.Start()
		total, piece := 0, make([]byte, 64<<10)
		for {
			n, err := s.Write(piece)
			total += n
			if err != nil || n < len(piece) {
				break
			}
		}
		sent <- total
		s.CloseWrite() // the twin keeps the connection open beyond Close
		s.Close()
	})
	n, err := io.Copy(io.Discard, client)
	if want := <-sent; int(n) != want || err != nil {
		t.Errorf("%d bytes arrived, %v; %d were written", n, err, want)
	}
	<-r.end
}
