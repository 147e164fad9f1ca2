package coop_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"greenroom/coop"
)

// connWaits are the ways to wait for a connection whose peer neither reads nor writes.
var connWaits = map[string]func(g *coop.Greenlet, c *coop.Conn) error{
	"read":        func(_ *coop.Greenlet, c *coop.Conn) error { return readOne(c) },
	"wait read":   func(g *coop.Greenlet, c *coop.Conn) error { return c.WaitRead(g) },
	"write":       func(_ *coop.Greenlet, c *coop.Conn) error { return writeMuch(c) },
	"next write":  func(_ *coop.Greenlet, c *coop.Conn) error { return writeSecond(c) },
	"close write": func(_ *coop.Greenlet, c *coop.Conn) error { blockWrites(c); return c.CloseWrite() },
}

// forWaits runs fn with a greenlet that is parked in each of connWaits.
func forWaits(t *testing.T, fn func(t *testing.T, g, h *coop.Greenlet, c *coop.Conn, remote net.Conn)) {
	for name, wait := range connWaits {
		t.Run(name, func(t *testing.T) {
			forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
				h := parkedIn(g, func(h *coop.Greenlet) error { return wait(h, c) })
				g.Yield()
				fn(t, g, h, c, remote)
			})
		})
	}
}

func TestConnKilledWhileWaiting_15_77(t *testing.T) {
	forWaits(t, func(t *testing.T, g, h *coop.Greenlet, c *coop.Conn, _ net.Conn) {
		h.Kill()
		h.Join(g)
		wantErr(t, h.Result(), coop.ErrKilled)
	})
}

func TestConnTimedOutWhileWaiting_40_77(t *testing.T) {
	for name, wait := range connWaits {
		t.Run(name, func(t *testing.T) {
			forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
				err := g.WithTimeout(time.Millisecond, func() error { return wait(g, c) })
				wantErr(t, err, coop.ErrTimeout)
				// And nothing is left behind: what comes now is for the next reader.
				remote.Write([]byte("x"))
				wantErr(t, readOne(c), nil)
			})
		})
	}
}

func TestConnClosedWhileWaiting_77(t *testing.T) {
	forWaits(t, func(t *testing.T, g, h *coop.Greenlet, c *coop.Conn, _ net.Conn) {
		c.Close()
		wantErr(t, h.Join(g), net.ErrClosed)
	})
}

func TestConnKilledAndWokenInOneTick_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		var p [3]byte
		h := parkedIn(g, func(*coop.Greenlet) error { _, err := c.Read(p[:1]); return err })
		h.Kill()
		remote.Write([]byte("abc"))
		h.Join(g)
		got := int(p[0] / 'a') // h may have been quick
		if _, err := io.ReadFull(c, p[got:]); err != nil || string(p[:]) != "abc" {
			t.Errorf("%q, %v", p, err)
		}
	})
}

func TestConnWaitsOfAClosingLoop_77(t *testing.T) {
	for name, wait := range connWaits {
		t.Run(name, func(t *testing.T) {
			l, err := coop.NewLoop(coop.LoopOptions{OnFailure: quiet})
			if err != nil {
				t.Fatal(err)
			}
			local, _ := tcpPair(t)
			c, err := coop.NewConn(l, local)
			if err != nil {
				t.Fatal(err)
			}
			h := l.Spawn(func(h *coop.Greenlet) error { return wait(h, c) })
			l.Start()
			l.Call(func(g *coop.Greenlet) error { // until it waits
				for range 10 {
					g.Yield()
				}
				return nil
			})
			outside := make(chan error, 1)
			go func() { outside <- readOne(c) }()
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			wantErr(t, h.Result(), coop.ErrKilled)
			if err := <-outside; !errors.Is(err, net.ErrClosed) && !errors.Is(err, coop.ErrBusy) {
				t.Errorf("outside: %v", err)
			}
			wantErr(t, readOne(c), net.ErrClosed)
			if _, err := coop.NewConn(l, local); err == nil {
				t.Error("a new connection on a closed loop")
			}
		})
	}
}

func TestConnPeerResets_77(t *testing.T) {
	forWaits(t, func(t *testing.T, g, h *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		if _, tcp := bare(remote).(*net.TCPConn); !tcp {
			t.Skip("has no resets")
		}
		reset(t, remote)
		err := h.Join(g)
		if err == nil {
			err = readOne(c) // WaitRead only says that there is something
		}
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && runtime.GOOS == "linux" {
			t.Errorf("got %v", err)
		}
		if readOne(c) == nil || writeMuch(c) == nil {
			t.Error("it goes on")
		}
	})
}

// A server may answer and close before it has read everything.
func TestConnReadsWhatCameBeforeAFailedWrite_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		u, ok := bare(remote).(*net.UnixConn)
		if !ok {
			t.Skip("TCP drops what came before a reset")
		}
		u.Write([]byte("too large"))
		u.Close()
		if writeMuch(c) == nil {
			t.Error("written")
		}
		got, err := io.ReadAll(c)
		if string(got) != "too large" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// #2 of the order: one whose connection is always ready does not keep the loop.
func TestConnThatIsAlwaysReadyLetsOthersRun(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		const total = 100_000
		go func() { remote.Write(make([]byte, total)) }()
		turns, calls, most, since := 0, 0, 0, 0
		other := g.Spawn(func(h *coop.Greenlet) error {
			for {
				if err := h.Yield(); err != nil {
					return err
				}
				turns++
				since = 0
			}
		})
		var p [1]byte
		for range total {
			if _, err := c.Read(p[:]); err != nil {
				t.Fatal(err)
			}
			calls++
			since++
			most = max(most, since)
		}
		other.Kill()
		other.Join(g)
		if most > 130 { // twice 64, and the calls that parked and found the other one done for this tick
			t.Errorf("%d calls in a row, %d of %d turns", most, turns, calls)
		}
	})
}
