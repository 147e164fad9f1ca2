package hub

import (
	"encoding/json"
	"fmt"
	"time"

	"greenroom/coop"
)

// maxPendingAsks bounds the answers that are waited for from one client.
const maxPendingAsks = 1024

// acks are the answers that a session waits for. // loop
type acks struct {
	next    int64
	pending map[int64]*ask
}

type ask struct {
	done   coop.Event
	answer Payload
	err    error
}

// fail ends all that is waited for.
func (a *acks) fail(err error) {
	for _, w := range a.pending {
		w.err = err
		w.done.Set()
	}
	a.pending = nil
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
	w.answer = p
	w.done.Set()
}

// ask emits an event and parks g until the client has answered.
func (s *Session) ask(g *coop.Greenlet, d time.Duration, event string, args []any) (Payload, error) {
	if len(s.acks.pending) >= maxPendingAsks {
		return Payload{}, fmt.Errorf("%d answers are pending already", maxPendingAsks)
	}
	if s.acks.pending == nil {
		s.acks.pending = make(map[int64]*ask)
	}
	id, w := s.acks.next, new(ask)
	s.acks.next++
	s.acks.pending[id] = w // before emitting, which may end the session and with it all that is waited for
	defer func() { delete(s.acks.pending, id) }()
	err := g.WithTimeout(d, func() error {
		if err := s.emit(id, event, args); err != nil {
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
