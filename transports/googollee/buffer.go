package googollee

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"sync"

	"github.com/googollee/go-socket.io/parser"

	"greenroom/hub"
)

// A parser.Buffer in a value of the program is a binary attachment on the wire, wherever in the value it stands. The library
// keeps the number of the attachment in a field that nobody else can reach, so both ways lead over
// the Buffer's JSON.

type rawArg = json.RawMessage

var (
	bufferType    = reflect.TypeFor[parser.Buffer]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

// maxDepth bounds how deep values are looked into.
const maxDepth = 64

var errTooDeep = errors.New("nested too deep")

// incoming decodes an argument that a client sent.
func incoming(p hub.Payload, raw rawArg, into reflect.Value) error {
	if len(p.Attachments) == 0 || !mayHold(into.Type(), holdsBuffer) {
		return p.Decode(raw, into.Interface())
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return err
	}
	fillIn(v, p.Attachments)
	filled, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(filled, into.Interface())
}

// fillIn adds the bytes to all placeholders, under the name by which a parser.Buffer looks for them.
func fillIn(v any, attachments [][]byte) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			fillIn(x, attachments)
		}
	case map[string]any:
		if num, ok := v["num"].(json.Number); ok && v["_placeholder"] == true {
			if k, err := num.Int64(); err == nil && k >= 0 && k < int64(len(attachments)) {
				v["Data"] = attachments[k]
			}
			return
		}
		for _, x := range v {
			fillIn(x, attachments)
		}
	}
}

// outgoing makes the arguments such that the hub can encode them: every Buffer in them becomes bytes.
func outgoing(args []any) ([]any, error) {
	out := args
	for i, a := range args {
		t := reflect.TypeOf(a)
		if t == nil || !mayHold(t, holdsBuffer|holdsInterface) {
			continue
		}
		x, err := withBytes(a)
		if err != nil {
			return nil, err
		}
		if &out[0] == &args[0] { // the caller's
			out = append([]any(nil), args...)
		}
		out[i] = x
	}
	return out, nil
}

func withBytes(a any) (any, error) {
	switch b := a.(type) {
	case parser.Buffer:
		return b.Data, nil
	case *parser.Buffer:
		if b == nil {
			return nil, nil
		}
		return b.Data, nil
	}
	c := copier{}
	v, err := c.copy(reflect.ValueOf(a), 0)
	if err != nil || c.buffers == 0 {
		return a, err
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, err
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	return toBytes(tree), nil
}

// copier copies values with fresh Buffers in them: one that a client has sent would be written as the placeholder that
// it was, a fresh one as {"type":"Buffer","data":[…]}.
type copier struct{ buffers int }

func (c *copier) copy(v reflect.Value, depth int) (reflect.Value, error) {
	t := v.Type()
	if depth > maxDepth {
		return v, errTooDeep
	}
	if t == bufferType {
		c.buffers++
		data := v.FieldByName("Data").Bytes()
		return reflect.ValueOf(parser.Buffer{Data: data}), nil
	}
	if !mayHold(t, holdsBuffer|holdsInterface) {
		return v, nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return v, nil
		}
		x, err := c.copy(v.Elem(), depth+1)
		if err != nil {
			return v, err
		}
		if v.Kind() == reflect.Interface {
			n := reflect.New(t).Elem()
			n.Set(x)
			return n, nil
		}
		n := reflect.New(t.Elem())
		n.Elem().Set(x)
		return n, nil
	case reflect.Struct:
		n := reflect.New(t).Elem()
		n.Set(v)
		for i := range t.NumField() {
			if !t.Field(i).IsExported() {
				continue
			}
			x, err := c.copy(v.Field(i), depth+1)
			if err != nil {
				return v, err
			}
			n.Field(i).Set(x)
		}
		return n, nil
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return v, nil
		}
		n := reflect.New(t).Elem()
		if v.Kind() == reflect.Slice {
			n.Set(reflect.MakeSlice(t, v.Len(), v.Len()))
		}
		for i := range v.Len() {
			x, err := c.copy(v.Index(i), depth+1)
			if err != nil {
				return v, err
			}
			n.Index(i).Set(x)
		}
		return n, nil
	case reflect.Map:
		if v.IsNil() {
			return v, nil
		}
		n := reflect.MakeMapWithSize(t, v.Len())
		for it := v.MapRange(); it.Next(); {
			x, err := c.copy(it.Value(), depth+1)
			if err != nil {
				return v, err
			}
			n.SetMapIndex(it.Key(), x)
		}
		return n, nil
	}
	return v, nil
}

// toBytes turns what a fresh Buffer was written as into bytes.
func toBytes(v any) any {
	switch v := v.(type) {
	case []any:
		for i, x := range v {
			v[i] = toBytes(x)
		}
	case map[string]any:
		if data, ok := v["data"].([]any); ok && len(v) == 2 && v["type"] == "Buffer" {
			if b, ok := bytesOf(data); ok {
				return b
			}
		}
		for k, x := range v {
			v[k] = toBytes(x)
		}
	}
	return v
}

func bytesOf(data []any) ([]byte, bool) {
	b := make([]byte, len(data))
	for i, x := range data {
		num, ok := x.(json.Number)
		if !ok {
			return nil, false
		}
		n, err := num.Int64()
		if err != nil || n < 0 || n > math.MaxUint8 {
			return nil, false
		}
		b[i] = byte(n)
	}
	return b, true
}

// holding is what a type may hold.
type holding uint8

const (
	holdsBuffer holding = 1 << iota
	holdsInterface
)

var holdings sync.Map // of reflect.Type

// mayHold reports whether values of type t can have any of these in them. The program has few types.
func mayHold(t reflect.Type, any holding) bool {
	h, ok := holdings.Load(t)
	if !ok {
		h, _ = holdings.LoadOrStore(t, lookInto(t, make(map[reflect.Type]bool)))
	}
	return h.(holding)&any != 0
}

func lookInto(t reflect.Type, seen map[reflect.Type]bool) holding {
	if t == bufferType {
		return holdsBuffer
	}
	if seen[t] {
		return 0
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface:
		return holdsInterface
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		if t.Implements(marshalerType) && t.Elem() != bufferType {
			return 0 // it writes itself
		}
		return lookInto(t.Elem(), seen)
	case reflect.Struct:
		if t.Implements(marshalerType) || reflect.PointerTo(t).Implements(marshalerType) {
			return 0
		}
		var h holding
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				h |= lookInto(t.Field(i).Type, seen)
			}
		}
		return h
	}
	return 0
}
