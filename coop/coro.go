package coop

import "iter"

// keptCoros is how many coroutines a loop keeps for the next greenlets: making one costs a
// microsecond and six allocations.
const keptCoros = 32

// A coro is a coroutine that carries greenlets, one after another.
type coro struct {
	next  func() (struct{}, bool) // loop: go on until the next yield
	stop  func()                  // loop: make yield return false
	yield func(struct{}) bool     // coroutine: back to the loop
	g     *Greenlet
	maker *runner
}

func (l *Loop) takeCoro() *coro {
	if n := len(l.idle); n > 0 {
		c := l.idle[n-1]
		l.idle[n-1] = nil
		l.idle = l.idle[:n-1]
		return c
	}
	c := &coro{maker: l.crew.now}
	c.maker.coros++
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.yield = yield
		defer l.crew.ended(c.maker)
		for {
			c.g.main()
			c.g = nil
			if l.phase != running || len(l.idle) >= keptCoros {
				return
			}
			l.idle = append(l.idle, c)
			if !yield(struct{}{}) {
				return
			}
		}
	})
	return c
}

// dropCoros ends the coroutines that carry nothing.
func (l *Loop) dropCoros() {
	for _, c := range l.idle {
		c.stop()
	}
	l.idle = nil
}

// force ends a greenlet that ignored its kill. Stopping the coroutine makes it leave through
// runtime.Goexit, which Pull hands on to whoever called stop: a goroutine made for the purpose.
func (l *Loop) force(g *Greenlet) {
	if g.co == nil {
		g.finish(ErrKilled)
		return
	}
	g.interrupt(ErrKilled) // out of whatever it waits for, which must not wake it after its end
	done := make(chan *PanicError, 1)
	go func() {
		var caught *PanicError
		defer func() { done <- caught }()
		defer func() { caught = recovered(recover()) }()
		l.current = g
		g.co.stop()
	}()
	caught := <-done
	l.current = nil
	if caught != nil {
		l.reportPanic(caught)
	}
}
