package coop_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"greenroom/coop"
)

// Everybody uses a connection at once, in every way, those who should not included: nothing breaks,
// nobody waits for ever, and each error is one that is documented.
func TestConnChaos_77(t *testing.T) {
	allowed := []error{
		nil, io.EOF, net.ErrClosed, os.ErrDeadlineExceeded, coop.ErrKilled, coop.ErrTimeout,
		coop.ErrBusy, coop.ErrNotRunning, coop.ErrOtherLoop,
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			hangs(t)
			for seed := range uint64(15) {
				l := started(t, coop.LoopOptions{OnFailure: quiet})
				c, remote := conn(t, l, k)
				chaos(t, l, c, remote, rand.New(rand.NewPCG(seed, 0)), func(err error) {
					for _, a := range allowed {
						if errors.Is(err, a) {
							return
						}
					}
					var oe *net.OpError // the system's
					if !errors.As(err, &oe) {
						t.Errorf("seed %d: %v", seed, err)
					}
				})
			}
		})
	}
}

// With TLS the errors are crypto/tls's, too; but nobody waits for ever, and no lock of its stops a loop.
func TestTLSChaos_77(t *testing.T) {
	for seed := range uint64(15) {
		hangs(t)
		l := started(t, coop.LoopOptions{OnFailure: quiet})
		c, remote := tlsOver(t, l)
		done := make(chan error, 1)
		go func() { done <- remote.Handshake() }()
		if err := errors.Join(c.Handshake(), <-done); err != nil {
			t.Fatal(err)
		}
		chaos(t, l, c, remote, rand.New(rand.NewPCG(seed, 1)), func(error) {})
	}
}

func chaos(t *testing.T, l *coop.Loop, c, remote net.Conn, rng *rand.Rand, check func(error)) {
	other := started(t, coop.LoopOptions{OnFailure: quiet})
	go func() { // a peer that echoes, slowly
		p := make([]byte, 3000)
		for {
			n, err := remote.Read(p)
			if err != nil {
				return
			}
			if _, err := remote.Write(p[:n]); err != nil {
				return
			}
		}
	}()

	// A program is decided before it runs, since a generator is nobody's to share.
	type step struct {
		op, n int
		d     time.Duration
	}
	program := func(n int) []step {
		s := make([]step, n)
		for i := range s {
			s[i] = step{rng.IntN(8), 1 + rng.IntN(20_000), time.Duration(rng.IntN(300)) * time.Microsecond}
		}
		return s
	}
	run := func(s step, g *coop.Greenlet) error {
		switch s.op {
		case 0, 1:
			_, err := c.Write(make([]byte, s.n))
			return err
		case 2, 3:
			_, err := c.Read(make([]byte, s.n))
			return err
		case 4:
			return c.SetDeadline(time.Now().Add(s.d))
		case 5:
			return c.SetDeadline(time.Time{})
		case 6:
			if c, ok := c.(*coop.Conn); ok && g != nil && g.Loop() == l {
				return c.WaitRead(g)
			}
			return c.SetReadDeadline(time.Now().Add(s.d))
		default:
			if g != nil {
				return g.Yield()
			}
			return nil
		}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		steps := program(40)
		home := l
		if i == 3 {
			home = other
		}
		wg.Add(1)
		home.Go(func(g *coop.Greenlet) error {
			defer wg.Done()
			for _, s := range steps {
				check(g.WithTimeout(time.Millisecond+s.d, func() error { return run(s, g) }))
			}
			return nil
		})
	}
	for range 2 {
		steps := program(40)
		wg.Go(func() {
			for _, s := range steps {
				c.SetDeadline(time.Now().Add(s.d)) // goroutines have no other way to be ended
				check(run(s, nil))
			}
		})
	}
	steps := program(20)
	wg.Go(func() {
		for _, s := range steps {
			onLoop(t, l, func() { check(run(s, nil)) })
		}
	})
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Duration(rng.IntN(20)) * time.Millisecond):
	}
	c.Close()
	<-ended
	remote.Close()
}
