package zeromq

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// appendMessage appends [topic, event, arg...] in ZMTP framing.
func appendMessage(dst []byte, topic string, m *hub.Message) ([]byte, error) {
	elements, err := m.Payload.Split()
	if err != nil {
		return dst, err
	}
	if len(elements) == 0 {
		return dst, fmt.Errorf("the payload has no event")
	}
	args := elements[1:]
	dst = guard.AppendStringFrame(dst, topic, true)
	dst = guard.AppendStringFrame(dst, m.Event, len(args) > 0)
	for i, a := range args {
		dst = guard.AppendFrame(dst, argument(a, m.Payload), i < len(args)-1)
	}
	return dst, nil
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
	for _, c := range raw {
		if c == '\\' {
			var s string
			if json.Unmarshal(raw, &s) != nil {
				return raw
			}
			return []byte(s)
		}
	}
	return raw[1 : len(raw)-1]
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
