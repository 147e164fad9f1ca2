package coop

import (
	"sync"
	"sync/atomic"

	"greenroom/coop/internal/gid"
)

// identity tells a loop's own goroutines from all others. Both fields are read by any goroutine, which
// only asks whether they are itself: a value that is out of date never is, since a
// goroutine takes its own out before it ends.
type identity struct {
	host   atomic.Uintptr // the goroutine that ticks
	runner atomic.Uintptr // the coroutine that was resumed last
}

// hosts are the loops that run.
var hosts struct {
	sync.RWMutex
	all map[*Loop]struct{}
}

// enter makes the calling goroutine the loop's.
func (id *identity) enter(l *Loop) {
	id.host.Store(gid.Me())
	hosts.Lock()
	defer hosts.Unlock()
	if hosts.all == nil {
		hosts.all = make(map[*Loop]struct{})
	}
	hosts.all[l] = struct{}{}
}

func (id *identity) leave(l *Loop) {
	id.host.Store(0)
	id.runner.Store(0)
	hosts.Lock()
	defer hosts.Unlock()
	delete(hosts.all, l)
}

// Current returns the greenlet that calls it, if it is one of this loop's. It returns nil to callbacks of the
// loop, to greenlets of other loops and to any other goroutine. It is for functions whose signature has no
// room for a greenlet, such as those of an interface of the standard library. A few nanoseconds. Any
// goroutine. gevent: getcurrent.
func (l *Loop) Current() *Greenlet {
	if l.self.runner.Load() != gid.Me() {
		return nil
	}
	return l.current
}

// isCaller reports whether the caller is on the loop, as a greenlet or a callback.
func (l *Loop) isCaller() bool {
	me := gid.Me()
	return l.self.runner.Load() == me || l.self.host.Load() == me
}

// onAnyLoop reports whether the caller is a greenlet or a callback of any loop that runs.
func onAnyLoop() bool {
	hosts.RLock()
	defer hosts.RUnlock()
	for l := range hosts.all {
		if l.isCaller() {
			return true
		}
	}
	return false
}

// Call runs fn in a new greenlet of the loop and waits for its end: the way in for goroutines that are
// not greenlets. It returns fn's error, a *[PanicError] if it panicked, [ErrKilled] if the greenlet was
// killed before it began, [ErrClosed] when the loop is closed. A greenlet of this loop runs fn itself.
// A callback of the loop gets [ErrNotRunning] and a greenlet of another loop [ErrOtherLoop], since
// waiting would hold up their loop; the latter can use [Await]. Two posts and a spawn, some
// microseconds. Any goroutine.
func (l *Loop) Call(fn func(*Greenlet) error) error {
	switch g := l.Current(); {
	case g != nil:
		return fn(g)
	case l.isCaller():
		return ErrNotRunning
	case onAnyLoop():
		return ErrOtherLoop
	}
	c := &loopCall{fn: fn, done: make(chan struct{})}
	if !l.PostJob(c) {
		return ErrClosed
	}
	<-c.done
	return c.g.result()
}

// loopCall is a goroutine's wait for a greenlet.
type loopCall struct {
	fn   func(*Greenlet) error
	g    *Greenlet
	done chan struct{}
}

// RunOn spawns the greenlet.
func (c *loopCall) RunOn(l *Loop) {
	c.g = l.Spawn(c.fn)
	c.g.joined.Store(true)
	c.g.atEnd(func() { close(c.done) })
}

// atEnd has fn called when the greenlet has ended, whether it ever began or not, within its last moments.
func (g *Greenlet) atEnd(fn func()) {
	x := g.extras()
	x.remotes = append(x.remotes, &remoteJoin{ended: fn})
}
