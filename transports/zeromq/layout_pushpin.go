package zeromq

import (
	"encoding/base64"
	"encoding/json"

	"greenroom/hub"
)

// Pushpin takes what publishers send to Pushpin, the proxy, so that GRIP libraries publish here unchanged: one frame
// with an item that names its channel, or [channel, item]. An item is "J" and a JSON object, "T" and a TNetString, or
// a bare TNetString.
//
// The channel is the room. Of the item's formats, which stand in "formats" or at its top, "ws-message" is taken: its
// "content", read by the payload rule, or its "content-bin" (base64 in JSON) becomes the argument of Format.Event. Its
// action must be "send". An item without it (http-stream, http-response) is counted and dropped. "id" de-duplicates for a
// minute. With the content filter "skip-self" the session that "meta" names as "sender" does not get it; other
// filters are refused. "prev-id" and the rest are ignored: what comes is published in the order in which it comes.
var Pushpin Layout = pushpin{}

type pushpin struct{}

func (l pushpin) Parse(frames [][]byte, f Format) ([]hub.Publication, error) {
	return parse(l, frames, f)
}

func (pushpin) read(r *reader, frames [][]byte) error {
	if len(frames) > 2 {
		return refuse(reasonShape, "%d frames: an item, or a channel and an item are wanted", len(frames))
	}
	item, err := readItem(frames[len(frames)-1])
	if err != nil {
		return err
	}
	channel, ok := item.text("channel")
	if len(frames) == 2 {
		channel, ok = string(frames[0]), true // it is the one that counts
	}
	if !ok {
		return refuse(reasonItem, "the item names no channel")
	}
	to, err := r.address([]byte(channel))
	if err != nil {
		return err
	}
	if r.unnamed != nil {
		return r.unnamed
	}
	message, ok := item.format("ws-message")
	if !ok {
		return refuse(reasonItemFormat, "the item has no ws-message")
	}
	arg, err := message.content(r.format.Payload)
	if err != nil {
		return err
	}
	p := hub.Publication{Namespace: to.namespace, Room: to.room, Event: r.format.Event, Args: []any{arg}}
	if p.Except, err = message.except(item); err != nil {
		return err
	}
	if p.ID, _ = item.text("id"); len(p.ID) > maxIDBytes {
		return refuse(reasonItem, "an id of %d bytes, at most %d are taken", len(p.ID), maxIDBytes)
	}
	r.pubs = append(r.pubs, p)
	return nil
}

// grip is an object of an item: strings are string or, in a TNetString, []byte.
type grip map[string]any

func readItem(b []byte) (grip, error) {
	var v any
	var err error
	switch {
	case len(b) > 0 && b[0] == 'J':
		var compact json.RawMessage
		if compact, err = readJSON(b[1:]); err != nil {
			return nil, err
		}
		if compact == nil || json.Unmarshal(compact, &v) != nil {
			return nil, refuse(reasonItem, "an item that starts with J and is no JSON")
		}
	case len(b) > 0 && b[0] == 'T':
		v, err = parseTNetString(b[1:], maxDepth)
	default:
		v, err = parseTNetString(b, maxDepth)
	}
	if err != nil {
		return nil, refuse(reasonItem, "an item that is neither J with JSON nor a TNetString")
	}
	item, ok := v.(map[string]any)
	if !ok {
		return nil, refuse(reasonItem, "an item that is no object")
	}
	return item, nil
}

func (g grip) object(key string) (grip, bool) {
	m, ok := g[key].(map[string]any)
	return m, ok
}

func (g grip) text(key string) (string, bool) {
	switch v := g[key].(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

// format finds one of the item's formats.
func (g grip) format(name string) (grip, bool) {
	if formats, ok := g.object("formats"); ok {
		if f, ok := formats.object(name); ok {
			return f, true
		}
	}
	return g.object(name)
}

// content is what a ws-message says.
func (g grip) content(rule PayloadRule) (any, error) {
	if action, ok := g.text("action"); ok && action != "send" {
		return nil, refuse(reasonItemFormat, "a ws-message with the action %.32q", action)
	}
	kind, _ := g.text("type")
	switch kind {
	case "binary":
		rule = Binary
	case "", "text":
	default:
		return nil, refuse(reasonItemFormat, "a ws-message of the type %.32q", kind)
	}
	switch encoded := g["content-bin"].(type) {
	case string: // JSON
		b, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, refuse(reasonItem, "content-bin is no base64")
		}
		return rule.elseIfUntyped(kind).read(b, false)
	case []byte: // a TNetString has bytes
		return rule.elseIfUntyped(kind).read(encoded, false)
	}
	switch content := g["content"].(type) {
	case string:
		return rule.read([]byte(content), false)
	case []byte:
		return rule.read(content, false)
	}
	return nil, refuse(reasonItem, "a ws-message without content")
}

// elseIfUntyped: content-bin without a type is binary.
func (r PayloadRule) elseIfUntyped(kind string) PayloadRule {
	if kind == "" {
		return Binary
	}
	return r
}

// except is who does not get it.
func (g grip) except(item grip) ([]string, error) {
	filters, _ := g["content-filters"].([]any)
	for _, f := range filters {
		name, _ := grip{"": f}.text("")
		if name != "skip-self" {
			return nil, refuse(reasonItemFormat, "the content filter %.32q", name)
		}
	}
	if len(filters) == 0 {
		return nil, nil
	}
	meta, _ := item.object("meta")
	if sender, ok := meta.text("sender"); ok {
		return []string{sender}, nil
	}
	return nil, nil
}
