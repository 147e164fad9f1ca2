package coop

import "sync/atomic"

// observer is what a loop keeps while somebody looks on: a [Trace], a [Watchdog]. A loop that nobody
// looks at pays two tests of a pointer a switch. // loop
type observer struct {
	loop    *Loop
	current atomic.Pointer[Greenlet] // the one that runs; the only field for other goroutines
	running *Greenlet                // the same
	job     Job                      // the one that runs
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
	o.running = g
	if o.guards > 0 {
		o.current.Store(g)
	}
	if o.trace != nil {
		o.trace.resumed()
	}
}

func (o *observer) left(g *Greenlet) {
	o.running = nil
	if o.guards > 0 {
		o.current.Store(nil)
	}
	if o.trace != nil {
		o.trace.left(g)
	}
}

// broke is called when the loop comes back otherwise than by a switch: by a panic or Goexit.
func (o *observer) broke() {
	if o.running != nil {
		o.left(o.running)
	}
}

// ended is for a greenlet that ends without having run.
func (o *observer) ended(g *Greenlet) {
	o.resumed(g)
	o.left(g)
}

// cause says who makes a greenlet ready when no greenlet runs.
func (o *observer) cause() string {
	if o.loop.doing == doingJobs {
		if c, ok := o.job.(interface{ cause() string }); ok {
			return c.cause()
		}
	}
	return o.loop.doing.String()
}

func (*killJob) cause() string      { return "a kill" }
func (*linkJob) cause() string      { return "a link" }
func (*loopCall) cause() string     { return "a call" }
func (*await[T]) cause() string     { return "the end of an Await" }
func (*arrival) cause() string      { return "a new connection" }
func (*remoteOver) cause() string   { return "the end of a greenlet elsewhere" }
func (*askJob) cause() string       { return "a port" }
func (*cancelJob) cause() string    { return "a port" }
func (*answerJob) cause() string    { return "a port" }
func (*undoJob) cause() string      { return "a port" }
func (*setJob) cause() string       { return "a port" }
func (*releaseJob) cause() string   { return "a port" }
func (*settleJob[T]) cause() string { return "a port" }
func (closeJob) cause() string      { return "the end of the loop" }

// observedKill is a killJob that knows by whom.
type observedKill struct{ g, by *Greenlet }

func (k *observedKill) RunOn(l *Loop) { (*killJob)(k.g).RunOn(l) }
func (k *observedKill) cause() string { return "a kill by " + k.by.Name() }

// killJob is what ends g's park. Any goroutine.
func (g *Greenlet) killJob() Job {
	if by := g.loop.Current(); by != nil && g.loop.observer != nil {
		return &observedKill{g, by}
	}
	return (*killJob)(g)
}
