package coop

import "unsafe"

// Held is how many greenlets the scope knows of.
func (s *Scope) Held() int { return len(s.children) }

// Waiting is how many wait for the event, alone or among others.
func (e *Event) Waiting() int {
	n := e.waiters.n
	for w := e.others.head; w != nil; w = w.next {
		n++
	}
	return n
}

// Locals is how many local variables the greenlet holds.
func (g *Greenlet) Locals() int {
	if g.more == nil {
		return 0
	}
	return len(g.more.locals)
}

// GreenletSize is what a greenlet costs beside its stack.
const GreenletSize = unsafe.Sizeof(Greenlet{})

// Remotes is how many greenlets of other loops wait for the end of this one. Loop only.
func (g *Greenlet) Remotes() int {
	if g.more == nil {
		return 0
	}
	return len(g.more.remotes)
}

// Timers is how many timers are armed. Loop only.
func (l *Loop) Timers() int { return len(l.timers) }
