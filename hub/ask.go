package hub

import (
	"encoding/json"
	"fmt"
	"time"

	"greenroom/coop"
)

// acks are the answers that a session's client owes. // loop
type acks struct {
	pending map[int64]waiter
}

// waiter gets a client's answer, or why there is none, on the loop and once.
type waiter interface {
	answered(s *Session, p Payload, err error)
}

// expect notes that w waits for the client's answer called id.
func (s *Session) expect(id int64, w waiter) error {
	a := &s.acks
	if len(a.pending) >= s.ns.hub.opts.MaxAsks {
		s.ns.hub.Count("asks_full")
		return ErrTooManyAsks
	}
	if a.pending == nil {
		a.pending = make(map[int64]waiter)
	}
	a.pending[id] = w
	return nil
}

// fail ends all that is waited for.
func (a *acks) fail(s *Session, err error) {
	pending := a.pending
	a.pending = nil
	for _, w := range pending {
		w.answered(s, Payload{}, err)
	}
}

// DeliverAck hands over the client's answer: p.JSON is the array of its arguments. The transport
// calls it, on the loop. An answer nobody waits for is counted and ignored.
func (s *Session) DeliverAck(id int64, p Payload) {
	w, ok := s.acks.pending[id]
	if !ok {
		s.ns.hub.Count("ack_unexpected")
		return
	}
	delete(s.acks.pending, id)
	w.answered(s, p, nil)
}

// ask is a greenlet that waits for an answer.
type ask struct {
	done   coop.Event
	answer Payload
	err    error
}

func (w *ask) answered(_ *Session, p Payload, err error) {
	w.answer, w.err = p, err
	w.done.Set()
}

// ask emits an event and parks g until the client has answered.
func (s *Session) ask(g *coop.Greenlet, d time.Duration, event string, args []any) (Payload, error) {
	id, w := s.ns.nextAsk(), new(ask)
	// Before emitting, which may end the session and with it all that is waited for.
	if err := s.expect(id, w); err != nil {
		return Payload{}, err
	}
	defer func() { delete(s.acks.pending, id) }()
	err := g.WithTimeout(d, func() error {
		if err := s.emit(id, false, event, args); err != nil {
			return err
		}
		return w.done.Wait(g)
	})
	if w.done.IsSet() {
		return w.answer, w.err
	}
	return Payload{}, err
}

// Ask emits an event to the client, parks the session's greenlet until the client answers, and
// decodes the first argument of the answer. Errors: [coop.ErrTimeout] after d, [ErrGone] when the
// client leaves, or what is wrong with the answer. Use it in the session's own greenlet.
func Ask[T any](s *Session, d time.Duration, event string, args ...any) (T, error) {
	var v T
	p, err := s.ask(s.greenlet, d, event, args)
	if err != nil {
		return v, fmt.Errorf("asking %q: %w", event, err)
	}
	all, err := p.Split()
	if err != nil {
		return v, fmt.Errorf("asking %q: %w", event, err)
	}
	if len(all) == 0 {
		all = []json.RawMessage{json.RawMessage("null")}
	}
	if err := p.Decode(all[0], &v); err != nil {
		return v, fmt.Errorf("asking %q: the answer: %w", event, err)
	}
	return v, nil
}

// Answer is what a client has answered to a question, or another node.
type Answer struct {
	Session string  // the id of the client's session; "" for a node's answer
	Node    string  // where that is, "" for this node
	Payload Payload // [arg…]
}

// Args decodes the answer's arguments into pointers, as [Event.Args] does.
func (a Answer) Args(into ...any) error {
	raw, err := a.Payload.Split()
	if err != nil {
		return err
	}
	for _, v := range into {
		clearPointer(v)
	}
	return a.Payload.decodeArgs("the answer", raw, into)
}

// AskFunc is [Ask] for those who cannot park: it emits an event and returns, and fn is called with the answer, once
// and on the loop. Its error is [coop.ErrTimeout] after d, or [ErrGone] when the client leaves. When AskFunc itself
// fails fn is not called. fn may not park; one that panics is counted and logged.
func (s *Session) AskFunc(d time.Duration, fn func(Answer, error), event string, args ...any) error {
	id := s.ns.nextAsk()
	w := &callbackAsk{fn: fn}
	if err := s.expect(id, w); err != nil {
		return fmt.Errorf("asking %q: %w", event, err)
	}
	w.timer = s.loop.AfterFunc(d, func() {
		delete(s.acks.pending, id)
		w.answered(s, Payload{}, coop.ErrTimeout)
	})
	if err := s.emit(id, false, event, args); err != nil {
		w.timer.Stop()
		delete(s.acks.pending, id)
		return fmt.Errorf("asking %q: %w", event, err)
	}
	return nil
}

// callbackAsk is a function that is called with an answer.
type callbackAsk struct {
	fn    func(Answer, error)
	timer *coop.Timer
}

func (w *callbackAsk) answered(s *Session, p Payload, err error) {
	w.timer.Stop()
	s.ns.hub.guard("a callback for an answer", func() { w.fn(Answer{Session: s.id, Payload: p}, err) })
}
