package coop

// An Event is a flag that greenlets can wait for. The zero value is a cleared event. Loop only;
// [Event.Port] is for everyone else. gevent: Event.
type Event struct {
	set     bool
	waiters waitList
	others  watchList // who waits for several things
}

// NewEvent returns a cleared event.
func NewEvent() *Event { return new(Event) }

// Set raises the flag and makes everyone who waits ready, in the order in which they began to wait.
// It does not switch: they run after the caller has parked, and a Clear in between does not take
// their wake-up back.
func (e *Event) Set() {
	e.set = true
	e.waiters.wakeAll(nil)
	e.others.ring()
}

// Clear lowers the flag.
func (e *Event) Clear() { e.set = false }

// IsSet reports whether the flag is up.
func (e *Event) IsSet() bool { return e.set }

// Wait parks g until the flag is up; it returns at once when it is. An error means that g was
// killed or timed out.
func (e *Event) Wait(g *Greenlet) error { return e.wait(g, ParkedEvent) }

// wait is Wait for those for whom the event stands for something else.
func (e *Event) wait(g *Greenlet, why ParkReason) error {
	if e.set {
		return nil
	}
	return g.waitOn(&e.waiters, why)
}
