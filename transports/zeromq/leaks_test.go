package zeromq

import (
	"net"
	"os"
	"testing"
	"time"
)

// TestComingAndGoing: ten thousand peers that come and leave, politely or not, leave nothing behind, whatever their role.
// GREENROOM_LONG=1 has that many come in each.
func TestComingAndGoing(t *testing.T) {
	n := 10_000/len(roles) + 1
	switch {
	case testing.Short():
		n = 300
	case os.Getenv("GREENROOM_LONG") == "1":
		n = 10_000
	}
	for _, r := range roles {
		t.Run(r.name, func(t *testing.T) {
			o := Options{}
			var ln net.Listener
			if r.name == "connect" {
				var err error
				if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				o.Connect = []string{endpointOf(ln.Addr())}
				o.RedialMin, o.RedialMax = time.Microsecond, time.Microsecond
			}
			e := newEverything(t, o)
			come := func() net.Conn {
				if ln == nil {
					return rawVisit(t, e.b.Addr(r.name))
				}
				c, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			visit := func(i int) {
				c := come()
				defer c.Close()
				switch i % 4 {
				case 0: // shakes hands, and waits to see it done
					if _, err := c.Write(r.hello()); err != nil {
						t.Fatal(err)
					}
					afterHandshake(t, c, 0)
				case 1: // leaves in the middle of it
					_, _ = c.Write(rawGreeting())
				case 2: // resets the connection
					_, _ = c.Write(r.hello())
					_ = c.(*net.TCPConn).SetLinger(0)
				case 3: // is thrown out
					_, _ = c.Write(concat(r.hello(), []byte("\xff")))
					waitClosed(t, c)
				}
			}
			// rest is a state that can be compared with: at the connecting socket one publisher is there.
			rest := func() (end func()) {
				if ln == nil {
					return func() {}
				}
				for {
					c := come()
					_, _ = c.Write(r.hello()) // it may have given up waiting for us
					var b [1]byte
					if n, _ := c.Read(b[:]); n > 0 {
						eventually(t, "the publisher", func() bool { return e.b.connected(1) })
						return func() { _ = c.Close() }
					}
					_ = c.Close()
				}
			}
			for i := range 100 {
				visit(i) // what is kept for ever is there then
			}
			gone := func() bool {
				return r.name == "connect" || e.b.Peers(r.name) <= map[string]int{"pull": 1, "pub": 1, "control": 1}[r.name]
			}
			eventually(t, "the first to go", gone)
			end := rest()
			returned, heap := footprint(t), heapBytes()
			end()
			for i := range n {
				visit(i)
			}
			eventually(t, "all to go", gone)
			defer rest()()
			returned()
			if grown := heapBytes() - heap; grown > 8<<20 {
				t.Errorf("%d bytes more are in use", grown)
			}
			e.served(t, "after them")
		})
	}
}
