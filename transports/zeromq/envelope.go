package zeromq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"greenroom/hub"
)

// Limits of one envelope. The frame's own size bounds the rest.
const (
	maxEnvelopeRooms  = 64
	maxEnvelopeArgs   = 64
	maxEnvelopeExcept = 1024
	maxIDBytes        = 255
)

// envelope is the JSON object of a one-frame message.
type envelope struct {
	Room     roomList          `json:"room"`
	NSP      *string           `json:"nsp"`
	Event    *string           `json:"event"`
	Args     []json.RawMessage `json:"args"`
	Data     json.RawMessage   `json:"data"`
	Bin      []string          `json:"bin"`
	Except   []string          `json:"except"`
	ID       string            `json:"id"`
	Retain   bool              `json:"retain"`
	Volatile bool              `json:"volatile"`
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

func parseEnvelope(frame []byte, f Format) ([]hub.Publication, error) {
	compact, err := readJSON(frame)
	if err != nil {
		return nil, err
	}
	if compact == nil {
		return nil, refuse(reasonEnvelope, "a frame that starts with { and is no JSON object")
	}
	var e envelope
	if err := json.Unmarshal(compact, &e); err != nil {
		return nil, refuse(reasonEnvelope, "%v", err)
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	p := hub.Publication{
		Namespace: f.Namespace, Event: f.Event,
		Volatile: e.Volatile, ID: e.ID, Except: e.Except,
	}
	if e.NSP != nil {
		p.Namespace = *e.NSP
	}
	if e.Event != nil {
		p.Event = *e.Event
	}
	if p.Args, err = e.arguments(); err != nil {
		return nil, err
	}
	pubs := make([]hub.Publication, len(e.Room))
	for i, room := range e.Room {
		pubs[i] = p
		pubs[i].Room = room
		if err := checkAddress(&pubs[i]); err != nil {
			return nil, err // one bad room refuses them all: half a publication helps nobody
		}
	}
	return pubs, nil
}

func (e *envelope) check() error {
	switch {
	case e.Retain:
		return refuse(reasonRetain, "retain is not supported: nothing keeps retained values")
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
	return nil
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
