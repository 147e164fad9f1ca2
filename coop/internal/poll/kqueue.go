//go:build (darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package poll

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many events one call fetches: up to two a descriptor.
const batch = 256

// longest is how long one system call sleeps. Darwin refuses very long times.
const longest = 24 * time.Hour

// A Poller is a kqueue. An idle loop sleeps in kevent and holds a thread. Sleeping inside Go's own poller,
// as the epoll one does, is not possible: the runtime registers every descriptor for reading and for
// writing, and a kqueue refuses to be watched for writing.
// Only Wake may be called by another goroutine than the owner's.
type Poller struct {
	fd int
	waker
	changes [2]unix.Kevent_t
	raws    [batch]unix.Kevent_t
	timeout unix.Timespec
	gather  gatherer
}

// New returns a poller without descriptors.
func New() (*Poller, error) {
	syscall.ForkLock.RLock() // there is no call that does both on all systems
	fd, err := unix.Kqueue()
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("create kqueue: %w", err)
	}
	p := &Poller{fd: fd}
	p.gather.events = make([]Event, 0, batch)
	if err := p.waker.open(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// Add registers a descriptor once, edge-triggered, for both directions. Closing the descriptor
// removes it. No two that are open may have the same token.
func (p *Poller) Add(fd int, t Token) error {
	// The token does not fit into udata, which is a pointer to Go on most of these systems.
	p.changes = [2]unix.Kevent_t{}
	unix.SetKevent(&p.changes[0], fd, unix.EVFILT_READ, unix.EV_ADD|unix.EV_CLEAR)
	unix.SetKevent(&p.changes[1], fd, unix.EVFILT_WRITE, unix.EV_ADD|unix.EV_CLEAR)
	if err := change(p.fd, p.changes[:]); err != nil {
		return fmt.Errorf("register descriptor: %w", err)
	}
	p.gather.add(fd, t)
	return nil
}

// Remove ends the events of a descriptor that is to be closed: which does that, duplicates or not.
func (p *Poller) Remove(int) {}

// change applies changes, all of which may be applied twice.
func change(kq int, changes []unix.Kevent_t) error {
	for {
		if _, err := unix.Kevent(kq, changes, nil, nil); err != unix.EINTR {
			return err
		}
	}
}

// Poll returns what is ready, without waiting. The slice is valid until the next Poll or Wait.
func (p *Poller) Poll() ([]Event, error) {
	n, err := p.fetch(0)
	return p.translate(n), err
}

// Wait blocks until something is ready, the deadline (zero: none) has passed, or Wake was called,
// and returns what is ready: perhaps nothing.
func (p *Poller) Wait(deadline time.Time) ([]Event, error) {
	for {
		timeout := longest
		if !deadline.IsZero() {
			timeout = min(max(time.Until(deadline), 0), longest)
		}
		n, err := p.fetch(timeout)
		if n > 0 || err != nil {
			return p.translate(n), err
		}
		// Interrupted, or the system's clock is a little ahead of ours.
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return nil, nil
		}
	}
}

// fetch asks the system once. 0 without an error: the time is over, or a signal came.
func (p *Poller) fetch(timeout time.Duration) (int, error) {
	p.timeout = unix.NsecToTimespec(int64(timeout))
	n, err := unix.Kevent(p.fd, nil, p.raws[:], &p.timeout)
	switch err {
	case nil:
		return n, nil
	case unix.EINTR, unix.ETIMEDOUT: // the latter was seen on Darwin (go.dev/issue/59679)
		return 0, nil
	default:
		return 0, fmt.Errorf("wait for events: %w", err)
	}
}

func (p *Poller) translate(n int) []Event {
	p.gather.begin()
	for i := range p.raws[:n] {
		e := &p.raws[i]
		if p.waker.took(e) {
			continue
		}
		d := reading
		if e.Filter == unix.EVFILT_WRITE {
			d = writing
		}
		over := e.Flags&unix.EV_EOF != 0
		// With the end comes the socket's error, if there is one.
		failed := e.Flags&unix.EV_ERROR != 0 || over && e.Fflags != 0
		p.gather.note(int(e.Ident), d, over, failed)
	}
	return p.gather.events
}

// Wake ends a Wait, the current or the next one. Any goroutine, but not after Close.
func (p *Poller) Wake() { p.waker.wake(p.fd) }

// Close frees the poller's own descriptors. Nobody may be waking it any more.
func (p *Poller) Close() error {
	return errors.Join(p.waker.close(), unix.Close(p.fd))
}
