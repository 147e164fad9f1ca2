package coop

import "sync/atomic"

// observer is what a loop keeps while somebody looks on: a [Trace], a [Watchdog]. A loop that nobody
// looks at pays two tests of a pointer a switch. // loop
type observer struct {
	loop    *Loop
	current atomic.Pointer[Greenlet] // the one that runs; the only field for other goroutines
	guards  int                      // watchdogs
	trace   *recorder
}

// observed returns the loop's observer, made if need be.
func (l *Loop) observed() *observer {
	if l.observer == nil {
		l.observer = &observer{loop: l}
	}
	return l.observer
}

// settle ends the observation when nobody needs it any more.
func (o *observer) settle() {
	if o.guards == 0 && o.trace == nil {
		o.loop.observer = nil
	}
}

func (o *observer) spawned(g *Greenlet) {
	if o.trace != nil {
		o.trace.spawned(g)
	}
}

func (o *observer) woken(g *Greenlet) {
	if o.trace != nil {
		o.trace.woken(g)
	}
}

func (o *observer) resumed(g *Greenlet) {
	if o.guards > 0 {
		o.current.Store(g)
	}
	if o.trace != nil {
		o.trace.resumed()
	}
}

func (o *observer) left(g *Greenlet) {
	if o.guards > 0 {
		o.current.Store(nil)
	}
	if o.trace != nil {
		o.trace.left(g)
	}
}
