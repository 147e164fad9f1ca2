package hub

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"greenroom/coop"
)

// eventOverhead is what a waiting event costs beside its bytes, roughly.
const eventOverhead = 160

// inbox holds the events that a session's handler has not taken yet. // loop
type inbox struct {
	queue  *coop.Queue[*Event]
	stash  []*Event // passed over by Wait, taken first by Events
	count  int
	bytes  int
	onRoom func()
	full   bool
}

func (in *inbox) close() { in.queue.Close() }

// discard drops what waits and counts it.
func (in *inbox) discard(h *Hub, reason string) {
	dropped := in.stash
	in.stash = nil
	for ev, ok := in.queue.TryGet(); ok; ev, ok = in.queue.TryGet() {
		dropped = append(dropped, ev)
	}
	for _, ev := range dropped {
		in.count--
		in.bytes -= ev.cost()
		h.Count(reason)
	}
}

// took notes that the handler has taken an event.
func (s *Session) took(ev *Event) {
	in, o := &s.inbox, &s.ns.hub.opts
	in.count--
	in.bytes -= ev.cost()
	if in.full && in.count <= o.InboxEvents/2 && in.bytes <= o.InboxBytes/2 {
		in.full = false
		if in.onRoom != nil {
			in.onRoom()
		}
	}
}

// Deliver hands over an event that the client sent. The transport calls it, on the loop.
// What comes before the client is accepted waits for the handler as well, and is dropped and counted when the
// client is refused. What exceeds [Options.EventRate] is refused, which is no error. [ErrOverloaded] when the inbox is
// beyond saving, or the client has been far too fast for long: the transport closes the connection. [ErrGone] when the
// session is over.
func (s *Session) Deliver(ev *Event) error {
	in, o := &s.inbox, &s.ns.hub.opts
	if !s.Connected() {
		return ErrGone
	}
	ev.session = s
	if o.EventRate > 0 && !s.pace.allow(s.loop.Now(), o.EventRate, o.EventBurst) {
		return s.tooFast(ev)
	}
	if in.bytes+ev.cost() > o.InboxMax {
		s.ns.hub.Count("inbox_overloaded")
		return ErrOverloaded
	}
	in.count++
	in.bytes += ev.cost()
	if in.count >= o.InboxEvents || in.bytes >= o.InboxBytes {
		in.full = true
	}
	if !in.queue.TryPut(ev) {
		in.count--
		in.bytes -= ev.cost()
		return ErrGone
	}
	if s.ns.hub.observed() {
		s.ns.hub.tellReceived(s, ev)
	}
	return nil
}

// InboxFull reports, on the loop, that the transport should stop reading from the client for now.
func (s *Session) InboxFull() bool { return s.inbox.full }

// OnInboxRoom sets what is called, on the loop, when the inbox was full and has room again.
func (s *Session) OnInboxRoom(fn func()) { s.inbox.onRoom = fn }

// Events yields what the client sends, in order, parking the session's greenlet in between. It ends
// when the client has left and everything it sent before was taken, or when the greenlet is killed.
// Use it in the session's own greenlet.
func (s *Session) Events() iter.Seq[*Event] {
	return func(yield func(*Event) bool) {
		for {
			ev, err := s.next()
			if err != nil || !yield(ev) {
				return
			}
		}
	}
}

// unstash takes the next event that Wait has passed over, nil if there is none.
func (s *Session) unstash() *Event {
	in := &s.inbox
	if len(in.stash) == 0 {
		return nil
	}
	ev := in.stash[0]
	in.stash[0] = nil
	in.stash = in.stash[1:]
	s.took(ev)
	return ev
}

func (s *Session) next() (*Event, error) {
	if ev := s.unstash(); ev != nil {
		return ev, nil
	}
	for {
		ev, err := s.inbox.queue.Get(s.greenlet)
		if err != nil {
			return nil, err
		}
		s.took(ev)
		if s.listeners == nil || s.hear(ev) {
			return ev, nil
		}
	}
}

// Wait parks until the client sends the event called name, at most for d. Other events are kept for
// Events, and count as waiting: a client that sends more of them than the inbox holds is not read from
// until the handler has taken some. Errors: [coop.ErrTimeout]; [ErrGone].
func (s *Session) Wait(name string, d time.Duration) (*Event, error) {
	in := &s.inbox
	for i, ev := range in.stash {
		if ev.Name == name {
			in.stash = append(in.stash[:i:i], in.stash[i+1:]...)
			s.took(ev)
			return ev, nil
		}
	}
	var found *Event
	err := s.greenlet.WithTimeout(d, func() error {
		for {
			ev, err := in.queue.Get(s.greenlet)
			if err != nil {
				return err
			}
			if s.listeners != nil && !s.hear(ev) {
				s.took(ev)
				continue
			}
			if ev.Name == name {
				s.took(ev)
				found = ev
				return nil
			}
			in.stash = append(in.stash, ev)
		}
	})
	switch {
	case found != nil:
		return found, nil
	case errors.Is(err, coop.ErrClosed):
		return nil, ErrGone
	}
	return nil, fmt.Errorf("waiting for %q: %w", name, err)
}
