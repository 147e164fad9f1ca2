package coop

import "errors"

// ErrNotOwner is returned by [RLock.Release] to a greenlet that does not hold the lock.
var ErrNotOwner = errors.New("lock released by one that does not hold it")

// An RLock is a lock that its owner may take again; it is free when it was released as often. Greenlets need
// no lock for what they do between two parks; this one is for what must not be interrupted by others
// although it parks. It is fair like a [Semaphore]. A greenlet that ends does not
// release what it holds: defer it, or use With. The zero value is a free lock. Loop only.
// gevent: RLock.
type RLock struct {
	owner   *Greenlet
	depth   int
	waiters waitList
}

// Owner is the greenlet that holds the lock, nil if it is free.
func (r *RLock) Owner() *Greenlet { return r.owner }

// Acquire takes the lock for g, waiting for it. After an error, which means that g was killed or timed
// out, g does not hold it, or holds it as often as before.
func (r *RLock) Acquire(g *Greenlet) error {
	if r.TryAcquire(g) {
		return nil
	}
	return g.waitOn(&r.waiters, ParkedLock) // Release makes g the owner
}

// TryAcquire takes the lock for g if it is free or g's already. It never switches.
func (r *RLock) TryAcquire(g *Greenlet) bool {
	if r.owner != nil && r.owner != g {
		return false
	}
	r.owner = g
	r.depth++
	return true
}

// Release undoes one Acquire of g. When it was the last the lock goes to the one that has waited longest.
// [ErrNotOwner] if g does not hold it. It never switches.
func (r *RLock) Release(g *Greenlet) error {
	if r.owner != g || g == nil {
		return ErrNotOwner
	}
	if r.depth--; r.depth > 0 {
		return nil
	}
	r.owner = r.waiters.head
	if r.owner != nil {
		r.depth = 1
		r.owner.wake(nil)
	}
	return nil
}

// With runs fn with the lock held, releases it whatever fn does, and returns fn's error, or Acquire's.
func (r *RLock) With(g *Greenlet, fn func() error) error {
	if err := r.Acquire(g); err != nil {
		return err
	}
	defer r.Release(g)
	return fn()
}
