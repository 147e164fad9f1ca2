package coop

// Idle parks g until its loop has nothing else to do: no greenlet is ready, nothing is posted, no timer is
// due and no stream has anything to read. Of several that are idle one goes on at a time, in the order in
// which they came, since each of them may make work for the others. It is for what can wait: caches to
// tidy, figures to publish. A loop that is always busy never comes to it, and one that goes on
// idling keeps its core busy. On a [FakeClock] idle greenlets run before the clock moves. gevent's idle().
func (g *Greenlet) Idle() error { return g.waitOn(&g.loop.idlers, ParkedIdle) }

// runIdler looks for work once more, without sleeping, and wakes the first of the idle if there is none.
func (l *Loop) runIdler() {
	l.nowValid = false
	l.pollNow()
	if l.hasWork() || len(l.timers) > 0 && l.timers[0].at <= l.Now() {
		return
	}
	l.idlers.head.wake(nil)
}
