//go:build unix

package redis

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A server is silent when it was asked and has had its time, and not because this process was stopped or busy.
func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		answers time.Duration // after the Read has begun; 0: never
		heard   bool
	}{
		"at once":           {time.Millisecond, true},
		"when it was asked": {1100 * time.Millisecond, true},
		"late, but in time": {3900 * time.Millisecond, true},
		"never":             {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSubscriber(&link{opts: linkOptions{timeout: 3 * time.Second, pingEvery: time.Second}}, "")
				here, there := net.Pipe()
				defer here.Close()
				defer there.Close()
				h := &hearing{s, here}
				time.Sleep(10 * time.Hour) // as if stopped
				if c.answers > 0 {
					go func() {
						time.Sleep(c.answers)
						_, _ = there.Write([]byte("x"))
					}()
				}
				began := time.Now()
				n, err := h.Read(make([]byte, 1))
				took := time.Since(began)
				switch {
				case c.heard && (n != 1 || err != nil):
					t.Errorf("%d, %v", n, err)
				case !c.heard && (!errors.Is(err, errSilent) || took != 4*time.Second):
					t.Errorf("%v after %v", err, took)
				case c.heard && s.ping != (c.answers > time.Second):
					t.Error("asked: ", s.ping)
				}
				_ = here.Close()
				synctest.Wait()
			})
		})
	}
}
