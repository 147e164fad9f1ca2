package hub

import "slices"

// listeners are what an application wants to be called for, beside its handler. Most sessions have none, so that
// they stand behind one pointer. // loop
type listeners struct {
	use    []func(*Event) error
	in     []*func(*Event)
	out    []*func(*Message)
	ending []func(reason string)
	inOut  bool // a listener of out runs: what it sends is not told again
}

func (s *Session) listen() *listeners {
	if s.listeners == nil {
		s.listeners = new(listeners)
	}
	return s.listeners
}

// Use adds a middleware for what the client sends: it sees each event before Events, Wait or a table does, in the
// session's greenlet, and may park. An error refuses the event, which then goes nowhere. Node.js: socket.use.
func (s *Session) Use(middleware func(*Event) error) {
	l := s.listen()
	l.use = append(l.use, middleware)
}

// OnAny has fn called with every event that the client sends, before the middlewares and the handler get it, in the
// session's greenlet. It is for looking: the handler answers. cancel ends it. Node.js: socket.onAny, which hears of
// what a middleware is about to refuse as well.
func (s *Session) OnAny(fn func(*Event)) (cancel func()) {
	l, p := s.listen(), &fn
	l.in = append(slices.Clip(l.in), p)
	return func() { l.in = without(l.in, p) }
}

// OnAnyOutgoing has fn called, on the loop, with every message that the client is sent: what is emitted to it,
// questions, and the messages of its rooms. It must not modify the message, block or park. What fn itself sends to
// the session is not told. cancel ends it.
func (s *Session) OnAnyOutgoing(fn func(*Message)) (cancel func()) {
	l, p := s.listen(), &fn
	l.out = append(slices.Clip(l.out), p)
	return func() { l.out = without(l.out, p) }
}

// OnDisconnecting has fn called, on the loop, when the session ends, for whatever reason, before it leaves its
// rooms: [Session.To] still reaches them. fn must not block or park. A table of [Events] has the entry
// "disconnecting" for it. What is to be done after the end needs no callback: it stands behind the loop over
// [Session.Events].
func (s *Session) OnDisconnecting(fn func(reason string)) {
	l := s.listen()
	l.ending = append(l.ending, fn)
}

// without returns a list without p; the list itself may be in use.
func without[T any](list []*T, p *T) []*T {
	return slices.DeleteFunc(slices.Clone(list), func(x *T) bool { return x == p })
}

// hear runs the listeners and the middlewares for an event. It reports false when it was refused.
func (s *Session) hear(ev *Event) bool {
	l := s.listeners
	for _, fn := range l.in {
		(*fn)(ev)
	}
	for _, use := range l.use {
		if err := use(ev); err != nil {
			ev.Refuse(err)
			return false
		}
	}
	return true
}

// sending tells whoever wants to know that m is sent to the client.
func (s *Session) sending(m *Message) {
	h := s.ns.hub
	if l := s.listeners; l != nil && len(l.out) > 0 && !l.inOut {
		l.inOut = true
		for _, fn := range l.out {
			h.guard("a listener of a session's messages", func() { (*fn)(m) })
		}
		l.inOut = false
	}
	if h.observed() {
		h.tellSent(s, m)
	}
}

// disconnecting runs what was left for the end, once: a callback that ends the session itself finds none.
func (s *Session) disconnecting(reason string) {
	fns := s.listeners.ending
	s.listeners.ending = nil
	for _, fn := range fns {
		s.ns.hub.guard("a listener of a session's end", func() { fn(reason) })
	}
}
