package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// What is decoded is limited: a message comes from whoever may publish to Redis.
const (
	maxDepth    = 100    // of arrays and objects
	maxBinaries = 1000   // in one payload
	maxRooms    = 10_000 // that one message addresses
	maxRoomName = 255    // bytes; no room here is called otherwise
	maxID       = 255    // bytes, of what nodes, requests and sessions are called
	maxClients  = 1 << 30
)

var (
	errMalformed = errors.New("not in the format of the adapter")
	errEvent     = errors.New("not an event of an application")
)

// appendPayload appends a payload as msgpack: the array of an event, with binary values in it.
func appendPayload(dst []byte, p hub.Payload) ([]byte, error) {
	return msgpack.Append(dst, p.JSON, p.Attachments)
}

// jsonOf is a payload as JSON, in which binary values are what JSON.stringify makes of Node.js' Buffers.
func jsonOf(p hub.Payload) ([]byte, error) {
	if len(p.Attachments) == 0 {
		return p.JSON, nil
	}
	return msgpack.Text(p.JSON, p.Attachments)
}

// readPayload reads an event's array from msgpack.
func readPayload(src []byte) (p hub.Payload, rest []byte, err error) {
	if msgp.NextType(src) != msgp.ArrayType {
		return p, nil, errMalformed
	}
	r := msgpack.Reader{MaxDepth: maxDepth, MaxBinaries: maxBinaries, Timestamps: true}
	rest, err = r.Read(src)
	if err != nil {
		return p, nil, err
	}
	return hub.Payload{JSON: r.Text, Attachments: r.Binaries}, rest, checkEvent(r.First)
}

// readAnswer reads one value from msgpack, as the payload of an answer with that value alone.
func readAnswer(src []byte) (p hub.Payload, rest []byte, err error) {
	r := msgpack.Reader{MaxDepth: maxDepth, MaxBinaries: maxBinaries, Timestamps: true}
	rest, err = r.Read(src)
	if err != nil {
		return p, nil, err
	}
	return hub.Payload{JSON: answerOf(r.Text), Attachments: r.Binaries}, rest, nil
}

// answerOf makes the payload's text of one value; of nothing, that of no values.
func answerOf(value []byte) []byte {
	b := make([]byte, 0, len(value)+2)
	return append(append(append(b, '['), value...), ']')
}

// jsonPayload checks an event's array that came as JSON.
func jsonPayload(raw json.RawMessage) (hub.Payload, error) {
	if len(raw) == 0 || raw[0] != '[' {
		return hub.Payload{}, errMalformed
	}
	text, err := compact(raw)
	if err != nil {
		return hub.Payload{}, err
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(text, &elements); err != nil {
		return hub.Payload{}, errMalformed
	}
	if len(elements) == 0 {
		return hub.Payload{}, errEvent
	}
	return hub.Payload{JSON: text}, checkEvent(elements[0])
}

// compact is a copy of valid JSON without white space, nested no deeper than we go.
func compact(raw []byte) ([]byte, error) {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return nil, msgpack.ErrTooDeep
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return nil, errMalformed
	}
	return b.Bytes(), nil
}

// checkEvent checks the name of an event: a string as it stands in JSON, and none that clients take for their own
// connection's.
func checkEvent(name []byte) error {
	if len(name) < 2 || name[0] != '"' {
		return errEvent
	}
	text := string(name[1 : len(name)-1])
	if bytes.IndexByte(name, '\\') >= 0 && json.Unmarshal(name, &text) != nil || hub.ReservedEvent(text) {
		return errEvent
	}
	return nil
}

// first is the first value of an answer as it stands in its payload, nil if there is none.
func first(p hub.Payload) json.RawMessage {
	all, err := p.Split()
	if err != nil || len(all) == 0 {
		return nil
	}
	return all[0]
}

// addressed is whom a message is for: what the official adapters call opts.
type addressed struct {
	rooms, except []string
	volatile      bool
	plain         bool // not to be compressed
	timeout       int  // milliseconds
	ours          int  // what Greenroom says about it, below
}

// The key of flags, and of requests, that Node.js does not know: who has written it is Greenroom. Its value is the sum of
// these.
const (
	oursKey       = "greenroom"
	oursSaid      = 1 // it is from a Greenroom node, and may be about rooms whose names start with "$"
	oursPublished = 2 // it is a publication, whose last argument is its meta
	oursRetain    = 4 // and its room's last value
)

// ownRooms reports whether any of the names is one of Greenroom's own rooms, which only Greenroom may address.
func ownRooms(names ...[]string) bool {
	for _, list := range names {
		for _, name := range list {
			if name != "" && name[0] == '$' {
				return true
			}
		}
	}
	return false
}

// allowed reports whether who sent it may address these rooms.
func (a *addressed) allowed() bool { return a.ours != 0 || !ownRooms(a.rooms, a.except) }

// readAddressed reads opts from msgpack.
func readAddressed(src []byte) (a addressed, rest []byte, err error) {
	rest, err = readMap(src, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "rooms":
			a.rooms, rest, err = readNames(src)
		case "except":
			a.except, rest, err = readNames(src)
		case "flags":
			rest, err = a.readFlags(src)
		default:
			rest, err = msgpack.Skip(src)
		}
		return rest, err
	})
	return a, rest, err
}

func (a *addressed) readFlags(src []byte) (rest []byte, err error) {
	if rest, absent := msgpack.Absent(src); absent {
		return rest, nil
	}
	return readMap(src, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "volatile":
			var on bool
			on, rest, err = readBool(src)
			a.volatile = on
		case "compress":
			var on bool
			on, rest, err = readBool(src)
			a.plain = !on
		case "timeout":
			a.timeout, rest, err = readInt(src)
		case oursKey:
			a.ours, rest, err = readInt(src)
		default:
			rest, err = msgpack.Skip(src)
		}
		return rest, err
	})
}

// readMap calls fn with each key that is a string and what follows it, of which it returns the rest.
func readMap(src []byte, fn func(key, src []byte) (rest []byte, err error)) (rest []byte, err error) {
	if msgp.NextType(src) != msgp.MapType {
		return nil, errMalformed
	}
	n, src, err := msgp.ReadMapHeaderBytes(src)
	if err != nil {
		return nil, errMalformed
	}
	for range n { // each takes two bytes at least, or ends it
		if msgp.NextType(src) != msgp.StrType {
			if src, err = msgpack.Skip(src); err == nil {
				src, err = msgpack.Skip(src)
			}
		} else {
			var key []byte
			if key, src, err = msgp.ReadStringZC(src); err == nil {
				src, err = fn(key, src)
			}
		}
		if err != nil {
			return nil, malformed(err)
		}
	}
	return src, nil
}

// malformed hides the library's errors, which name its methods.
func malformed(err error) error {
	for _, own := range []error{errMalformed, errEvent, msgpack.ErrTooDeep, msgpack.ErrTooMany, msgpack.ErrForged} {
		if errors.Is(err, own) {
			return own
		}
	}
	return errMalformed
}

// readNames reads rooms. null and undefined are none.
func readNames(src []byte) (names []string, rest []byte, err error) {
	if rest, absent := msgpack.Absent(src); absent {
		return nil, rest, nil
	}
	if msgp.NextType(src) != msgp.ArrayType {
		return nil, nil, errMalformed
	}
	n, src, err := msgp.ReadArrayHeaderBytes(src)
	if err != nil || n > maxRooms {
		return nil, nil, errMalformed
	}
	for range n {
		var name string
		if name, src, err = readName(src); err != nil {
			return nil, nil, err
		}
		names = append(names, name)
	}
	return names, src, nil
}

// readName reads the name of one room. Numbers are rooms in Node.js, of which JavaScript's text for them is the name
// here; what no room here can be called is "", the name of none.
func readName(src []byte) (name string, rest []byte, err error) {
	if msgp.NextType(src) == msgp.StrType {
		var b []byte
		if b, rest, err = msgp.ReadStringZC(src); err != nil {
			return "", nil, errMalformed
		}
		if len(b) > maxRoomName {
			b = nil
		}
		return string(b), rest, nil
	}
	r := msgpack.Reader{MaxDepth: 1, MaxBinaries: 1}
	if rest, err = r.Read(src); err != nil {
		return "", nil, errMalformed
	}
	return numberName(r.Text), rest, nil
}

// numberName is the room that a number in JSON stands for, "" for anything else.
func numberName(text []byte) string {
	if len(text) > 0 && len(text) <= maxRoomName && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') {
		return string(text)
	}
	return ""
}

// readBool reads what JavaScript takes for true or false.
func readBool(src []byte) (on bool, rest []byte, err error) {
	if msgp.NextType(src) == msgp.BoolType {
		return msgp.ReadBoolBytes(src)
	}
	rest, err = msgpack.Skip(src)
	return false, rest, err
}

// readInt reads a number that is an integer; anything else is 0.
func readInt(src []byte) (n int, rest []byte, err error) {
	switch msgp.NextType(src) {
	case msgp.IntType, msgp.UintType:
		return msgp.ReadIntBytes(src)
	case msgp.Float64Type, msgp.Float32Type:
		r := msgpack.Reader{}
		if rest, err = r.Read(src); err != nil {
			return 0, nil, err
		}
		f, _ := strconv.ParseFloat(string(r.Text), 64)
		return int(max(min(f, 1<<31), -1<<31)), rest, nil
	}
	rest, err = msgpack.Skip(src)
	return 0, rest, err
}

// appendNames appends rooms to msgpack. In Node.js the number 5 and the text "5" are two rooms, here they are one: both
// are addressed.
func appendNames(dst []byte, names []string) []byte {
	n := len(names)
	for _, name := range names {
		if isNumber(name) {
			n++
		}
	}
	dst = msgp.AppendArrayHeader(dst, uint32(n))
	for _, name := range names {
		dst = msgp.AppendString(dst, name)
		if isNumber(name) {
			i, _ := strconv.ParseInt(name, 10, 64)
			if i >= 0 {
				dst = msgp.AppendUint64(dst, uint64(i))
			} else {
				dst = msgp.AppendInt64(dst, i)
			}
		}
	}
	return dst
}

// appendNamesJSON is appendNames for JSON.
func appendNamesJSON(dst []byte, names []string) []byte {
	dst = append(dst, '[')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, name)
		if isNumber(name) {
			dst = append(append(dst, ','), name...)
		}
	}
	return append(dst, ']')
}

// isNumber reports whether a room's name is how JavaScript writes an integer, one that it counts exactly.
func isNumber(name string) bool {
	digits := name
	if len(digits) > 1 && digits[0] == '-' && digits[1] != '0' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 15 || len(digits) > 1 && digits[0] == '0' {
		return false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
	}
	return true
}

// appendText appends a string to JSON, as JSON.stringify writes it.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			return msgpack.AppendText(dst, s)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
