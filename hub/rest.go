package hub

import "greenroom/coop"

// resting is a handler that has no variables on a stack: its session's greenlet rests between events, so that a
// session that waits has no stack at all.
type resting interface {
	handle(ev *Event) // may park
	over()            // no more events come, or handle has panicked
}

// rest has the session's greenlet hand its events to r until the client has left. It must be the last thing that the
// session's handler does, and its result be returned.
func (s *Session) rest(r resting) error {
	s.rests = true
	return s.inbox.queue.Rest(s.greenlet, &rester{s, r})
}

// rester takes a session's events for its handler, as [Session.Events] does for others.
type rester struct {
	s *Session
	r resting
}

// Got has an event handled, and what a [Session.Wait] has passed over meanwhile.
func (t *rester) Got(_ *coop.Greenlet, ev *Event) error {
	s := t.s
	s.took(ev)
	if s.listeners == nil || s.hear(ev) {
		t.r.handle(ev)
	}
	s.passedOver(t.r)
	return nil
}

// Over ends the session.
func (t *rester) Over(*coop.Greenlet, error) error {
	t.s.rests = false
	defer t.s.finish()
	t.r.over()
	return nil
}

// passedOver has the events handled that were kept by [Session.Wait].
func (s *Session) passedOver(r resting) {
	for ev := s.unstash(); ev != nil; ev = s.unstash() {
		r.handle(ev)
	}
}
