package coop

import (
	"iter"

	"greenroom/coop/internal/gid"
)

// keptCoros is how many coroutines a loop keeps for the next greenlets: making one costs a
// microsecond and six allocations.
const keptCoros = 32

// A coro is a coroutine that carries greenlets, one after another.
type coro struct {
	next  func() (struct{}, bool) // loop: go on until the next yield
	yield func(struct{}) bool     // coroutine: back to the loop
	g     *Greenlet               // nil: it is to end

	goroutine uintptr // it is this one; 0 until it has begun
}

func (l *Loop) takeCoro() *coro {
	if n := len(l.idle); n > 0 {
		c := l.idle[n-1]
		l.idle[n-1] = nil
		l.idle = l.idle[:n-1]
		return c
	}
	// Pull's stop is not kept: it would be 40 bytes of every greenlet, and a coroutine can be told otherwise.
	c := new(coro)
	// A function here and no method: the wrapper of a method value would have a frame on every greenlet's stack.
	c.next, _ = iter.Pull(func(yield func(struct{}) bool) {
		l := c.g.loop
		c.yield = yield
		c.goroutine = gid.Me()
		l.self.runner.Store(c.goroutine)
		for {
			c.g.main(stackMark{c.g.id, greenletMark})
			if !l.keep(c) {
				break
			}
			yield(struct{}{})
			if c.g == nil {
				break
			}
		}
		l.self.runner.Store(0) // this goroutine's descriptor may soon be another's
	})
	return c
}

// keep has a coroutine wait for its next greenlet, if there is room for that. Not inlined: its frame would
// be part of every greenlet's stack.
//
//go:noinline
func (l *Loop) keep(c *coro) bool {
	c.g = nil
	if l.phase != running || len(l.idle) >= keptCoros {
		return false
	}
	l.idle = append(l.idle, c)
	return true
}

// dropCoros ends the coroutines that carry nothing.
func (l *Loop) dropCoros() {
	for _, c := range l.idle {
		c.next() // without a greenlet
	}
	l.idle = nil
}

// force ends a greenlet that ignored its kill. The coroutine leaves through runtime.Goexit, which Pull hands
// on to whoever called next: a goroutine made for the purpose.
func (l *Loop) force(g *Greenlet) {
	if g.co == nil && g.rest == restless {
		g.finish(g.killError())
		if l.observer != nil {
			l.observer.ended(g)
		}
		return
	}
	if g.co == nil {
		g.mount() // the end of its rest has to be told
	}
	g.interrupt(g.killError()) // out of whatever it waits for, which must not wake it after its end
	if g.on != nil {
		g.on.remove(g) // deaf, and so not interrupted
	}
	if l.observer != nil {
		l.observer.resumed(g)
	}
	done := make(chan *PanicError, 1)
	go func() {
		var caught *PanicError
		defer func() { done <- caught }()
		defer func() { caught = recovered(recover()) }()
		l.current = g
		l.self.runner.Store(g.co.goroutine)
		g.doomed = true
		g.co.next()
	}()
	caught := <-done
	l.current = nil
	if l.observer != nil {
		l.observer.left(g)
	}
	if caught != nil {
		l.reportPanic(caught)
	}
}
