//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd) || coop_portable

package poll

import "time"

// A Poller is a timer and a channel. Only Wake may be called by another goroutine than the owner's.
type Poller struct {
	wake  chan struct{}
	timer *time.Timer
}

// New returns a poller.
func New() (*Poller, error) {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return &Poller{wake: make(chan struct{}, 1), timer: t}, nil
}

// Poll returns nothing: there are no descriptors.
func (p *Poller) Poll() ([]Event, error) { return nil, nil }

// Wait blocks until the deadline (zero: none) has passed or Wake was called.
func (p *Poller) Wait(deadline time.Time) ([]Event, error) {
	if deadline.IsZero() {
		<-p.wake
		return nil, nil
	}
	p.timer.Reset(time.Until(deadline))
	select {
	case <-p.wake:
		p.timer.Stop()
	case <-p.timer.C:
	}
	return nil, nil
}

// Wake ends a Wait, the current or the next one. Any goroutine, but not after Close.
func (p *Poller) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Close does nothing: a channel and a stopped timer need no freeing.
func (p *Poller) Close() error { return nil }
