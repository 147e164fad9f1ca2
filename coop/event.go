package coop

// An Event is a flag that greenlets can wait for. The zero value is a cleared event. Loop only.
type Event struct {
	set     bool
	waiters waitList
}

// NewEvent returns a cleared event.
func NewEvent() *Event { return new(Event) }

// Set raises the flag and makes everyone who waits ready, in the order in which they began to wait.
// It does not switch: they run after the caller has parked, and a Clear in between does not take
// their wake-up back.
func (e *Event) Set() {
	e.set = true
	e.waiters.wakeAll(nil)
}

// Clear lowers the flag.
func (e *Event) Clear() { e.set = false }

// IsSet reports whether the flag is up.
func (e *Event) IsSet() bool { return e.set }

// Wait parks g until the flag is up; it returns at once when it is. An error means that g was
// killed or timed out.
func (e *Event) Wait(g *Greenlet) error {
	if e.set {
		return nil
	}
	return g.waitOn(&e.waiters, ParkedEvent)
}
