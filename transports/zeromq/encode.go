package zeromq

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// Style says which frames Pub sends.
type Style uint8

const (
	// Full is [topic, event, arg...], of a publication with its meta as the last argument.
	Full Style = iota
	// Plain is [topic, arg...], without event and meta: for subscribers that want [room, payload]. A message without
	// arguments has one empty frame.
	Plain
)

// encoder turns messages into frames.
type encoder struct {
	style Style
	epoch string // goes into meta beside seq, "" when the hub has none or has put it there
}

// append appends a message in ZMTP framing. retained says in its meta that it comes because it was retained.
func (c *encoder) append(dst []byte, topic string, m *hub.Message, retained bool) ([]byte, error) {
	var few [8]json.RawMessage
	elements, err := m.Payload.AppendSplit(few[:0])
	if err != nil {
		return dst, err
	}
	if len(elements) == 0 {
		return dst, fmt.Errorf("the payload has no event")
	}
	args := elements[1:]
	if c.style == Plain {
		return c.appendPlain(dst, topic, m, args), nil
	}
	dst = guard.AppendStringFrame(dst, topic, true)
	dst = guard.AppendStringFrame(dst, m.Event, len(args) > 0)
	for i, a := range args {
		if last := i == len(args)-1; last && m.ID != "" {
			return c.appendMeta(dst, a, retained), nil
		}
		dst = guard.AppendFrame(dst, argument(a, m.Payload), i < len(args)-1)
	}
	return dst, nil
}

func (c *encoder) appendPlain(dst []byte, topic string, m *hub.Message, args []json.RawMessage) []byte {
	if (m.ID != "" || m.Foreign) && len(args) > 0 {
		args = args[:len(args)-1]
	}
	dst = guard.AppendStringFrame(dst, topic, true)
	if len(args) == 0 {
		return guard.AppendFrame(dst, nil, false)
	}
	for i, a := range args {
		dst = guard.AppendFrame(dst, argument(a, m.Payload), i < len(args)-1)
	}
	return dst
}

// appendMeta appends the meta object of a publication with what only subscribers get.
func (c *encoder) appendMeta(dst []byte, meta json.RawMessage, retained bool) []byte {
	var more [64]byte
	extra := more[:0]
	if c.epoch != "" {
		extra = append(append(append(extra, `,"epoch":"`...), c.epoch...), '"')
	}
	if retained {
		extra = append(extra, `,"retained":true`...)
	}
	dst = guard.AppendHeader(dst, len(meta)+len(extra), false)
	dst = append(dst, meta[:len(meta)-1]...)
	return append(append(dst, extra...), '}')
}

// argument is one argument as bytes: a string's text, a binary value's bytes, else JSON.
func argument(raw json.RawMessage, p hub.Payload) []byte {
	if len(raw) > 0 && raw[0] == '"' {
		return text(raw)
	}
	if len(p.Attachments) == 0 || len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return raw
	}
	var whole []byte
	if p.Decode(raw, &whole) == nil {
		return whole
	}
	return inline(raw, p.Attachments)
}

// text is the value of a JSON string; most have no escapes and need no decoding.
func text(raw json.RawMessage) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return raw
	}
	return []byte(s)
}

// placeholder matches an attachment's place in compact JSON. It cannot match inside a string: there
// its quotes would be escaped.
var placeholder = regexp.MustCompile(`\{"_placeholder":true,"num":([0-9]{1,9})\}`)

// inline replaces the placeholders inside raw by base64 strings, for a subscriber gets no attachments.
func inline(raw json.RawMessage, attachments [][]byte) []byte {
	return placeholder.ReplaceAllFunc(raw, func(found []byte) []byte {
		n, err := strconv.Atoi(string(placeholder.FindSubmatch(found)[1]))
		if err != nil || n >= len(attachments) {
			return found
		}
		out := append(make([]byte, 0, 2+base64.StdEncoding.EncodedLen(len(attachments[n]))), '"')
		return append(base64.StdEncoding.AppendEncode(out, attachments[n]), '"')
	})
}
