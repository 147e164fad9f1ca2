package hub

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// What is wrong with a value, in the words of JSON: those who read it write JavaScript more often than Go.

// wrongType says what was wanted and what came instead.
func (p Payload) wrongType(raw json.RawMessage, e *json.UnmarshalTypeError) error {
	want, got := typeWords(e.Type), valueWords(e.Value)
	if literal, ok := strings.CutPrefix(e.Value, "number "); ok {
		want += rangeWords(e.Type, literal)
	}
	if e.Field != "" {
		return fmt.Errorf("%s: want %s, got %s", clip(e.Field), want, got)
	}
	if _, binary := p.attachment(raw); binary {
		got = "binary data"
	}
	return fmt.Errorf("want %s, got %s", want, got)
}

// typeWords is what JSON holds for a Go type.
func typeWords(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[json.Number]():
		return "a number"
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		return "a string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWords(t.Elem())
	case reflect.Bool:
		return "a boolean"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Array:
		return "an array"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "a string of base64" // within a struct, where encoding/json decodes it
		}
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.String:
		return "a string"
	}
	if t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr {
		return "a whole number"
	}
	return "another value" // an interface with methods, which only a raw handler can ask for
}

// rangeWords says which numbers fit, when a literal of the right kind did not.
func rangeWords(t reflect.Type, literal string) string {
	if t.Kind() < reflect.Int || t.Kind() > reflect.Uintptr || strings.ContainsAny(literal, ".eE") {
		return ""
	}
	bits := t.Bits()
	if t.Kind() >= reflect.Uint {
		return " from 0 to " + strconv.FormatUint(math.MaxUint64>>(64-bits), 10)
	}
	limit := int64(math.MaxInt64) >> (64 - bits)
	return fmt.Sprintf(" from %d to %d", -limit-1, limit)
}

// valueWords is encoding/json's description of a value with an article.
func valueWords(v string) string {
	if literal, ok := strings.CutPrefix(v, "number "); ok {
		return clip(literal)
	}
	switch v {
	case "bool":
		return "a boolean"
	case "array", "object":
		return "an " + v
	}
	return "a " + v
}

// kindOf describes an element of the array.
func (p Payload) kindOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "nothing"
	}
	switch raw[0] {
	case '{':
		if _, binary := p.attachment(raw); binary {
			return "binary data"
		}
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// plural is "1 argument", "2 arguments".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}

// clip shortens a client's text for a message back to it.
func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:61], "") + "…"
	}
	return s
}
