package zeromq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"

	"greenroom/hub"
)

// Limits of one envelope. The frame's own size bounds the rest.
const (
	maxEnvelopeRooms  = 64
	maxEnvelopeArgs   = 64
	maxEnvelopeExcept = 1024
	maxIDBytes        = 255
)

// envelope is the JSON object of a one-frame message. Its keys are these names in lower case.
type envelope struct {
	Room     roomList
	NSP      *string
	Event    *string
	Args     []json.RawMessage
	Data     json.RawMessage
	Bin      []string
	Except   []string
	ID       string
	Retain   bool
	Volatile bool
}

// read fills e from a JSON object. Keys must match to the letter: encoding/json would let "Room" pass for
// "room", and a publisher's own key for one of ours.
func (e *envelope) read(object json.RawMessage) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(object, &values); err != nil {
		return refuse(reasonEnvelope, "%v", err)
	}
	for _, field := range []struct {
		key  string
		into any
	}{
		{"room", &e.Room}, {"nsp", &e.NSP}, {"event", &e.Event}, {"args", &e.Args}, {"data", &e.Data}, {"bin", &e.Bin},
		{"except", &e.Except}, {"id", &e.ID}, {"retain", &e.Retain}, {"volatile", &e.Volatile},
	} {
		value, ok := values[field.key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(value, field.into); err != nil {
			return refuse(reasonEnvelope, "%s: %v", field.key, err)
		}
	}
	return nil
}

// roomList is a string or an array of strings.
type roomList []string

func (r *roomList) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[]string)(r))
	}
	*r = make(roomList, 1)
	return json.Unmarshal(b, &(*r)[0])
}

// parseEnvelope returns the publications of an envelope, one for each of its rooms.
func parseEnvelope(object []byte, f Format) ([]hub.Publication, error) {
	r := newReader(&f)
	if err := readEnvelope(r, object); err != nil {
		return nil, err
	}
	return r.pubs, nil
}

func readEnvelope(r *reader, frame []byte) error {
	compact, err := readJSON(frame)
	if err != nil {
		return err
	}
	if compact == nil {
		return refuse(reasonEnvelope, "a frame that starts with { and is no JSON object")
	}
	var e envelope
	if err := e.read(compact); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return err
	}
	p := hub.Publication{
		Namespace: r.format.Namespace, Event: r.format.Event,
		Volatile: e.Volatile, Retain: e.Retain, ID: e.ID, Except: e.Except,
	}
	if e.NSP != nil {
		p.Namespace = *e.NSP
	}
	if e.Event != nil {
		p.Event = *e.Event
	}
	if p.Args, err = e.arguments(); err != nil {
		return err
	}
	for _, room := range e.Room { // one bad room refuses them all: half a publication helps nobody
		if err := checkAddress(p.Namespace, room); err != nil {
			return err
		}
	}
	if err := checkEvent(p.Event); err != nil {
		return err
	}
	for i, room := range e.Room {
		if !slices.Contains(e.Room[:i], room) { // a room named twice hears it once
			p.Room = room
			r.pubs = append(r.pubs, p)
		}
	}
	return nil
}

func (e *envelope) check() error {
	switch {
	case len(e.Room) == 0:
		return refuse(reasonEnvelope, "no room")
	case len(e.Room) > maxEnvelopeRooms:
		return refuse(reasonEnvelope, "%d rooms, at most %d are taken", len(e.Room), maxEnvelopeRooms)
	case e.Args != nil && e.Data != nil:
		return refuse(reasonEnvelope, "both args and data")
	case len(e.Args)+len(e.Bin) > maxEnvelopeArgs:
		return refuse(reasonEnvelope, "%d arguments, at most %d are taken", len(e.Args)+len(e.Bin), maxEnvelopeArgs)
	case len(e.Except) > maxEnvelopeExcept:
		return refuse(reasonEnvelope, "%d exceptions, at most %d are taken", len(e.Except), maxEnvelopeExcept)
	case len(e.ID) > maxIDBytes:
		return refuse(reasonEnvelope, "an id of %d bytes, at most %d are taken", len(e.ID), maxIDBytes)
	}
	return checkBinaries(len(e.Bin))
}

// arguments are args or data, then bin.
func (e *envelope) arguments() ([]any, error) {
	raw := e.Args
	if e.Data != nil {
		raw = []json.RawMessage{e.Data}
	}
	args := make([]any, 0, len(raw)+len(e.Bin))
	for _, a := range raw {
		a = bytes.Clone(a) // the envelope's memory would live as long as one small argument
		if len(e.Bin) > 0 && holdsPlaceholder(a) {
			return nil, errPlaceholder()
		}
		args = append(args, a)
	}
	for i, text := range e.Bin {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, refuse(reasonEnvelope, "bin %d is not base64", i)
		}
		args = append(args, b)
	}
	return args, nil
}
