package socketio

import (
	"bytes"
	"encoding/json"
)

// maxDepth bounds the nesting of a client's JSON, unless the options say so. Handlers
// decode it with recursive decoders; real events are a handful deep.
const maxDepth = 128

// scanner checks one JSON document (RFC 8259) in a single pass without copying,
// and on the way notes what a packet's decoder wants to know. encoding/json
// would need a pass to validate, and another to find the name and placeholders.
type scanner struct {
	b   []byte
	pos int

	depth          int    // of arrays and objects, at most
	attachments    int    // how many placeholders may count up to; -1: they are ordinary data
	start          int    // where the document's value begins
	first          []byte // the first element of a top-level array
	badPlaceholder bool
	tooDeep        bool
}

// document reports whether b is exactly one valid value.
func (s *scanner) document() bool {
	s.space()
	s.start = s.pos
	if !s.value(0) {
		return false
	}
	s.space()
	return s.pos == len(s.b)
}

func (s *scanner) space() {
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek is the byte at pos, or 0 at the end; a 0 inside the text is never valid.
func (s *scanner) peek() byte {
	if s.pos < len(s.b) {
		return s.b[s.pos]
	}
	return 0
}

func (s *scanner) value(depth int) bool {
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '[':
		return s.enter(depth) && s.array(depth)
	case c == '{':
		return s.enter(depth) && s.object(depth)
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return false
}

// enter reports whether something may be nested in depth others.
func (s *scanner) enter(depth int) bool {
	s.tooDeep = depth >= s.depth
	return !s.tooDeep
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.b[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *scanner) str() bool {
	s.pos++
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c < 0x20:
			return false
		case c == '\\':
			if !s.escape() {
				return false
			}
		default:
			s.pos++
		}
	}
	return false
}

func (s *scanner) escape() bool {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		s.pos++
		for range 4 {
			c := s.peek()
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
			s.pos++
		}
		return true
	}
	return false
}

func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) array(depth int) bool {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return true
	}
	for {
		start := s.pos
		if !s.value(depth + 1) {
			return false
		}
		if depth == 0 && s.first == nil {
			s.first = s.b[start:s.pos]
		}
		s.space()
		c := s.peek()
		s.pos++
		if c == ']' {
			return true
		}
		if c != ',' {
			return false
		}
		s.space()
	}
}

func (s *scanner) object(depth int) bool {
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return true
	}
	var mark, num []byte // of a placeholder
	for {
		if s.peek() != '"' {
			return false
		}
		keyStart := s.pos
		if !s.str() {
			return false
		}
		key := s.b[keyStart:s.pos]
		s.space()
		if s.peek() != ':' {
			return false
		}
		s.pos++
		s.space()
		start := s.pos
		if !s.value(depth + 1) {
			return false
		}
		if s.attachments >= 0 {
			switch {
			case keyIs(key, `"_placeholder"`):
				mark = s.b[start:s.pos]
			case keyIs(key, `"num"`):
				num = s.b[start:s.pos]
			}
		}
		s.space()
		c := s.peek()
		s.pos++
		if c == '}' {
			return s.placeholder(mark, num)
		}
		if c != ',' {
			return false
		}
		s.space()
	}
}

// placeholder checks an object that claims to stand for an attachment, as
// JavaScript would see it: of repeated keys the last counts.
func (s *scanner) placeholder(mark, num []byte) bool {
	if string(mark) != "true" {
		return true
	}
	n, rest, ok := readNumber(num, 3)
	if !ok || len(rest) > 0 || n >= int64(s.attachments) {
		s.badPlaceholder = true
		return false
	}
	return true
}

// keyIs compares a key as it stands in the text with a quoted name. A key may be
// written with escapes, which is rare enough to be decoded by encoding/json.
func keyIs(key []byte, quoted string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return string(key) == quoted
	}
	var name string
	return json.Unmarshal(key, &name) == nil && name == quoted[1:len(quoted)-1]
}
