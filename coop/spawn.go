package coop

import (
	"reflect"
	"runtime"
	"time"
)

// Spawn puts a new greenlet that runs fn at the end of the ready queue. It does not switch. An error
// that fn returns is the greenlet's result. On a loop that is closing the greenlet is born killed, on one
// that is closed it is over at once.
// Loop only, or before Start.
func (l *Loop) Spawn(fn func(*Greenlet) error) *Greenlet {
	g := l.newGreenlet(l.current, fn, callerAbove(1))
	l.ready.push(g)
	return g
}

// Spawn starts a greenlet on the same loop, as [Loop.Spawn] does. Loop only.
func (g *Greenlet) Spawn(fn func(*Greenlet) error) *Greenlet {
	c := g.loop.newGreenlet(g, fn, callerAbove(1))
	g.loop.ready.push(c)
	return c
}

type goJob func(*Greenlet) error

func (fn goJob) RunOn(l *Loop) { l.spawnFrom(fn) }

// spawnFrom spawns on behalf of someone who is out of sight.
func (l *Loop) spawnFrom(fn func(*Greenlet) error) *Greenlet {
	g := l.newGreenlet(nil, fn, beginOf(fn))
	l.ready.push(g)
	return g
}

// Go spawns a greenlet from any goroutine. It reports false when the loop has been closed. True promises the
// greenlet, not that fn begins: one that is killed first, or spawned while the loop is closing, ends with
// [ErrKilled] instead. Whoever must hear of something in any case uses [Loop.Post].
func (l *Loop) Go(fn func(*Greenlet) error) bool { return l.PostJob(goJob(fn)) }

// SpawnLater makes a greenlet that begins after d, by the loop's clock, as if it were spawned then. Until
// then it costs its struct and a timer; killed before, it never begins. Loop only, or before Start.
func (l *Loop) SpawnLater(d time.Duration, fn func(*Greenlet) error) *Greenlet {
	g := l.newGreenlet(l.current, fn, callerAbove(1))
	g.startAfter(d)
	return g
}

// SpawnLater is [Loop.SpawnLater] on the greenlet's loop. Loop only.
func (g *Greenlet) SpawnLater(d time.Duration, fn func(*Greenlet) error) *Greenlet {
	c := g.loop.newGreenlet(g, fn, callerAbove(1))
	c.startAfter(d)
	return c
}

// newGreenlet makes a greenlet that is in no queue yet.
func (l *Loop) newGreenlet(parent *Greenlet, fn func(*Greenlet) error, place uintptr) *Greenlet {
	g := &Greenlet{loop: l, fn: fn, id: l.nextID(), parent: parent, place: place, since: l.now}
	l.live.add(g)
	l.stats.greenlets.Add(1)
	if parent != nil && parent.more != nil {
		g.inherit(parent.more.locals)
	}
	if l.phase != running {
		g.lifeScope().mark(scopeKilled) // nobody watches it yet
	}
	if l.o.OnSpawn != nil {
		l.observeSpawn(g)
	}
	if l.observer != nil {
		l.observer.spawned(g)
	}
	if l.phase != running && l.over {
		g.finish(g.killError()) // nobody else will
	}
	return g
}

// observeSpawn calls the hook. It runs in the stack of whoever spawned, who shall not pay for its panic.
func (l *Loop) observeSpawn(g *Greenlet) {
	defer func() {
		if v := recover(); v != nil {
			l.reportPanic(recovered(v))
		}
	}()
	l.o.OnSpawn(g)
}

func (g *Greenlet) startAfter(d time.Duration) {
	if g.state == dead {
		return // the loop is closed
	}
	g.state = later
	switch {
	case g.killed():
		g.start()
	case d != Forever:
		g.loop.readClock()
		g.alarm((*starter)(g)).Reset(d)
	}
}

type starter Greenlet

func (s *starter) expire() { (*Greenlet)(s).start() }

// start makes a greenlet ready that was to begin later.
func (g *Greenlet) start() {
	g.state = fresh
	g.loop.ready.push(g)
	if g.loop.observer != nil {
		g.loop.observer.woken(g)
	}
}

// Parent is the greenlet that spawned this one; nil if something else did, such as a posted function, or
// when this greenlet is over. A parent may be over while its child lives. Loop only.
func (g *Greenlet) Parent() *Greenlet { return g.parent }

// Spawned is the place in the program where the greenlet was spawned. Only its program counter is
// kept; looking it up takes about a microsecond. For those that [Loop.Go] and [Run] started it is where
// their function begins. Any goroutine.
func (g *Greenlet) Spawned() runtime.Frame {
	f, _ := runtime.CallersFrames([]uintptr{g.place}).Next()
	return f
}

// callerAbove is the program counter of a caller: 0 is who called callerAbove. It takes about 80 ns.
func callerAbove(skip int) uintptr {
	var pc [1]uintptr
	runtime.Callers(skip+2, pc[:])
	return pc[0]
}

// beginOf is a program counter that stands for the beginning of fn.
func beginOf(fn func(*Greenlet) error) uintptr {
	return reflect.ValueOf(fn).Pointer() + 1 // frames are looked up by return address
}
