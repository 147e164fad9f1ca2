package hub

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Event is something that a client sent.
type Event struct {
	Name string

	session *Session
	payload Payload
	ackID   int64
	split   []json.RawMessage
	acked   bool
	refused bool
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

// Match reports whether the event has this name and arguments that decode into the pointers given, as
// [Event.Args] does it. When the name fits and the arguments do not, it refuses the event, once, and
// reports false; what has another name is left alone, and so are the variables. So a handler needs no more
// than a switch, whose default is for the names that it does not know:
//
//	switch {
//	case ev.Match("join", &room):
//		s.Join(room)
//		ev.Ack("ok")
//	case ev.Match("say", &room, &text):
//		s.To(room).Emit("said", text)
//	}
func (ev *Event) Match(name string, into ...any) bool {
	if ev.Name != name || ev.refused {
		return false
	}
	if err := ev.Args(into...); err != nil {
		ev.Refuse(err)
		return false
	}
	return true
}

// Args decodes the arguments into pointers, in order. What they held before is gone, so that variables can
// be used for one event after another. Too few arguments, or one of the wrong type, is an [*Error] that can
// be given to Refuse; arguments beyond those asked for are ignored. A *[]byte takes a binary argument, a
// *any anything, a nil skips one.
func (ev *Event) Args(into ...any) error {
	for _, v := range into {
		clearPointer(v)
	}
	return ev.payload.decodeArgs(ev.Name, ev.Raw(), into)
}

// decodeArgs decodes raw elements of p into pointers, one by one. what is whose arguments they are.
func (p Payload) decodeArgs(what string, raw []json.RawMessage, into []any) error {
	if len(raw) < len(into) {
		return refusal("bad_arguments", "%s: want %s, got %d", clip(what), plural(len(into), "argument"), len(raw))
	}
	for i, v := range into {
		if v == nil {
			continue
		}
		if err := p.Decode(raw[i], v); err != nil {
			return refusal("bad_arguments", "%s: argument %d: %v", clip(what), i+1, err)
		}
	}
	return nil
}

// clearPointer forgets what v points to. Decoding alone would keep what the client has left out, and a
// null would keep everything.
func clearPointer(v any) {
	switch p := v.(type) {
	case nil:
	case *string:
		if p != nil {
			*p = ""
		}
	case *json.RawMessage:
		if p != nil {
			*p = nil // and not its bytes, which may be in use
		}
	default:
		if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
			r.Elem().SetZero()
		}
	}
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

// Refuse answers {ok:false, error:{code, message}}; an [*Error] gives the code. It is counted, and logged
// at debug level. Only the first refusal of an event counts.
func (ev *Event) Refuse(err error) {
	if ev.refused {
		return
	}
	ev.refused = true
	if ev.session == nil {
		return // another node's: what its handler returns is the answer
	}
	h := ev.session.ns.hub
	h.Count("event_refused")
	h.log.Debug("an event was refused", "session", ev.session.id, "namespace", ev.session.ns.name, "event", clip(ev.Name), "error", err)
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
