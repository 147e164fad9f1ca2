package hub

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Reflection on the types of handlers, done once, when a table is registered: what encoding/json would
// refuse at every call is an error there.

var (
	errOnlyFirst  = errors.New("only the first parameter can be the session")
	errEventFirst = errors.New("the event comes before its arguments, as a pointer")
	errNoClient   = errors.New("no client can send that")
	errNotJSON    = errors.New("JSON has no such value")
	errErrorLast  = errors.New("a handler fails by a last result of type error")

	unmarshalerType     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshalerType       = reflect.TypeFor[json.Marshaler]()
	textMarshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
)

// decodable says why a client's argument cannot be decoded into a value of type t.
func decodable(t reflect.Type) error {
	if t == sessionType || t == sessionType.Elem() {
		return errOnlyFirst
	}
	if t == eventType || t == eventType.Elem() {
		return errEventFirst
	}
	c := typeCheck{err: errNoClient, custom: func(t reflect.Type) bool {
		p := reflect.PointerTo(t)
		return p.Implements(unmarshalerType) || p.Implements(textUnmarshalerType)
	}, empty: true, keys: textUnmarshalerType}
	return c.check(t)
}

// encodable says why a value of type t cannot be an answer.
func encodable(t reflect.Type) error {
	if t.Implements(errorType) {
		return errErrorLast
	}
	c := typeCheck{err: errNotJSON, custom: func(t reflect.Type) bool {
		p := reflect.PointerTo(t)
		return p.Implements(marshalerType) || p.Implements(textMarshalerType)
	}, keys: textMarshalerType}
	return c.check(t)
}

type typeCheck struct {
	err    error
	custom func(reflect.Type) bool // knows how to do it itself
	empty  bool                    // an interface must be empty
	keys   reflect.Type            // what a map's key that is no string or integer must implement
	seen   map[reflect.Type]bool
}

func (c *typeCheck) check(t reflect.Type) error {
	if c.seen[t] || c.custom(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
		return c.err
	case reflect.Interface:
		if c.empty && t.NumMethod() > 0 {
			return c.err
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return c.inside(t, t.Elem())
	case reflect.Map:
		switch k := t.Key(); k.Kind() {
		case reflect.String,
			reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		default:
			if !k.Implements(c.keys) && !reflect.PointerTo(k).Implements(c.keys) {
				return fmt.Errorf("a map with keys of type %s: %w", k, c.err)
			}
		}
		return c.inside(t, t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			tag := f.Tag.Get("json")
			if tag == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if err := c.inside(t, f.Type); err != nil {
				name, _, _ := strings.Cut(tag, ",")
				if name == "" {
					name = f.Name
				}
				return fmt.Errorf("field %s: %w", name, err)
			}
		}
	}
	return nil
}

// inside checks a part of outer, which may hold itself.
func (c *typeCheck) inside(outer, part reflect.Type) error {
	if c.seen == nil {
		c.seen = make(map[reflect.Type]bool)
	}
	c.seen[outer] = true
	return c.check(part)
}
