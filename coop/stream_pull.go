package coop

import "errors"

// A pulled stream belongs to a Conn, which reads into its caller's buffer when it is asked to, instead of
// being told. Its handler's readable method is called when there may be something to fetch.

// pull reads what is there, without waiting: 0 and no error if that is nothing. streamUnread tells
// whether it is worth a try.
func (s *Stream) pull(p []byte) (int, error) {
	if s.via != nil {
		return s.via.pull(p)
	}
	return s.pullFD(p)
}

// send is Write for a pulled stream: an error leaves what can be read.
func (s *Stream) send(p []byte) (int, error) {
	switch {
	case s.flags&streamFull != 0:
		return 0, nil
	case s.via != nil:
		return s.via.write(p)
	default:
		return s.sendFD(p)
	}
}

// shutdown ends the writing side, behind what was sent.
func (s *Stream) shutdown() error {
	if s.via != nil {
		return s.via.shutdown()
	}
	return s.shutdownFD()
}

// pull takes from the reader's buffer, and gives it back when it is empty. An error stays.
func (p *pipe) pull(b []byte) (int, error) {
	n := copy(b, p.buf[p.off:p.n])
	p.off += n
	if p.off < p.n {
		return n, nil
	}
	p.off, p.n = 0, 0
	if p.err != nil {
		if n > 0 {
			return n, nil
		}
		return 0, p.err
	}
	p.s.flags &^= streamUnread
	p.turn <- struct{}{}
	return n, nil
}

// halfCloser is a connection with two directions. Not every wrapper is one.
type halfCloser interface{ CloseWrite() error }

func (p *pipe) shutdown() error {
	h, ok := p.c.(halfCloser)
	if !ok {
		return errors.ErrUnsupported
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.half = h
	p.kick()
	return nil
}
