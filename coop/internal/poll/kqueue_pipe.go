//go:build (netbsd || openbsd) && !coop_portable

package poll

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// waker is a pipe, where there is no EVFILT_USER (NetBSD has it since 10 only).
type waker struct{ r, w int }

func (w *waker) open(kq int) error {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	w.r, w.w = ends[0], ends[1]
	var add [1]unix.Kevent_t
	unix.SetKevent(&add[0], w.r, unix.EVFILT_READ, unix.EV_ADD|unix.EV_CLEAR)
	if err := change(kq, add[:]); err != nil {
		w.close()
		return fmt.Errorf("register wake-up: %w", err)
	}
	return nil
}

// wake writes a byte. A pipe that is full has a wake-up in it that nobody has taken yet.
func (w *waker) wake(int) {
	b := [1]byte{1}
	for {
		if _, err := unix.Write(w.w, b[:]); err != unix.EINTR {
			return
		}
	}
}

// took reports whether an event is a wake-up, and empties the pipe.
func (w *waker) took(e *unix.Kevent_t) bool {
	if int(e.Ident) != w.r {
		return false
	}
	var b [512]byte
	for {
		n, err := unix.Read(w.r, b[:])
		if n < len(b) && err != unix.EINTR {
			return true
		}
	}
}

func (w *waker) close() error { return errors.Join(unix.Close(w.r), unix.Close(w.w)) }
