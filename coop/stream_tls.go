//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"greenroom/coop/internal/poll"
)

const (
	// tlsRecord is the most that goes into one TLS record, in bytes, and so, encrypted, the most that a stream
	// whose peer does not read holds beside what the system does.
	tlsRecord = 16 << 10
	// tlsRecordCost is what a record takes of a stream's readBudget beyond its bytes: opening one takes as long
	// as reading so many bytes, and a peer may send one for each byte.
	tlsRecordCost = 256
)

// tlsCarrier is TLS between a stream and its descriptor. crypto/tls calls receive and queue instead of a
// connection's Read and Write (see detachable), from within its own calls, which are all made here.
type tlsCarrier struct {
	s      *Stream
	tls    *tls.Conn // nil when the stream has ended
	out    []byte    // encrypted, but not sent; then streamFull is set, except within a call
	choked bool      // receive waits for out to be sent
}

// errNoRecord is receive's way to say that there is nothing for now. crypto/tls takes a net.Error that is temporary
// for no error of the connection.
var errNoRecord net.Error = noRecord{}

type noRecord struct{}

func (noRecord) Error() string   { return "nothing has arrived" }
func (noRecord) Timeout() bool   { return true }
func (noRecord) Temporary() bool { return true }

// detachableTLS returns the two layers of a TLS connection that a loop can serve. One whose handshake is not
// made is none: crypto/tls remembers every error of a handshake.
func detachableTLS(c net.Conn) (*tls.Conn, *detachable) {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil, nil
	}
	d, ok := t.NetConn().(*detachable)
	if !ok || !t.ConnectionState().HandshakeComplete {
		return nil, nil
	}
	return t, d
}

func (t *tlsCarrier) start(token poll.Token) {
	s := t.s
	if err := s.register(token); err != nil {
		s.fail(err)
		return
	}
	// crypto/tls may hold what it has read ahead during the handshake.
	s.flags |= streamUnread | streamArrived
	s.loop.queueStream(s)
}

// receive reads from the descriptor for crypto/tls.
func (t *tlsCarrier) receive(p []byte) (int, error) {
	s := t.s
	if len(t.out) > maxUnread { // it sends what has to be answered, and does not read the answers
		t.choked = true
		return 0, errNoRecord
	}
	for s.flags&streamArrived != 0 {
		n, err := unix.Read(int(s.fd), p)
		switch {
		case n > 0:
			if n < len(p) && s.flags&streamEnding == 0 {
				s.flags &^= streamArrived // as in readFD
			}
			return n, nil
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.flags &^= streamArrived
		case err == nil:
			return 0, io.EOF
		default:
			return 0, s.opError("read", err)
		}
	}
	return 0, errNoRecord
}

// queue takes records from crypto/tls.
func (t *tlsCarrier) queue(p []byte) { t.out = append(t.out, p...) }

// deliver decrypts until there is no more for now, the handler pauses, or the budget is spent.
func (t *tlsCarrier) deliver() {
	s, l := t.s, t.s.loop
	l.readBuf = made(l.readBuf, readSize)
	for budget := readBudget; budget > 0; {
		n, err := t.read(l.readBuf)
		if n > 0 {
			budget -= n + tlsRecordCost
			s.onRead(l.readBuf[:n])
			if s.flags&(streamClosed|streamPaused) != 0 {
				return // what is left is still marked
			}
		}
		switch {
		case err != nil:
			s.fail(err)
			return
		case s.flags&streamUnread == 0:
			return
		}
	}
	l.queueStream(s)
}

func (t *tlsCarrier) pull(p []byte) (int, error) { return t.read(p) }

// read decrypts what is there: 0 and no error, and streamUnread cleared, if that is nothing. It sends what
// crypto/tls answers on its own.
func (t *tlsCarrier) read(p []byte) (int, error) {
	n, err := t.tls.Read(p)
	if err == errNoRecord {
		t.s.flags &^= streamUnread
		dropSlack(t.tls)
		err = nil
	}
	if sendErr := t.send(); err == nil {
		err = sendErr
	}
	return n, err
}

// write encrypts and sends, a record at a time, until the system takes no more.
func (t *tlsCarrier) write(p []byte) (n int, err error) {
	for n < len(p) && len(t.out) == 0 {
		piece := p[n:min(len(p), n+tlsRecord)]
		if err := t.seal(piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// writev gathers small buffers into records.
func (t *tlsCarrier) writev(bufs [][]byte) (total int, err error) {
	l := t.s.loop
	off := 0 // of bufs[0], already gathered
	for len(bufs) > 0 && len(t.out) == 0 {
		piece := made(l.sealBuf, tlsRecord)[:0]
		l.sealBuf = piece[:tlsRecord]
		for len(bufs) > 0 && len(piece) < tlsRecord {
			part := bufs[0][off:]
			part = part[:min(len(part), tlsRecord-len(piece))]
			piece = append(piece, part...)
			if off += len(part); off == len(bufs[0]) {
				bufs, off = bufs[1:], 0
			}
		}
		if len(piece) == 0 {
			break
		}
		if err := t.seal(piece); err != nil {
			return total, err
		}
		total += len(piece)
	}
	return total, nil
}

// seal encrypts p and sends it as far as the system takes it. The rest waits in a buffer of its own; until it has
// left the stream is full.
func (t *tlsCarrier) seal(p []byte) error {
	l := t.s.loop
	t.out = l.sealed[:0]
	_, err := t.tls.Write(p)
	l.sealed = t.out[:0]
	if sendErr := t.send(); err == nil {
		err = sendErr
	}
	t.out = bytes.Clone(t.out)
	if err != nil && t.s.flags&streamPulled == 0 {
		t.s.fail(err)
	}
	return err
}

// send sends what it can of out.
func (t *tlsCarrier) send() error {
	s := t.s
	if len(t.out) == 0 || s.flags&streamFull != 0 {
		return nil
	}
	n, err := s.sendFD(t.out)
	if t.out = t.out[n:]; len(t.out) == 0 || err != nil {
		t.out = nil
	}
	return err
}

func (t *tlsCarrier) writable() bool {
	s := t.s
	if err := t.send(); err != nil {
		if s.flags&streamPulled != 0 {
			(*Conn)(s.h.(*connHandler)).writeFailed(err)
		} else {
			s.fail(err)
		}
		return false
	}
	if len(t.out) > 0 {
		return false
	}
	if t.choked {
		t.choked = false
		s.flags |= streamUnread
		s.loop.queueStream(s)
	}
	return true
}

// shutdown says that nothing more will come.
func (t *tlsCarrier) shutdown() error {
	err := t.tls.CloseWrite()
	if sendErr := t.send(); err == nil {
		err = sendErr
	}
	return err
}

// end says good-bye. What is encrypted is still sent, if the stream was closed in good order.
func (t *tlsCarrier) end() {
	s := t.s
	_ = t.tls.Close() // what crypto/tls says of a connection that has failed is no news
	_ = t.send()
	t.tls = nil
	if s.err == ErrClosed {
		s.drainFD()
		if len(t.out) > 0 {
			t.linger()
			return
		}
	}
	t.out = nil
	s.releaseFD()
}

// linger has a goroutine send what is left, for a while: the stream has ended, and so may have the loop.
func (t *tlsCarrier) linger() {
	s := t.s
	f := os.NewFile(uintptr(s.fd), "connection")
	out := t.out
	s.fd, t.out = -1, nil
	within := pipeLinger
	if s.loop.phase != running {
		within = pipeHurry
	}
	s.loop.outside.Add(1)
	go func() {
		defer s.loop.outside.Done()
		defer f.Close()
		if f.SetWriteDeadline(time.Now().Add(within)) == nil {
			_, _ = f.Write(out) // nobody is left to hear of a failure
		}
	}()
}
