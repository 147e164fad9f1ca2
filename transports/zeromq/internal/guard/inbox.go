package guard

import "io"

// inbox is a read buffer that grows only when it is full of bytes that have arrived: what a header announces
// allocates nothing.
type inbox struct {
	buf  []byte
	r, w int
	full bool // the last read filled it, most of it: the peer is busy
}

func (b *inbox) bytes() []byte { return b.buf[b.r:b.w] }

// fill reads once. An error that comes with bytes is left for the next time.
func (b *inbox) fill(from io.Reader) error {
	n, err := from.Read(b.space())
	b.w += n
	b.full = b.w == len(b.buf) && n >= len(b.buf)/2
	if n > 0 {
		return nil
	}
	return err
}

func (b *inbox) space() []byte {
	if b.r == b.w { // nothing is held
		b.r, b.w = 0, 0
		switch {
		case len(b.buf) > readBuffer:
			b.buf = make([]byte, readBuffer)
		case len(b.buf) == 0:
			b.buf = make([]byte, minBuffer)
		case b.full && len(b.buf) < readBuffer:
			b.buf = make([]byte, 2*len(b.buf))
		}
	}
	left := len(b.buf) - b.w
	if left > len(b.buf)/4 || left > 0 && b.r == 0 {
		return b.buf[b.w:]
	}
	dst := b.buf
	if left == 0 && (b.w-b.r > len(b.buf)/2 || b.full && len(b.buf) < readBuffer) {
		dst = make([]byte, 2*len(b.buf))
	}
	b.w = copy(dst, b.buf[b.r:b.w])
	b.buf, b.r = dst, 0
	return b.buf[b.w:]
}

// frame is the next whole frame, without its header, and ok; the caller adds total to r when it has dealt with it.
// check sees the header before anything waits for the body.
func (b *inbox) frame(check func(header) error) (body []byte, total int, ok bool, err error) {
	h, ok := parseHeader(b.bytes())
	if !ok {
		return nil, 0, false, nil
	}
	if err := check(h); err != nil {
		return nil, 0, false, err
	}
	total = h.len + int(h.size)
	if len(b.bytes()) < total {
		return nil, 0, false, nil
	}
	return b.bytes()[h.len:total], total, true, nil
}
