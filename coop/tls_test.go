package coop_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"greenroom/coop"
)

// tlsOver makes a TLSConn of one end and crypto/tls's of the other, both before their handshakes.
func tlsOver(t *testing.T, l *coop.Loop) (*coop.TLSConn, *tls.Conn) {
	t.Helper()
	c, remote := conn(t, l, kinds[0])
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	return coop.TLSServer(c, config), tls.Client(remote, &tls.Config{InsecureSkipVerify: true})
}

// forTLS runs fn in a greenlet; the handshake is made if shaken.
func forTLS(t *testing.T, shaken bool, fn func(g *coop.Greenlet, c *coop.TLSConn, remote *tls.Conn)) {
	t.Helper()
	hangs(t)
	l := started(t, coop.LoopOptions{OnFailure: quiet})
	c, remote := tlsOver(t, l)
	err := l.Call(func(g *coop.Greenlet) error {
		if shaken {
			done := make(chan error, 1)
			go func() { done <- remote.Handshake() }()
			if err := c.Handshake(); err != nil {
				return err
			}
			if err := <-done; err != nil {
				return err
			}
		}
		fn(g, c, remote)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTLSBothWaysAtOnce_77(t *testing.T) {
	for _, shaken := range []bool{true, false} {
		forTLS(t, shaken, func(g *coop.Greenlet, c *coop.TLSConn, remote *tls.Conn) {
			data := noise(4 << 20)
			all := gather(remote)
			go remote.Write(data)
			read := g.Spawn(func(*coop.Greenlet) error {
				got := make([]byte, len(data))
				_, err := io.ReadFull(c, got)
				if !bytes.Equal(got, data) {
					t.Error("what was read differs")
				}
				return err
			})
			write := g.Spawn(func(*coop.Greenlet) error { _, err := c.Write(data); return err })
			wantErr(t, coop.JoinAll(g, read, write), nil)
			wantErr(t, c.CloseWrite(), nil)
			got, _ := coop.Await(g, func() ([]byte, error) { return all(), nil })
			if !bytes.Equal(got, data) {
				t.Error("what was written differs")
			}
			c.Close()
		})
	}
}

func TestTLSUsedByAGoroutine_77(t *testing.T) {
	l := started(t, coop.LoopOptions{})
	c, remote := tlsOver(t, l)
	go io.Copy(remote, remote)
	data := noise(100_000)
	go c.Write(data)
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
		t.Errorf("read: %v", err)
	}
	c.Close()
	_, err := c.Read(got)
	wantErr(t, err, net.ErrClosed)
}

// crypto/tls holds locks that must not hold the loop: whoever waits in there, the others go on.
func TestTLSWaitersDoNotHoldTheLoop_77(t *testing.T) {
	read := func(c *coop.TLSConn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(c *coop.TLSConn) error { _, err := c.Write(make([]byte, 64<<20)); return err }
	for name, tc := range map[string]struct {
		shaken bool
		ops    []func(c *coop.TLSConn) error
	}{
		"handshakes": {false, []func(*coop.TLSConn) error{read, write, read, (*coop.TLSConn).Handshake, (*coop.TLSConn).CloseWrite}},
		"writes":     {true, []func(*coop.TLSConn) error{read, write, write, (*coop.TLSConn).CloseWrite}},
	} {
		t.Run(name, func(t *testing.T) {
			forTLS(t, tc.shaken, func(g *coop.Greenlet, c *coop.TLSConn, remote *tls.Conn) {
				var gs []*coop.Greenlet
				for _, op := range tc.ops {
					gs = append(gs, parkedIn(g, func(*coop.Greenlet) error { return op(c) }))
				}
				if tc.shaken {
					wantErr(t, read(c), coop.ErrBusy)
				} else if c.ConnectionState().HandshakeComplete {
					t.Error("a handshake with nobody")
				}
				c.Close()
				for i, h := range gs {
					if err := h.Join(g); !errors.Is(err, net.ErrClosed) {
						t.Errorf("%d: %v", i, err)
					}
				}
			})
		})
	}
}

// What ends a greenlet's wait does not end the connection.
func TestTLSReadGoesOn_77(t *testing.T) {
	for name, tc := range map[string]struct {
		give func(g *coop.Greenlet, c *coop.TLSConn, read func() error) error
		want error
	}{
		"timed out": {func(g *coop.Greenlet, c *coop.TLSConn, read func() error) error {
			return g.WithTimeout(time.Millisecond, read)
		}, coop.ErrTimeout},
		"killed": {func(g *coop.Greenlet, c *coop.TLSConn, read func() error) error {
			h := parkedIn(g, func(*coop.Greenlet) error { return read() })
			h.Kill()
			h.Join(g)
			return h.Result()
		}, coop.ErrKilled},
		"deadline": {func(g *coop.Greenlet, c *coop.TLSConn, read func() error) error {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			defer c.SetReadDeadline(time.Time{})
			return read()
		}, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			forTLS(t, true, func(g *coop.Greenlet, c *coop.TLSConn, remote *tls.Conn) {
				p := make([]byte, 5)
				wantErr(t, tc.give(g, c, func() error { _, err := c.Read(p); return err }), tc.want)
				remote.Write([]byte("hello"))
				if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
					t.Errorf("afterwards: %q, %v", p, err)
				}
				remote.Close()
				_, err := c.Read(p)
				wantErr(t, err, io.EOF)
				c.Close()
			})
		})
	}
}

// A handshake that is cut off has failed for all.
func TestTLSHandshakeKilled_77(t *testing.T) {
	forTLS(t, false, func(g *coop.Greenlet, c *coop.TLSConn, _ *tls.Conn) {
		h := parkedIn(g, func(*coop.Greenlet) error { return c.Handshake() })
		other := parkedIn(g, func(*coop.Greenlet) error { return c.Handshake() })
		h.Kill()
		h.Join(g)
		wantErr(t, h.Result(), coop.ErrKilled)
		if other.Join(g); other.Result() == nil {
			t.Error("the other's went well")
		}
		c.Close()
	})
}

// Many readers and many small records: a second reader is told so, whenever it comes.
func TestTLSReadersThatTakeTurns_77(t *testing.T) {
	forTLS(t, true, func(g *coop.Greenlet, c *coop.TLSConn, remote *tls.Conn) {
		const total = 2000
		go func() {
			for range total {
				remote.Write([]byte("x"))
			}
			remote.CloseWrite()
		}()
		read := 0
		var gs []*coop.Greenlet
		for range 4 {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				for read < total {
					n, err := c.Read(make([]byte, 1))
					read += n
					switch {
					case err == io.EOF: // another got the last one
						return nil
					case errors.Is(err, coop.ErrBusy):
						if err := g.Yield(); err != nil {
							return err
						}
					case err != nil:
						return err
					}
				}
				return nil
			}))
		}
		wantErr(t, coop.JoinAll(g, gs...), nil)
		if read != total {
			t.Errorf("read %d", read)
		}
		c.Close()
	})
}
