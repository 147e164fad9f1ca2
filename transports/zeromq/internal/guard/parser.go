package guard

import (
	"encoding/binary"
	"time"
)

// phase is what the parser expects next.
type phase uint8

const (
	phaseGreeting phase = iota
	phaseReady
	phaseTraffic
)

// parser turns what a peer sends into what zmq4 may see. It does no I/O: bytes are put into space()
// and announced with filled(); next() looks at them; take() copies out what is cleared.
//
// buf[r:d] is cleared and not yet taken, buf[d:s] are complete frames of a message whose last frame
// is still missing, buf[s:w] is the beginning of the next frame.
type parser struct {
	limits   Limits
	local    string // our socket type
	subs     bool   // hand SUBSCRIBE and CANCEL up as messages
	phase    phase
	peerType string // set when READY has passed, and so is
	identity string
	pong     func(context []byte) error
	ponged   func()                      // a PONG has come; nil when nobody asks
	admit    func(identity string) error // decides on a NULL peer; nil lets everyone in
	now      func() time.Time

	buf        []byte
	r, d, s, w int
	frames     int    // in buf[d:s]
	bytes      uint64 // bodies in buf[d:s]
	inside     int    // commands that came between those frames
	lastFull   bool   // the last read filled the buffer, most of it: the peer is busy

	ttl        time.Duration // of the last PING: the longest the peer means to be silent
	pingWindow time.Time     // start of the second that pings counts
	pings      int
}

func newParser(local string, l Limits, pong func([]byte) error) *parser {
	return &parser{
		limits: l, local: local, subs: local == "PUB" || local == "XPUB",
		pong: pong, now: time.Now, buf: make([]byte, minBuffer),
	}
}

// take copies cleared bytes into p.
func (p *parser) take(dst []byte) int {
	n := copy(dst, p.buf[p.r:p.d])
	p.r += n
	return n
}

// space returns where the next bytes go, never empty. The buffer grows only when it is full of bytes
// that have arrived: what a header announces allocates nothing.
func (p *parser) space() []byte {
	if p.r == p.w { // nothing is held
		p.r, p.d, p.s, p.w = 0, 0, 0, 0
		switch {
		case len(p.buf) > readBuffer:
			p.buf = make([]byte, readBuffer)
		case p.lastFull && len(p.buf) < readBuffer:
			p.buf = make([]byte, 2*len(p.buf))
		}
	}
	left, held := len(p.buf)-p.w, p.w-p.r
	if left > len(p.buf)/4 || left > 0 && p.r == 0 {
		return p.buf[p.w:]
	}
	dst := p.buf
	if left == 0 && (held > len(p.buf)/2 || p.lastFull && len(p.buf) < readBuffer) {
		dst = make([]byte, 2*len(p.buf))
	}
	copy(dst, p.buf[p.r:p.w])
	p.buf = dst
	p.d, p.s, p.w, p.r = p.d-p.r, p.s-p.r, held, 0
	return p.buf[p.w:]
}

// filled announces n bytes in space().
func (p *parser) filled(n int) {
	p.w += n
	p.lastFull = p.w == len(p.buf) && n >= len(p.buf)/2
}

// partial reports whether the peer stopped in the middle of something.
func (p *parser) partial() bool { return p.phase != phaseTraffic || p.w > p.d }

// next clears what can be cleared. cleared is false when more bytes are needed.
func (p *parser) next() (cleared bool, err error) {
	for p.d == p.r {
		var more bool
		switch p.phase {
		case phaseGreeting:
			more, err = p.greeting()
		case phaseReady:
			more, err = p.ready()
		default:
			more, err = p.traffic()
		}
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

func (p *parser) greeting() (progress bool, err error) {
	b := p.buf[p.s:p.w]
	if len(b) > greetingBytes {
		b = b[:greetingBytes]
	}
	if len(b) == 0 {
		return false, nil
	}
	if err := checkGreeting(b, "NULL"); err != nil || len(b) < greetingBytes {
		return false, err
	}
	p.s += greetingBytes
	p.d = p.s
	p.phase = phaseReady
	return true, nil
}

func (p *parser) ready() (progress bool, err error) {
	if p.s < p.w && p.buf[p.s]&^flagLong != flagCommand {
		return false, violation(ReasonReady, "first frame has flags %#02x, READY is a command", p.buf[p.s])
	}
	h, ok := parseHeader(p.buf[p.s:p.w])
	if !ok {
		return false, nil
	}
	if h.size > maxCommandBytes {
		return false, violation(ReasonReady, "READY of %d bytes", h.size)
	}
	end := p.s + h.len + int(h.size)
	if end > p.w {
		return false, nil
	}
	if p.peerType, err = parseReady(p.buf[p.s+h.len:end], p.local, p.meet); err != nil {
		return false, err
	}
	p.r = p.s + canonicalReady(p.buf[p.s:end], p.peerType)
	p.d, p.s = end, end
	p.phase = phaseTraffic
	return true, nil
}

// meet is told who the peer says it is.
func (p *parser) meet(identity string) error {
	p.identity = identity
	if p.admit == nil {
		return nil
	}
	return p.admit(identity)
}

// traffic clears as many whole messages as are there, or deals with one command. What comes before a
// violation is delivered first, however the bytes were cut: the violation is met again.
func (p *parser) traffic() (progress bool, err error) {
	for {
		if p.s < p.w {
			err = p.checkFlags(p.buf[p.s])
		}
		h, ok := parseHeader(p.buf[p.s:p.w])
		if ok && err == nil {
			err = p.checkSize(h)
		}
		if pending := p.d > p.r; pending && err != nil {
			return true, nil
		} else if err != nil || !ok {
			return pending, err
		}
		end := p.s + h.len + int(h.size)
		if end > p.w {
			return p.d > p.r, nil
		}
		if h.flags&flagCommand != 0 {
			if p.d > p.r {
				return true, nil // the messages before it first
			}
			return true, p.command(p.buf[p.s+h.len:end], end)
		}
		p.s = end
		p.frames++
		p.bytes += h.size
		if h.flags&flagMore == 0 {
			p.d, p.frames, p.bytes, p.inside = p.s, 0, 0, 0
		}
	}
}

func (p *parser) checkFlags(flags byte) error {
	switch {
	case flags > flagMore|flagLong|flagCommand:
		return violation(ReasonFlags, "reserved flag bits set: %#02x", flags)
	case flags&flagCommand != 0 && flags&flagMore != 0:
		return violation(ReasonFlags, "a command that has MORE")
	}
	return nil
}

func (p *parser) checkSize(h header) error {
	switch {
	case h.flags&flagCommand != 0:
		if h.size > maxCommandBytes {
			return violation(ReasonCommand, "a command of %d bytes", h.size)
		}
	case h.size > uint64(p.limits.FrameBytes):
		return violation(ReasonFrameSize, "a frame of %d bytes, at most %d are taken", h.size, p.limits.FrameBytes)
	case p.frames+1 > p.limits.Frames, p.frames+1 == p.limits.Frames && h.flags&flagMore != 0:
		return violation(ReasonFrames, "a message of more than %d frames", p.limits.Frames)
	case p.bytes+h.size > uint64(p.limits.MessageBytes):
		return violation(ReasonMessageSize, "a message of more than %d bytes", p.limits.MessageBytes)
	}
	return nil
}

// command consumes the command that ends at buf[end]; nothing before it is pending. It may stand between
// the frames of one message: RFC 23 has no such thing, but libzmq puts a PING there when its timer says so.
func (p *parser) command(body []byte, end int) error {
	name, data, err := splitCommand(body)
	if err != nil {
		return err
	}
	if p.frames > 0 {
		if p.inside++; p.inside > maxCommandsInside {
			return violation(ReasonCommand, "more than %d commands inside one message", maxCommandsInside)
		}
	}
	switch name {
	case "PING":
		err = p.ping(data)
	case "PONG":
		if p.ponged != nil {
			p.ponged()
		}
	case "SUBSCRIBE":
		return p.subscription(1, data, end)
	case "CANCEL":
		return p.subscription(0, data, end)
	} // what later versions add is ignored, as libzmq does it
	if err == nil {
		p.skip(end)
	}
	return err
}

// skip takes the command that ends at buf[end] out of the stream: the frames before it move up.
func (p *parser) skip(end int) {
	held := p.s - p.d
	copy(p.buf[end-held:end], p.buf[p.d:p.s])
	p.r, p.d, p.s = end-held, end-held, end
}

func (p *parser) ping(data []byte) error {
	if len(data) < 2 || len(data) > 2+maxPingContext {
		return violation(ReasonPing, "a PING with %d bytes of data", len(data))
	}
	now := p.now()
	if now.Sub(p.pingWindow) >= time.Second {
		p.pingWindow, p.pings = now, 0
	}
	if p.pings++; p.pings > p.limits.PingsPerSec {
		return violation(ReasonPingFlood, "more than %d PINGs in a second", p.limits.PingsPerSec)
	}
	p.ttl = time.Duration(binary.BigEndian.Uint16(data)) * (time.Second / 10)
	return p.pong(data[2:])
}

// subscription rewrites a SUBSCRIBE or CANCEL in place, as the message that means the same. It is
// always the shorter of the two.
func (p *parser) subscription(op byte, topic []byte, end int) error {
	if !p.subs {
		p.skip(end)
		return nil
	}
	if p.frames > 0 {
		return violation(ReasonCommand, "a subscription inside a multipart message")
	}
	if len(topic) > maxTopicBytes {
		return violation(ReasonTopic, "a topic of %d bytes", len(topic))
	}
	p.d, p.s = end, end
	size := 1 + len(topic)
	if start := end - size - 9; size > 255 {
		p.buf[start] = flagLong
		binary.BigEndian.PutUint64(p.buf[start+1:], uint64(size))
		p.r = start
	} else {
		p.r = end - size - 2
		p.buf[p.r], p.buf[p.r+1] = 0, byte(size)
	}
	p.buf[end-size] = op // in front of the topic, over the last letter of the command's name
	return nil
}
