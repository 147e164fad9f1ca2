package zeromq

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"greenroom/hub"
)

// PayloadRule says what the bytes of a payload mean.
type PayloadRule uint8

const (
	// Auto takes a JSON object or array as that value, other UTF-8 as a string, the rest as binary.
	Auto PayloadRule = iota
	// JSON takes any JSON value and refuses all else.
	JSON
	// Text takes UTF-8 as a string and refuses all else.
	Text
	// Binary takes everything as it is.
	Binary
)

// maxDepth is how deep JSON may be nested. Clients' parsers recurse.
const maxDepth = 64

// readAll reads the payloads of one message.
func (r PayloadRule) readAll(payloads [][]byte, lent bool) ([]any, error) {
	args := make([]any, len(payloads))
	binary, placeholder := 0, false
	for i, b := range payloads {
		v, err := r.read(b, lent)
		if err != nil {
			return nil, err
		}
		args[i] = v
		if isBinary(v) {
			binary++
		}
	}
	if binary == 0 {
		return args, nil
	}
	for _, v := range args {
		placeholder = placeholder || holdsPlaceholder(v)
	}
	if placeholder {
		return nil, errPlaceholder()
	}
	return args, checkBinaries(binary)
}

// read returns what b means under the rule: a string, a []byte or a json.RawMessage. b is copied, but for a text that may
// be lent: that is a view of b, a hub.Text.
func (r PayloadRule) read(b []byte, lent bool) (any, error) {
	switch r {
	case Binary:
		return bytes.Clone(b), nil
	case Text:
		if !utf8.Valid(b) {
			return nil, refuse(reasonPayload, "text is wanted, %d bytes came that are not UTF-8", len(b))
		}
		return textOf(b, lent), nil
	case JSON:
		v, err := readJSON(b)
		if err == nil && v == nil {
			err = refuse(reasonPayload, "JSON is wanted, %d bytes came that are not", len(b))
		}
		return v, err
	}
	if !utf8.Valid(b) {
		return bytes.Clone(b), nil
	}
	if lead := bytes.TrimLeft(b, " \t\r\n"); len(lead) > 0 && (lead[0] == '{' || lead[0] == '[') {
		if v, err := readJSON(b); err != nil || v != nil {
			return v, err
		}
	}
	return textOf(b, lent), nil
}

func textOf(b []byte, lent bool) any {
	if lent {
		return hub.Text(b)
	}
	return string(b)
}

// readJSON returns b compacted, or nil when it is not JSON, or a refusal when it is and is nested
// too deep. encoding/json lets invalid UTF-8 pass in strings; a browser would end its connection.
func readJSON(b []byte) (json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, nil
	}
	deep := depth(b)
	if deep > jsonDepthLimit { // encoding/json refuses these whatever they are: so do we
		return nil, refuse(reasonDepth, "JSON nested %d deep, at most %d are taken", deep, maxDepth)
	}
	var out bytes.Buffer
	if json.Compact(&out, b) != nil {
		return nil, nil
	}
	if deep > maxDepth {
		return nil, refuse(reasonDepth, "JSON nested %d deep, at most %d are taken", deep, maxDepth)
	}
	return out.Bytes(), nil
}

// jsonDepthLimit is encoding/json's own.
const jsonDepthLimit = 10_000

// depth is the deepest nesting of JSON text.
func depth(b []byte) (deepest int) {
	level, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			level++
			deepest = max(deepest, level)
		case c == ']' || c == '}':
			level--
		}
	}
	return deepest
}

func isBinary(v any) bool {
	_, ok := v.([]byte)
	return ok
}

// holdsPlaceholder reports whether v is JSON in which the word "_placeholder" stands anywhere, also
// spelt with escapes. Socket.IO clients would take such an object for one of the binary values that
// travel with it.
func holdsPlaceholder(v any) bool {
	raw, ok := v.(json.RawMessage)
	if !ok {
		return false
	}
	if bytes.Contains(raw, []byte("_placeholder")) {
		return true
	}
	if !bytes.Contains(raw, []byte(`\u`)) {
		return false
	}
	var x any
	if json.Unmarshal(raw, &x) != nil {
		return true
	}
	plain, err := json.Marshal(x)
	return err != nil || bytes.Contains(plain, []byte("_placeholder"))
}
