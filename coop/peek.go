package coop

import (
	"bytes"
	"net"
)

// A Peek is a connection whose first bytes a loop looks at before it is decided whose it is. It reads nothing that it is
// not told to drop: whoever gets the connection gets all the rest. Loop only.
type Peek struct {
	s      *Stream
	c      net.Conn // nil after Skip
	h      PeekHandler
	seen   int    // bytes that were there when last looked at
	rest   []byte // of Write, what the system has not taken
	ending bool   // CloseBehind was called
}

// A PeekHandler decides about a connection. Both methods are called on the loop and must not block.
type PeekHandler interface {
	// OnPeek has what has arrived so far, in a buffer of the loop's that is valid during the call only. The first call,
	// when looking begins, has nothing; others follow whenever there is more, until Take or Return. over says that
	// nothing more will come.
	OnPeek(p *Peek, head []byte, over bool)

	// OnPeekClose is the last call for a connection that has ended before Take or Return, or that was closed, or
	// whose loop was. The connection is closed.
	OnPeekClose(p *Peek, err error)
}

// Peek has the loop look at a connection, which Take or Return give away. [errors.ErrUnsupported] for one that is no bare
// descriptor, see [Stream]; after an error it is still the caller's. Any goroutine.
func (l *Loop) Peek(c net.Conn, h PeekHandler) error {
	p := &Peek{c: c, h: h}
	s := &Stream{loop: l, h: (*peekHandler)(p), remote: packed(c.RemoteAddr()), fd: -1, slot: -1, flags: streamPeeked}
	p.s = s
	if err := s.share(c); err != nil {
		return err
	}
	if !l.keepAttached(s) {
		s.releaseFD()
		return ErrClosed
	}
	l.PostJob(p) // or the loop closes, and the stream with it
	return nil
}

// RunOn implements [Job].
func (p *Peek) RunOn(l *Loop) {
	s := p.s
	if s.flags&streamClosed != 0 {
		return // with the loop
	}
	l.handling = s
	p.h.OnPeek(p, nil, false)
	l.handling = nil
	s.Start()
}

// Loop is where it is looked at. Any goroutine.
func (p *Peek) Loop() *Loop { return p.s.loop }

// readable looks again.
func (p *Peek) readable() {
	s := p.s
	s.flags &^= streamUnread
	if s.flags&streamBroken != 0 { // what had arrived is still there to be seen
		if s.checkBroken(); s.flags&streamClosed != 0 {
			return
		}
	}
	if len(p.rest) > 0 {
		return // until that has left
	}
	head, err := s.peekFD()
	if err != nil {
		s.fail(err)
		return
	}
	if p.seen = len(head); p.seen == 0 {
		return
	}
	s.loop.handling = s
	p.h.OnPeek(p, head, s.flags&streamEnding != 0)
	s.loop.handling = nil
}

// Take makes a stream of the connection, without its first n bytes, which OnPeek has shown. After an error the connection
// is closed and OnPeekClose follows.
func (p *Peek) Take(n int, h StreamHandler) (*Stream, error) {
	s := p.s
	if !p.open() {
		return nil, ErrClosed
	}
	if err := s.skipFD(n); err != nil {
		s.fail(err)
		return nil, err
	}
	s.flags &^= streamPeeked
	if p.seen > n || s.flags&streamEnding != 0 {
		s.flags |= streamUnread
		s.loop.queueStream(s)
	}
	s.h = h
	p.own()
	return s, nil
}

// own closes the connection of which the stream has a duplicate. Whatever comes would wake Go's own poller, too.
func (p *Peek) own() {
	if p.c != nil {
		p.c.Close()
		p.c = nil
	}
}

// Skip drops the first n bytes, which OnPeek has shown: a request that is being answered. Looking goes on behind them.
// After an error the connection is closed and OnPeekClose follows.
func (p *Peek) Skip(n int) error {
	s := p.s
	if !p.open() {
		return ErrClosed
	}
	if err := s.skipFD(n); err != nil {
		s.fail(err)
		return err
	}
	p.own()
	if p.seen -= n; s.flags&streamEnding != 0 {
		p.look()
	}
	return nil
}

// look has the loop look again.
func (p *Peek) look() {
	p.s.flags |= streamUnread
	p.s.loop.queueStream(p.s)
}

// Write sends b, without waiting. What the system does not take is kept until it does; meanwhile nothing is looked at, and
// behind it whatever has arrived is shown again. After an error the connection is closed and OnPeekClose follows.
func (p *Peek) Write(b []byte) {
	if !p.open() {
		return
	}
	if len(p.rest) > 0 {
		p.rest = append(p.rest, b...)
		return
	}
	n, err := p.s.Write(b)
	switch {
	case err != nil || n < len(b):
		p.rest = bytes.Clone(b[n:])
	case p.seen > 0:
		p.look()
	}
}

// Unsent reports whether some of what was written has not left, or never will because the connection has ended.
func (p *Peek) Unsent() bool { return len(p.rest) > 0 }

// CloseBehind is Close when all that was written has left.
func (p *Peek) CloseBehind() {
	if p.ending = true; len(p.rest) == 0 {
		p.Close()
	}
}

// open reports whether the connection is still being looked at.
func (p *Peek) open() bool { return p.s.flags&(streamPeeked|streamClosed) == streamPeeked }

// Return gives the connection back as it came, or was left by Skip, and looks no more. It is nil if it has ended, or was
// taken, or is lost because there are no more descriptors.
func (p *Peek) Return() net.Conn {
	s := p.s
	if !p.open() {
		return nil
	}
	s.flags |= streamClosed
	s.forget()
	s.unregister()
	c := p.c
	if c == nil {
		c = s.connFD()
	} else {
		s.releaseFD()
	}
	s.loop.stats.streams.Add(-1)
	return c
}

// Close ends the connection, unless it was taken. OnPeekClose follows.
func (p *Peek) Close() {
	if p.open() {
		p.s.fail(ErrClosed)
	}
}

// peekHandler keeps the stream's calls out of Peek's method set.
type peekHandler Peek

func (h *peekHandler) OnRead(*Stream, []byte) {} // it is not read from

func (h *peekHandler) OnWritable(s *Stream) {
	p := (*Peek)(h)
	if len(p.rest) == 0 {
		return
	}
	n, err := s.Write(p.rest)
	if err != nil {
		return
	}
	if p.rest = p.rest[n:]; len(p.rest) > 0 {
		return
	}
	p.rest = nil
	if p.ending {
		p.Close()
		return
	}
	p.look()
}

func (h *peekHandler) OnClose(_ *Stream, err error) {
	(*Peek)(h).own()
	h.h.OnPeekClose((*Peek)(h), err)
}
