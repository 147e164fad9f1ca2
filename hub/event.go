package hub

import (
	"encoding/json"
	"fmt"
)

// Event is something that a client sent.
type Event struct {
	Name string

	session *Session
	payload Payload
	ackID   int64
	split   []json.RawMessage
	acked   bool
}

// NewEvent is used by transports. p is the whole array ["name", arg…], valid JSON, and is the
// event's from now on; ackID is [NoAck] or the id the client wants an answer under.
func NewEvent(name string, p Payload, ackID int64) *Event {
	return &Event{Name: name, payload: p, ackID: ackID}
}

func (ev *Event) cost() int {
	n := len(ev.payload.JSON) + eventOverhead
	for _, a := range ev.payload.Attachments {
		n += len(a) + 24
	}
	return n
}

// Session is the session that sent the event.
func (ev *Event) Session() *Session { return ev.session }

// Payload is the event as it came, ["name", arg…]. Read-only.
func (ev *Event) Payload() Payload { return ev.payload }

// Raw returns the arguments as JSON, with placeholders for binary values.
func (ev *Event) Raw() []json.RawMessage {
	if ev.split == nil {
		all, err := ev.payload.Split()
		if err != nil || len(all) == 0 {
			all = []json.RawMessage{nil}
		}
		ev.split = all
	}
	return ev.split[1:]
}

// Args decodes the arguments into pointers, in order. Too few arguments, or one of the wrong type,
// is an [*Error] that can be given to Refuse; arguments beyond those asked for are ignored. A *[]byte
// takes a binary argument, a *any anything, a nil skips one.
func (ev *Event) Args(into ...any) error {
	raw := ev.Raw()
	if len(raw) < len(into) {
		return refusal("bad_arguments", "%s wants %d arguments, got %d", ev.Name, len(into), len(raw))
	}
	for i, v := range into {
		if v == nil {
			continue
		}
		if err := ev.payload.Decode(raw[i], v); err != nil {
			return refusal("bad_arguments", "%s: argument %d: %v", ev.Name, i+1, err)
		}
	}
	return nil
}

// WantsAck reports whether the client waits for an answer that has not been given.
func (ev *Event) WantsAck() bool { return ev.ackID != NoAck && !ev.acked }

// Ack answers the event. Only the first answer counts; without a client that waits it does nothing.
func (ev *Event) Ack(args ...any) error {
	if !ev.WantsAck() {
		return nil
	}
	p, err := encodeAck(args...)
	if err != nil {
		return fmt.Errorf("acking %q: %w", ev.Name, err)
	}
	ev.answer(p)
	return nil
}

// Refuse answers {ok:false, error:{code, message}}; an [*Error] gives the code. It is counted.
func (ev *Event) Refuse(err error) {
	ev.session.ns.hub.Count("event_refused")
	if ev.WantsAck() {
		ev.answer(refusalPayload(err))
	}
}

func (ev *Event) answer(p Payload) {
	ev.acked = true
	if s := ev.session; s.Connected() {
		s.conn.Ack(s, ev.ackID, p)
	}
}
