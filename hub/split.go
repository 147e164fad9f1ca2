package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

var errNotArray = errors.New("not a JSON array")

// metaStart is how meta begins, with the comma in front of it.
var metaStart = []byte(`,{"room":`)

// Split returns the top-level elements of the payload's array without copying them. The JSON must
// be valid, as everything is that came through a transport or through [EncodeArgs].
func (p Payload) Split() ([]json.RawMessage, error) { return p.AppendSplit(nil) }

// AppendSplit is Split that appends the elements to dst.
func (p Payload) AppendSplit(dst []json.RawMessage) ([]json.RawMessage, error) {
	b := bytes.TrimSpace(p.JSON)
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' {
		return dst, errNotArray
	}
	end := len(b) - 1
	marked := p.meta > 0 && len(b) == len(p.JSON) && p.meta < end && bytes.HasPrefix(b[p.meta-1:], metaStart)
	if marked {
		end = p.meta - 1
	}
	b = b[1:end]
	start, depth := 0, 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			i = endOfString(b, i)
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			dst = append(dst, json.RawMessage(bytes.TrimSpace(b[start:i])))
			start = i + 1
		}
	}
	if last := bytes.TrimSpace(b[start:]); len(last) > 0 {
		dst = append(dst, json.RawMessage(last))
	}
	if marked {
		dst = append(dst, json.RawMessage(p.JSON[p.meta:len(p.JSON)-1]))
	}
	return dst, nil
}

// endOfString is the place of the quote that ends the string that begins at i; len(b) when none does.
func endOfString(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i+1:], '"')
		if n < 0 {
			return len(b)
		}
		i += 1 + n
		before := i - 1
		for b[before] == '\\' { // ends at the string's first quote
			before--
		}
		if (i-before)%2 == 1 {
			return i // an even number of backslashes stands before it
		}
	}
}

// placeholder is how a binary value stands in the JSON text.
type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         *int `json:"num"`
}

// attachment returns the binary value that raw stands for, if raw is a placeholder.
func (p Payload) attachment(raw json.RawMessage) ([]byte, bool) {
	if len(p.Attachments) == 0 || len(raw) == 0 || raw[0] != '{' {
		return nil, false
	}
	var ph placeholder
	if json.Unmarshal(raw, &ph) != nil || !ph.Placeholder || ph.Num == nil {
		return nil, false
	}
	if *ph.Num < 0 || *ph.Num >= len(p.Attachments) {
		return nil, false
	}
	return p.Attachments[*ph.Num], true
}

// Decode decodes one element of the array into v, a pointer. A *[]byte or *[Binary] takes a binary
// value; a *any gets binary values as []byte wherever they stand. What v held before may stay, as with
// encoding/json. An error says in JSON's words what was wanted: "want a string, got a number".
func (p Payload) Decode(raw json.RawMessage, v any) error {
	switch dst := v.(type) {
	case *[]byte:
		b, ok := p.attachment(raw)
		if !ok {
			return fmt.Errorf("want binary data, got %s", p.kindOf(raw))
		}
		*dst = b
		return nil
	case *Binary:
		b, ok := p.attachment(raw)
		if !ok {
			return fmt.Errorf("want binary data, got %s", p.kindOf(raw))
		}
		*dst = b
		return nil
	case *string:
		if text, ok := plainText(raw); ok && dst != nil {
			*dst = string(text)
			return nil
		}
	case *json.RawMessage:
		*dst = append((*dst)[:0], raw...)
		return nil
	case *any:
		if err := json.Unmarshal(raw, dst); err != nil {
			return err
		}
		if len(p.Attachments) > 0 {
			*dst = p.restore(*dst)
		}
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return p.wrongType(raw, te)
		}
		return err
	}
	return nil
}

// restore puts the binary values back in the place of their placeholders.
func (p Payload) restore(v any) any {
	switch x := v.(type) {
	case []any:
		for i := range x {
			x[i] = p.restore(x[i])
		}
	case map[string]any:
		if mark, _ := x["_placeholder"].(bool); mark {
			if n, ok := x["num"].(float64); ok && n >= 0 && n == float64(int(n)) && int(n) < len(p.Attachments) {
				return p.Attachments[int(n)]
			}
		}
		for k := range x {
			x[k] = p.restore(x[k])
		}
	}
	return v
}
