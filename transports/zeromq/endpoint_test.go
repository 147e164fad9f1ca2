package zeromq

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// tiredListener fails some times before it accepts, as one does when the process is out of descriptors.
type tiredListener struct {
	net.Listener
	failures, calls atomic.Int64
}

func (l *tiredListener) Accept() (net.Conn, error) {
	if l.calls.Add(1); l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

func startEndpoint(t *testing.T, b *Bridge, ln net.Listener) *endpoint {
	t.Helper()
	e := newEndpoint(b, zmq4.Pull, b.opts.limits(), ln, b.servePull, partPublisher)
	e.start()
	t.Cleanup(func() { _ = e.close() })
	return e
}

// TestAcceptGoesOnAfterErrors: they are counted, waited out and not fatal.
func TestAcceptGoesOnAfterErrors(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{})
	ln, err := bind(anyPort, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	tired := &tiredListener{Listener: ln}
	tired.failures.Store(3)
	start := time.Now()
	startEndpoint(t, b, tired)
	p := push(t, endpointOf(ln.Addr()))
	send(t, p, "room", "x")
	h.waitPub(t, "room", "x")
	if waited := time.Since(start); waited < (1+2+4)*minAcceptPause {
		t.Errorf("three errors took %v: no pause", waited)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.counts[reasonAccept] != 3 {
		t.Errorf("counted %v", h.counts)
	}
}

// TestAcceptErrorsWithoutEnd do not spin, and do not keep the endpoint from closing.
func TestAcceptErrorsWithoutEnd(t *testing.T) {
	h := newFakeHub()
	b := listen(t, h, Options{})
	ln, err := bind(anyPort, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	tired := &tiredListener{Listener: ln}
	tired.failures.Store(1 << 40)
	e := startEndpoint(t, b, tired)
	h.waitCount(t, reasonAccept, 5)
	if err := e.close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if n := tired.calls.Load(); n > 1000 {
		t.Errorf("%d calls of Accept", n)
	}
}

// TestCloseIsIdempotent, also from several goroutines.
func TestCloseIsIdempotent(t *testing.T) {
	b := listen(t, newFakeHub(), Options{Pull: anyPort, Pub: anyPort})
	push(t, b.Addr("pull"))
	ended := make(chan error, 8)
	for i := range cap(ended) {
		go func() {
			if i%2 == 0 {
				ended <- b.CloseIngress()
			} else {
				ended <- b.Close()
			}
		}()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := b.Peers("pull"); n != 0 {
		t.Errorf("%d publishers are left", n)
	}
}

func TestWhatIsNotOpen(t *testing.T) {
	b := listen(t, newFakeHub(), Options{Pull: anyPort})
	if b.Addr("pub") != "" || b.Addr("nonsense") != "" || b.Peers("pub") != 0 || b.Subscribers("/", "room") != 0 {
		t.Error(b.Addr("pub"), b.Peers("pub"))
	}
}
