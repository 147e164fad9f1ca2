package losscheck

import (
	"io"
	"net"
	"sync"
)

// Proxy passes TCP connections on to a target, until it is told to hold everything back: then bytes wait, and nobody is
// told anything, as on a line that is cut.
type Proxy struct {
	Addr   string
	target string
	ln     net.Listener
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	open  chan struct{} // closed while bytes pass
	held  bool
	done  chan struct{}
}

// NewProxy listens on a free port of the loopback interface. Close ends it.
func NewProxy(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		Addr: ln.Addr().String(), target: target, ln: ln,
		conns: make(map[net.Conn]bool), open: make(chan struct{}), done: make(chan struct{}),
	}
	close(p.open)
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	return p, nil
}

// Hold has bytes wait from now on; Pass lets them go, also those that came meanwhile.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		p.held, p.open = true, make(chan struct{})
	}
}

// Pass is the end of Hold.
func (p *Proxy) Pass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.held = false
		close(p.open)
	}
}

// Close ends all connections, and waits.
func (p *Proxy) Close() {
	p.mu.Lock()
	close(p.done)
	_ = p.ln.Close()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// wait returns when bytes may pass, or false when the proxy has ended.
func (p *Proxy) wait() bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return true
	case <-p.done:
		return false
	}
}

// keep has Close end c; it reports false if that has been already.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		_ = c.Close()
		return false
	default:
		p.conns[c] = true
		return true
	}
}

func (p *Proxy) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) serve(c net.Conn) {
	if !p.keep(c) {
		return
	}
	defer p.forget(c)
	if !p.wait() {
		return
	}
	d, err := net.Dial("tcp", p.target)
	if err != nil || !p.keep(d) {
		return
	}
	defer p.forget(d)
	var both sync.WaitGroup
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(gate{p, dst}, src)
		if p.wait() { // the end of a connection is not told either
			_, _ = dst.Close(), src.Close()
		}
	}
	both.Go(func() { pipe(d, c) })
	both.Go(func() { pipe(c, d) })
	both.Wait()
}

// gate writes when bytes may pass.
type gate struct {
	p *Proxy
	c net.Conn
}

func (g gate) Write(b []byte) (int, error) {
	if !g.p.wait() {
		return 0, net.ErrClosed
	}
	return g.c.Write(b)
}
