package coop

import (
	"errors"
	"net"
)

// A Listener takes connections in for the greenlets of one loop. A goroutine waits for them, and only while
// a greenlet waits in Accept: when none does, connections queue up in the system, as far as its backlog
// goes. Close it, or its loop.
//
// The loops of a server can share one net.Listener: each has a Listener of its own over it.
type Listener struct {
	ln   net.Listener
	loop *Loop

	conns   *Queue[acceptance]
	ask     chan struct{} // has the goroutine accept one more
	asked   bool
	started bool
	fed     bool // connections come by arrive, not from ln
	closed  bool
}

// acceptance is what the goroutine brings.
type acceptance struct {
	c   *Conn
	err error
}

// Listen opens a listening socket, with the networks and addresses of [net.Listen].
func Listen(g *Greenlet, network, address string) (*Listener, error) {
	ln, err := awaitOr(g, func() (net.Listener, error) {
		return new(net.ListenConfig).Listen(g.Context(), network, address)
	}, func(ln net.Listener) { ln.Close() })
	if err != nil {
		return nil, err
	}
	return NewListener(g.loop, ln), nil
}

// NewListener has a loop's greenlets accept what arrives at ln. Close closes ln. Any goroutine.
func NewListener(l *Loop, nl net.Listener) *Listener {
	ln := &Listener{ln: nl, loop: l, conns: NewQueue[acceptance](-1), ask: make(chan struct{}, 1)}
	a := &l.attached
	a.Lock()
	defer a.Unlock()
	if a.closed {
		nl.Close()
		return ln
	}
	if a.listeners == nil {
		a.listeners = make(map[*Listener]struct{})
	}
	a.listeners[ln] = struct{}{}
	return ln
}

// Addr is where it listens. Any goroutine.
func (ln *Listener) Addr() net.Addr { return ln.ln.Addr() }

// Loop is where the connections will live. Any goroutine.
func (ln *Listener) Loop() *Loop { return ln.loop }

// Accept parks g until there is a connection. Greenlets that wait are served in order. The error is
// the system's, such as too many open files, after which one may try again; [net.ErrClosed] after
// Close; or g's own.
func (ln *Listener) Accept(g *Greenlet) (*Conn, error) {
	if g.loop != ln.loop {
		return nil, ErrOtherLoop
	}
	if ln.conns.Len() == 0 && !ln.closed {
		ln.want()
	}
	a, err := ln.conns.get(g, ParkedAccept)
	if err == ErrClosed {
		err = &net.OpError{Op: "accept", Net: ln.Addr().Network(), Addr: ln.Addr(), Err: net.ErrClosed}
	}
	if err != nil {
		return nil, err
	}
	return a.c, a.err
}

// want asks for one connection more.
func (ln *Listener) want() {
	if ln.fed {
		return
	}
	if !ln.started {
		ln.started = true
		ln.loop.outside.Add(1)
		go ln.run()
	}
	if !ln.asked {
		ln.asked = true
		ln.ask <- struct{}{}
	}
}

// run is the goroutine.
func (ln *Listener) run() {
	defer ln.loop.outside.Done()
	for range ln.ask {
		c, err := ln.accept()
		if !ln.loop.PostJob(&arrival{ln, c, err}) {
			return // the loop is over, and has closed the connection
		}
	}
}

func (ln *Listener) accept() (*Conn, error) {
	nc, err := ln.ln.Accept()
	if err != nil {
		return nil, err
	}
	c, err := newConn(ln.loop, nc)
	if err != nil {
		nc.Close()
	}
	return c, err
}

// arrival is a connection on its way to the loop.
type arrival struct {
	ln  *Listener
	c   *Conn
	err error
}

func (a *arrival) RunOn(*Loop) {
	a.ln.asked = false
	if a.c != nil && !a.ln.closed {
		a.c.start()
	}
	a.ln.arrive(a.c, a.err)
}

// arrive takes in a connection, or why there is none.
func (ln *Listener) arrive(c *Conn, err error) {
	switch {
	case ln.closed && c != nil:
		c.close()
	case ln.closed:
	case errors.Is(err, net.ErrClosed):
		ln.close() // by whoever else has the net.Listener
	default:
		ln.conns.TryPut(acceptance{c, err})
		if ln.conns.getters.n > 0 {
			ln.want()
		}
	}
}

// Close stops listening. Those who wait get [net.ErrClosed]; connections that were accepted by nobody
// are closed. Any goroutine.
func (ln *Listener) Close() error {
	err := ln.ln.Close()
	if ln.loop.isCaller() {
		ln.close()
	} else {
		ln.loop.Post(ln.close)
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (ln *Listener) close() {
	if ln.closed {
		return
	}
	ln.closed = true
	ln.ln.Close()
	close(ln.ask)
	a := &ln.loop.attached
	a.Lock()
	delete(a.listeners, ln)
	a.Unlock()
	for a, ok := ln.conns.TryGet(); ok; a, ok = ln.conns.TryGet() {
		if a.c != nil {
			a.c.close()
		}
	}
	ln.conns.Close()
}

// closeListeners is part of the loop's end.
func (l *Loop) closeListeners() {
	a := &l.attached
	a.Lock()
	listeners := a.listeners
	a.listeners = nil
	a.Unlock()
	for ln := range listeners {
		ln.close()
	}
}
