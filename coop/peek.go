package coop

import "net"

// A Peek is a connection whose first bytes a loop looks at before it is decided whose it is. It reads nothing:
// whoever gets the connection gets all of it. Loop only.
type Peek struct {
	s    *Stream
	c    net.Conn
	h    PeekHandler
	seen int // bytes that were there when last looked at
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
	p.c.Close() // the stream has a duplicate
	return s, nil
}

// open reports whether the connection is still being looked at.
func (p *Peek) open() bool { return p.s.flags&(streamPeeked|streamClosed) == streamPeeked }

// Return gives the connection back as it came, and looks no more. It is nil if it has ended, or was taken.
func (p *Peek) Return() net.Conn {
	s := p.s
	if !p.open() {
		return nil
	}
	s.flags |= streamClosed
	s.forget()
	s.unregister()
	s.releaseFD()
	s.loop.stats.streams.Add(-1)
	return p.c
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
func (h *peekHandler) OnWritable(*Stream)     {}

func (h *peekHandler) OnClose(_ *Stream, err error) {
	h.c.Close()
	h.h.OnPeekClose((*Peek)(h), err)
}
