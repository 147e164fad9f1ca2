//go:build unix

package zeromq

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/internal/guard"
)

// TestAStoppedPublisherIsNoticed: its TCP connection lives on, in the kernel.
func TestAStoppedPublisherIsNoticed(t *testing.T) {
	h := newFakeHub()
	at := "tcp://" + testenv.FreeAddr(t)
	p := startPublisher(t, at) // which has nothing to say
	o := quick(Options{Connect: []string{at}, HandshakeTimeout: 500 * time.Millisecond})
	o.Heartbeat, o.HeartbeatTimeout = 20*time.Millisecond, 500*time.Millisecond
	b := listen(t, h, o)
	waitOutput(t, p, "+\n")
	eventually(t, "its first PONG", func() bool {
		b.up.mu.Lock()
		defer b.up.mu.Unlock()
		for g := range b.up.peers {
			return g.Answers()
		}
		return false
	})
	h.mu.Lock()
	before := h.counts[guard.ReasonHeartbeat]
	h.mu.Unlock()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.waitCount(t, guard.ReasonHeartbeat, before+1)
	eventually(t, "the loss", func() bool { return !b.Publishers()[0].Connected })
	if err := b.Publishers()[0].Err; err == nil || !strings.Contains(err.Error(), "nothing came") && !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the reason is %v", err)
	}
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection", func() bool { return b.Publishers()[0].Connected })
}
