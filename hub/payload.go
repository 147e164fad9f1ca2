package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Payload is an event or an ack in the hub's canonical form: the text of a JSON array in which each
// binary value is replaced by {"_placeholder":true,"num":k}, and those binary values in order. It is
// what Socket.IO carries, so that the hot path copies and never re-encodes.
// Both are read-only for everyone once the payload was handed over.
type Payload struct {
	JSON        []byte
	Attachments [][]byte

	meta int // where the meta that the hub has appended begins in JSON, 0 for none: Split need not read it
}

// Binary is a byte string that travels as a binary attachment. A []byte argument is treated the same.
type Binary []byte

// Text is a string argument in somebody's buffer: its bytes, in UTF-8, are copied when the arguments are encoded, and are
// its owner's again after that.
type Text []byte

func (t Text) String() string { return string(t) }

// MarshalText makes encoding/json take t for a string.
func (t Text) MarshalText() ([]byte, error) { return t, nil }

// maxArgDepth bounds how deep EncodeArgs looks into []any and map[string]any for binary values.
const maxArgDepth = 64

var (
	errForgedPlaceholder = errors.New(`raw JSON with a "_placeholder" key cannot travel with binary data`)
	errTooDeep           = fmt.Errorf("arguments nested deeper than %d", maxArgDepth)
)

// EncodeArgs builds the payload ["event", args…]. An argument is encoded as encoding/json does it,
// without HTML escaping; a [json.RawMessage] is checked and passed as it is; []byte and [Binary],
// also inside []any and map[string]any, become attachments (the slices are kept, not copied: do not
// modify them afterwards); [Text] is a string that is copied.
func EncodeArgs(event string, args ...any) (Payload, error) {
	return encodeEvent(event, args, 0)
}

// encodeEvent is EncodeArgs that leaves room for so many more bytes.
func encodeEvent(event string, args []any, more int) (Payload, error) {
	e := argEncoder{buf: make([]byte, 0, len(event)+sizeOf(args)+more)}
	e.buf = append(e.buf, '[')
	e.buf = appendString(e.buf, event)
	return e.finish(args, true)
}

// encodeAck builds the payload [args…] of an ack.
func encodeAck(args ...any) (Payload, error) {
	e := argEncoder{buf: make([]byte, 0, sizeOf(args))}
	e.buf = append(e.buf, '[')
	return e.finish(args, false)
}

// sizeOf is what args probably take: right for texts and raw JSON, a guess for the rest.
func sizeOf(args []any) int {
	n := 8
	for _, a := range args {
		switch v := a.(type) {
		case string:
			n += len(v) + 3
		case Text:
			n += len(v) + 3
		case json.RawMessage:
			n += len(v) + 1
		case validJSON:
			n += len(v.json) + 1
		default:
			n += 24
		}
	}
	return n
}

// plainText is the text that a JSON string without escapes stands for, as it stands there. Of anything else, ok is false.
func plainText(raw []byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return nil, false
	}
	text = raw[1 : len(raw)-1]
	var seen byte
	for _, c := range text {
		if c < 0x20 || c == '"' || c == '\\' {
			return nil, false
		}
		seen |= c
	}
	return text, seen < utf8.RuneSelf || utf8.Valid(text)
}

// validJSON is raw JSON that was checked when it came in; its placeholders belong to the
// attachments beside it, whose numbers the encoder shifts by nothing: it must be the only binary.
type validJSON struct {
	json        []byte
	attachments [][]byte
}

type argEncoder struct {
	buf         []byte
	attachments [][]byte
	rawSeen     bool // a raw argument holds the key "_placeholder"
}

func (e *argEncoder) finish(args []any, comma bool) (Payload, error) {
	for i, a := range args {
		if comma || i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.encode(a, 0); err != nil {
			return Payload{}, fmt.Errorf("encoding argument %d: %w", i, err)
		}
	}
	if e.rawSeen && len(e.attachments) > 0 {
		return Payload{}, errForgedPlaceholder
	}
	e.buf = append(e.buf, ']')
	return Payload{JSON: e.buf, Attachments: e.attachments}, nil
}

func (e *argEncoder) encode(a any, depth int) error {
	switch v := a.(type) {
	case string:
		e.buf = appendString(e.buf, v)
	case Text:
		e.buf = appendString(e.buf, v)
	case nil:
		e.buf = append(e.buf, "null"...)
	case bool:
		e.buf = strconv.AppendBool(e.buf, v)
	case int:
		e.buf = strconv.AppendInt(e.buf, int64(v), 10)
	case int64:
		e.buf = strconv.AppendInt(e.buf, v, 10)
	case validJSON:
		e.buf = append(e.buf, v.json...)
		e.attachments = append(e.attachments, v.attachments...)
	case json.RawMessage:
		return e.raw(v)
	case []byte:
		e.binary(v)
	case Binary:
		e.binary(v)
	case []any, map[string]any:
		if holdsBinary(a, 0) {
			return e.nested(a, depth)
		}
		return e.marshal(a)
	default:
		return e.marshal(a)
	}
	return nil
}

func (e *argEncoder) raw(v json.RawMessage) error {
	if len(v) == 0 {
		e.buf = append(e.buf, "null"...)
		return nil
	}
	if _, plain := plainText(v); plain {
		e.buf = append(e.buf, v...)
		return nil
	}
	if !json.Valid(v) {
		return errors.New("invalid raw JSON")
	}
	if (bytes.Contains(v, []byte("_placeholder")) || bytes.Contains(v, []byte(`\u`))) && holdsPlaceholder(v) {
		e.rawSeen = true
	}
	e.buf = append(e.buf, v...)
	return nil
}

// holdsPlaceholder reports whether an object in v has the key "_placeholder", however it is written.
func holdsPlaceholder(v json.RawMessage) bool {
	var x any
	if json.Unmarshal(v, &x) != nil {
		return true // deeper than encoding/json goes
	}
	return placeholderIn(x)
}

func placeholderIn(x any) bool {
	switch x := x.(type) {
	case []any:
		return slices.ContainsFunc(x, placeholderIn)
	case map[string]any:
		for k, v := range x {
			if k == "_placeholder" || placeholderIn(v) {
				return true
			}
		}
	}
	return false
}

func (e *argEncoder) binary(b []byte) {
	e.buf = append(e.buf, `{"_placeholder":true,"num":`...)
	e.buf = strconv.AppendInt(e.buf, int64(len(e.attachments)), 10)
	e.buf = append(e.buf, '}')
	e.attachments = append(e.attachments, b)
}

func (e *argEncoder) marshal(a any) error {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(a); err != nil {
		return err
	}
	e.buf = append(e.buf, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
	return nil
}

// nested writes a container that holds binary values, depth first.
func (e *argEncoder) nested(a any, depth int) error {
	if depth > maxArgDepth {
		return errTooDeep
	}
	switch v := a.(type) {
	case []any:
		e.buf = append(e.buf, '[')
		for i, x := range v {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			if err := e.encode(x, depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, ']')
	case map[string]any:
		e.buf = append(e.buf, '{')
		first := true
		for k, x := range v {
			if !first {
				e.buf = append(e.buf, ',')
			}
			first = false
			e.buf = append(appendString(e.buf, k), ':')
			if err := e.encode(x, depth+1); err != nil {
				return err
			}
		}
		e.buf = append(e.buf, '}')
	}
	return nil
}

func holdsBinary(a any, depth int) bool {
	if depth > maxArgDepth {
		return true // nested will say that it is too deep
	}
	switch v := a.(type) {
	case []byte, Binary:
		return true
	case []any:
		for _, x := range v {
			if holdsBinary(x, depth+1) {
				return true
			}
		}
	case map[string]any:
		for _, x := range v {
			if holdsBinary(x, depth+1) {
				return true
			}
		}
	}
	return false
}

// appendString appends s as a JSON string: the plain case, nearly all there is, without encoding/json.
func appendString[S string | Text](dst []byte, s S) []byte {
	at := len(dst)
	dst = append(append(dst, '"'), s...)
	if own := dst[at+1:]; plainASCII(own) || plainUnicode(own) {
		return append(dst, '"')
	}
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(string(s)) // a string always encodes
	return append(dst[:at], bytes.TrimSuffix(w.Bytes(), []byte("\n"))...)
}

// plainASCII reports whether s is of ASCII alone and stands in JSON as it is. It looks at eight bytes at once: of each
// word a bit stays set when one of its bytes is below 0x20, a quote, a backslash, or above 0x7e.
func plainASCII(s []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash := w^'"'*ones, w^'\\'*ones
		if ((w-0x20*ones)|(quote-ones)|(slash-ones)|w|(w+ones))&high != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return false
		}
	}
	return true
}

// plainUnicode reports whether s is valid and has nothing that encoding/json escapes: it escapes the line separators
// U+2028 and U+2029 too.
func plainUnicode(s []byte) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.Valid(s) && !bytes.Contains(s, []byte("\u2028")) && !bytes.Contains(s, []byte("\u2029"))
}
