package guard

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// sender is the outgoing half: whole messages gather in blocks, the last of which is out; the flusher takes
// them all and writes them, and while it does the next batch gathers. Every boundary in a block is a message
// boundary, which is why a PONG may be appended at any time. Blocks are there because one growing buffer would be
// copied again and again while a peer is slow, each time to memory that was never touched before.
type sender struct {
	raw    net.Conn
	limits Limits
	failed func(error)   // the flusher's last act
	stale  func(int)     // is told of messages that were dropped for their age; nil if they are not
	ended  chan struct{} // closed when the flusher has ended

	mu        sync.Mutex
	work      sync.Cond // for the flusher: something waits, or stopped
	room      sync.Cond // for who waits: a batch was written, or stopped
	partial   []byte    // the beginning of a message, from write
	scanned   int       // of partial: whole frames
	greeted   int       // bytes of our greeting that went through write
	blocks    [][]byte  // before out
	out       []byte
	waiting   int // bytes in all blocks
	messages  int // in them
	flying    int // bytes in the batch being written
	flyingMsg int

	// when the oldest message that waits came, and that of the batch being written; kept if MaxLag is set
	since, flyingSince time.Time

	batchDrop bool      // a message was dropped since the last swap
	slowSince time.Time // first drop of an unbroken series
	stopped   bool
	wrote     func() // see Conn.OnRoom; nil for nobody
	lost      bool   // a batch was not written, or not all of it
}

func (s *sender) init(raw net.Conn, l Limits, failed func(error)) {
	s.raw, s.limits, s.failed = raw, l, failed
	s.ended = make(chan struct{})
	s.work.L, s.room.L = &s.mu, &s.mu
	go s.run()
}

// run is the flusher.
func (s *sender) run() {
	defer close(s.ended)
	var batch [][]byte
	var last []byte
	for {
		s.mu.Lock()
		for s.waiting == 0 && !s.stopped {
			s.work.Wait()
		}
		if s.stopped {
			s.mu.Unlock()
			return
		}
		if n := s.dropStale(); n > 0 {
			s.mu.Unlock()
			s.stale(n)
			continue
		}
		batch, s.blocks = s.blocks, batch[:0]
		last, s.out = s.out, last[:0]
		s.flying, s.flyingMsg = s.waiting, s.messages
		s.waiting, s.messages = 0, 0
		s.batchDrop = false
		since := s.since
		s.flyingSince = since
		s.mu.Unlock()

		batch = append(batch, last)
		err := s.writeBatch(batch, since)
		freeBlocks(batch[:len(batch)-1])
		if clear(batch); cap(batch) > keepBlocks {
			batch = nil
		}
		if cap(last) > keepBuffer {
			last = nil
		}
		s.mu.Lock()
		s.lost = s.lost || err != nil
		s.flying, s.flyingMsg = 0, 0
		if !s.batchDrop || s.waiting == 0 {
			s.slowSince = time.Time{}
		}
		s.room.Broadcast()
		wrote := s.wrote
		s.mu.Unlock()
		if err != nil {
			s.failed(err)
			return
		}
		if wrote != nil {
			wrote()
		}
	}
}

// dropStale drops all that waits when its oldest message has waited for too long, and returns how many messages
// that were. mu is held.
func (s *sender) dropStale() (messages int) {
	if s.stale == nil || s.limits.MaxLag <= 0 || s.messages == 0 || time.Since(s.since) <= s.limits.MaxLag {
		return 0
	}
	messages = s.messages
	freeBlocks(s.blocks)
	clear(s.blocks)
	s.blocks, s.out, s.waiting, s.messages = s.blocks[:0], s.out[:0], 0, 0
	s.room.Broadcast()
	return messages
}

// writeBatch writes what has waited since then, in time.
func (s *sender) writeBatch(batch [][]byte, since time.Time) error {
	var deadline time.Time
	late := false
	if s.stale == nil {
		deadline = time.Now().Add(s.limits.WriteTimeout)
		if lag := since.Add(s.limits.MaxLag); s.limits.MaxLag > 0 && lag.Before(deadline) {
			deadline, late = lag, true
		}
	}
	if err := s.raw.SetWriteDeadline(deadline); err != nil {
		return err
	}
	var err error
	for _, b := range batch {
		if _, err = s.raw.Write(b); err != nil {
			break
		}
	}
	if late && errors.Is(err, os.ErrDeadlineExceeded) {
		return violation(ReasonLate, "the oldest message for it has waited for %v", s.limits.MaxLag)
	}
	return err
}

// load is what waits, that being written included, and since when the oldest of it does.
func (s *sender) load() (bytes, messages int, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes, messages = s.waiting+s.flying, s.messages+s.flyingMsg
	switch {
	case s.flying > 0:
		since = s.flyingSince
	case s.waiting > 0:
		since = s.since
	}
	return bytes, messages, since
}

func (s *sender) stop() {
	s.mu.Lock()
	s.stopped = true
	s.work.Broadcast()
	s.room.Broadcast()
	s.mu.Unlock()
}

// full reports whether size more bytes are too many. A message larger than the whole queue is
// taken when nothing else waits, for it would never go otherwise. mu is held.
func (s *sender) full(size int) bool {
	queued, messages := s.waiting+s.flying, s.messages+s.flyingMsg
	return messages > 0 && (queued+size > s.limits.QueueBytes || messages >= s.limits.QueueMessages)
}

// push appends messages to what waits. mu is held.
func (s *sender) push(b []byte, messages int) {
	if s.waiting == 0 {
		s.work.Signal()
		if s.limits.MaxLag > 0 {
			s.since = time.Now()
		}
	}
	if len(s.out) > 0 && len(s.out)+len(b) > blockBytes {
		s.blocks = append(s.blocks, s.out)
		s.out = newBlock()
	}
	s.out = append(s.out, b...)
	s.waiting += len(b)
	s.messages += messages
}

func (s *sender) trySend(msg []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if s.full(len(msg)) {
		s.batchDrop = true
		if s.slowSince.IsZero() {
			s.slowSince = time.Now()
		}
		return false
	}
	s.push(msg, 1)
	return true
}

func (s *sender) hasRoom() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.stopped && !s.full(1)
}

func (s *sender) onRoom(fn func()) {
	s.mu.Lock()
	s.wrote = fn
	s.mu.Unlock()
}

// urgent queues a command past the message bound, but not without a bound.
func (s *sender) urgent(cmd []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting > s.limits.QueueBytes+s.limits.QueueBytes/4 {
		return false
	}
	if !s.stopped {
		s.push(cmd, 0)
	}
	return true
}

func (s *sender) send(msg []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.full(len(msg)) && !s.stopped {
		s.room.Wait()
	}
	if s.stopped {
		return ErrClosed
	}
	s.push(msg, 1)
	return nil
}

// write takes pieces of the stream and queues each message once it is whole.
func (s *sender) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrClosed
	}
	if n := min(greetingBytes-s.greeted, len(p)); n > 0 {
		s.greeted += n
		s.push(p[:n], 0)
		p = p[n:]
	}
	s.partial = append(s.partial, p...)
	start := 0
	for {
		h, ok := parseHeader(s.partial[s.scanned:])
		if !ok || h.size > uint64(len(s.partial)-s.scanned-h.len) {
			break
		}
		s.scanned += h.len + int(h.size)
		if h.flags&flagMore != 0 {
			continue
		}
		for s.full(s.scanned-start) && !s.stopped {
			s.room.Wait() // one writer: nobody else touches partial meanwhile
		}
		if s.stopped {
			return ErrClosed
		}
		s.push(s.partial[start:s.scanned], 1)
		start = s.scanned
	}
	s.partial = append(s.partial[:0], s.partial[start:]...)
	s.scanned -= start
	return nil
}

// drained waits until nothing is queued; false when the connection ended first.
func (s *sender) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.stopped && s.waiting+s.flying > 0 {
		s.room.Wait()
	}
	return s.waiting+s.flying == 0 && !s.lost
}

func (s *sender) slowFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slowSince.IsZero() {
		return 0
	}
	return time.Since(s.slowSince)
}
