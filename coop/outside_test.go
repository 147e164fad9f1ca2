package coop_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"greenroom/coop"
)

// gevent's threadpool.apply, in its cases: results and errors come back; a killed waiter leaves the work to
// finish; the size is bounded; many are mapped; who waits does not hold the loop.
func TestAwaitAsThreadPool_72(t *testing.T) {
	const size = 2
	runWith(t, coop.LoopOptions{MaxAwait: size, OnFailure: quiet}, func(g *coop.Greenlet) error {
		v, err := coop.Await(g, func() (int, error) { return 1, errBoom })
		if v != 1 || err != errBoom {
			t.Errorf("apply: %d, %v", v, err)
		}

		gate, finished := make(chan struct{}), make(chan struct{})
		killed := parkedIn(g, func(g *coop.Greenlet) error {
			_, err := coop.Await(g, func() (int, error) { <-gate; close(finished); return 0, nil })
			return err
		})
		killed.Kill()
		killed.Join(g)
		wantErr(t, killed.Result(), coop.ErrKilled)
		ticks := 0
		ticker := g.Spawn(func(g *coop.Greenlet) error {
			for {
				if err := g.Yield(); err != nil {
					return err
				}
				ticks++
			}
		})
		results := make([]int, 20)
		var gs []*coop.Greenlet
		for i := range results {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) (err error) {
				results[i], err = coop.Await(g, func() (int, error) { return i * i, nil })
				return err
			}))
		}
		if err := coop.JoinAll(g, gs...); err != nil { // through the one place that is left
			return err
		}
		for i, v := range results {
			if v != i*i {
				t.Errorf("map: %d for %d", v, i)
			}
		}
		if ticks == 0 {
			t.Error("nobody ran meanwhile")
		}
		ticker.Kill()
		close(gate)
		_, err = coop.Await(g, func() (int, error) { <-finished; return 0, nil })
		return err
	})
}

// A slow resolver holds up the greenlet that asks, and nobody else.
func TestDialResolvesOffTheLoop_81(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		s := &coop.StreamServer{Handler: echoes}
		ln, _ := serving(t, g, s)
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			return err
		}
		asked, answer := make(chan struct{}, 1), make(chan struct{})
		d := &coop.Dialer{Dialer: net.Dialer{Resolver: &net.Resolver{
			PreferGo: true,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				select {
				case asked <- struct{}{}:
				default:
				}
				<-answer
				return nil, errBoom
			},
		}}}
		h := g.Spawn(func(g *coop.Greenlet) error {
			c, err := d.Dial(g, "tcp", "slow.example:"+port)
			if err == nil {
				c.Close()
			}
			return err
		})
		if _, err := coop.Await(g, func() (int, error) { <-asked; return 0, nil }); err != nil {
			return err
		}
		c, err := coop.Dial(g, "tcp", "localhost:"+port) // is known without asking
		if err != nil {
			return err
		}
		c.Close()
		close(answer)
		var de *net.DNSError
		if err := h.Join(g); !errors.As(err, &de) {
			t.Errorf("got %v", err)
		}
		return s.Stop(g)
	})
}

// One who gives up leaves no connection behind, whenever it comes.
func TestDialGivenUp_81(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer nl.Close()
		for _, d := range []time.Duration{0, time.Microsecond, 20 * time.Microsecond, 50 * time.Microsecond, time.Hour} {
			for range 20 {
				g.WithTimeout(d, func() error {
					c, err := coop.Dial(g, "tcp", nl.Addr().String())
					if err == nil {
						c.Close()
					}
					return err
				})
			}
		}
		// Every connection that was made is closed: the other end sees it.
		last, err := coop.Dial(g, "tcp", nl.Addr().String())
		if err != nil {
			return err
		}
		defer last.Close()
		_, err = coop.Await(g, func() (int, error) {
			for {
				c, err := nl.Accept()
				if err != nil {
					return 0, err
				}
				if c.RemoteAddr().String() == last.LocalAddr().String() {
					return 0, c.Close()
				}
				c.SetReadDeadline(time.Now().Add(patience))
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("a connection stays open")
				}
				c.Close()
			}
		})
		return err
	})
}

func TestDialErrors(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		address := nl.Addr().String()
		nl.Close()
		d := &coop.Dialer{Loop: g.Loop()}
		if c, err := d.DialContext(g, "tcp", address); err == nil || c != nil {
			t.Errorf("refused: %v, %v", c, err)
		}
		if c, err := d.DialTLS(g, "tcp", address, nil); err == nil || c != nil {
			t.Errorf("refused: %v, %v", c, err)
		}
		return nil
	})
}

// A driver's hook may be called by a greenlet or by a goroutine of the driver's.
func TestDialContextByAnybody(t *testing.T) {
	runReal(t, func(g *coop.Greenlet) error {
		s := &coop.StreamServer{Handler: echoes}
		ln, _ := serving(t, g, s)
		d := &coop.Dialer{Loop: g.Loop()}
		use := func() (string, error) {
			c, err := d.DialContext(context.Background(), "tcp", ln.Addr().String())
			if err != nil {
				return "", err
			}
			defer c.Close()
			return ask(c, "hello")
		}
		for name, got := range map[string]func() (string, error){
			"greenlet":  use,
			"goroutine": func() (string, error) { return coop.Await(g, use) },
		} {
			if s, err := got(); s != "hello" || err != nil {
				t.Errorf("%s: %q, %v", name, s, err)
			}
		}
		return s.Stop(g)
	})
}

// Whether a killed waiter takes its process along is said by the context that it is made with.
func TestSubprocess_82(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("has no cat")
	}
	runReal(t, func(g *coop.Greenlet) error {
		out, err := coop.Await(g, exec.Command("echo", "hello").Output)
		if string(out) != "hello\n" || err != nil {
			t.Errorf("output %q, %v", out, err)
		}
		var ee *exec.ExitError
		if _, err := coop.Await(g, exec.Command("false").Output); !errors.As(err, &ee) {
			t.Errorf("a failure: %v", err)
		}

		for _, takesAlong := range []bool{true, false} {
			var cmd *exec.Cmd
			ended := make(chan error, 1)
			h := parkedIn(g, func(g *coop.Greenlet) error {
				if takesAlong {
					cmd = exec.CommandContext(g.Context(), "cat")
				} else {
					cmd = exec.Command("cat")
				}
				stdin, err := cmd.StdinPipe() // never closed by us: cat waits
				if err != nil {
					return err
				}
				if err := cmd.Start(); err != nil {
					return err
				}
				_ = stdin
				_, err = coop.Await(g, func() (int, error) { err := cmd.Wait(); ended <- err; return 0, err })
				return err
			})
			h.Kill()
			h.Join(g)
			wantErr(t, h.Result(), coop.ErrKilled)
			if takesAlong {
				_, err := coop.Await(g, func() (int, error) { return 0, <-ended })
				if err == nil {
					t.Error("the process ended by itself")
				}
				continue
			}
			select {
			case err := <-ended:
				t.Errorf("the process has ended: %v", err)
			default:
			}
			if err := cmd.Process.Kill(); err != nil {
				return err
			}
			coop.Await(g, func() (int, error) { return 0, <-ended })
		}
		return nil
	})
}
