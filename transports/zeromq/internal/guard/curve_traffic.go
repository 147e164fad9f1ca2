package guard

import "errors"

// read hands up the frames of as many MESSAGEs as have arrived and fit into p. It reads once: when that completes
// none, it returns nothing and no error, so that the Conn above sees that the peer is alive.
func (k *session) read(s *secure, p []byte) (n int, err error) {
	for read := false; ; {
		for {
			body, total, ok, err := s.in.frame(func(h header) error { return k.checkMessage(h, s.limits) })
			if err != nil || !ok {
				if n == 0 && err != nil {
					return 0, err // behind what came before it
				}
				break
			}
			if fits := len(p) - n; fits < len(body) { // a frame is smaller than its MESSAGE
				if n > 0 {
					break
				}
				if s.up, err = k.open(make([]byte, 0, len(body)), body); err != nil {
					return 0, err
				}
				s.in.r += total
				n = copy(p, s.up)
				s.up = s.up[n:]
				return n, nil
			}
			opened, err := k.open(p[n:n:len(p)], body)
			if err != nil {
				if n == 0 {
					return 0, err
				}
				break // met again
			}
			n += len(opened)
			s.in.r += total
		}
		if n > 0 || len(p) == 0 || read {
			return n, nil
		}
		if err := s.in.fill(s.Conn); err != nil {
			return 0, s.ended(err)
		}
		read = true
	}
}

// checkMessage looks at a MESSAGE's header before its body is waited for. What is inside the parser above checks
// again: here it may be a command, or a frame at its limit.
func (k *session) checkMessage(h header, l Limits) error {
	if h.flags&^flagLong != 0 {
		return silent(ReasonCurveMessage, "a frame with flags %#02x that is no MESSAGE", h.flags)
	}
	if limit := uint64(max(l.FrameBytes, maxCommandBytes) + messageBytes); h.size > limit {
		return silent(ReasonFrameSize, "a MESSAGE of %d bytes, at most %d are taken", h.size, limit)
	}
	return nil
}

// write seals each of the frames.
func (k *session) write(dst, frames []byte) ([]byte, error) {
	for len(frames) > 0 {
		h, ok := parseHeader(frames)
		if !ok || uint64(len(frames)-h.len) < h.size {
			return dst, errors.New("guard: a piece of a frame")
		}
		end := h.len + int(h.size)
		dst = k.seal(dst, h.flags, frames[h.len:end])
		frames = frames[end:]
	}
	return dst, nil
}
