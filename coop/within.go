package coop

import (
	"sync/atomic"
	"time"
)

// WithTimeout runs fn and returns its error. If fn has not returned after d, its current or next park
// returns a *[TimeoutError], once; it is up to fn to return it. A d of zero or less expires at
// once, at the first park; [Forever] never. Scopes nest: each has an error of its own, so that the error
// of an outer scope passes through an inner one and can be told from the inner's. When WithTimeout returns,
// the timeout has no effect any more, whether it expired or not. For the running greenlet only.
func (g *Greenlet) WithTimeout(d time.Duration, fn func() error) error {
	return g.WithTimeoutError(d, nil, fn)
}

// WithTimeoutError is WithTimeout with an error of the caller's, which the park returns instead of a
// TimeoutError.
func (g *Greenlet) WithTimeoutError(d time.Duration, timeout error, fn func() error) error {
	t := &Timeout{g: g, err: TimeoutError{D: d}, custom: timeout}
	if !t.open(d) {
		return ErrNotRunning
	}
	defer t.Close()
	return fn()
}

// AtMost is WithTimeout for what may well take longer: if fn returns its timeout's error, AtMost
// returns nil. All other errors are returned, those of other timeouts included. gevent's
// "with Timeout(d, False)".
func (g *Greenlet) AtMost(d time.Duration, fn func() error) error {
	t := &Timeout{g: g, err: TimeoutError{D: d}}
	if !t.open(d) {
		return ErrNotRunning
	}
	defer t.Close()
	err := fn()
	if t.Caused(err) {
		return nil
	}
	return err
}

// Within returns what fn returns or, if fn ended because it took longer than d, otherwise and no error. Other
// errors are returned, those of other timeouts included. gevent's with_timeout(timeout_value=…).
func Within[T any](g *Greenlet, d time.Duration, otherwise T, fn func() (T, error)) (T, error) {
	t := &Timeout{g: g, err: TimeoutError{D: d}}
	if !t.open(d) {
		var zero T
		return zero, ErrNotRunning
	}
	defer t.Close()
	v, err := fn()
	if t.Caused(err) {
		return otherwise, nil
	}
	return v, err
}

// atomicDuration is a duration that one goroutine sets and others read.
type atomicDuration struct{ v atomic.Int64 }

func (d *atomicDuration) Store(to time.Duration) { d.v.Store(int64(to)) }
func (d *atomicDuration) Load() time.Duration    { return time.Duration(d.v.Load()) }
