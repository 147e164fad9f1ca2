package guard

// Next returns the frames of the next message without zmq4 and without a copy: they are views of the read buffer,
// valid until the next call of Next or Read. frames is a list to use again. It is for the owner, after the
// handshake, instead of Read.
func (c *Conn) Next(frames [][]byte) ([][]byte, error) {
	if err := c.ready(); err != nil {
		return frames[:0], err
	}
	return c.in.message(frames[:0]), nil
}

// Buffered reports whether Next has a message without reading from the network. Owner.
func (c *Conn) Buffered() bool { return c.in.r < c.in.d }

// message takes one cleared message.
func (p *parser) message(frames [][]byte) [][]byte {
	for p.r < p.d {
		h, _ := parseHeader(p.buf[p.r:p.d]) // what is cleared is whole
		start := p.r + h.len
		p.r = start + int(h.size)
		frames = append(frames, p.buf[start:p.r:p.r])
		if h.flags&flagMore == 0 {
			break
		}
	}
	return frames
}
