package msgpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/tinylib/msgp/msgp"
)

var (
	// ErrMalformed: the bytes are no msgpack, or have no counterpart in JSON.
	ErrMalformed = errors.New("malformed msgpack")
	// ErrTooDeep: nested deeper than MaxDepth.
	ErrTooDeep = errors.New("msgpack nested too deep")
	// ErrTooMany: more binary values than MaxBinaries.
	ErrTooMany = errors.New("too many binary values")
	// ErrForged: a map that JSON would take for the place of a binary value, beside real ones.
	ErrForged = errors.New("a map looks like the placeholder of a binary value")
)

// Reader reads one msgpack value as JSON. The fields in front are set before, the others hold the
// result. It is for one value.
type Reader struct {
	MaxDepth    int // of arrays and maps
	MaxBinaries int
	Timestamps  bool // extensions of type -1 are dates, ISO strings: so write notepack.io 3 and @msgpack/msgpack
	Buffers     bool // binary values become what JSON.stringify makes of Node.js' Buffers, and none is left

	Text     []byte   // the value as JSON
	First    []byte   // the first element of an array, as it stands in Text
	Binaries [][]byte // what the placeholders in Text stand for; copies

	src        []byte
	firstEnd   int
	lookalikes bool // a map has {"_placeholder":true}
}

// Read reads the value that src begins with, and returns what follows it.
func (r *Reader) Read(src []byte) (rest []byte, err error) {
	r.src = src
	r.Text = make([]byte, 0, len(src)+16)
	if err := r.value(0); err != nil {
		return nil, err
	}
	if r.lookalikes && len(r.Binaries) > 0 {
		return nil, ErrForged
	}
	if r.firstEnd > 0 {
		r.First = r.Text[1:r.firstEnd]
	}
	return r.src, nil
}

func (r *Reader) value(depth int) error {
	var err error
	switch msgp.NextType(r.src) {
	case msgp.StrType:
		var s []byte
		if s, r.src, err = msgp.ReadStringZC(r.src); err == nil {
			return r.str(s)
		}
	case msgp.IntType:
		return r.integer()
	case msgp.UintType:
		var u uint64
		if u, r.src, err = msgp.ReadUint64Bytes(r.src); err == nil {
			r.Text = strconv.AppendUint(r.Text, u, 10)
		}
	case msgp.Float64Type:
		var f float64
		if f, r.src, err = msgp.ReadFloat64Bytes(r.src); err == nil {
			r.Text = appendFloat(r.Text, f)
		}
	case msgp.Float32Type:
		var f float32
		if f, r.src, err = msgp.ReadFloat32Bytes(r.src); err == nil {
			r.Text = appendFloat(r.Text, float64(f)) // JavaScript knows no other
		}
	case msgp.BoolType:
		var b bool
		if b, r.src, err = msgp.ReadBoolBytes(r.src); err == nil {
			r.Text = strconv.AppendBool(r.Text, b)
		}
	case msgp.NilType:
		r.Text, r.src = append(r.Text, "null"...), r.src[1:]
	case msgp.BinType:
		var b []byte
		if b, r.src, err = msgp.ReadBytesZC(r.src); err == nil {
			return r.binary(b)
		}
	case msgp.ArrayType:
		return r.array(depth)
	case msgp.MapType:
		return r.object(depth)
	case msgp.InvalidType:
		return ErrMalformed
	default: // extensions; the library has names for some of their types
		return r.extension()
	}
	if err != nil {
		return ErrMalformed
	}
	return nil
}

func (r *Reader) integer() error {
	i, rest, err := msgp.ReadInt64Bytes(r.src)
	if err != nil {
		return ErrMalformed
	}
	r.Text, r.src = strconv.AppendInt(r.Text, i, 10), rest
	return nil
}

func (r *Reader) str(s []byte) error {
	text, ok := appendString(r.Text, s)
	if !ok {
		return ErrMalformed
	}
	r.Text = text
	return nil
}

func (r *Reader) binary(b []byte) error {
	if r.Buffers {
		r.Text = append(r.Text, `{"type":"Buffer","data":[`...)
		for i, c := range b {
			if i > 0 {
				r.Text = append(r.Text, ',')
			}
			r.Text = strconv.AppendUint(r.Text, uint64(c), 10)
		}
		r.Text = append(r.Text, "]}"...)
		return nil
	}
	if len(r.Binaries) >= r.MaxBinaries {
		return ErrTooMany
	}
	r.Text = append(r.Text, `{"_placeholder":true,"num":`...)
	r.Text = strconv.AppendInt(r.Text, int64(len(r.Binaries)), 10)
	r.Text = append(r.Text, '}')
	r.Binaries = append(r.Binaries, append(make([]byte, 0, len(b)), b...))
	return nil
}

func (r *Reader) array(depth int) error {
	n, rest, err := msgp.ReadArrayHeaderBytes(r.src)
	if err != nil {
		return ErrMalformed
	}
	if depth >= r.MaxDepth {
		return ErrTooDeep
	}
	r.src = rest
	r.Text = append(r.Text, '[')
	for i := range n { // each takes a byte at least, or ends it
		if i > 0 {
			r.Text = append(r.Text, ',')
		}
		if err := r.value(depth + 1); err != nil {
			return err
		}
		if depth == 0 && i == 0 {
			r.firstEnd = len(r.Text)
		}
	}
	r.Text = append(r.Text, ']')
	return nil
}

func (r *Reader) object(depth int) error {
	n, rest, err := msgp.ReadMapHeaderBytes(r.src)
	if err != nil {
		return ErrMalformed
	}
	if depth >= r.MaxDepth {
		return ErrTooDeep
	}
	r.src = rest
	r.Text = append(r.Text, '{')
	empty := true
	for range n {
		before := len(r.Text)
		if !empty {
			r.Text = append(r.Text, ',')
		}
		placeholder, err := r.key()
		if err != nil {
			return err
		}
		if rest, ok := undefined(r.src); ok {
			r.Text, r.src = r.Text[:before], rest
			continue
		}
		if placeholder && len(r.src) > 0 && r.src[0] == msgpackTrue {
			r.lookalikes = true
		}
		r.Text = append(r.Text, ':')
		if err := r.value(depth + 1); err != nil {
			return err
		}
		empty = false
	}
	r.Text = append(r.Text, '}')
	return nil
}

const msgpackTrue = 0xc3

// key reads a map's key: a string, or an integer, which JavaScript makes one of.
func (r *Reader) key() (placeholder bool, err error) {
	switch msgp.NextType(r.src) {
	case msgp.IntType, msgp.UintType:
		r.Text = append(r.Text, '"')
		if err := r.value(0); err != nil {
			return false, err
		}
		r.Text = append(r.Text, '"')
		return false, nil
	}
	s, rest, err := msgp.ReadStringZC(r.src)
	if err != nil {
		return false, ErrMalformed
	}
	r.src = rest
	return string(s) == "_placeholder", r.str(s)
}

// extension reads a value of an extension's type.
func (r *Reader) extension() error {
	if rest, ok := undefined(r.src); ok {
		r.Text, r.src = append(r.Text, "null"...), rest
		return nil
	}
	lead, kind, data, rest, ok := readExtension(r.src)
	if !ok {
		return ErrMalformed
	}
	r.src = rest
	switch {
	case kind == 0 && lead == fixExt8:
		r.Text = appendDate(r.Text, int64(binary.BigEndian.Uint64(data)))
		return nil
	case kind == 0 && lead >= ext8 && lead <= ext32:
		return r.binary(data)
	case kind == -1 && r.Timestamps:
		if ms, ok := timestamp(data); ok {
			r.Text = appendDate(r.Text, ms)
			return nil
		}
	}
	r.Text = append(r.Text, '[')
	r.Text = strconv.AppendInt(r.Text, int64(kind), 10)
	r.Text = append(r.Text, ',')
	if err := r.binary(data); err != nil {
		return err
	}
	r.Text = append(r.Text, ']')
	return nil
}

// The lead bytes of extensions (msgpack specification, "ext format family").
const (
	ext8     = 0xc7
	ext32    = 0xc9
	fixExt1  = 0xd4
	fixExt8  = 0xd7
	fixExt16 = 0xd8
)

// readExtension takes an extension apart. The library has each form of it return the same; here they differ.
func readExtension(b []byte) (lead byte, kind int8, data, rest []byte, ok bool) {
	lead, b = b[0], b[1:]
	size := uint64(0)
	if lead >= fixExt1 && lead <= fixExt16 {
		size = 1 << (lead - fixExt1)
	} else {
		width := 1 << (lead - ext8)
		if len(b) < width {
			return 0, 0, nil, nil, false
		}
		for _, c := range b[:width] {
			size = size<<8 | uint64(c)
		}
		b = b[width:]
	}
	if uint64(len(b)) < 1+size {
		return 0, 0, nil, nil, false
	}
	return lead, int8(b[0]), b[1 : 1+size], b[1+size:], true
}

// timestamp is the time of an extension of type -1 in milliseconds (msgpack specification, "timestamp extension type").
func timestamp(data []byte) (ms int64, ok bool) {
	switch len(data) {
	case 4:
		return int64(binary.BigEndian.Uint32(data)) * 1000, true
	case 8:
		v := binary.BigEndian.Uint64(data)
		return int64(v&(1<<34-1))*1000 + int64(v>>34)/1_000_000, true
	case 12:
		s := int64(binary.BigEndian.Uint64(data[4:]))
		s = max(min(s, maxDate/1000+1), -maxDate/1000-1) // beyond, it is none; nor shall it wrap
		return s*1000 + int64(binary.BigEndian.Uint32(data))/1_000_000, true
	}
	return 0, false
}

// undefined reports whether b begins with JavaScript's undefined, and returns what follows it.
func undefined(b []byte) (rest []byte, ok bool) {
	if len(b) >= 3 && bytes.Equal(b[:2], []byte{fixExt1, 0}) {
		return b[3:], true
	}
	return b, false
}

// Absent reports whether b begins with undefined, or with the null that other languages write for it, and
// returns what follows it.
func Absent(b []byte) (rest []byte, ok bool) {
	if msgp.IsNil(b) {
		return b[1:], true
	}
	return undefined(b)
}

// Skip returns what follows the value that b begins with. Nesting does not matter to it.
func Skip(b []byte) (rest []byte, err error) {
	for left := uint64(1); left > 0; left-- {
		var n uint32
		switch msgp.NextType(b) {
		case msgp.ArrayType:
			n, b, err = msgp.ReadArrayHeaderBytes(b)
			left += uint64(n)
		case msgp.MapType:
			n, b, err = msgp.ReadMapHeaderBytes(b)
			left += 2 * uint64(n)
		default:
			b, err = msgp.Skip(b)
		}
		if err != nil {
			return nil, ErrMalformed
		}
	}
	return b, nil
}
