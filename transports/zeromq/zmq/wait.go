package zmq

import (
	"context"
	"slices"
	"sync/atomic"

	"greenroom/coop"
)

// waiter is one wait of somebody: a greenlet, which parks on ev, or a goroutine, which blocks on ch. It is told once.
type waiter struct {
	told   atomic.Bool
	shared bool // takes nothing: a poller, who is told besides the one that does

	ev   coop.Event
	port coop.EventPort
	ch   chan struct{}
}

func (w *waiter) tell() bool {
	if !w.told.CompareAndSwap(false, true) {
		return false
	}
	if w.ch != nil {
		close(w.ch)
	} else {
		w.port.Set()
	}
	return true
}

// sleeper is who waits.
type sleeper struct {
	g   *coop.Greenlet
	ctx context.Context
}

func (s sleeper) newWaiter(shared bool) *waiter {
	w := &waiter{shared: shared}
	if s.g == nil {
		w.ch = make(chan struct{})
	} else {
		w.port = w.ev.Port(s.g.Loop())
	}
	return w
}

func (s sleeper) sleep(w *waiter) error {
	if s.g != nil {
		return w.ev.Wait(s.g)
	}
	select {
	case <-w.ch:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// waitList holds those who wait for the same thing of a socket, whose mu guards it.
type waitList struct {
	all []*waiter
	n   atomic.Int32 // len(all), for those who do not have the mu
}

func (l *waitList) add(w *waiter) {
	l.all = append(l.all, w)
	l.n.Store(int32(len(l.all)))
}

// remove reports whether w was there: it has not been told by this list.
func (l *waitList) remove(w *waiter) bool {
	i := slices.Index(l.all, w)
	if i < 0 {
		return false
	}
	l.all = slices.Delete(l.all, i, i+1)
	l.n.Store(int32(len(l.all)))
	return true
}

// one tells the oldest who takes something, and all pollers. Who is told and then has no use for it passes it on.
func (l *waitList) one() {
	if len(l.all) == 0 {
		return
	}
	found := false
	l.all = slices.DeleteFunc(l.all, func(w *waiter) bool {
		if !w.shared && found {
			return false
		}
		told := w.tell()
		found = found || told && !w.shared
		return true
	})
	l.n.Store(int32(len(l.all)))
}

func (l *waitList) everybody() {
	for _, w := range l.all {
		w.tell()
	}
	clear(l.all)
	l.all = l.all[:0]
	l.n.Store(0)
}

// block does try, which runs under s.mu, as soon as it can be done. Who changes something tells the list.
func (s *Socket) block(by sleeper, list *waitList, try func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := try()
	for err == errWait {
		w := by.newWaiter(false)
		list.add(w)
		// Once more: a connection that makes room tells nobody when it sees nobody.
		if err = try(); err != errWait {
			if !list.remove(w) {
				list.one()
			}
			return err
		}
		s.mu.Unlock()
		asleep := by.sleep(w)
		s.mu.Lock()
		if asleep != nil {
			if !list.remove(w) {
				list.one() // told, and not there any more
			}
			return asleep
		}
		err = try()
	}
	return err
}
