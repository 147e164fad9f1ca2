package coop

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var _ context.Context = (*Greenlet)(nil)

// As a context a greenlet is done when it was killed, when it has ended, or, within
// [Greenlet.WithTimeout], when the time is up. What Done and Err say belongs to the scope in which
// they are called: after an expired scope has been left, the greenlet is not done any more, and
// Done returns another channel. A goroutine that may outlive the scope should be handed
// [Greenlet.Context], which stays with it.

// Done returns a channel that is closed when the greenlet is killed, times out or ends. Any goroutine.
func (g *Greenlet) Done() <-chan struct{} { return g.scope().Done() }

// Err is nil until then; after it [ErrKilled], which is a context.Canceled to errors.Is, a
// *TimeoutError, which is a context.DeadlineExceeded, or context.Canceled. Any goroutine.
func (g *Greenlet) Err() error {
	s := g.top.Load()
	if s == nil {
		s = g.life.Load()
	}
	err := s.Err()
	if err == context.Canceled && g.killed() {
		return ErrKilled // a timeout was just being left
	}
	return err
}

// Deadline is the earliest end of the timeouts in force, if the loop's clock is the system's.
// Any goroutine.
func (g *Greenlet) Deadline() (time.Time, bool) { return g.top.Load().Deadline() }

// Value returns nil: greenlets carry no values.
func (g *Greenlet) Value(any) any { return nil }

// AfterFunc has f called when the greenlet is done, on whichever goroutine brings that about, in the order
// in which they came; stop takes it back. The context package finds this method and needs no goroutine for a context derived
// from a greenlet. For functions that block or call the loop use [context.AfterFunc]. Any goroutine.
func (g *Greenlet) AfterFunc(f func()) (stop func() bool) {
	s := g.scope()
	if s.watched().fired.Load() && g.lifeScope().state.Load() == scopeOpen {
		// The scope expired after the caller looked. By the time f asks for Err the scope may be left
		// and Err nil again, which the context package does not survive: let the life decide.
		s = g.lifeScope()
	}
	return s.AfterFunc(f)
}

// Context returns a context for the innermost timeout in force, or for the greenlet's life if there
// is none. Unlike the greenlet it keeps that meaning after the scope has been left. Any goroutine.
func (g *Greenlet) Context() context.Context { return g.scope() }

// scope is the innermost in force. Any goroutine.
func (g *Greenlet) scope() *scope {
	if s := g.top.Load(); s != nil {
		return s
	}
	return g.lifeScope()
}

// lifeScope is the greenlet's life, until Revive. Most greenlets are never asked for it, and have none until then.
// Any goroutine.
func (g *Greenlet) lifeScope() *scope {
	if s := g.life.Load(); s != nil {
		return s
	}
	g.life.CompareAndSwap(nil, new(scope))
	return g.life.Load()
}

// pastLife is the life of all who have ended without anybody having asked for theirs.
var pastLife = func() *scope {
	s := new(scope)
	s.mark(scopeLeft)
	return s
}()

// leaveLife ends the greenlet's life; a cancel has to follow.
func (g *Greenlet) leaveLife() *scope {
	if g.life.CompareAndSwap(nil, pastLife) {
		return pastLife
	}
	life := g.life.Load()
	life.mark(scopeLeft)
	return life
}

// A scope is what can be cancelled: the greenlet's life, or a timeout within it. It is a context,
// and costs a channel only when someone asks for it.
type scope struct {
	outer *scope
	limit *Timeout              // whose scope it is; nil for a life
	cause atomic.Pointer[error] // what a life was killed with
	state atomic.Uint32
	watch atomic.Pointer[watch]
}

const (
	scopeOpen uint32 = iota
	scopeKilled
	scopeExpired
	scopeLeft
)

// mark closes the scope for one reason; only the first counts. It reports whether it was the first. A cancel
// has to follow.
func (s *scope) mark(why uint32) bool { return s.state.CompareAndSwap(scopeOpen, why) }

// cancel tells those who watch. The reason must be visible to Err already.
func (s *scope) cancel() {
	if w := s.watch.Load(); w != nil {
		w.fire()
	}
}

func (s *scope) Err() error {
	for ; s != nil; s = s.outer {
		switch s.state.Load() {
		case scopeKilled:
			return ErrKilled
		case scopeExpired:
			return &s.limit.err
		case scopeLeft:
			return context.Canceled
		}
	}
	return nil
}

func (s *scope) Done() <-chan struct{} { return s.watched().done }

func (s *scope) Deadline() (at time.Time, ok bool) {
	for ; s != nil; s = s.outer {
		if s.limit == nil {
			continue
		}
		if t, real := s.limit.deadline(); real && (!ok || t.Before(at)) {
			at, ok = t, true
		}
	}
	return at, ok
}

func (s *scope) Value(any) any { return nil }

func (s *scope) AfterFunc(f func()) (stop func() bool) { return s.watched().add(f) }

func (s *scope) watched() *watch {
	w := s.watch.Load()
	if w == nil {
		w = &watch{done: make(chan struct{})}
		if !s.watch.CompareAndSwap(nil, w) {
			w = s.watch.Load()
		}
	}
	// Whoever cancelled before the watch was there could not fire it.
	if s.Err() != nil {
		w.fire()
	}
	return w
}

// watch is a done channel and functions to call.
type watch struct {
	done  chan struct{}
	mu    sync.Mutex
	fired atomic.Bool
	after map[*func()]uint64 // and the order in which they came
	came  uint64
}

func (w *watch) fire() {
	w.mu.Lock()
	if w.fired.Swap(true) {
		w.mu.Unlock()
		return
	}
	after := w.after
	w.after = nil
	close(w.done)
	w.mu.Unlock()
	byAge := func(a, b *func()) int { return cmp.Compare(after[b], after[a]) }
	for _, f := range slices.SortedFunc(maps.Keys(after), byAge) { // the newest first: the last that is deferred is called first
		defer (*f)() // deferred, so that all are called even if one panics
	}
}

func (w *watch) add(f func()) (stop func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fired.Load() {
		go f()
		return func() bool { return false }
	}
	if w.after == nil {
		w.after = make(map[*func()]uint64)
	}
	w.came++
	w.after[&f] = w.came
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, pending := w.after[&f]
		delete(w.after, &f)
		return pending
	}
}
