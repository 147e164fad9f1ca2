package coop

import (
	"net"
	"syscall"
)

// Listen opens a listener in the world. Addresses are any text.
func (w *World) Listen(addr string) (*Listener, error) {
	if w.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "memory", Addr: memoryAddr(addr), Err: syscall.EADDRINUSE}
	}
	ln := NewListener(w.loop, &memoryListener{w: w, addr: memoryAddr(addr)})
	ln.fed = true
	w.listeners[addr] = ln
	return ln, nil
}

// Dial connects to a listener of the world.
func (w *World) Dial(g *Greenlet, addr string) (*Conn, error) {
	if err := g.Sleep(w.lag()); err != nil {
		return nil, err
	}
	ln := w.listeners[addr]
	if ln == nil {
		return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memoryAddr(addr), Err: syscall.ECONNREFUSED}
	}
	near, far, err := w.connect(addr)
	if err != nil {
		return nil, err
	}
	ln.arrive(far, nil)
	return near, nil
}

// connect makes the two ends of a connection, both of them started.
func (w *World) connect(addr string) (near, far *Conn, err error) {
	near, far = newMemoryConn(w.loop, "client of "+addr, addr), newMemoryConn(w.loop, addr, "client of "+addr)
	near.s, far.s, err = Pipe(w.loop, w.loop, (*connHandler)(near), (*connHandler)(far), PipeOptions{Addr: addr, Carry: w.carry})
	if err != nil {
		return nil, nil, err
	}
	near.start()
	far.start()
	return near, far, nil
}

func newMemoryConn(l *Loop, local, peer string) *Conn {
	c := &Conn{loop: l, local: memoryAddr(local), peer: memoryAddr(peer)}
	c.r.init(c, "read", ParkedRead)
	c.w.init(c, "write", ParkedWrite)
	return c
}

// memoryListener stands for the world in a [Listener], which is fed with connections and accepts none itself.
type memoryListener struct {
	w      *World
	addr   memoryAddr
	closed bool
}

func (m *memoryListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (m *memoryListener) Addr() net.Addr            { return m.addr }

func (m *memoryListener) Close() error {
	if !m.closed { // the address may be another's by now
		m.closed = true
		delete(m.w.listeners, string(m.addr))
	}
	return nil
}
