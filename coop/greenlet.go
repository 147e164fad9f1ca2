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
// A parked greenlet costs about 2.9 KB: the smallest stack, a coroutine of the runtime and this struct. Switching to it
// allocates nothing.
type Greenlet struct {
	loop *Loop
	co   *coro // set while it has begun and not ended, unless it rests

	// What it waits for.
	on         *waitList // the list it is in
	prev, next *Greenlet
	giveUp     canceler // told if the wait ends otherwise than by a wake-up
	err        error    // what its park returns; after the end its result, a *failure if it failed
	state      state
	why        ParkReason // what it is parked for, or was last
	doomed     bool       // the loop ends it by force
	rest       restState
	owed       int32 // timeouts that expired while it could not be told

	fn     func(*Greenlet) error
	timer  *Timer                // Sleep's, and SpawnLater's; made when needed
	top    atomic.Pointer[scope] // of the innermost timeout in force
	life   atomic.Pointer[scope] // what lies around that; made when needed, see lifeScope
	ended  atomic.Bool
	joined atomic.Bool // somebody takes care of the result

	joiners *waitList // made when needed
	newer   *Greenlet // of the loop's live ones
	older   *Greenlet
	more    *extra // what few greenlets have

	id     uint64
	name   atomic.Pointer[string]
	parent *Greenlet
	place  uintptr       // where it was spawned, a program counter
	since  time.Duration // the loop's time when it parked, as far as the loop had read its clock
}

// extra is what few greenlets have, so that the others do not pay for it.
type extra struct {
	remotes  []*remoteJoin // joiners on other loops
	links    linkList
	watchers watchList
	locals   []local
}

// failure is the result of a greenlet that failed, with its place among all failures.
type failure struct {
	error
	place uint64
}

// failure is how the greenlet failed, nil if it did not. Any goroutine, after the end.
func (g *Greenlet) failure() *failure {
	f, _ := g.err.(*failure)
	return f
}

// result is what the greenlet ended with. Any goroutine, after the end.
func (g *Greenlet) result() error {
	if f := g.failure(); f != nil {
		return f.error
	}
	return g.err
}

func (g *Greenlet) extras() *extra {
	if g.more == nil {
		g.more = new(extra)
	}
	return g.more
}

type state uint8

const (
	fresh    state = iota // in the ready queue, never ran
	ready                 // in the ready queue, its park's result is decided
	yielding              // in the ready queue, may still be interrupted
	parked                // waits
	active                // runs
	deaf                  // waits, and nothing but a wake-up ends it
	later                 // waits for its start
	dead
	standing // never runs: stands in a list for somebody else
)

// canceler is a thing waited for that has to know when a waiter gives up.
type canceler interface{ giveUp(g *Greenlet) }

// keeper is a canceler that may refuse: what is waited for has been handed over elsewhere and is on its
// way. The park then goes on until it is here, and the interruption waits for the next park.
type keeper interface{ keeps() bool }

// standIn is the canceler of a standing greenlet: a place in a list that tells somebody else when its turn
// has come, synchronously, instead of running.
type standIn interface{ woken(err error) }

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

// Loop is where the greenlet lives. Any goroutine.
func (g *Greenlet) Loop() *Loop { return g.loop }

// ID is unique within the process. Any goroutine.
func (g *Greenlet) ID() uint64 { return g.id }

// Name is what SetName gave, or made of the ID. Any goroutine.
func (g *Greenlet) Name() string {
	if name := g.name.Load(); name != nil {
		return *name
	}
	return fmt.Sprintf("greenlet-%d", g.id)
}

// SetName names the greenlet for logs, traces and dumps. Any goroutine.
func (g *Greenlet) SetName(name string) { g.name.Store(&name) }

// Ended reports whether the greenlet is over. Any goroutine.
func (g *Greenlet) Ended() bool { return g.ended.Load() }

// Result is what fn returned, a *PanicError if it panicked, [ErrKilled] if it was killed before it
// began; nil before the end. Any goroutine.
func (g *Greenlet) Result() error {
	if !g.ended.Load() {
		return nil
	}
	return g.result()
}

// Successful reports whether the greenlet is over and did not fail; being killed is no failure. Any goroutine.
func (g *Greenlet) Successful() bool { return g.ended.Load() && g.failure() == nil }

// Yield lets everyone else who is ready go first.
func (g *Greenlet) Yield() error {
	if err := g.enter(); err != nil {
		return err
	}
	g.state, g.err, g.why = yielding, nil, ParkedYield
	g.loop.ready.push(g)
	return g.switchOut()
}

// Sleep parks for d, never less, or until the greenlet is killed or times out. Zero or less is Yield;
// [Forever] sets no timer.
func (g *Greenlet) Sleep(d time.Duration) error {
	if d <= 0 {
		return g.Yield()
	}
	if err := g.enter(); err != nil {
		return err
	}
	g.why = ParkedSleep
	if d != Forever {
		g.loop.readClock() // what the greenlet has computed in this tick is not part of its sleep
		g.alarm((*sleeper)(g)).Reset(d)
	}
	return g.park()
}

// alarm returns the greenlet's timer, to do what is given.
func (g *Greenlet) alarm(do expirer) *Timer {
	if g.timer == nil {
		g.timer = new(Timer)
	}
	g.timer.init(g.loop, do)
	return g.timer
}

func (g *Greenlet) stopTimer() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

type sleeper Greenlet

func (s *sleeper) expire() { (*Greenlet)(s).wake(nil) }

// enter begins every call that may park. An error that has been waiting for the greenlet is delivered
// here, but by way of the ready queue: one that ignores errors still lets the others run.
func (g *Greenlet) enter() error {
	if g.loop.current == g && g.owed == 0 && !g.killed() && !g.doomed {
		g.why = ParkedWait
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
	g.state, g.err, g.why = ready, g.overdue(), ParkedYield
	g.loop.ready.push(g)
	return g.switchOut()
}

// overdue takes the next error that could not be delivered when it came.
func (g *Greenlet) overdue() error {
	if g.killed() {
		return g.killError()
	}
	return g.earliestTimeout()
}

// waitOn parks in a list, for the reason given.
func (g *Greenlet) waitOn(w *waitList, why ParkReason) error {
	if err := g.enter(); err != nil {
		return err
	}
	g.why = why
	w.push(g)
	return g.park()
}

// park waits for a wake-up; enter must have been called.
func (g *Greenlet) park() error {
	g.state, g.since = parked, g.loop.now
	return g.switchOut()
}

// waitDeaf parks until e is set. Kills and timeouts wait for the next park. It is for the few who must not leave
// before others have.
func (g *Greenlet) waitDeaf(e *Event) {
	if g.loop.current != g || g.doomed || e.set {
		return
	}
	e.waiters.push(g)
	g.state, g.why, g.since = deaf, ParkedJoin, g.loop.now
	g.switchOut()
}

// switchOut hands control to the loop and returns what ended the park. The frames between here and
// the coroutine are kept few: after a change of stacks the processor mispredicts every return.
func (g *Greenlet) switchOut() error {
	g.co.yield(struct{}{})
	if g.doomed {
		// The loop wants an end. Deferred functions run; no recover on the way can stop a Goexit.
		runtime.Goexit()
	}
	return g.err
}

// wake ends a park with err as its result. Whatever comes later, a kill included, waits for the next
// park: what the waker handed over is not lost.
func (g *Greenlet) wake(err error) {
	if g.on != nil {
		g.on.remove(g)
	}
	if g.giveUp != nil {
		if g.state == standing {
			g.giveUp.(standIn).woken(err)
			return
		}
		g.giveUp = nil
	}
	g.state, g.err = ready, err
	g.loop.ready.push(g)
	if g.loop.observer != nil {
		g.loop.observer.woken(g)
	}
}

// interrupt ends a park with an error from outside. It reports false if there is no park to end.
func (g *Greenlet) interrupt(err error) bool {
	switch g.state {
	case parked, standing:
		// At once, not when g runs: the timer may be due in this very phase and would wake g again.
		g.stopTimer()
		if g.giveUp != nil {
			if k, ok := g.giveUp.(keeper); ok && k.keeps() {
				return false
			}
			g.giveUp.giveUp(g)
		}
		g.wake(err)
		return true
	case yielding:
		g.state, g.err = ready, err
		return true
	case later:
		g.stopTimer()
		g.start()
		return true
	default:
		return false
	}
}

// runReady resumes the greenlets that were ready when the phase began, each until it parks or ends.
func (l *Loop) runReady() {
	if l.quota == 0 {
		l.quota = l.ready.n
		if l.world != nil && l.world.shuffle {
			l.world.mix(&l.ready, l.quota)
		}
	}
	for l.quota > 0 {
		l.quota--
		g := l.ready.pop()
		if g == nil || g.state == parked || g.state == active || g.state == deaf || g.state == later {
			l.fatal(g)
		}
		if g.co == nil && !l.begin(g) {
			continue
		}
		l.switches++
		l.current = g
		g.state = active
		if l.observer != nil {
			l.observer.resumed(g)
		}
		l.self.runner.Store(g.co.goroutine)
		g.co.next()
		for l.errand != nil {
			l.runErrand(g)
			g.co.next()
		}
		l.current = nil
		if l.observer != nil {
			l.observer.left(g)
		}
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

// begin gives a fresh greenlet, or one that rested, a coroutine, or ends it if it was killed before it had begun.
func (l *Loop) begin(g *Greenlet) bool {
	if g.state == dead {
		return false // by force, while it was in the queue
	}
	if g.rest == restless && g.killed() {
		g.finish(g.killError())
		if l.observer != nil {
			l.observer.ended(g)
		}
		return false
	}
	g.mount()
	return true
}

func (g *Greenlet) mount() {
	g.co = g.loop.takeCoro()
	g.co.g = g
}

// main is the root of the greenlet's stack, which it marks.
func (g *Greenlet) main(stackMark) {
	returned := false
	var err error
	defer func() {
		if returned {
			if g.rest == restResting {
				g.co = nil
				return
			}
			g.end(err, false)
			return
		}
		switch v := recover(); {
		case v != nil:
			g.end(recovered(v), false)
		case g.doomed:
			g.end(g.killError(), true)
		default:
			g.end(ErrGoexit, true)
		}
	}()
	for err = g.fn(g); err == errRest && g.rest == restAsked; {
		err = g.fn(g)
	}
	returned = true
}

// end finishes the greenlet on its own stack. If the coroutine ends with it, by Goexit or by a panic of a
// hook, the loop must not take it for its own any more: its goroutine's descriptor may soon be another's.
func (g *Greenlet) end(err error, dying bool) {
	survived := false
	defer func() {
		if dying || !survived {
			g.loop.self.runner.Store(0)
		}
	}()
	g.finish(err)
	survived = true
}

// bury tells everyone of the end. Functions of AfterFunc may panic on the way; the others hear of it all the same.
func (g *Greenlet) bury() {
	life := g.leaveLife()
	g.parent = nil // or each would keep all its ancestors
	if g.joiners != nil {
		g.joiners.wakeAll(nil)
	}
	if g.more != nil {
		defer g.farewell()
	}
	defer life.cancel()
	for t := g.timeout(); t != nil; t = g.timeout() { // started, but not closed
		t.leave()
	}
}

// farewell tells those who are not plain joiners of the end.
func (g *Greenlet) farewell() {
	m := g.more
	g.more = nil
	m.watchers.ring()
	for _, r := range m.remotes {
		r.notify()
	}
	m.links.postEnd()
}

// finish records the end and tells everyone.
func (g *Greenlet) finish(err error) {
	l := g.loop
	g.state, g.co, g.fn = dead, nil, nil
	g.stopTimer()
	g.err = err
	failed := err != nil && !errors.Is(err, ErrKilled)
	if failed {
		g.err = &failure{err, lastFailure.Add(1)}
	}
	l.live.remove(g)
	l.stats.greenlets.Add(-1)
	g.ended.Store(true)
	if g == l.until {
		l.halt = true
	}
	g.bury()
	if _, panicked := err.(*PanicError); panicked || failed && !g.joined.Load() {
		l.current = nil
		l.o.OnFailure(g, err)
	}
}
