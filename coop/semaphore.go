package coop

import "errors"

// A Semaphore has a number of permits. Acquire takes one and waits while there is none; Release gives
// one back. It is fair: a permit that is given back while greenlets wait goes to the one that has
// waited longest, so that a greenlet that releases and acquires again at once gets in line behind it.
// The zero value has no permits. Loop only; [Semaphore.Port] is for everyone else. gevent: Semaphore.
type Semaphore struct {
	free    int // above zero nobody waits
	waiters waitList
}

// NewSemaphore returns a semaphore with n permits.
func NewSemaphore(n int) *Semaphore { return &Semaphore{free: n} }

// Free is the number of permits that nobody has.
func (s *Semaphore) Free() int { return s.free }

// Acquire takes a permit, waiting for one. After an error, which means that g was killed or timed out,
// none is taken.
func (s *Semaphore) Acquire(g *Greenlet) error { return s.acquire(g, ParkedLock) }

// acquire is Acquire for those for whom the semaphore stands for something else.
func (s *Semaphore) acquire(g *Greenlet, why ParkReason) error {
	if s.TryAcquire() {
		return nil
	}
	return g.waitOn(&s.waiters, why)
}

// TryAcquire takes a permit if one is free. It never switches.
func (s *Semaphore) TryAcquire() bool {
	if s.free <= 0 {
		return false
	}
	s.free--
	return true
}

// Release gives a permit back, or adds one: it need not be one that was acquired. It never switches.
func (s *Semaphore) Release() {
	if s.free >= 0 {
		if g := s.waiters.first(); g != nil {
			g.wake(nil)
			return
		}
	}
	s.free++
}

// With runs fn with a permit, which it gives back whatever fn does, and returns fn's error, or Acquire's.
func (s *Semaphore) With(g *Greenlet, fn func() error) error {
	if err := s.Acquire(g); err != nil {
		return err
	}
	defer s.Release()
	return fn()
}

// ErrOverRelease is returned by [BoundedSemaphore.Release] when all permits are back already.
var ErrOverRelease = errors.New("semaphore released more often than acquired")

// A BoundedSemaphore is a [Semaphore] that refuses more permits than it began with: a release too many is a
// mistake, and is found where it is made. Loop only. gevent: BoundedSemaphore.
type BoundedSemaphore struct {
	s   Semaphore
	max int
}

// NewBoundedSemaphore returns a semaphore with n permits.
func NewBoundedSemaphore(n int) *BoundedSemaphore {
	return &BoundedSemaphore{s: Semaphore{free: n}, max: n}
}

// Free is the number of permits that nobody has.
func (b *BoundedSemaphore) Free() int { return b.s.free }

// Acquire is [Semaphore.Acquire].
func (b *BoundedSemaphore) Acquire(g *Greenlet) error { return b.s.Acquire(g) }

// TryAcquire is [Semaphore.TryAcquire].
func (b *BoundedSemaphore) TryAcquire() bool { return b.s.TryAcquire() }

// Release gives a permit back. [ErrOverRelease] if none was taken; it then changes nothing.
func (b *BoundedSemaphore) Release() error {
	if b.s.free == b.max {
		return ErrOverRelease
	}
	b.s.Release()
	return nil
}

// With is [Semaphore.With].
func (b *BoundedSemaphore) With(g *Greenlet, fn func() error) error { return b.s.With(g, fn) }
