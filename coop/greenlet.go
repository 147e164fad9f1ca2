package coop

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// A Greenlet is a coroutine on a loop: a function that runs until it parks, and goes on later where
// it stood. Only one of a loop's greenlets runs at a time, so that they share data without locks.
//
// Methods that park (Yield, Sleep, WithTimeout's body, the g of a Join, …) are for the greenlet
// itself. Methods not marked otherwise are loop only; Kill, Ended, Result, Loop, ID and those of
// [context.Context] are for any goroutine.
//
// A parked greenlet costs about 2.7 KB: the smallest stack and this struct. Switching to it
// allocates nothing.
type Greenlet struct {
	loop *Loop
	co   *coro // set while it has begun and not ended

	// What it waits for.
	on         *waitList // the list it is in
	prev, next *Greenlet
	giveUp     canceler // told if the wait ends otherwise than by a wake-up
	wakeErr    error    // what its park returns
	state      state
	doomed     bool // the loop ends it by force
	owed       int  // timeouts that expired while it could not be told

	fn     func(*Greenlet) error
	timer  Timer // Sleep's
	top    atomic.Pointer[scope]
	root   scope
	inner  *timeout // the innermost in force
	result error
	failed uint64 // place among all failures, 0 if none
	ended  atomic.Bool
	joined atomic.Bool // somebody takes care of the result

	joiners waitList
	remotes []*remoteJoin // joiners on other loops
	newer   *Greenlet     // of the loop's live ones
	older   *Greenlet

	id   uint64
	name string
}

type state uint8

const (
	fresh    state = iota // in the ready queue, never ran
	ready                 // in the ready queue, its park's result is decided
	yielding              // in the ready queue, may still be interrupted
	parked                // waits
	active                // runs
	dead
)

// canceler is a thing waited for that has to know when a waiter gives up.
type canceler interface{ giveUp(g *Greenlet) }

// liveList holds the greenlets of a loop that have not ended, newest first.
type liveList struct{ newest *Greenlet }

func (ll *liveList) add(g *Greenlet) {
	g.older = ll.newest
	if g.older != nil {
		g.older.newer = g
	}
	ll.newest = g
}

func (ll *liveList) remove(g *Greenlet) {
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		ll.newest = g.older
	}
	if g.older != nil {
		g.older.newer = g.newer
	}
	g.newer, g.older = nil, nil
}

var (
	lastID      atomic.Uint64
	lastFailure atomic.Uint64
)

// Spawn puts a new greenlet that runs fn at the end of the ready queue. It does not switch. An error
// that fn returns is the greenlet's result. On a loop that is closing the greenlet is born killed.
// Loop only, or before Start.
func (l *Loop) Spawn(fn func(*Greenlet) error) *Greenlet {
	g := &Greenlet{loop: l, fn: fn, id: lastID.Add(1)}
	g.timer.init(l, (*sleeper)(g))
	g.top.Store(&g.root)
	l.live.add(g)
	l.stats.greenlets.Add(1)
	if l.phase != running {
		g.root.mark(scopeKilled) // nobody watches it yet
	}
	l.ready.push(g)
	return g
}

type goJob func(*Greenlet) error

func (fn goJob) RunOn(l *Loop) { l.Spawn(fn) }

// Go spawns a greenlet from any goroutine. It reports false when the loop has been closed. True promises the
// greenlet, not that fn begins: one that is killed first, or spawned while the loop is closing, ends with
// [ErrKilled] instead. Whoever must hear of something in any case uses [Loop.Post].
func (l *Loop) Go(fn func(*Greenlet) error) bool { return l.PostJob(goJob(fn)) }

// Spawn starts a greenlet on the same loop, as [Loop.Spawn] does.
func (g *Greenlet) Spawn(fn func(*Greenlet) error) *Greenlet { return g.loop.Spawn(fn) }

// Loop is where the greenlet lives. Any goroutine.
func (g *Greenlet) Loop() *Loop { return g.loop }

// ID is unique within the process. Any goroutine.
func (g *Greenlet) ID() uint64 { return g.id }

// Name is what SetName gave, or made of the ID.
func (g *Greenlet) Name() string {
	if g.name == "" {
		return fmt.Sprintf("greenlet-%d", g.id)
	}
	return g.name
}

// SetName names the greenlet for logs.
func (g *Greenlet) SetName(name string) { g.name = name }

// Ended reports whether the greenlet is over. Any goroutine.
func (g *Greenlet) Ended() bool { return g.ended.Load() }

// Result is what fn returned, a *PanicError if it panicked, [ErrKilled] if it was killed before it
// began; nil before the end. Any goroutine.
func (g *Greenlet) Result() error {
	if !g.ended.Load() {
		return nil
	}
	return g.result
}

// Yield lets everyone else who is ready go first.
func (g *Greenlet) Yield() error {
	if err := g.enter(); err != nil {
		return err
	}
	g.state, g.wakeErr = yielding, nil
	g.loop.ready.push(g)
	return g.switchOut()
}

// Sleep parks for d, never less, or until the greenlet is killed or times out. Zero or less is Yield.
func (g *Greenlet) Sleep(d time.Duration) error {
	if d <= 0 {
		return g.Yield()
	}
	if err := g.enter(); err != nil {
		return err
	}
	g.loop.readClock() // what the greenlet has computed in this tick is not part of its sleep
	g.timer.Reset(d)
	return g.park()
}

type sleeper Greenlet

func (s *sleeper) expire() { (*Greenlet)(s).wake(nil) }

// Kill ends the greenlet at its next park, or in the one it is in: that and every later park returns
// [ErrKilled], so that it can clean up but not live on. One that has not begun never will.
// Killing twice, or killing the dead, does nothing. Any goroutine; the loop hears of it in its next tick.
func (g *Greenlet) Kill() {
	if !g.ended.Load() && g.root.mark(scopeKilled) {
		defer g.loop.PostJob((*killJob)(g)) // even if a function of AfterFunc panics
		g.cancelAll()
	}
}

type killJob Greenlet

func (k *killJob) RunOn(*Loop) { (*Greenlet)(k).interrupt(ErrKilled) }

// cancelAll tells those who watch the greenlet or a timeout of it that it was killed.
func (g *Greenlet) cancelAll() {
	g.root.cancel()
	for s := g.top.Load(); s != &g.root; s = s.outer {
		s.cancel()
	}
}

func (g *Greenlet) killed() bool { return g.root.state.Load() == scopeKilled }

// enter begins every call that may park. An error that has been waiting for the greenlet is delivered
// here, but by way of the ready queue: one that ignores errors still lets the others run.
func (g *Greenlet) enter() error {
	if g.loop.current == g && g.owed == 0 && !g.killed() && !g.doomed {
		return nil
	}
	return g.refuse()
}

// refuse says why g cannot park.
func (g *Greenlet) refuse() error {
	if g.loop.current != g {
		return ErrNotRunning
	}
	if g.doomed {
		runtime.Goexit()
	}
	g.state, g.wakeErr = ready, g.overdue()
	g.loop.ready.push(g)
	return g.switchOut()
}

// overdue takes the next error that could not be delivered when it came.
func (g *Greenlet) overdue() error {
	if g.killed() {
		return ErrKilled
	}
	return g.earliestTimeout()
}

// waitOn parks in a list.
func (g *Greenlet) waitOn(w *waitList) error {
	if err := g.enter(); err != nil {
		return err
	}
	w.push(g)
	return g.park()
}

// park waits for a wake-up; enter must have been called.
func (g *Greenlet) park() error {
	g.state = parked
	return g.switchOut()
}

// switchOut hands control to the loop and returns what ended the park. The frames between here and
// the coroutine are kept few: after a change of stacks the processor mispredicts every return.
func (g *Greenlet) switchOut() error {
	if !g.co.yield(struct{}{}) {
		g.unwind()
	}
	return g.wakeErr
}

// unwind leaves the greenlet by order of the loop, running its deferred functions. Goexit rather than
// a panic, because no recover on the way can stop it.
func (g *Greenlet) unwind() {
	g.doomed = true
	runtime.Goexit()
}

// wake ends a park with err as its result. Whatever comes later, a kill included, waits for the next
// park: what the waker handed over is not lost.
func (g *Greenlet) wake(err error) {
	if g.on != nil {
		g.on.remove(g)
	}
	if g.giveUp != nil {
		g.giveUp = nil
	}
	g.state, g.wakeErr = ready, err
	g.loop.ready.push(g)
}

// interrupt ends a park with an error from outside. It reports false if there is no park to end.
func (g *Greenlet) interrupt(err error) bool {
	switch g.state {
	case parked:
		// At once, not when g runs: the timer may be due in this very phase and would wake g again.
		g.timer.Stop()
		if g.giveUp != nil {
			g.giveUp.giveUp(g)
		}
		g.wake(err)
		return true
	case yielding:
		g.state, g.wakeErr = ready, err
		return true
	default:
		return false
	}
}

// runReady resumes the greenlets that were ready when the phase began, each until it parks or ends.
func (l *Loop) runReady() {
	if l.quota == 0 {
		l.quota = l.ready.n
	}
	for l.quota > 0 {
		l.quota--
		g := l.ready.pop()
		if g == nil || g.state == parked || g.state == active {
			l.fatal(g)
		}
		if g.co == nil && !l.begin(g) {
			continue
		}
		l.switches++
		l.current = g
		g.state = active
		g.co.next()
		for l.errand != nil {
			l.runErrand(g)
			g.co.next()
		}
		l.current = nil
	}
}

// fatal ends the process because the ready queue is not what it should be: g, which it named, is nobody
// or cannot go on. No call on the loop leads there. Someone has used what is loop only from
// another goroutine, and has perhaps lost greenlets that way: to go on would be to hang, or to stumble over
// the same place for ever.
func (l *Loop) fatal(g *Greenlet) {
	l.broken = true
	what := "an empty place"
	if g != nil {
		what = fmt.Sprintf("greenlet %d in state %d", g.id, g.state)
	}
	panic(fmt.Sprintf("coop: the ready queue of loop %q holds %s (%d of %d left): "+
		"something that is loop only was called from another goroutine", l.o.Name, what, l.ready.n, len(l.ready.buf)))
}

// begin gives a fresh greenlet a coroutine, or ends it if it was killed.
func (l *Loop) begin(g *Greenlet) bool {
	if g.state == dead {
		return false // by force, while it was in the queue
	}
	if g.killed() {
		g.finish(ErrKilled)
		return false
	}
	g.co = l.takeCoro()
	g.co.g = g
	return true
}

// main is the root of the greenlet's stack.
func (g *Greenlet) main() {
	returned := false
	var err error
	defer func() {
		if returned {
			g.finish(err)
			return
		}
		switch v := recover(); {
		case v != nil:
			err = recovered(v)
		case g.doomed:
			err = ErrKilled
		default:
			err = ErrGoexit
		}
		g.finish(err)
	}()
	err = g.fn(g)
	returned = true
}

// finish records the end and tells everyone.
func (g *Greenlet) finish(err error) {
	l := g.loop
	g.state, g.co, g.fn = dead, nil, nil
	g.timer.Stop()
	g.result = err
	failed := err != nil && !errors.Is(err, ErrKilled)
	if failed {
		g.failed = lastFailure.Add(1)
	}
	l.live.remove(g)
	l.stats.greenlets.Add(-1)
	g.ended.Store(true)
	if g == l.until {
		l.halt = true
	}
	g.root.mark(scopeLeft)
	g.joiners.wakeAll(nil)
	if g.remotes != nil {
		defer g.notifyRemotes() // even if one of the following panics
	}
	g.root.cancel()
	if _, panicked := err.(*PanicError); panicked || failed && !g.joined.Load() {
		l.current = nil
		l.o.OnFailure(g, err)
	}
}
