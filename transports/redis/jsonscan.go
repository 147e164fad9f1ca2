package redis

import (
	"encoding/json"
	"unicode/utf8"
)

// scanner walks over JSON text of other nodes and checks it on the way, in one pass and without making values: what it
// returns are pieces of the text. After the first mistake ok is false, and all that follows returns nothing.
type scanner struct {
	b     []byte
	i     int
	depth int // how many arrays and objects may still be opened
	ok    bool
}

func scan(b []byte) scanner { return scanner{b: b, depth: maxDepth, ok: utf8.Valid(b)} }

func (s *scanner) fail() { s.ok, s.i = false, len(s.b) }

// space skips white space and returns the byte that follows, 0 at the end.
func (s *scanner) space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take skips white space and the byte c, or fails.
func (s *scanner) take(c byte) {
	if s.space() != c || s.i >= len(s.b) {
		s.fail()
		return
	}
	s.i++
}

// end reports that all was right and nothing is left.
func (s *scanner) end() bool { return s.space() == 0 && s.i == len(s.b) && s.ok }

// object calls member for each key of an object, as it stands in the text without its quotes; it must walk over the
// value.
func (s *scanner) object(member func(key []byte)) {
	if s.open('{'); s.close('}') {
		return
	}
	for s.ok {
		key := s.str()
		s.take(':')
		if !s.ok {
			return
		}
		member(key)
		if s.close('}') {
			return
		}
		s.take(',')
	}
}

// array calls element before each one, which it must walk over.
func (s *scanner) array(element func()) {
	if s.open('['); s.close(']') {
		return
	}
	for s.ok {
		element()
		if s.close(']') {
			return
		}
		s.take(',')
	}
}

func (s *scanner) open(c byte) {
	if s.depth--; s.depth < 0 {
		s.fail()
		return
	}
	s.take(c)
}

// close skips c, if it is next.
func (s *scanner) close(c byte) bool {
	if s.space() != c || !s.ok || s.i >= len(s.b) {
		return false
	}
	s.i++
	s.depth++
	return true
}

// value walks over a value and returns its text.
func (s *scanner) value() []byte {
	c := s.space()
	start := s.i
	switch c {
	case '{':
		s.object(func([]byte) { s.value() })
	case '[':
		s.array(func() { s.value() })
	case '"':
		s.str()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
	if !s.ok {
		return nil
	}
	return s.b[start:s.i]
}

func (s *scanner) word(w string) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail()
		return
	}
	s.i += len(w)
}

// str walks over a string and returns it as it stands there, without its quotes.
func (s *scanner) str() []byte {
	s.take('"')
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1]
		case c == '\\':
			s.escape()
		case c < 0x20:
			s.fail()
		default:
			s.i++
		}
	}
	s.fail()
	return nil
}

func (s *scanner) escape() {
	if s.i+1 >= len(s.b) {
		s.fail()
		return
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return
	case 'u':
		if s.i+6 <= len(s.b) && hexDigits(s.b[s.i+2:s.i+6]) {
			s.i += 6
			return
		}
	}
	s.fail()
}

func hexDigits(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// number walks over -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() []byte {
	start := s.i
	s.oneOf('-', '-')
	switch {
	case s.oneOf('0', '0'):
	case s.digits():
	default:
		s.fail()
		return nil
	}
	if s.oneOf('.', '.') && !s.digits() {
		s.fail()
		return nil
	}
	if s.oneOf('e', 'E') {
		s.oneOf('+', '-')
		if !s.digits() {
			s.fail()
			return nil
		}
	}
	return s.b[start:s.i]
}

func (s *scanner) oneOf(a, b byte) bool {
	if s.i < len(s.b) && (s.b[s.i] == a || s.b[s.i] == b) {
		s.i++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// text is str for who needs the string.
func (s *scanner) text() string { return unescape(s.str()) }

// unescape is what the inside of a JSON string stands for.
func unescape(raw []byte) string {
	for _, c := range raw {
		if c == '\\' {
			var text string
			quoted := append(append(append(make([]byte, 0, len(raw)+2), '"'), raw...), '"')
			_ = json.Unmarshal(quoted, &text) // it was checked
			return text
		}
	}
	return string(raw)
}
