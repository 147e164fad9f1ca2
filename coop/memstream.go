package coop

import (
	"errors"
	"io"
	"net"
	"time"

	"greenroom/coop/internal/poll"
)

// memoryWindow is how many bytes one end may have under way to the other, as a socket's buffers would.
const memoryWindow = 64 << 10

var (
	errMemoryReset  = errors.New("connection in memory reset by peer")
	errMemoryBroken = errors.New("connection in memory: the peer has closed")
)

// PipeOptions configure [Pipe]. The zero value is ready to use.
type PipeOptions struct {
	Addr string // both ends' address, for logs

	// Carry, if not nil, is asked about every piece on its way, on the sender's loop: how long the
	// piece takes, and how many of its bytes, at least one, arrive together before the next ones are
	// asked about. Pieces never overtake each other.
	Carry func(bytes int) (delay time.Duration, n int)
}

// Pipe joins two streams in memory, on one loop or two: what one writes the other reads. They behave as
// two ends of a socket do, without descriptors or system calls, and on fake clocks: for simulations,
// and for many more connections than a process may open. Both must be started. It reports [ErrClosed] when
// a loop has been closed. Any goroutine.
func Pipe(a, b *Loop, ha, hb StreamHandler, o PipeOptions) (*Stream, *Stream, error) {
	sa, ea := newMemoryStream(a, ha, o)
	sb, eb := newMemoryStream(b, hb, o)
	ea.peer, eb.peer = eb, ea
	if !a.keepAttached(sa) {
		return nil, nil, ErrClosed
	}
	if !b.keepAttached(sb) {
		a.Post(sa.Close)
		return nil, nil, ErrClosed
	}
	return sa, sb, nil
}

func newMemoryStream(l *Loop, h StreamHandler, o PipeOptions) (*Stream, *memoryEnd) {
	s := &Stream{loop: l, h: h, remote: memoryAddr(o.Addr), fd: -1, slot: -1}
	e := &memoryEnd{s: s, carry: o.Carry, room: memoryWindow}
	s.via = e
	e.landing.init(l, e)
	return s, e
}

// memoryAddr is the address of a stream in memory.
type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) }

var _ net.Addr = memoryAddr("")

// memoryEnd is one end of a link. Its fields belong to its stream's loop; ends talk by jobs.
type memoryEnd struct {
	s     *Stream
	peer  *memoryEnd
	carry func(int) (time.Duration, int)

	in      []byte             // arrived, not yet read
	over    error              // what follows it: io.EOF or a reset
	room    int                // bytes that may still be sent
	arrival time.Duration      // when the last piece under way arrives, on the sender's clock
	flying  ring[*memoryPiece] // pieces that wait for their time
	landing Timer              // for the first of them
	deaf    bool               // the peer has gone: it takes no more
}

func (e *memoryEnd) start(poll.Token) {
	if len(e.in) > 0 || e.over != nil {
		e.s.flags |= streamUnread
		e.s.loop.queueStream(e.s)
	}
}

func (e *memoryEnd) write(p []byte) (int, error) {
	if e.deaf {
		err := e.failure("write", errMemoryBroken)
		if e.s.flags&streamPulled == 0 {
			e.s.fail(err)
		}
		return 0, err
	}
	n := min(len(p), e.room)
	if n < len(p) {
		e.s.flags |= streamFull
	}
	if n > 0 {
		e.room -= n
		e.send(append([]byte(nil), p[:n]...))
	}
	return n, nil
}

func (e *memoryEnd) writev(bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		n, err := e.write(b)
		total += n
		if err != nil || n < len(b) {
			return total, err
		}
	}
	return total, nil
}

// send puts bytes on their way.
func (e *memoryEnd) send(b []byte) {
	for len(b) > 0 {
		n := len(b)
		var delay time.Duration
		if e.carry != nil {
			delay, n = e.carry(len(b))
			n = min(max(n, 1), len(b))
		}
		e.transmit(delay, &memoryPiece{to: e.peer, bytes: b[:n]})
		b = b[n:]
	}
}

// transmit delivers a piece after a delay, and after all that was sent before it.
func (e *memoryEnd) transmit(delay time.Duration, p *memoryPiece) {
	l := e.s.loop
	if delay > 0 {
		l.readClock() // or the piece would arrive early, if the loop has been busy
	}
	now := l.Now()
	e.arrival = max(e.arrival, now+max(delay, 0))
	if e.arrival <= now && e.flying.n == 0 {
		p.to.s.loop.PostJob(p)
		return
	}
	p.at = e.arrival
	e.flying.push(p)
	if e.flying.n == 1 {
		e.landing.Reset(p.at - now)
	}
}

// expire delivers the pieces whose time has come.
func (e *memoryEnd) expire() {
	now := e.s.loop.Now()
	for e.flying.n > 0 && (*e.flying.at(0)).at <= now {
		p := e.flying.removeAt(0)
		p.to.s.loop.PostJob(p)
	}
	if e.flying.n > 0 {
		e.landing.Reset((*e.flying.at(0)).at - now)
	}
}

// drop is the end of the loop, with pieces under way.
func (e *memoryEnd) drop() { e.cutOff() }

// cutOff ends the link at once. What is under way is lost.
func (e *memoryEnd) cutOff() {
	e.landing.Stop()
	e.flying = ring[*memoryPiece]{}
	e.peer.s.loop.PostJob(&memoryPiece{to: e.peer, over: errMemoryReset})
}

// memoryPiece is a [Job] for the receiver's loop.
type memoryPiece struct {
	to    *memoryEnd
	at    time.Duration // when it arrives, on the sender's clock
	bytes []byte
	over  error // io.EOF or a reset
	gone  bool  // the sender reads no more either
}

func (p *memoryPiece) RunOn(l *Loop) {
	e := p.to
	if e.s.flags&streamClosed != 0 {
		if p.over == nil {
			// As a kernel does: data for nobody is answered by a reset.
			e.transmit(0, &memoryPiece{to: e.peer, over: errMemoryReset})
		}
		return
	}
	e.in = append(e.in, p.bytes...)
	switch p.over {
	case nil:
	case io.EOF:
		e.over, e.deaf = io.EOF, p.gone
	default:
		e.in, e.over, e.deaf = nil, p.over, true
	}
	if e.deaf && e.s.flags&streamFull != 0 {
		e.s.flags |= streamWritable // to who waits for room: there will be none
	}
	if e.s.flags&streamStarted != 0 {
		e.s.flags |= streamUnread
		l.queueStream(e.s)
	}
}

func (e *memoryEnd) writable() bool { return true }

// deliver hands what has arrived to the handler, then makes room for more.
func (e *memoryEnd) deliver() {
	s := e.s
	s.flags &^= streamUnread
	if len(e.in) > 0 {
		in := e.in
		e.in = nil
		s.onRead(in)
		if s.flags&streamClosed != 0 {
			return
		}
		e.consumed(len(in))
	}
	switch {
	case e.over == nil:
	case s.flags&streamPaused != 0:
		s.flags |= streamUnread // the end waits for ResumeRead
	case e.over == io.EOF:
		s.fail(io.EOF)
	default:
		s.fail(e.failure("read", e.over))
	}
}

// pull takes what has arrived, and makes room for more. An end stays.
func (e *memoryEnd) pull(p []byte) (int, error) {
	n := copy(p, e.in)
	if e.in = e.in[n:]; len(e.in) > 0 {
		e.consumed(n)
		return n, nil
	}
	e.in = nil
	switch {
	case n > 0:
		e.consumed(n)
	case e.over == io.EOF:
		return 0, io.EOF
	case e.over != nil:
		return 0, e.failure("read", e.over)
	}
	if e.over == nil {
		e.s.flags &^= streamUnread
	}
	return n, nil
}

// shutdown sends the end, and goes on reading.
func (e *memoryEnd) shutdown() error {
	e.transmit(0, &memoryPiece{to: e.peer, over: io.EOF})
	return nil
}

// memoryRoom is a [Job] for the sender's loop: the receiver has read.
type memoryRoom struct {
	to    *memoryEnd
	bytes int
}

func (r *memoryRoom) RunOn(l *Loop) {
	e := r.to
	e.room += r.bytes
	if e.s.flags&(streamClosed|streamFull) == streamFull && e.room >= memoryWindow/2 {
		e.s.flags |= streamWritable
		l.queueStream(e.s)
	}
}

// consumed lets the peer send as much again.
func (e *memoryEnd) consumed(n int) { e.peer.s.loop.PostJob(&memoryRoom{to: e.peer, bytes: n}) }

func (e *memoryEnd) failure(op string, err error) error {
	return &net.OpError{Op: op, Net: "memory", Addr: e.s.remote, Err: err}
}

// end tells the peer: by an end behind what was sent, or, if something it sent stays unread, a reset.
func (e *memoryEnd) end() {
	unread := len(e.in) > 0
	e.in = nil
	closing := e.s.loop.phase != running // its timers fire no more
	if closing && (unread || e.flying.n > 0) {
		e.cutOff()
		return
	}
	last := &memoryPiece{to: e.peer, over: io.EOF, gone: true}
	if unread {
		last.over = errMemoryReset
	}
	e.transmit(0, last)
}
