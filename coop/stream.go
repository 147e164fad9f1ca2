package coop

import (
	"net"

	"greenroom/coop/internal/poll"
)

// A StreamHandler is told what happens to a stream. All methods are called on the loop and must not
// block.
type StreamHandler interface {
	// OnRead has bytes that arrived. p is a buffer of the loop's, valid during the call only.
	OnRead(s *Stream, p []byte)

	// OnWritable comes once after a short Write, when there is room again.
	OnWritable(s *Stream)

	// OnClose is the last call, exactly once, never from within Write or Close. err is io.EOF when
	// the peer has ended, [ErrClosed] after Close or when the loop closes, a *PanicError if another
	// method panicked, or the network's error.
	OnClose(s *Stream, err error)
}

// A Stream is a connection that a loop owns: bytes in both directions, never blocking. All methods
// are loop only. On Linux (epoll), macOS and the BSDs (kqueue) a TCP or Unix connection is a bare descriptor
// in the loop's poller, and costs this struct; so is TLS over one that is [Detachable], which costs what crypto/tls
// holds as well. Anything else, and every connection on other systems, is served by goroutines that hand their
// buffers to the loop. Two streams can also be joined in memory ([Pipe]).
type Stream struct {
	loop   *Loop
	h      StreamHandler
	remote net.Addr // packed
	err    error    // why it was closed
	via    carrier  // nil for a descriptor
	fd     int32
	slot   int32 // in the loop's table, -1 if none
	flags  streamFlags
}

// carrier moves a stream's bytes where that is not, or not only, a descriptor's doing: goroutines, memory, TLS. All
// methods are called on the loop.
type carrier interface {
	start(t poll.Token)
	write(p []byte) (int, error)
	writev(bufs [][]byte) (int, error)
	writable() bool             // there is room: whether the stream may write
	deliver()                   // what arrived, to the handler
	pull(p []byte) (int, error) // what arrived, to a Conn; see Stream.pull
	shutdown() error            // ends the writing side
	end()                       // the stream is closed
}

type streamFlags uint16

const (
	streamStarted  streamFlags = 1 << iota
	streamClosed               // nothing more may be done with it
	streamPaused               // by PauseRead
	streamUnread               // there is, or may be, something to read
	streamEnding               // the peer's end or an error is behind what can be read
	streamBroken               // nothing can be read or written
	streamFull                 // a Write was short
	streamWritable             // OnWritable is due
	streamPulled               // a Conn fetches what there is to read
	streamQueued               // to be served in the next I/O phase
	streamArrived              // TLS: there is, or may be, something in the system's buffer
	streamPeeked               // a Peek looks at what there is to read
)

// Attach makes a stream of a connection. If it succeeds, the connection belongs to the stream; if not, it
// is still the caller's. Nothing is read, and the handler is not called, before Start. A stream
// that is never started ends with the loop. Any goroutine.
func (l *Loop) Attach(c net.Conn, h StreamHandler) (*Stream, error) {
	s := &Stream{loop: l, h: h, remote: packed(c.RemoteAddr()), fd: -1, slot: -1}
	old, err := s.adopt(c)
	if err != nil {
		return nil, err
	}
	if old == nil {
		s.via = newPipe(s, c)
	}
	if !l.keepAttached(s) {
		if old != nil {
			s.giveBack(c, old)
		}
		return nil, ErrClosed
	}
	if old != nil {
		old.Close() // the stream has a duplicate
	}
	return s, nil
}

func (l *Loop) keepAttached(s *Stream) bool {
	a := &l.attached
	a.Lock()
	defer a.Unlock()
	if a.closed {
		return false
	}
	if a.set == nil {
		a.set = make(map[*Stream]struct{})
	}
	a.set[s] = struct{}{}
	l.stats.streams.Add(1)
	return true
}

// Start begins to read. Starting again does nothing.
func (s *Stream) Start() {
	if s.flags&(streamStarted|streamClosed) != 0 {
		return
	}
	l := s.loop
	s.flags |= streamStarted
	l.attached.Lock()
	delete(l.attached.set, s)
	l.attached.Unlock()
	token := l.table.add(s)
	if s.via != nil {
		s.via.start(token)
		return
	}
	if err := s.register(token); err != nil {
		s.fail(err)
	}
}

// Loop is where the stream lives. Any goroutine.
func (s *Stream) Loop() *Loop { return s.loop }

// RemoteAddr is the peer's address. Any goroutine.
func (s *Stream) RemoteAddr() net.Addr { return unpacked(s.remote) }

// Write sends what it can of p without waiting, and keeps nothing of it. When it returns n < len(p)
// without an error, the rest has to wait for OnWritable. After an error the stream is closed.
func (s *Stream) Write(p []byte) (int, error) {
	switch {
	case s.flags&streamClosed != 0:
		return 0, ErrClosed
	case s.flags&streamFull != 0 || len(p) == 0:
		return 0, nil
	case s.via != nil:
		return s.via.write(p)
	default:
		return s.writeFD(p)
	}
}

// Writev is Write for several buffers at once, as if they were one.
func (s *Stream) Writev(bufs [][]byte) (int, error) {
	switch {
	case s.flags&streamClosed != 0:
		return 0, ErrClosed
	case s.flags&streamFull != 0:
		return 0, nil
	case s.via != nil:
		return s.via.writev(bufs)
	default:
		return s.writevFD(bufs)
	}
}

// PauseRead stops OnRead until ResumeRead; the peer is held up once the system's buffers are full. The
// peer's end is not noticed meanwhile, an error may be.
func (s *Stream) PauseRead() { s.flags |= streamPaused }

// ResumeRead lets OnRead be called again, from the loop.
func (s *Stream) ResumeRead() {
	if s.flags&streamPaused == 0 {
		return
	}
	s.flags &^= streamPaused
	if s.flags&streamUnread != 0 {
		s.loop.queueStream(s)
	}
}

// Close ends the stream. What Write has accepted is still sent, if the peer takes it; but systems reset
// the connection, and drop that, when the peer goes on sending. OnClose follows from the loop, with
// [ErrClosed]. Closing again does nothing.
func (s *Stream) Close() { s.fail(ErrClosed) }

// CloseWrite ends the writing side, behind what Write has accepted: the peer reads the end, and may go on sending.
func (s *Stream) CloseWrite() error {
	if s.flags&streamClosed != 0 {
		return ErrClosed
	}
	return s.shutdown()
}

// fail closes the stream, for the first reason it is given.
func (s *Stream) fail(err error) {
	if s.flags&streamClosed != 0 {
		return
	}
	l := s.loop
	s.flags |= streamClosed
	s.err = err
	s.forget()
	switch {
	case s.via != nil:
		s.via.end()
	case err == ErrClosed:
		s.drainFD()
		s.releaseFD()
	default:
		s.releaseFD()
	}
	l.stats.streams.Add(-1)
	l.ending = append(l.ending, s)
}

// forget takes the stream out of the loop's books.
func (s *Stream) forget() {
	l := s.loop
	if s.flags&streamStarted != 0 {
		l.table.remove(s)
		return
	}
	l.attached.Lock()
	delete(l.attached.set, s)
	l.attached.Unlock()
}

// onEvents only takes notes: the handlers are called by serveStreams, where a panic cannot lose the rest
// of a batch, whose edges would not come again.
func (l *Loop) onEvents(events []poll.Event) {
	for _, e := range events {
		s := l.table.get(e.Token)
		if s == nil {
			continue // closed meanwhile
		}
		if e.Readable || e.HalfOver || e.Over {
			s.flags |= streamUnread | streamArrived
		}
		if e.HalfOver || e.Over {
			s.flags |= streamEnding
		}
		if e.Over {
			s.flags |= streamBroken
		}
		if e.Writable && s.flags&streamFull != 0 {
			s.flags |= streamWritable
		}
		if s.flags&(streamUnread|streamWritable) != 0 {
			l.queueStream(s)
		}
	}
}

// queueStream has the stream served in the next I/O phase, once: it has one budget a tick.
func (l *Loop) queueStream(s *Stream) {
	if s.flags&streamQueued == 0 {
		s.flags |= streamQueued
		l.again = append(l.again, s)
	}
}

// serveStreams calls the handlers of the streams that were queued when the phase began.
func (l *Loop) serveStreams() {
	if l.fetchAt == len(l.fetching) {
		if len(l.again) == 0 {
			return
		}
		l.fetching, l.again, l.fetchAt = l.again, l.fetching[:0], 0
	}
	for l.fetchAt < len(l.fetching) {
		s := l.fetching[l.fetchAt]
		l.fetching[l.fetchAt] = nil
		l.fetchAt++
		s.flags &^= streamQueued
		s.serve()
	}
	l.fetching, l.fetchAt = spare(l.fetching, &l.fewStreams), 0
}

func (s *Stream) serve() {
	if s.flags&(streamClosed|streamWritable) == streamWritable {
		s.flags &^= streamWritable | streamFull
		if s.via == nil || s.via.writable() {
			s.loop.handling = s
			s.h.OnWritable(s)
			s.loop.handling = nil
		}
	}
	switch {
	case s.flags&streamClosed != 0:
	case s.flags&streamUnread == 0:
	case s.flags&streamPulled != 0:
		(*Conn)(s.h.(*connHandler)).readable()
	case s.flags&streamPeeked != 0:
		(*Peek)(s.h.(*peekHandler)).readable()
	case s.flags&streamPaused != 0:
		if s.flags&streamBroken != 0 {
			s.checkBroken()
		}
	case s.via != nil:
		s.via.deliver()
	default:
		s.readFD()
	}
}

func (s *Stream) onRead(p []byte) {
	s.loop.handling = s
	s.h.OnRead(s, p)
	s.loop.handling = nil
}

// finishStreams reports the streams that had been closed when the phase began.
func (l *Loop) finishStreams() {
	for n := len(l.ending); n > 0; n-- {
		s := l.ending[0]
		l.ending[0] = nil
		if l.ending = l.ending[1:]; len(l.ending) == 0 {
			l.ending = nil
		}
		h := s.h
		s.h = nil
		h.OnClose(s, s.err)
	}
}

// closeStreams closes every stream, started or not, and lets no new one come.
func (l *Loop) closeStreams() {
	l.attached.Lock()
	l.attached.closed = true
	waiting := l.attached.set
	l.attached.set = nil
	l.attached.Unlock()
	l.closeListeners()
	for s := range waiting {
		s.fail(ErrClosed)
	}
	for _, slot := range l.table.slots {
		if slot.s != nil {
			slot.s.fail(ErrClosed)
		}
	}
}

// streamTable finds the stream of an event. A slot is used again, under the next generation.
type streamTable struct {
	slots []streamSlot
	free  []int32
	open  int
}

type streamSlot struct {
	s   *Stream
	gen int32
}

func (t *streamTable) add(s *Stream) poll.Token {
	t.open++
	if n := len(t.free); n > 0 {
		s.slot = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		s.slot = int32(len(t.slots))
		t.slots = append(t.slots, streamSlot{})
	}
	slot := &t.slots[s.slot]
	slot.s = s
	return poll.Token{Slot: s.slot, Gen: slot.gen}
}

func (t *streamTable) remove(s *Stream) {
	t.open--
	slot := &t.slots[s.slot]
	slot.s = nil
	slot.gen++
	t.free = append(t.free, s.slot)
	s.slot = -1
}

func (t *streamTable) get(k poll.Token) *Stream {
	if slot := &t.slots[k.Slot]; slot.gen == k.Gen {
		return slot.s
	}
	return nil
}
