package coop

import (
	"net"
	"sync"
	"time"

	"greenroom/coop/internal/poll"
)

const (
	pipeRead   = 16 << 10        // buffer of a portable stream's reader, bytes
	pipeWrite  = 256 << 10       // bound of what waits for its writer, bytes
	pipeKept   = 16 << 10        // what an idle writer may keep
	pipeLinger = 2 * time.Second // how long a closed stream may go on sending; less than closeGrace
	pipeHurry  = time.Second     // the same when the loop closes
)

// pipe serves a stream with goroutines: one reads and takes turns with the loop over its buffer; one
// writes what the loop has put into a bounded buffer. Both end with the stream.
type pipe struct {
	s *Stream
	c net.Conn

	// The reader's until it has posted a readJob, the loop's until it sends on turn.
	buf  []byte
	n    int
	off  int // of that, fetched by pull
	err  error
	turn chan struct{}

	mu      sync.Mutex
	work    sync.Cond // out or ended has changed
	out     []byte    // waits for the writer
	spare   []byte
	flying  int        // bytes the writer is sending
	short   bool       // a write was; tell the loop when there is room
	writing bool       // the writer runs
	half    halfCloser // to be half closed behind what is in out, or nil
	ended   bool
	broken  bool        // nothing more can be sent
	cut     *time.Timer // ends the lingering
}

func newPipe(s *Stream, c net.Conn) *pipe {
	p := &pipe{s: s, c: c, turn: make(chan struct{}, 1)}
	p.work.L = &p.mu
	return p
}

func (p *pipe) start(poll.Token) {
	p.c.SetDeadline(time.Time{}) // whoever had the connection before may have set one
	p.s.loop.outside.Add(1)
	go p.readLoop()
}

func (p *pipe) readLoop() {
	l := p.s.loop
	defer l.outside.Done()
	p.buf = make([]byte, pipeRead)
	for {
		n, err := p.c.Read(p.buf)
		p.n, p.err = n, err
		if !l.PostJob((*pipeArrival)(p)) || err != nil {
			return
		}
		if _, more := <-p.turn; !more {
			return
		}
	}
}

// pipeArrival says that the reader has something.
type pipeArrival pipe

func (j *pipeArrival) RunOn(l *Loop) {
	s := j.s
	if s.flags&streamClosed == 0 {
		s.flags |= streamUnread
		l.queueStream(s)
	}
}

// deliver hands the reader's buffer to the handler, and back.
func (p *pipe) deliver() {
	s := p.s
	s.flags &^= streamUnread
	if n := p.n; n > 0 {
		p.n = 0
		s.onRead(p.buf[:n])
	}
	switch {
	case s.flags&streamClosed != 0:
	case p.err == nil:
		p.turn <- struct{}{}
	case s.flags&streamPaused != 0:
		s.flags |= streamUnread // the end waits for ResumeRead
	default:
		s.fail(p.err)
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.put(b), nil
}

func (p *pipe) writev(bufs [][]byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	total := 0
	for _, b := range bufs {
		n := p.put(b)
		total += n
		if n < len(b) {
			break
		}
	}
	return total, nil
}

// put takes what there is room for. After a failed send it takes everything and drops it: the loop
// will hear of the failure in a moment, as with bytes that a kernel had accepted.
func (p *pipe) put(b []byte) int {
	if p.broken {
		return len(b)
	}
	n := min(len(b), pipeWrite-len(p.out)-p.flying)
	p.out = append(p.out, b[:n]...)
	if n < len(b) {
		p.short = true
		p.s.flags |= streamFull
	}
	p.kick()
	return n
}

// kick wakes the writer, or starts it.
func (p *pipe) kick() {
	if !p.writing {
		p.writing = true
		p.s.loop.outside.Add(1)
		go p.writeLoop()
		return
	}
	p.work.Signal()
}

func (p *pipe) writable() bool { return true }

// end lets the writer send what is left, for a while, and close the connection, which ends the reader.
func (p *pipe) end() {
	linger := pipeLinger
	if p.s.loop.phase != running {
		linger = pipeHurry
	}
	close(p.turn)
	p.mu.Lock()
	p.ended = true
	p.cut = time.AfterFunc(linger, p.cutOff)
	p.kick()
	p.mu.Unlock()
}

// cutOff closes the connection below the writer, if it is still at work. Below TLS, because closing that
// would wait for its last record to be sent.
func (p *pipe) cutOff() {
	if c, ok := p.c.(interface{ NetConn() net.Conn }); ok {
		c.NetConn().Close()
		return
	}
	p.c.Close()
}

func (p *pipe) writeLoop() {
	l := p.s.loop
	defer l.outside.Done()
	defer p.close()
	for {
		b := p.take()
		if b == nil {
			return
		}
		_, err := p.c.Write(b)
		if p.sent(b, err) {
			l.PostJob((*pipeRoom)(p))
		}
		if err != nil {
			l.PostJob(&pipeFailure{p.s, err})
			p.waitEnd()
			return
		}
	}
}

// close is the writer's end; the stream has ended.
func (p *pipe) close() {
	p.c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut.Stop()
}

// take waits for bytes to send; nil means that there will be none.
func (p *pipe) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.out) == 0 {
		if p.ended {
			return nil
		}
		if h := p.half; h != nil {
			p.half = nil
			p.mu.Unlock()
			h.CloseWrite()
			p.mu.Lock()
			continue
		}
		p.work.Wait()
	}
	b := p.out
	p.out, p.spare = p.spare[:0], nil
	p.flying = len(b)
	return b
}

// sent reports whether the loop waits for the room that there is now.
func (p *pipe) sent(b []byte, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flying = 0
	if cap(b) <= pipeKept {
		p.spare = b[:0]
	}
	if err != nil {
		p.broken = true
		p.out, p.spare = nil, nil
		return false
	}
	room := p.short && len(p.out) <= pipeWrite/2
	if room {
		p.short = false
	}
	return room
}

func (p *pipe) waitEnd() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.ended {
		p.work.Wait()
	}
}

// pipeRoom says that a full buffer has room again.
type pipeRoom pipe

func (j *pipeRoom) RunOn(l *Loop) {
	s := j.s
	if s.flags&(streamClosed|streamFull) == streamFull {
		s.flags |= streamWritable
		l.queueStream(s)
	}
}

// pipeFailure says that nothing can be sent any more.
type pipeFailure struct {
	s   *Stream
	err error
}

func (j *pipeFailure) RunOn(*Loop) {
	if h, ok := j.s.h.(*connHandler); ok {
		(*Conn)(h).writeFailed(j.err)
		return
	}
	j.s.fail(j.err)
}
