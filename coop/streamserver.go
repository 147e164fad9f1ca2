package coop

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"time"
)

// ErrDetached is returned by a handler of a [StreamServer] that has handed its connection on, to
// another greenlet or a hub: it is not closed, and this is no failure.
var ErrDetached = errors.New("the connection lives on")

// A StreamServer runs a handler in a greenlet of its own for each connection to a [Listener]. The fields are
// not to be changed once it serves. It belongs to one loop; for many loops make a server for each, over
// Listeners that share a net.Listener. Loop only. gevent: StreamServer.
type StreamServer struct {
	// Handler serves one connection, a [*Conn] or a [*TLSConn], which is closed when it returns. Its error is
	// the greenlet's: [LoopOptions].OnFailure hears of it, as of a panic, unless the peer has just
	// gone ([io.EOF], a closed connection).
	Handler func(g *Greenlet, c net.Conn) error

	// MaxConns bounds the handlers at work; while there are so many nobody is accepted. 0 is no bound.
	MaxConns int

	// Spawn is how a handler's greenlet is made; nil is g.Spawn. It must use g's loop.
	Spawn func(g *Greenlet, fn func(*Greenlet) error) *Greenlet

	// TLS, if it is set, has each handler's greenlet begin with a handshake, for which a peer has
	// HandshakeTimeout, by default 10 s.
	TLS              *tls.Config
	HandshakeTimeout time.Duration

	// Backlog is how many connections the system may queue before they are accepted; 0 is its default,
	// and the only value on Windows.
	Backlog int

	// MinDelay and MaxDelay bound the pause after an error in accepting, such as too many open files. It
	// doubles with each one in a row. By default 5 ms and 1 s.
	MinDelay, MaxDelay time.Duration

	ln       *Listener
	handlers map[*Greenlet]struct{}
	stopped  bool
	less     Event // a handler has ended; Clear before waiting
}

// ListenAndServe is [Listen] and [StreamServer.Serve]. An address in use is an error at once.
func (s *StreamServer) ListenAndServe(g *Greenlet, network, address string) error {
	ln, err := Listen(g, network, address)
	if err != nil {
		return err
	}
	return s.Serve(g, ln)
}

// Serve accepts until Stop, when it returns nil, or until g is killed or times out, or somebody closes
// ln, with that error. It closes ln. Handlers may still be at work when it returns; Stop waits for them.
// After Stop it returns at once.
func (s *StreamServer) Serve(g *Greenlet, ln *Listener) error {
	defer ln.Close()
	if s.stopped {
		return nil
	}
	if s.Backlog > 0 {
		if err := setBacklog(ln.ln, s.Backlog); err != nil {
			return err
		}
	}
	s.ln = ln
	delay := time.Duration(0)
	for {
		if err := s.waitBelow(g, s.MaxConns); err != nil {
			return err
		}
		c, err := ln.Accept(g)
		switch {
		case err == nil:
			delay = 0
			s.handle(g, c)
		case s.stopped && errors.Is(err, net.ErrClosed):
			return nil
		case !isNetwork(err), errors.Is(err, net.ErrClosed):
			return err // g's own, or the end
		default:
			if delay == 0 {
				slog.Error("cannot accept connections, trying on", "addr", ln.Addr(), "err", err)
			}
			delay = s.nextDelay(delay)
			if err := g.Sleep(delay); err != nil {
				return err
			}
		}
	}
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

func (s *StreamServer) nextDelay(last time.Duration) time.Duration {
	least, most := s.MinDelay, s.MaxDelay
	if least <= 0 {
		least = 5 * time.Millisecond
	}
	if most <= 0 {
		most = time.Second
	}
	return min(max(2*last, least), most)
}

// waitBelow parks g until fewer than n handlers are at work; 0 does not wait.
func (s *StreamServer) waitBelow(g *Greenlet, n int) error {
	for n > 0 && len(s.handlers) >= n {
		s.less.Clear()
		if err := s.less.wait(g, ParkedPool); err != nil {
			return err
		}
	}
	return nil
}

func (s *StreamServer) handle(g *Greenlet, c *Conn) {
	spawn := s.Spawn
	if spawn == nil {
		spawn = (*Greenlet).Spawn
	}
	if s.handlers == nil {
		s.handlers = make(map[*Greenlet]struct{})
	}
	detached := false
	h := spawn(g, func(g *Greenlet) error {
		err := s.serve(g, c)
		if detached = err == ErrDetached; detached {
			return nil
		}
		return err
	})
	s.handlers[h] = struct{}{}
	h.atEnd(func() {
		if !detached {
			c.close()
		}
		delete(s.handlers, h)
		s.less.Set()
	})
}

func (s *StreamServer) serve(g *Greenlet, c *Conn) (err error) {
	if s.TLS == nil {
		err = s.Handler(g, c)
	} else {
		err = s.serveTLS(g, TLSServer(c, s.TLS))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *StreamServer) serveTLS(g *Greenlet, t *TLSConn) (err error) {
	defer func() {
		if err != ErrDetached {
			t.Close() // says good-bye
		}
	}()
	limit := s.HandshakeTimeout
	if limit <= 0 {
		limit = 10 * time.Second
	}
	if err := g.WithTimeout(limit, t.Handshake); err != nil {
		return tlsFailure(t, err)
	}
	return s.Handler(g, t)
}

// Conns is how many handlers are at work.
func (s *StreamServer) Conns() int { return len(s.handlers) }

// Stop closes the listener and waits until all handlers have ended. If g is killed or times out
// meanwhile, the remaining handlers are killed, and Stop returns that error; within
// [Greenlet.WithTimeout] this bounds the patience with them. A server that was stopped stays so.
func (s *StreamServer) Stop(g *Greenlet) error {
	s.stopped = true
	if s.ln != nil {
		s.ln.Close()
	}
	err := s.waitBelow(g, 1)
	if err == nil {
		return nil
	}
	byAge := func(a, b *Greenlet) int { return cmp.Compare(a.id, b.id) }
	Kill(slices.SortedFunc(maps.Keys(s.handlers), byAge)...)
	if late := s.waitBelow(g, 1); late != nil {
		return fmt.Errorf("%d handlers go on: %w", len(s.handlers), err)
	}
	return err
}
