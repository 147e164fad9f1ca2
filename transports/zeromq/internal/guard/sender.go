package guard

import (
	"net"
	"sync"
	"time"
)

// sender is the outgoing half: whole messages gather in out; the flusher takes them all and writes
// them at once, and while it does the next batch gathers. Every boundary in out is a message
// boundary, which is why a PONG may be appended at any time.
type sender struct {
	raw    net.Conn
	limits Limits
	failed func(error)   // the flusher's last act
	ended  chan struct{} // closed when the flusher has ended

	mu        sync.Mutex
	work      sync.Cond // for the flusher: out is not empty, or stopped
	room      sync.Cond // for who waits: a batch was written, or stopped
	partial   []byte    // the beginning of a message, from write
	scanned   int       // of partial: whole frames
	greeted   int       // bytes of our greeting that went through write
	out       []byte
	messages  int // in out
	flying    int // bytes in the batch being written
	flyingMsg int
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
	var batch []byte
	for {
		s.mu.Lock()
		for len(s.out) == 0 && !s.stopped {
			s.work.Wait()
		}
		if s.stopped {
			s.mu.Unlock()
			return
		}
		batch, s.out = s.out, batch[:0]
		s.flying, s.flyingMsg, s.messages = len(batch), s.messages, 0
		s.batchDrop = false
		s.mu.Unlock()

		err := s.raw.SetWriteDeadline(time.Now().Add(s.limits.WriteTimeout))
		if err == nil {
			_, err = s.raw.Write(batch)
		}
		if cap(batch) > keepBuffer {
			batch = nil
		}
		s.mu.Lock()
		s.lost = s.lost || err != nil
		s.flying, s.flyingMsg = 0, 0
		if !s.batchDrop || len(s.out) == 0 {
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
	queued, messages := len(s.out)+s.flying, s.messages+s.flyingMsg
	return messages > 0 && (queued+size > s.limits.QueueBytes || messages >= s.limits.QueueMessages)
}

// push appends messages to out. mu is held.
func (s *sender) push(b []byte, messages int) {
	if len(s.out) == 0 {
		s.work.Signal()
	}
	s.out = append(s.out, b...)
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
	if len(s.out) > s.limits.QueueBytes+s.limits.QueueBytes/4 {
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
	for !s.stopped && len(s.out)+s.flying > 0 {
		s.room.Wait()
	}
	return len(s.out)+s.flying == 0 && !s.lost
}

func (s *sender) slowFor() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slowSince.IsZero() {
		return 0
	}
	return time.Since(s.slowSince)
}
