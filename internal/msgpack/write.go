package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// ErrJSON: the text is no JSON document, or a placeholder in it stands for nothing.
var ErrJSON = errors.New("invalid JSON")

// Append appends a JSON document as msgpack, with the binary values where their placeholders are; without
// binary values those are ordinary data. Numbers that are integers are written as such, in the smallest
// form. The document must be valid: what is not may be an error, or come out as something else.
func Append(dst, doc []byte, binaries [][]byte) ([]byte, error) {
	w := writer{doc: doc, binaries: binaries}
	// msgpack wants to know how many elements an array has before the first of them.
	if !w.measure() || !w.end() {
		return dst, ErrJSON
	}
	w.pos, w.dst = 0, dst
	if !w.value() {
		return dst, ErrJSON
	}
	return w.dst, nil
}

// writer walks over a document twice.
type writer struct {
	doc        []byte
	pos        int
	binaries   [][]byte
	next       int // the next container of the second walk
	dst        []byte
	containers containers
}

// container is an array or object of the document.
type container struct {
	size int32 // its elements; below zero it is a placeholder, of the binary value -1-size
	end  int32 // where it ends, of a placeholder
}

// containers are those of a document in the order of their opening brackets. The first lie in the struct itself, which
// stays on the stack: most documents cost no memory.
type containers struct {
	n    int
	few  [32]container
	many []container // the others
}

func (c *containers) add() (i int) {
	if i = c.n; i >= len(c.few) {
		c.many = append(c.many, container{})
	}
	c.n++
	return i
}

func (c *containers) at(i int) *container {
	if i < len(c.few) {
		return &c.few[i]
	}
	return &c.many[i-len(c.few)]
}

// cut forgets all from i on.
func (c *containers) cut(i int) {
	clear(c.few[min(i, len(c.few)):min(c.n, len(c.few))])
	c.many = c.many[:max(i-len(c.few), 0)]
	c.n = i
}

// space skips white space and returns the byte that follows, 0 at the end.
func (w *writer) space() byte {
	for w.pos < len(w.doc) {
		switch c := w.doc[w.pos]; c {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return c
		}
	}
	return 0
}

func (w *writer) end() bool { return w.space() == 0 && w.pos == len(w.doc) }

// take skips white space and the byte c, if it is there.
func (w *writer) take(c byte) bool {
	if w.space() != c || w.pos == len(w.doc) {
		return false
	}
	w.pos++
	return true
}

// measure walks over a value and counts the elements of its containers.
func (w *writer) measure() bool {
	switch w.space() {
	case '[':
		return w.measureArray()
	case '{':
		return w.measureObject()
	case '"':
		w.str()
		return true
	default:
		return len(w.word()) > 0
	}
}

func (w *writer) measureArray() bool {
	i := w.containers.add()
	w.pos++
	if w.take(']') {
		return true
	}
	for {
		if !w.measure() {
			return false
		}
		w.containers.at(i).size++
		if w.take(']') {
			return true
		}
		if !w.take(',') {
			return false
		}
	}
}

func (w *writer) measureObject() bool {
	i := w.containers.add()
	w.pos++
	if w.take('}') {
		return true
	}
	var mark, num []byte // of a placeholder
	for {
		if w.space() != '"' {
			return false
		}
		key := w.str()
		if !w.take(':') {
			return false
		}
		w.space()
		start := w.pos
		if !w.measure() {
			return false
		}
		w.containers.at(i).size++
		if len(w.binaries) > 0 {
			switch {
			case keyIs(key, `"_placeholder"`):
				mark = w.doc[start:w.pos]
			case keyIs(key, `"num"`):
				num = w.doc[start:w.pos]
			}
		}
		if w.take('}') {
			return string(mark) != "true" || w.placeholder(i, num)
		}
		if !w.take(',') {
			return false
		}
	}
}

// placeholder makes the object at i one; what it holds beside its number counts for nothing.
func (w *writer) placeholder(i int, num []byte) bool {
	n, err := strconv.ParseUint(string(num), 10, 31)
	if err != nil || n >= uint64(len(w.binaries)) {
		return false
	}
	w.containers.cut(i)
	*w.containers.at(w.containers.add()) = container{size: -1 - int32(n), end: int32(w.pos)}
	return true
}

// str returns the string at pos with its quotes, up to the document's end when it has no end.
func (w *writer) str() []byte {
	start := w.pos
	for w.pos++; w.pos < len(w.doc); w.pos++ {
		switch w.doc[w.pos] {
		case '\\':
			w.pos++
		case '"':
			w.pos++
			return w.doc[start:w.pos]
		}
	}
	w.pos = len(w.doc)
	return w.doc[start:]
}

// word returns the number, or true, false or null, at pos.
func (w *writer) word() []byte {
	start := w.pos
	for w.pos < len(w.doc) {
		switch w.doc[w.pos] {
		case ',', ']', '}', ':', '"', '[', '{', ' ', '\t', '\n', '\r':
			return w.doc[start:w.pos]
		}
		w.pos++
	}
	return w.doc[start:]
}

// keyIs compares a key as it stands in the text with a quoted name.
func keyIs(key []byte, quoted string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == quoted
	}
	var name string
	return json.Unmarshal(key, &name) == nil && name == quoted[1:len(quoted)-1]
}

// value writes a value that was measured.
func (w *writer) value() bool {
	switch w.space() {
	case '"':
		return w.writeString()
	case '[', '{':
		return w.writeContainer()
	default:
		return w.writeWord()
	}
}

func (w *writer) writeContainer() bool {
	c := *w.containers.at(w.next)
	w.next++
	if c.size < 0 {
		w.dst = msgp.AppendBytes(w.dst, w.binaries[-1-c.size])
		w.pos = int(c.end)
		return true
	}
	object := w.doc[w.pos] == '{'
	w.pos++
	if object {
		w.dst = msgp.AppendMapHeader(w.dst, uint32(c.size))
	} else {
		w.dst = msgp.AppendArrayHeader(w.dst, uint32(c.size))
	}
	for range c.size {
		if object {
			if w.space(); !w.writeString() {
				return false
			}
			w.space()
			w.pos++ // the colon
		}
		if !w.value() {
			return false
		}
		w.space()
		w.pos++ // a comma or the closing bracket
	}
	if c.size == 0 {
		w.space()
		w.pos++
	}
	return true
}

func (w *writer) writeString() bool {
	text := w.str()
	if len(text) >= 2 && bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		w.dst = msgp.AppendStringFromBytes(w.dst, text[1:len(text)-1])
		return true
	}
	var s string
	if json.Unmarshal(text, &s) != nil {
		return false
	}
	w.dst = msgp.AppendString(w.dst, s)
	return true
}

func (w *writer) writeWord() bool {
	switch text := w.word(); string(text) {
	case "null":
		w.dst = msgp.AppendNil(w.dst)
	case "true":
		w.dst = msgp.AppendBool(w.dst, true)
	case "false":
		w.dst = msgp.AppendBool(w.dst, false)
	default:
		return w.writeNumber(string(text))
	}
	return true
}

func (w *writer) writeNumber(text string) bool {
	if !strings.ContainsAny(text, ".eE") { // to learn it from an error costs four objects
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			w.writeInt(i)
			return true
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			w.dst = msgp.AppendUint64(w.dst, u)
			return true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is an infinity, as in JavaScript
		return false
	}
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		w.writeInt(int64(f))
		return true
	}
	w.dst = msgp.AppendFloat64(w.dst, f)
	return true
}

// writeInt writes what is not negative as unsigned: that is what notepack does, and the smaller form.
func (w *writer) writeInt(i int64) {
	if i >= 0 {
		w.dst = msgp.AppendUint64(w.dst, uint64(i))
		return
	}
	w.dst = msgp.AppendInt64(w.dst, i)
}
