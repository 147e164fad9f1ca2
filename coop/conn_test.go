package coop_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

// conn makes a Conn of one end; the test has the other.
func conn(t *testing.T, l *coop.Loop, k kind) (*coop.Conn, net.Conn) {
	t.Helper()
	local, remote := k.pair(t)
	c, err := coop.NewConn(l, local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, remote
}

// forConns runs a test on each kind of connection, in a greenlet that may use both ends: remote's calls
// block, so that it is used through remote's own goroutine or when the answer is there.
func forConns(t *testing.T, fn func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			l := started(t, coop.LoopOptions{OnFailure: quiet})
			c, remote := conn(t, l, k)
			err := l.Call(func(g *coop.Greenlet) error {
				// A first read finds out that crypto/tls holds nothing; WaitRead would return early for it.
				h := parkedIn(g, func(*coop.Greenlet) error { return readOne(c) })
				h.Kill()
				h.Join(g)
				fn(t, g, c, remote)
				return nil
			})
			if err != nil && !errors.Is(err, coop.ErrGoexit) { // FailNow, or Skip
				t.Error(err)
			}
		})
	}
}

// parkedIn spawns fn and returns when it has parked.
func parkedIn(g *coop.Greenlet, fn func(*coop.Greenlet) error) *coop.Greenlet {
	h := g.Spawn(fn)
	g.Yield()
	return h
}

// gather reads everything on a goroutine of its own.
func gather(remote net.Conn) (all func() []byte) {
	done := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(remote)
		done <- b
	}()
	return func() []byte { return <-done }
}

func TestConnReadAndWritePark_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		data := noise(8 << 20) // more than any buffer takes
		read := g.Spawn(func(*coop.Greenlet) error {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(c, got); err != nil {
				return err
			}
			if !bytes.Equal(got, data) {
				t.Error("what was read differs")
			}
			return nil
		})
		write := g.Spawn(func(*coop.Greenlet) error {
			n, err := c.Write(data)
			if n != len(data) {
				t.Errorf("wrote %d", n)
			}
			return err
		})
		ran := g.Spawn(func(*coop.Greenlet) error { return nil })
		if err := ran.Join(g); err != nil || read.Ended() || write.Ended() {
			t.Errorf("others run meanwhile: %v; read ended: %v, %v; write ended: %v, %v", err, read.Ended(), read.Result(), write.Ended(), write.Result())
		}
		go func() { remote.Write(data) }()
		got, _ := coop.Await(g, func() ([]byte, error) {
			got := make([]byte, len(data))
			_, err := io.ReadFull(remote, got)
			return got, err
		})
		if !bytes.Equal(got, data) {
			t.Error("what was written differs")
		}
		wantErr(t, coop.JoinAll(g, read, write), nil)
	})
}

// A Conn's user does not know who runs it.
func TestConnUsedByAGoroutineBlocksIt_77(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		c, remote := conn(t, l, k)
		data := noise(1 << 20)
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := c.Write(data); n != len(data) || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
		})
		wg.Go(func() {
			got := make([]byte, len(data))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("read: %v", err)
			}
		})
		wg.Go(func() { io.CopyN(remote, remote, int64(len(data))) }) // an echo
		wg.Wait()
		c.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, os.ErrDeadlineExceeded)
		c.Close()
		_, err = c.Read(make([]byte, 1))
		wantErr(t, err, net.ErrClosed)
	})
}

func TestConnRefusesWhoCannotWait_77(t *testing.T) {
	l, other := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	c, remote := conn(t, l, kinds[0])
	var p [1]byte
	onLoop(t, l, func() {
		_, err := c.Read(p[:])
		wantErr(t, err, coop.ErrNotRunning)
	})
	on(t, l, func(g *coop.Greenlet) error {
		g.OnLoop(func() {
			_, err := c.Write(p[:])
			wantErr(t, err, coop.ErrNotRunning)
		})
		return nil
	})
	on(t, other, func(g *coop.Greenlet) error {
		_, err := c.Read(p[:])
		wantErr(t, err, coop.ErrOtherLoop)
		remote.Write([]byte("x"))
		_, err = coop.Await(g, func() (int, error) { return c.Read(p[:]) })
		wantErr(t, err, nil)
		return nil
	})
	if p[0] != 'x' {
		t.Errorf("read %q", p[:])
	}
}

func TestConnSecondReaderIsRefused_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		var p [1]byte
		first := parkedIn(g, func(*coop.Greenlet) error { _, err := c.Read(p[:]); return err })
		_, err := c.Read(make([]byte, 1))
		wantErr(t, err, coop.ErrBusy)
		wantErr(t, c.WaitRead(g), coop.ErrBusy)
		_, err = coop.Await(g, func() (int, error) { return c.Read(make([]byte, 1)) })
		wantErr(t, err, coop.ErrBusy)
		remote.Write([]byte("x"))
		wantErr(t, first.Join(g), nil)
		if p[0] != 'x' {
			t.Errorf("the first read %q", p[:])
		}
	})
}

// Each Write is one piece, whoever else writes.
func TestConnWritersTakeTurns_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		const size = 1 << 20
		all := gather(remote)
		var want []byte
		var gs []*coop.Greenlet
		for i := range byte(5) {
			p := bytes.Repeat([]byte{'a' + i}, size)
			want = append(want, p...)
			gs = append(gs, g.Spawn(func(*coop.Greenlet) error { _, err := c.Write(p); return err }))
		}
		wantErr(t, coop.JoinAll(g, gs...), nil)
		c.Close()
		got, _ := coop.Await(g, func() ([]byte, error) { return all(), nil })
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes, or in another order", len(got))
		}
	})
}

func TestConnCloseWakesEveryone_77(t *testing.T) {
	for _, how := range []string{"greenlet", "goroutine"} {
		t.Run(how, func(t *testing.T) {
			forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
				smallBuffers(t, remote)
				var gs []*coop.Greenlet
				read := func(*coop.Greenlet) error { _, err := c.Read(make([]byte, 1)); return err }
				write := func(*coop.Greenlet) error { _, err := c.Write(make([]byte, 32<<20)); return err }
				for _, fn := range []func(*coop.Greenlet) error{read, write, write, write} {
					gs = append(gs, parkedIn(g, fn))
				}
				if how == "greenlet" {
					c.Close()
				} else {
					coop.Await(g, func() (int, error) { return 0, c.Close() })
				}
				for _, h := range gs {
					wantErr(t, h.Join(g), net.ErrClosed)
				}
				for name, err := range map[string]error{
					"read": read(g), "write": write(g), "wait": c.WaitRead(g), "half": c.CloseWrite(),
					"deadline": c.SetDeadline(time.Now()),
				} {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("%s afterwards: %v", name, err)
					}
				}
				wantErr(t, c.Close(), nil)
			})
		})
	}
}

func TestConnHalfCloseAndEOF_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, remote net.Conn) {
		question, answer := noise(1<<20), noise(300_000)
		all := gather(remote)
		if _, err := c.Write(question); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); strings.HasSuffix(t.Name(), "wrapped") {
			wantErr(t, err, errors.ErrUnsupported)
			return
		} else if err != nil {
			t.Fatal(err)
		}
		_, err := c.Write([]byte("more"))
		wantErr(t, err, net.ErrClosed)
		got, _ := coop.Await(g, func() ([]byte, error) { return all(), nil })
		if !bytes.Equal(got, question) {
			t.Errorf("%d bytes arrived", len(got))
		}
		go func() { remote.Write(answer); remote.Close() }()
		got, err = io.ReadAll(c)
		if err != nil || !bytes.Equal(got, answer) {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		for range 3 {
			_, err = c.Read(make([]byte, 1))
			wantErr(t, err, io.EOF)
		}
	})
}

func TestConnZeroLength_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, _ net.Conn) {
		for range 2 {
			for _, p := range [][]byte{nil, {}} {
				if n, err := c.Read(p); n != 0 || err != nil {
					t.Errorf("read: %d, %v", n, err)
				}
				if n, err := c.Write(p); n != 0 || err != nil {
					t.Errorf("write: %d, %v", n, err)
				}
			}
		}
	})
}

// One who has been woken and did not run yet still reads.
func TestConnSecondReaderIsRefusedWhileTheFirstWakes_77(t *testing.T) {
	forConns(t, func(t *testing.T, g *coop.Greenlet, c *coop.Conn, _ net.Conn) {
		first := parkedIn(g, func(*coop.Greenlet) error { return readOne(c) })
		c.SetReadDeadline(time.Unix(1, 0)) // wakes it
		wantErr(t, readOne(c), coop.ErrBusy)
		wantErr(t, c.WaitRead(g), coop.ErrBusy)
		wantErr(t, first.Join(g), os.ErrDeadlineExceeded)
	})
}
