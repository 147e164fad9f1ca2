package engineio

import (
	"bytes"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	// maxFragments of a message are accepted whatever their size; beyond them
	// the fragments must carry minFragment bytes each on average. So a message
	// of MaxPayload may come in 64-byte pieces, and a million empty
	// continuation frames are refused early.
	maxFragments = 1024
	minFragment  = 16
	// maxUnfinished bounds how long a message may stay incomplete. It is looked
	// at when the heartbeat's timer fires, so it needs no timer of its own.
	maxUnfinished = 30 * time.Second
)

// rsvPacked is the only reserved bit that may be used, in the first frame of a
// compressed message (RFC 7692, section 6).
var rsvPacked = ws.Rsv(true, false, false)

// closeError says with which status a WebSocket connection fails.
type closeError struct {
	code   ws.StatusCode
	reason string
}

func (e *closeError) Error() string { return "websocket: " + e.reason }

var (
	errTooBig       = &closeError{ws.StatusMessageTooBig, "message larger than the limit"}
	errInvalidUTF8  = &closeError{ws.StatusInvalidFramePayloadData, "text is not valid UTF-8"}
	errFragments    = &closeError{ws.StatusPolicyViolation, "too many fragments"}
	errCloseFrame   = &closeError{ws.StatusProtocolError, "malformed close frame"}
	errUnfinished   = &closeError{ws.StatusPolicyViolation, "message not finished in time"}
	errPingFlood    = &closeError{ws.StatusPolicyViolation, "too many pings"}
	errFrameHeader  = &closeError{ws.StatusProtocolError, "malformed frame header"}
	errHeaderLength = errors.New("websocket: incomplete header")
)

// headerReader parses frame headers with ws.ReadHeaderBuffer. The library reads
// from an io.Reader into a buffer of the caller's; both escape through the
// interface, so one pair per loop keeps the read path free of allocations
// (ws.ReadHeader makes 12 bytes for each frame; see BenchmarkFrameReader).
type headerReader struct {
	src   bytes.Reader
	buf   [ws.MaxHeaderSize]byte
	spare *frameParts // for the next reader that needs one
}

// parts is what a reader needs while it reads. It gives it back unless a message is left unfinished.
func (r *headerReader) parts() *frameParts {
	f := r.spare
	if r.spare = nil; f == nil {
		f = new(frameParts)
	}
	return f
}

// parse reads the header at the start of p and returns its size.
// errHeaderLength means that p is too short to tell.
func (r *headerReader) parse(p []byte) (h ws.Header, size int, err error) {
	r.src.Reset(p)
	h, err = ws.ReadHeaderBuffer(&r.src, r.buf[:0])
	// Not ws.HeaderSize: a client may write a length in more bytes than it needs.
	size = len(p) - r.src.Len()
	r.src.Reset(nil)
	switch {
	case err == nil:
		return h, size, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return h, 0, errHeaderLength
	}
	return h, 0, errFrameHeader
}

// frameReader turns the bytes of a client's WebSocket connection into messages
// (RFC 6455, sections 5 and 7). It is fed whatever arrived and keeps a copy only
// of an unfinished frame or fragmented message. It belongs to one loop.
type frameReader struct {
	*frameParts      // nil between messages: most connections are idle
	deflate     bool // compressed messages are allowed
	packed      bool // the message is compressed, also the one just returned
}

// frameParts is what has come of a message or control frame.
type frameParts struct {
	header ws.Header // of the frame being read, when inFrame
	left   int64     // bytes of it to come
	msg    []byte    // payload of the unfinished message so far, unmasked
	ctl    []byte    // payload of the unfinished control frame so far, unmasked
	since  time.Duration

	fragments int32     // of the unfinished message
	op        ws.OpCode // of the unfinished message, 0 when there is none
	inFrame   bool
	headLen   uint8
	unchecked uint8                  // bytes at the end of msg that may begin a character
	head      [ws.MaxHeaderSize]byte // the first bytes of an incomplete header
}

// unfinished reports whether the reader holds a part of something.
func (r *frameReader) unfinished() bool { return r.frameParts != nil && r.begun() }

func (f *frameParts) begun() bool { return f.inFrame || f.op != 0 || f.headLen > 0 }

// next reads up to the next whole message or control frame. op is 0 when p was
// used up before. data is a part of p, unmasked in place, or a buffer that the
// reader has given up; of a compressed message, which packed tells, it is what
// came. now starts the clock of an unfinished message; max bounds
// a message's bytes, and is checked before anything is stored.
func (r *frameReader) next(hr *headerReader, p []byte, max int, now time.Duration) (op ws.OpCode, data, rest []byte, err error) {
	if r.frameParts == nil {
		r.frameParts = hr.parts()
	}
	op, data, rest, err = r.read(hr, p, max, now)
	if err == nil && !r.begun() {
		hr.spare, r.frameParts = r.frameParts, nil
	}
	return op, data, rest, err
}

func (r *frameReader) read(hr *headerReader, p []byte, max int, now time.Duration) (op ws.OpCode, data, rest []byte, err error) {
	for {
		if !r.inFrame {
			if len(p) == 0 {
				return 0, nil, nil, nil
			}
			idle := !r.begun()
			p, err = r.readHeader(hr, p, max)
			if err != nil {
				return 0, nil, nil, err
			}
			if idle {
				r.since = now
			}
			if !r.inFrame {
				return 0, nil, nil, nil
			}
		}
		n := min(int64(len(p)), r.left)
		chunk := p[:n]
		p = p[n:]
		whole := n == r.header.Length
		ws.Cipher(chunk, r.header.Mask, int(r.header.Length-r.left))
		r.left -= n
		if r.left == 0 {
			r.inFrame = false
		}
		if r.header.OpCode.IsControl() {
			if !whole {
				chunk = r.keepControl(chunk)
			}
			if r.inFrame {
				return 0, nil, nil, nil
			}
			r.ctl = nil
			return r.header.OpCode, chunk, p, nil
		}
		if r.header.OpCode != ws.OpContinuation {
			r.op = r.header.OpCode
		}
		if !r.inFrame && r.header.Fin && r.msg == nil {
			// The common case, a message in one frame and one read: no copy.
			if r.op == ws.OpText && !r.packed && !utf8.Valid(chunk) {
				return 0, nil, nil, errInvalidUTF8
			}
			return r.finish(chunk, p)
		}
		if !r.keep(chunk) {
			return 0, nil, nil, errInvalidUTF8
		}
		switch {
		case r.inFrame:
			return 0, nil, nil, nil // p is used up
		case r.header.Fin && r.unchecked > 0:
			return 0, nil, nil, errInvalidUTF8
		case r.header.Fin:
			return r.finish(r.msg, p)
		}
	}
}

// finish hands a whole message over and forgets it.
func (r *frameReader) finish(data, rest []byte) (ws.OpCode, []byte, []byte, error) {
	op := r.op
	r.op, r.msg, r.fragments = 0, nil, 0
	return op, data, rest, nil
}

// readHeader reads a header from the kept bytes and p, checks it against the
// protocol and the limits, and returns what of p follows it. When the header is
// incomplete it is kept and inFrame stays false.
func (r *frameReader) readHeader(hr *headerReader, p []byte, max int) (rest []byte, err error) {
	kept := int(r.headLen)
	src := p
	if kept > 0 {
		n := copy(r.head[kept:], p)
		src = r.head[:kept+n]
	}
	h, size, err := hr.parse(src)
	if err == errHeaderLength {
		// An incomplete header is shorter than the array, so all of p fits.
		if kept == 0 {
			copy(r.head[:], p)
		}
		r.headLen = uint8(kept + len(p))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.headLen = 0
	if err := r.check(h, max); err != nil {
		return nil, err
	}
	if h.OpCode == ws.OpText || h.OpCode == ws.OpBinary {
		r.packed = h.Rsv != 0
	}
	r.header, r.left, r.inFrame = h, h.Length, true
	return p[size-kept:], nil
}

// check refuses a frame by its header alone.
func (r *frameReader) check(h ws.Header, max int) error {
	state := ws.StateServerSide
	if r.op != 0 {
		state = state.Set(ws.StateFragmented)
	}
	packed := r.packed && h.OpCode == ws.OpContinuation
	if r.deflate && h.Rsv == rsvPacked && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		packed, h.Rsv = true, 0
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return &closeError{ws.StatusProtocolError, err.Error()}
	}
	if h.OpCode.IsControl() {
		return nil
	}
	if packed {
		max += max/8 + minDeflate // what cannot be compressed gets longer; the inflated size is what counts
	}
	if h.Length > int64(max-len(r.msg)) {
		return errTooBig
	}
	if h.OpCode == ws.OpContinuation || !h.Fin {
		r.fragments++
		if r.fragments > maxFragments && int(r.fragments) > len(r.msg)/minFragment {
			return errFragments
		}
	}
	return nil
}

// keep copies a part of an unfinished message. The buffer grows with what has
// arrived and not with what the header promised, so that a promise costs nothing.
// It reports false for text that cannot become valid any more: the client is told
// before it has sent the rest.
func (r *frameReader) keep(chunk []byte) bool {
	if r.msg == nil {
		r.msg = make([]byte, 0, min(int64(2*len(chunk)), int64(len(chunk))+r.left)+1)
	}
	from := len(r.msg) - int(r.unchecked)
	r.msg = append(r.msg, chunk...)
	if r.op != ws.OpText || r.packed {
		return true
	}
	text := r.msg[from:]
	whole := wholeRunes(text)
	r.unchecked = uint8(len(text) - whole)
	return utf8.Valid(text[:whole])
}

// wholeRunes is the length of text without the beginning of a character at its
// end, which is at most three bytes.
func wholeRunes(text []byte) int {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax+1); i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				break
			}
			return i
		}
	}
	return len(text)
}

func (r *frameReader) keepControl(chunk []byte) []byte {
	if r.ctl == nil {
		r.ctl = make([]byte, 0, r.header.Length)
	}
	r.ctl = append(r.ctl, chunk...)
	return r.ctl
}

// checkClose validates the payload of a close frame (RFC 6455, section 5.5.1).
func checkClose(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) == 1 {
		return errCloseFrame
	}
	if !utf8.Valid(data[2:]) {
		return errInvalidUTF8
	}
	code, reason := ws.ParseCloseFrameDataUnsafe(data)
	if err := ws.CheckCloseFrameData(code, reason); err != nil || code >= 5000 {
		return errCloseFrame
	}
	return nil
}
