package coop

import "time"

// timeout is a scope of a greenlet that may expire. It needs no lock: only its embedded scope is seen
// by other goroutines.
type timeout struct {
	scope
	g     *Greenlet
	outer *timeout
	timer Timer
	err   TimeoutError
	owed  uint64 // order in which it expired, while the greenlet has not been told
}

// WithTimeout runs fn and returns its error. If fn has not returned after d, never less, its current or next park
// returns a *[TimeoutError], once; it is up to fn to return it. A d of zero or less expires at
// once, at the first park. Scopes nest: each has an error of its own, so that the error of an outer
// scope passes through an inner one and can be told from the inner's. When WithTimeout returns,
// the timeout has no effect any more, whether it expired or not. For the running greenlet only.
func (g *Greenlet) WithTimeout(d time.Duration, fn func() error) error {
	l := g.loop
	if l.current != g {
		return ErrNotRunning
	}
	l.readClock()
	t := &timeout{g: g, outer: g.inner, err: TimeoutError{D: d}}
	t.scope.outer, t.limit = g.top.Load(), &t.err
	t.clock, t.until = l.clock, l.in(d)
	t.timer.init(l, t)
	g.inner = t
	g.top.Store(&t.scope)
	defer t.leave()
	if d > 0 {
		t.timer.Reset(d)
	} else {
		t.expire()
	}
	return fn()
}

// expire tells the greenlet, or leaves word for its next park.
func (t *timeout) expire() {
	g := t.g
	t.mark(scopeExpired)
	if !g.interrupt(&t.err) {
		g.loop.timerSeq++
		t.owed = g.loop.timerSeq
		g.owed++
	}
	// After the greenlet has its error, because these call functions of AfterFunc, which may panic.
	t.cancel()
	for s := g.top.Load(); s != &t.scope; s = s.outer {
		s.cancel()
	}
}

func (t *timeout) leave() {
	g := t.g
	t.timer.Stop()
	if t.owed != 0 {
		g.owed--
	}
	defer func() { // even if a function of AfterFunc panics; not before they have asked g for its Err
		g.inner = t.outer
		g.top.Store(t.scope.outer)
	}()
	t.mark(scopeLeft)
	t.cancel()
}

// earliestTimeout takes the timeout that has been owed for the longest time.
func (g *Greenlet) earliestTimeout() error {
	var first *timeout
	for t := g.inner; t != nil; t = t.outer {
		if t.owed != 0 && (first == nil || t.owed < first.owed) {
			first = t
		}
	}
	first.owed = 0
	g.owed--
	return &first.err
}
