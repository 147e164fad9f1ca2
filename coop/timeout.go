package coop

import (
	"errors"
	"math"
	"time"
)

// Forever is a duration that never ends: a timeout of Forever does not fire, and a sleep of Forever ends only
// with the greenlet's life or a timeout. gevent's Timeout(None).
const Forever time.Duration = math.MaxInt64

// A Timeout bounds how long a greenlet may take for something: from [Greenlet.StartTimeout] to
// [Timeout.Close]. When its time is up, the greenlet's current or next park returns its error, once. Use
// it where a function for [Greenlet.WithTimeout] does not fit, or the time has to be extended on the
// way. Timeouts nest: each belongs within those that were started before it. Loop only.
type Timeout struct {
	// It needs no lock: other goroutines see only the scope, and through it until and err.
	in     scope
	g      *Greenlet
	timer  Timer
	until  atomicDuration
	err    TimeoutError
	custom error  // in place of err
	owed   uint64 // order in which it expired, while the greenlet has not been told
}

// StartTimeout starts a timeout of the running greenlet, which is in force until it is closed:
//
//	t := g.StartTimeout(time.Second)
//	defer t.Close()
//
// A d of zero or less expires at once, at the first park. For a greenlet that is not running it is closed from the
// start. One allocation.
func (g *Greenlet) StartTimeout(d time.Duration) *Timeout { return g.StartTimeoutError(d, nil) }

// StartTimeoutError is StartTimeout with an error to return instead of a *[TimeoutError]; nil is
// a TimeoutError.
func (g *Greenlet) StartTimeoutError(d time.Duration, err error) *Timeout {
	t := &Timeout{g: g, err: TimeoutError{D: d}, custom: err}
	if !t.open(d) {
		t.in.mark(scopeLeft) // nobody watches it yet
	}
	return t
}

func (t *Timeout) open(d time.Duration) bool {
	g := t.g
	l := g.loop
	if l.current != g {
		return false
	}
	l.readClock()
	t.in.outer, t.in.limit = g.scope(), t
	t.timer.init(l, t)
	t.until.Store(t.end(d))
	g.top.Store(&t.in)
	t.arm(d)
	return true
}

// end is when d from now is; Forever only if d is.
func (t *Timeout) end(d time.Duration) time.Duration {
	if d == Forever {
		return Forever
	}
	return min(t.g.loop.in(d), Forever-1)
}

func (t *Timeout) arm(d time.Duration) {
	switch {
	case d == Forever:
		t.timer.Stop()
	case d > 0:
		t.timer.Reset(d)
	default:
		t.timer.Stop()
		t.expire()
	}
}

// deadline is when the timeout ends, if that can be said in terms of the system's clock. Any goroutine.
func (t *Timeout) deadline() (time.Time, bool) {
	clock, real := t.g.loop.clock.(realClock)
	until := t.until.Load()
	return clock.start.Add(until), real && until != Forever
}

// Reset gives the timeout d from now on, more or less than it had. It reports false, and does nothing, when
// the timeout has expired or is closed. A context that was derived before keeps the deadline it was given.
func (t *Timeout) Reset(d time.Duration) bool {
	if !t.Pending() {
		return false
	}
	t.err.D = d // nobody has seen it
	t.g.loop.readClock()
	t.until.Store(t.end(d))
	t.arm(d)
	return true
}

// Pending reports whether the timeout is in force and has not expired.
func (t *Timeout) Pending() bool { return t.in.state.Load() == scopeOpen }

// Expired reports whether the time was up before the timeout was closed.
func (t *Timeout) Expired() bool { return t.in.state.Load() == scopeExpired }

// Caused reports whether err is, or wraps, the error of this timeout and of no other.
func (t *Timeout) Caused(err error) bool {
	return err != nil && t.Expired() && errors.Is(err, t.error())
}

func (t *Timeout) error() error {
	if t.custom != nil {
		return t.custom
	}
	return &t.err
}

// Close ends the timeout and all that were started within it. After it they have no effect, even if they have
// expired and the greenlet was not told. Closing again does nothing.
func (t *Timeout) Close() {
	open := t.g.timeout()
	for open != t {
		if open == nil {
			return // closed before
		}
		open = open.outer()
	}
	for in := t.g.timeout(); in != t; in = t.g.timeout() {
		in.leave()
	}
	t.leave()
}

// leave closes the innermost timeout.
func (t *Timeout) leave() {
	g := t.g
	t.timer.Stop()
	if t.owed != 0 {
		t.owed = 0
		g.owed--
	}
	defer func() { // even if a function of AfterFunc panics; not before they have asked g for its Err
		if t.outer() != nil {
			g.top.Store(t.in.outer)
		} else {
			g.top.Store(nil) // its life, which may be another one than on entering
		}
	}()
	t.in.mark(scopeLeft)
	t.in.cancel()
}

// expire tells the greenlet, or leaves word for its next park.
func (t *Timeout) expire() {
	g := t.g
	t.in.mark(scopeExpired)
	if !g.interrupt(t.error()) {
		g.loop.timerSeq++
		t.owed = g.loop.timerSeq
		g.owed++
	}
	// After the greenlet has its error, because these call functions of AfterFunc, which may panic.
	t.in.cancel()
	for s := g.top.Load(); s != &t.in; s = s.outer {
		s.cancel()
	}
}

// timeout is the innermost in force, or nil.
func (g *Greenlet) timeout() *Timeout {
	if s := g.top.Load(); s != nil {
		return s.limit
	}
	return nil
}

// outer is the timeout around this one, or nil.
func (t *Timeout) outer() *Timeout { return t.in.outer.limit }

// earliestTimeout takes the timeout that has been owed for the longest time.
func (g *Greenlet) earliestTimeout() error {
	var first *Timeout
	for t := g.timeout(); t != nil; t = t.outer() {
		if t.owed != 0 && (first == nil || t.owed < first.owed) {
			first = t
		}
	}
	first.owed = 0
	g.owed--
	return first.error()
}
