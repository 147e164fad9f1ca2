//go:build linux && !coop_portable

package poll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many events one call fetches.
const batch = 256

// A Poller is an epoll set that sleeps inside Go's own: the set's descriptor is non-blocking and
// registered with the runtime's netpoller, so that an idle loop holds no thread.
// Only Wake may be called by another goroutine than the owner's.
type Poller struct {
	fd       int
	file     *os.File // owns fd
	raw      syscall.RawConn
	wake     int // eventfd
	deadline time.Time
	fetch    func(uintptr) bool // p.fetchRaw, bound once
	n        int
	err      error
	raws     [batch]unix.EpollEvent
	events   [batch]Event
}

var wakeToken = Token{Slot: -1}

// New returns a poller without descriptors.
func New() (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	p := &Poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	p.fetch = p.fetchRaw
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	// Edge-triggered, so that the counter never has to be read: each write is an edge.
	if err := p.add(p.wake, unix.EPOLLIN, wakeToken); err != nil {
		p.Close()
		return nil, err
	}
	// Fails here rather than at the first sleep if the runtime cannot poll the descriptor.
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		p.Close()
		return nil, fmt.Errorf("nest epoll: %w", err)
	}
	return p, nil
}

// Add registers a descriptor once, edge-triggered, for both directions. Closing the descriptor
// removes it, if there is no duplicate.
func (p *Poller) Add(fd int, t Token) error {
	return p.add(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP, t)
}

func (p *Poller) add(fd int, events uint32, t Token) error {
	e := unix.EpollEvent{Events: events | unix.EPOLLET, Fd: t.Slot, Pad: t.Gen}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("register descriptor: %w", err)
	}
	return nil
}

// Remove ends the events of a descriptor that has a duplicate elsewhere; for others, closing is enough.
func (p *Poller) Remove(fd int) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) // it was added
}

// Poll returns what is ready, without waiting. The slice is valid until the next Poll or Wait.
func (p *Poller) Poll() ([]Event, error) {
	p.fetchRaw(uintptr(p.fd))
	return p.translate(), p.err
}

// Wait blocks until something is ready, the deadline (zero: none) has passed, or Wake was called,
// and returns what is ready: perhaps nothing.
func (p *Poller) Wait(deadline time.Time) ([]Event, error) {
	if !deadline.Equal(p.deadline) {
		if err := p.file.SetReadDeadline(deadline); err != nil {
			return nil, fmt.Errorf("set deadline: %w", err)
		}
		p.deadline = deadline
	}
	err := p.raw.Read(p.fetch)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Read does not even look when the deadline has passed. A clock that names one again and again
		// must not keep the descriptors from being seen.
		p.fetchRaw(0)
	default:
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	return p.translate(), p.err
}

func (p *Poller) fetchRaw(uintptr) bool {
	for {
		p.n, p.err = unix.EpollWait(p.fd, p.raws[:], 0)
		if p.err != unix.EINTR {
			break
		}
	}
	if p.err != nil {
		p.n = 0
	}
	return p.n > 0 || p.err != nil
}

func (p *Poller) translate() []Event {
	n := 0
	for _, e := range p.raws[:p.n] {
		if e.Fd == wakeToken.Slot {
			continue
		}
		p.events[n] = Event{
			Token:    Token{e.Fd, e.Pad},
			Readable: e.Events&unix.EPOLLIN != 0,
			Writable: e.Events&unix.EPOLLOUT != 0,
			HalfOver: e.Events&unix.EPOLLRDHUP != 0,
			Over:     e.Events&(unix.EPOLLERR|unix.EPOLLHUP) != 0,
		}
		n++
	}
	return p.events[:n]
}

// Wake ends a Wait, the current or the next one. Any goroutine, but not after Close.
func (p *Poller) Wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.wake, one[:])
}

// Close frees the poller's own descriptors. Nobody may be waking it any more.
func (p *Poller) Close() error {
	return errors.Join(unix.Close(p.wake), p.file.Close())
}
