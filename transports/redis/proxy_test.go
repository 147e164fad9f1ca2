//go:build unix

package redis

import (
	"net"
	"sync"
	"testing"
	"time"
)

// proxy is a network between a node and Redis that has faults.
type proxy struct {
	addr string
	lis  net.Listener
	to   string
	wg   sync.WaitGroup

	mu      sync.Mutex
	change  *sync.Cond
	conns   map[net.Conn]bool
	ended   bool
	refuses bool          // connections are closed at once
	stalled bool          // nothing goes through, and nothing says so
	split   bool          // each byte comes alone
	slow    time.Duration // for each piece
	fuse    int           // bytes of replies until everything is cut, 0 never
}

// piece is what goes through at once.
const piece = 32 << 10

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: lis.Addr().String(), lis: lis, to: to, conns: make(map[net.Conn]bool)}
	p.change = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = lis.Close()
		p.set(func() { p.ended = true; p.cutLocked() })
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.addr }

// set changes faults.
func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	p.change.Broadcast()
}

func (p *proxy) cut()  { p.set(func() { p.refuses = true; p.cutLocked() }) }
func (p *proxy) heal() { p.set(func() { p.refuses, p.stalled = false, false }) }

func (p *proxy) cutLocked() {
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) accept() {
	for {
		near, err := p.lis.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		if p.refuses || p.ended {
			_, _ = near.Close(), far.Close()
		} else {
			p.conns[near], p.conns[far] = true, true
			p.wg.Go(func() { p.pump(far, near, false) })
			p.wg.Go(func() { p.pump(near, far, true) })
		}
		p.mu.Unlock()
	}
}

func (p *proxy) pump(to, from net.Conn, replies bool) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = to.Close(), from.Close()
		delete(p.conns, from)
	}()
	buf := make([]byte, piece)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		for p.stalled && !p.ended {
			p.change.Wait()
		}
		cut, step, slow := false, n, p.slow
		if replies && p.fuse > 0 {
			if p.fuse -= n; p.fuse <= 0 {
				n += p.fuse // the rest is lost
				p.fuse, cut = 0, true
			}
		}
		if p.split {
			step = 1
		}
		p.mu.Unlock()
		time.Sleep(slow)
		for at := 0; at < n; at += step {
			if _, err := to.Write(buf[at:min(at+step, n)]); err != nil {
				return
			}
		}
		if cut {
			p.mu.Lock()
			p.cutLocked()
			p.mu.Unlock()
			return
		}
	}
}
