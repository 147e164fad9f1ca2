package engineio

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"

	"greenroom/hub"
)

// Deflate configures the compression of WebSocket messages, permessage-deflate
// (RFC 7692). Zero values mean the defaults given.
//
// Each message is compressed by itself, without what was sent before as a
// dictionary (no context take-over): so one compressed frame serves all
// receivers of a broadcast, and neither side keeps 300 KB for each connection.
// It is done on the loop that sends first, at 200 to 500 MB/s, and never makes a
// message longer. What clients send is inflated on their loop when that takes
// little time, and on another goroutine when it does not, as far as MaxPayload allows.
type Deflate struct {
	// Threshold is from how many bytes on a message, its attachments included, is compressed. Default 1024.
	Threshold int
}

const (
	// rsv1 in the first byte of a frame marks a compressed message.
	rsv1 = 0x40
	// minDeflate: below this many bytes a frame is not worth the try, whatever
	// the threshold: the text in front of an attachment, for example.
	minDeflate = 64
	// scratchKeep: buffers up to this size are kept for the next message, one
	// of each kind for a loop. It is what the default MaxPayload needs.
	scratchKeep = 1 << 20
	// inflateTurn bounds what one connection may inflate before others have
	// their turn: a kilobyte of input may become a megabyte, some milliseconds
	// of work, and there may be many of them in one read. inflateCost is what
	// a message counts beside its bytes. What takes longer than inflateByte for
	// each of them counts by its time, a millisecond a turn: a hostile message may
	// take that and become nothing.
	inflateTurn = 256 << 10
	inflateCost = 512
	inflateByte = 4 * time.Nanosecond
	// inflateHere: messages of up to this many compressed bytes are inflated on
	// the loop, as far as they have no more than inflateMax bytes then. A hostile
	// one takes 400 ns for each of its bytes (a table of codes for nothing, again
	// and again), a usual one some 10. Others go to another goroutine, and cost a
	// copy.
	inflateHere = 16 << 10
	inflateMax  = 1 << 20
)

// syncMarker is how a flushed DEFLATE stream ends. Senders leave it out (RFC
// 7692, section 7.2.1). inflateTail puts it back, and ends the stream with an
// empty final block.
var (
	syncMarker  = []byte{0x00, 0x00, 0xff, 0xff}
	inflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}
)

var errBadDeflate = &closeError{ws.StatusInvalidFramePayloadData, "malformed compressed data"}

// compressed is the wire of w's frames, compressed. w is a wire of WebSocket frames.
func compressed(w hub.Wire) hub.Wire {
	return hub.DeriveWire(w.String()+", compressed", w, deflateFrames)
}

// packer is what compressing one message needs. Nothing of it stays in use.
type packer struct{ payload, out bytes.Buffer }

var packers = sync.Pool{New: func() any { return new(packer) }}

// deflateFrames compresses the data frames in plain, each by itself, where that
// makes it shorter. Frames that nothing makes shorter it returns as they are.
func deflateFrames(plain []byte) []byte {
	p := packers.Get().(*packer)
	defer p.done()
	p.out.Reset()
	shorter := false
	for rest := plain; len(rest) > 0; {
		head, size := serverFrame(rest)
		if size > len(rest) {
			return plain // not made of whole frames: none of ours
		}
		frame := rest[:size]
		rest = rest[size:]
		if p.deflate(frame, head) {
			shorter = true
		} else {
			p.out.Write(frame)
		}
	}
	if !shorter {
		return plain
	}
	return bytes.Clone(p.out.Bytes())
}

func (p *packer) done() {
	if p.payload.Cap() <= scratchKeep && p.out.Cap() <= scratchKeep {
		packers.Put(p)
	}
}

// serverFrame reads a header as appendFrameHeader writes it: its size and the
// frame's.
func serverFrame(b []byte) (head, size int) {
	const incomplete = int(^uint(0) >> 1)
	if len(b) < 2 {
		return 0, incomplete
	}
	switch n := b[1]; {
	case n < 126:
		return 2, 2 + int(n)
	case n == 126 && len(b) >= 4:
		return 4, 4 + int(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= maxServerHeader:
		if length := binary.BigEndian.Uint64(b[2:]); length <= uint64(len(b)) {
			return maxServerHeader, maxServerHeader + int(length)
		}
	}
	return 0, incomplete
}

// deflate appends a frame to out in compressed form. It reports false, and
// appends nothing, when there is no gain.
func (p *packer) deflate(frame []byte, head int) bool {
	plain := frame[head:]
	op := ws.OpCode(frame[0] & 0x0f)
	if len(plain) < minDeflate || op != ws.OpText && op != ws.OpBinary {
		return false
	}
	p.payload.Reset()
	if flate.StatelessDeflate(&p.payload, plain, false, nil) != nil {
		return false // a bytes.Buffer takes everything
	}
	packed, ok := bytes.CutSuffix(p.payload.Bytes(), syncMarker)
	if !ok || len(packed) >= len(plain) {
		return false
	}
	at := p.out.Len()
	p.out.Write(appendFrameHeader(p.out.AvailableBuffer(), op, len(packed)))
	p.out.Bytes()[at] |= rsv1
	p.out.Write(packed)
	return true
}

// inflater inflates messages. It belongs to one loop.
type inflater struct {
	stream io.ReadCloser // 36 KB, made when the first compressed message comes
	src    bytes.Reader
	in     []byte
	out    []byte
}

// message inflates a whole message of at most max bytes. It stops as soon as
// there are more. The result is valid until the next call.
func (f *inflater) message(op ws.OpCode, p []byte, max int) ([]byte, error) {
	if len(p) == 0 {
		return nil, nil // what a flush without data leaves; the official server takes it, too
	}
	f.in = append(append(f.in[:0], p...), inflateTail...)
	f.src.Reset(f.in)
	defer f.done()
	if f.stream == nil {
		f.stream = flate.NewReader(&f.src)
	} else if err := f.stream.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return nil, err
	}
	if err := f.read(max, 4*len(p)); err != nil {
		return nil, err
	}
	if !f.ended() {
		return nil, errBadDeflate
	}
	if op == ws.OpText && !utf8.Valid(f.out) {
		return nil, errInvalidUTF8
	}
	return f.out, nil
}

// read fills out, of which guess bytes will probably be enough.
func (f *inflater) read(max, guess int) error {
	limit := max + 1 // one byte more tells that it is too much
	f.out = f.out[:0]
	for {
		if len(f.out) == cap(f.out) {
			f.out = slices.Grow(f.out, min(limit, len(f.out)+guess+minDeflate)-len(f.out))
			guess = len(f.out)
		}
		n, err := f.stream.Read(f.out[len(f.out):min(cap(f.out), limit)])
		f.out = f.out[:len(f.out)+n]
		switch {
		case len(f.out) > max:
			return errTooBig
		case err == io.EOF:
			return nil
		case err != nil:
			return errBadDeflate
		}
	}
}

// ended reports whether the stream has ended where the message did: behind the
// tail, or, with a final block of the sender's own (RFC 7692, section 7.2.3.4),
// in front of it or of its last block, with an empty byte between or not. Data
// behind a final block nobody sends, and nothing is left out in silence.
func (f *inflater) ended() bool {
	switch left := f.src.Len(); left {
	case 0, len(inflateTail) - len(syncMarker), len(inflateTail):
		return true
	case len(inflateTail) + 1:
		return f.in[len(f.in)-left] == 0
	}
	return false
}

// inflating is a message that is inflated on a goroutine of its own, while its
// connection is not read any further.
type inflating struct {
	op   ws.OpCode
	data []byte
	err  error
	done bool          // and here is the result // loop
	gone chan struct{} // closed when nobody waits for it any more
}

// inflate inflates a message, or has it inflated: then inflating is set.
func (c *wsConn) inflate(op ws.OpCode, packed []byte) ([]byte, error) {
	s := c.s
	max := s.srv.opts.MaxPayload
	if len(packed) <= inflateHere {
		data, err := s.srv.locals[s.loop.ID()].inflater.message(op, packed, min(max, inflateMax))
		if err != errTooBig || max <= inflateMax {
			return data, err
		}
	}
	i := &inflating{op: op, gone: make(chan struct{})}
	c.inflating = i
	go c.inflateAside(i, bytes.Clone(packed))
	return nil, nil
}

// inflateAside is the goroutine of one message.
func (c *wsConn) inflateAside(i *inflating, packed []byte) {
	srv := c.s.srv
	select {
	case f := <-srv.aside:
		i.data, i.err = srv.aside.message(f, i.op, packed, srv.opts.MaxPayload)
	case <-i.gone:
		return
	}
	c.s.later(func() {
		i.done = true
		if s := c.s; c == s.ws && s.awaiting && s.Open() {
			s.awaitPong() // the client could not be heard meanwhile
		}
		c.resume()
	})
}

// inflaters inflate beside the loops, as many messages at a time as there are. That is half as many as there are
// loops, so that however much clients send, it does not take all processors.
type inflaters chan *inflater

func newInflaters(n int) inflaters {
	fs := make(inflaters, n)
	for range n {
		fs <- new(inflater)
	}
	return fs
}

// message inflates with f, which was taken from fs, and puts it back. The result is the caller's.
func (fs inflaters) message(f *inflater, op ws.OpCode, packed []byte, max int) (data []byte, err error) {
	defer func() {
		f.out = nil
		if recover() != nil { // on a loop that would end the session only
			f, data, err = new(inflater), nil, errBadDeflate
		}
		fs <- f
	}()
	return f.message(op, packed, max)
}

// takeInflated processes the message that was inflated. It reports false when
// that was the connection's last one.
func (c *wsConn) takeInflated() bool {
	i := c.inflating
	c.inflating = nil
	if i.err != nil {
		c.fail(i.err)
		return false
	}
	c.frame(i.op, i.data)
	return !c.dead
}

// silence discards all input from now on, and what is held of it or waits to be inflated.
func (c *wsConn) silence() {
	c.dead, c.held = true, nil
	if c.inflating != nil {
		close(c.inflating.gone)
		c.inflating = nil
	}
}

func (f *inflater) done() {
	if cap(f.in) > scratchKeep {
		f.in = nil
	}
	if cap(f.out) > scratchKeep {
		f.out = nil // its message is still in use, and then garbage
	}
}
