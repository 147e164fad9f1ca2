//go:build (darwin || dragonfly || freebsd) && !coop_portable

package poll

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// waker is an event of our own in the kqueue.
type waker struct {
	trigger [1]unix.Kevent_t // only read after open: many may wake at once
}

func (w *waker) open(kq int) error {
	var add [1]unix.Kevent_t
	unix.SetKevent(&add[0], 0, unix.EVFILT_USER, unix.EV_ADD|unix.EV_CLEAR)
	if err := change(kq, add[:]); err != nil {
		return fmt.Errorf("register wake-up: %w", err)
	}
	unix.SetKevent(&w.trigger[0], 0, unix.EVFILT_USER, 0)
	w.trigger[0].Fflags = unix.NOTE_TRIGGER
	return nil
}

func (w *waker) wake(kq int) { change(kq, w.trigger[:]) }

// took reports whether an event is a wake-up.
func (w *waker) took(e *unix.Kevent_t) bool { return e.Filter == unix.EVFILT_USER }

func (w *waker) close() error { return nil }
