//go:build unix

package drivers

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"greenroom/coop"
)

// What waits for a server that does not answer is killed and times out at once, more of them than there are
// connections. When the server goes on, the same client still gives each one its own answer.
func TestServerThatHangs(t *testing.T) {
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			p, addr := d.start(t)
			resume := func() { p.Signal(syscall.SIGCONT) }
			t.Cleanup(resume) // a stopped process does not hear that it should end
			err := d.run(addr, func(g *coop.Greenlet, s Squares) error {
				defer resume() // whoever waits on a goroutine is to end
				if m, ok := s.(*Memcache); ok {
					m.client.Timeout = time.Minute // so that no call ends by itself while the server hangs
				}
				if err := Ask(g, s, conns, each); err != nil { // all connections are open
					return err
				}
				if err := p.Signal(syscall.SIGSTOP); err != nil {
					return err
				}
				// Its threads stop one after the other: it hangs when one who asks times out.
				for answered := true; answered; {
					err := g.WithTimeout(200*time.Millisecond, func() error {
						_, err := s.Square(g, 4)
						return err
					})
					if answered = err == nil; !answered && !errors.Is(err, coop.ErrTimeout) {
						t.Errorf("the one with a timeout ended with %v", err)
					}
				}
				killed := make([]*coop.Greenlet, 2*conns)
				told := make([]error, len(killed))
				for i := range killed {
					killed[i] = g.Spawn(func(g *coop.Greenlet) error {
						_, told[i] = s.Square(g, 3)
						return told[i]
					})
				}
				if err := g.Sleep(10 * time.Millisecond); err != nil { // some ask the server, some wait for their turn
					return err
				}
				for _, x := range killed {
					if x.Ended() {
						t.Errorf("one did not wait, and ended with %v", x.Result())
					}
				}
				start := time.Now()
				coop.Kill(killed...)
				if err := coop.JoinAll(g, killed...); err != nil {
					return err
				}
				for _, err := range told {
					if !errors.Is(err, coop.ErrKilled) {
						t.Errorf("one that was killed was told %v", err)
					}
				}
				if took := time.Since(start); took > 10*time.Second {
					t.Errorf("the killed ones ended after %v", took)
				}
				resume()
				return Ask(g, s, greenlets, each)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
