package redis

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// The messages of the sharded and the streams adapter, as class ClusterAdapter of socket.io-adapter makes them:
// {type, data, uid, nsp}, JSON text, or msgpack when data holds binary values. Vectors: testdata/messages.

// messageType says what a message's data is.
type messageType uint8

const (
	// 1, 2 and 13 are heartbeats and farewells, which those adapters do not send.
	msgBroadcast     messageType = 3   // packet, opts; who wants answers: requestId
	msgJoin          messageType = 4   // opts, rooms
	msgLeave         messageType = 5   // opts, rooms
	msgDisconnect    messageType = 6   // opts, close
	msgFetch         messageType = 7   // opts, requestId
	msgFetched       messageType = 8   // requestId, sockets
	msgServerEmit    messageType = 9   // packet; who wants an answer: requestId
	msgServerEmitted messageType = 10  // requestId, packet
	msgClientCount   messageType = 11  // requestId, clientCount
	msgAck           messageType = 12  // requestId, packet
	msgDemand        messageType = 100 // Greenroom's own, which Node.js ignores: prefixes, whole
	msgDemandAsked   messageType = 101 // and: who has some says so now
)

// Bounds of what other nodes send.
const (
	maxDepth             = 128 // of arrays and objects
	maxMessageBinaries   = 1000
	maxMessageRooms      = 4096 // that one message names
	maxAnnouncedPrefixes = 1024 // that one node tells of
)

// What Greenroom adds to opts.flags, in "greenroom"; Node.js ignores it.
const (
	flagPublished = 1 << iota // a publication: its last argument is its meta
	flagOwnRooms              // it addresses rooms of the hub's own, which other programs may not
)

// message is one of them. Which fields are used depends on its type.
type message struct {
	kind      messageType
	uid, nsp  string
	opts      messageOpts
	payload   hub.Payload // ["event", arg…]; of answers, [value]; of msgFetched, the list of sockets
	requestID string
	rooms     []string
	close     bool
	count     int
	prefixes  []string
}

// messageOpts are whom a message is for, and how.
type messageOpts struct {
	rooms, except []string
	volatile      bool
	noCompress    bool
	timeout       time.Duration // 0: not said
	reason        string        // of a disconnection, Greenroom's own
	own           uint64        // flagPublished…
}

var errMessage = errors.New("not a message of an adapter")

// appendMessage writes m as Node.js does.
func appendMessage(dst []byte, m *message) ([]byte, error) {
	if len(m.payload.Attachments) > 0 {
		return m.appendMsgpack(dst)
	}
	return m.appendJSON(dst), nil
}

// size is about what m takes.
func (m *message) size() int {
	n := 160 + len(m.payload.JSON) + len(m.uid) + len(m.nsp)
	for _, list := range [4][]string{m.opts.rooms, m.opts.except, m.rooms, m.prefixes} {
		for _, s := range list {
			n += len(s) + 3
		}
	}
	for _, b := range m.payload.Attachments {
		n += len(b) + 5
	}
	return n
}

func (m *message) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"type":`...)
	dst = strconv.AppendUint(dst, uint64(m.kind), 10)
	dst = append(dst, `,"data":{`...)
	switch m.kind {
	case msgBroadcast:
		dst = append(dst, `"packet":{"type":2,"data":`...)
		dst = append(dst, m.payload.JSON...)
		dst = append(dst, '}')
		if m.requestID != "" {
			dst = append(dst, `,"requestId":`...)
			dst = appendJSONString(dst, m.requestID)
		}
		dst = append(dst, ',')
		dst = m.opts.appendJSON(dst)
	case msgJoin, msgLeave:
		dst = m.opts.appendJSON(dst)
		dst = append(dst, `,"rooms":`...)
		dst = appendJSONStrings(dst, m.rooms)
	case msgDisconnect:
		dst = m.opts.appendJSON(dst)
		dst = append(dst, `,"close":`...)
		dst = strconv.AppendBool(dst, m.close)
	case msgFetch:
		dst = m.opts.appendJSON(dst)
		dst = append(dst, `,"requestId":`...)
		dst = appendJSONString(dst, m.requestID)
	case msgDemand:
		dst = append(dst, `"prefixes":`...)
		dst = appendJSONStrings(dst, m.prefixes)
	case msgDemandAsked:
	default:
		if m.requestID != "" {
			dst = append(dst, `"requestId":`...)
			dst = append(appendJSONString(dst, m.requestID), ',')
		}
		switch m.kind {
		case msgFetched:
			dst = append(dst, `"sockets":`...)
			dst = append(dst, m.payload.JSON...)
		case msgClientCount:
			dst = append(dst, `"clientCount":`...)
			dst = strconv.AppendInt(dst, int64(m.count), 10)
		case msgServerEmit:
			dst = append(dst, `"packet":`...)
			dst = append(dst, m.payload.JSON...)
		default: // an answer: its first value, of which Node.js has only one
			if first := firstOf(m.payload); first != nil {
				dst = append(dst, `"packet":`...)
				dst = append(dst, first...)
			} else if m.requestID != "" { // undefined
				dst = dst[:len(dst)-1]
			}
		}
	}
	dst = append(dst, `},"uid":`...)
	dst = appendJSONString(dst, m.uid)
	dst = append(dst, `,"nsp":`...)
	dst = appendJSONString(dst, m.nsp)
	return append(dst, '}')
}

// firstOf is the first element of an array, nil for none.
func firstOf(p hub.Payload) json.RawMessage {
	s := scanner{b: p.JSON, depth: maxDepth, ok: true}
	var first []byte
	if s.open('['); s.close(']') {
		return nil
	}
	first = s.value()
	return first
}

func (o *messageOpts) appendJSON(dst []byte) []byte {
	dst = append(dst, `"opts":{"rooms":`...)
	dst = appendJSONStrings(dst, o.rooms)
	dst = append(dst, `,"except":`...)
	dst = appendJSONStrings(dst, o.except)
	dst = append(dst, `,"flags":{`...)
	empty := len(dst)
	if o.volatile {
		dst = append(dst, `"volatile":true,`...)
	}
	if o.noCompress {
		dst = append(dst, `"compress":false,`...)
	}
	if o.timeout > 0 {
		dst = append(dst, `"timeout":`...)
		dst = append(strconv.AppendInt(dst, o.timeout.Milliseconds(), 10), ',')
	}
	if o.reason != "" {
		dst = append(dst, `"reason":`...)
		dst = append(appendJSONString(dst, o.reason), ',')
	}
	if o.own != 0 {
		dst = append(dst, `"greenroom":`...)
		dst = append(strconv.AppendUint(dst, o.own, 10), ',')
	}
	if len(dst) > empty {
		dst = dst[:len(dst)-1]
	}
	return append(dst, "}}"...)
}

func (m *message) appendMsgpack(dst []byte) ([]byte, error) {
	var err error
	dst = msgp.AppendMapHeader(dst, 4)
	dst = msgp.AppendString(dst, "type")
	dst = msgp.AppendUint64(dst, uint64(m.kind))
	dst = msgp.AppendString(dst, "data")
	switch m.kind {
	case msgBroadcast:
		n := uint32(2)
		if m.requestID != "" {
			n++
		}
		dst = msgp.AppendMapHeader(dst, n)
		dst = msgp.AppendString(dst, "packet")
		dst = msgp.AppendMapHeader(dst, 2)
		dst = msgp.AppendString(dst, "type")
		dst = msgp.AppendUint64(dst, 2)
		dst = msgp.AppendString(dst, "data")
		if dst, err = appendMessageValue(dst, m.payload.JSON, m.payload.Attachments); err != nil {
			return dst, err
		}
		if m.requestID != "" {
			dst = msgp.AppendString(dst, "requestId")
			dst = msgp.AppendString(dst, m.requestID)
		}
		dst = m.opts.appendMsgpack(dst)
	case msgFetched, msgServerEmit, msgServerEmitted, msgAck:
		n := uint32(1)
		if m.requestID != "" {
			n++
		}
		dst = msgp.AppendMapHeader(dst, n)
		if m.requestID != "" {
			dst = msgp.AppendString(dst, "requestId")
			dst = msgp.AppendString(dst, m.requestID)
		}
		key, text := "packet", m.payload.JSON
		switch m.kind {
		case msgFetched:
			key = "sockets"
		case msgServerEmitted, msgAck:
			if text = firstOf(m.payload); text == nil {
				text = []byte("null")
			}
		}
		dst = msgp.AppendString(dst, key)
		if dst, err = appendMessageValue(dst, text, m.payload.Attachments); err != nil {
			return dst, err
		}
	default:
		return dst, errMessage
	}
	dst = msgp.AppendString(dst, "uid")
	dst = msgp.AppendString(dst, m.uid)
	dst = msgp.AppendString(dst, "nsp")
	return msgp.AppendString(dst, m.nsp), nil
}

func (o *messageOpts) appendMsgpack(dst []byte) []byte {
	dst = msgp.AppendString(dst, "opts")
	dst = msgp.AppendMapHeader(dst, 3)
	dst = appendMsgpackStrings(msgp.AppendString(dst, "rooms"), o.rooms)
	dst = appendMsgpackStrings(msgp.AppendString(dst, "except"), o.except)
	dst = msgp.AppendString(dst, "flags")
	n := uint32(0)
	for _, has := range [5]bool{o.volatile, o.noCompress, o.timeout > 0, o.reason != "", o.own != 0} {
		if has {
			n++
		}
	}
	dst = msgp.AppendMapHeader(dst, n)
	if o.volatile {
		dst = msgp.AppendBool(msgp.AppendString(dst, "volatile"), true)
	}
	if o.noCompress {
		dst = msgp.AppendBool(msgp.AppendString(dst, "compress"), false)
	}
	if o.timeout > 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "timeout"), uint64(o.timeout.Milliseconds()))
	}
	if o.reason != "" {
		dst = msgp.AppendString(msgp.AppendString(dst, "reason"), o.reason)
	}
	if o.own != 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "greenroom"), o.own)
	}
	return dst
}

func appendMsgpackStrings(dst []byte, list []string) []byte {
	dst = msgp.AppendArrayHeader(dst, uint32(len(list)))
	for _, s := range list {
		dst = msgp.AppendString(dst, s)
	}
	return dst
}

// readMessage reads a message of another node. Nothing of body is kept.
func readMessage(body []byte) (message, error) {
	m, err := readMessageText(body)
	if err != nil {
		return m, err
	}
	switch m.kind {
	case msgBroadcast, msgServerEmit:
		if len(m.payload.JSON) == 0 || m.payload.JSON[0] != '[' {
			return m, errMessage
		}
	case msgFetched:
		if len(m.payload.JSON) == 0 || m.payload.JSON[0] != '[' || m.requestID == "" {
			return m, errMessage
		}
	case msgFetch, msgClientCount, msgAck, msgServerEmitted:
		if m.requestID == "" || m.count < 0 {
			return m, errMessage
		}
	}
	return m, nil
}

func readMessageText(body []byte) (m message, err error) {
	if len(body) == 0 {
		return m, errMessage
	}
	if body[0] != '{' {
		return readMsgpackMessage(body)
	}
	s := scan(body)
	var data []byte
	s.object(func(key []byte) {
		switch string(key) {
		case "type":
			m.kind = messageType(s.uint(255))
		case "data":
			data = s.value()
		case "uid":
			m.uid = s.text()
		case "nsp":
			m.nsp = s.text()
		default:
			s.value()
		}
	})
	if !s.end() || data == nil || m.kind == 0 {
		return m, errMessage
	}
	// It is JSON, so that what follows looks at its shape alone.
	s = scanner{b: data, depth: maxDepth, ok: true}
	s.object(func(key []byte) { m.member(&s, string(key)) })
	if !s.end() {
		return m, errMessage
	}
	return m, nil
}

// member reads a member of data.
func (m *message) member(s *scanner, key string) {
	switch key {
	case "packet":
		switch m.kind {
		case msgBroadcast:
			m.packet(s)
		case msgServerEmit:
			m.payload.JSON = slices.Clone(s.value())
		case msgServerEmitted, msgAck:
			m.payload.JSON = inArray(s.value())
		default:
			s.value()
		}
	case "opts":
		m.opts.read(s)
	case "requestId":
		m.requestID = s.text()
	case "rooms":
		m.rooms = s.strings(maxMessageRooms)
	case "close":
		m.close = string(s.value()) == "true"
	case "clientCount":
		m.count = int(s.uint(1 << 31))
	case "sockets":
		m.payload.JSON = slices.Clone(s.value())
	case "prefixes":
		m.prefixes = s.strings(maxAnnouncedPrefixes)
	default:
		s.value()
	}
}

// inArray is a copy of a value as an array of one.
func inArray(text []byte) []byte {
	out := make([]byte, 0, len(text)+2)
	return append(append(append(out, '['), text...), ']')
}

// packet reads {"type":2,"data":["event",…]}.
func (m *message) packet(s *scanner) {
	s.object(func(key []byte) {
		switch string(key) {
		case "type":
			if kind := s.uint(255); kind != packetEvent && kind != packetBinaryEvent {
				s.fail()
			}
		case "data":
			m.payload.JSON = slices.Clone(s.value())
		default:
			s.value()
		}
	})
}

// The types of packets (socket.io-parser) that are broadcast.
const (
	packetEvent       = 2
	packetBinaryEvent = 5
)

func (o *messageOpts) read(s *scanner) {
	s.object(func(key []byte) {
		switch string(key) {
		case "rooms":
			o.rooms = s.strings(maxMessageRooms)
		case "except":
			o.except = s.strings(maxMessageRooms)
		case "flags":
			if s.space() != '{' {
				s.value()
				return
			}
			s.object(func(key []byte) { o.flag(s, string(key)) })
		default:
			s.value()
		}
	})
}

func (o *messageOpts) flag(s *scanner, key string) {
	switch key {
	case "volatile":
		o.volatile = string(s.value()) == "true"
	case "compress":
		o.noCompress = string(s.value()) == "false"
	case "timeout":
		var ms float64
		if json.Unmarshal(s.value(), &ms) == nil {
			o.timeout = milliseconds(ms)
		}
	case "reason":
		if s.space() == '"' {
			o.reason = s.text()
			return
		}
		s.value()
	case "greenroom":
		o.own = s.uint(1 << 32)
	default:
		s.value()
	}
}

// milliseconds are what another node's time-out is, within reason.
func milliseconds(ms float64) time.Duration {
	if !(ms > 0) {
		return 0
	}
	return time.Duration(min(ms, float64(time.Hour.Milliseconds()))) * time.Millisecond
}

// uint reads a whole number from 0 to most, or fails.
func (s *scanner) uint(most uint64) uint64 {
	s.space()
	n, err := strconv.ParseUint(string(s.number()), 10, 64)
	if err != nil || n > most {
		s.fail()
		return 0
	}
	return n
}

// strings reads a list of strings, or of numbers, which JavaScript makes strings of where rooms are named.
func (s *scanner) strings(most int) []string {
	var list []string
	if s.space() == 'n' { // null, of other languages
		s.word("null")
		return nil
	}
	s.array(func() {
		if len(list) >= most {
			s.fail()
			return
		}
		if s.space() == '"' {
			list = append(list, s.text())
			return
		}
		list = append(list, string(s.number()))
	})
	return list
}

// readMsgpackMessage is readMessage for msgpack.
func readMsgpackMessage(body []byte) (m message, err error) {
	var data []byte
	rest, ok := eachMember(body, func(key, value []byte) bool {
		var ok bool
		switch string(key) {
		case "type":
			var n uint64
			if n, ok = msgpackUint(value); !ok || n > 255 {
				return false
			}
			m.kind = messageType(n)
		case "data":
			data = value
		case "uid":
			m.uid, ok = msgpackString(value)
			return ok
		case "nsp":
			m.nsp, ok = msgpackString(value)
			return ok
		}
		return true
	})
	if !ok || len(rest) > 0 || data == nil || m.kind == 0 {
		return m, errMessage
	}
	if _, ok = eachMember(data, m.msgpackMember); !ok {
		return m, errMessage
	}
	return m, nil
}

func (m *message) msgpackMember(key, value []byte) (ok bool) {
	switch string(key) {
	case "packet":
		switch m.kind {
		case msgBroadcast:
			_, ok = eachMember(value, m.msgpackPacket)
			return ok
		case msgServerEmit:
			m.payload, ok = readMessageValue(value)
			return ok
		case msgServerEmitted, msgAck:
			if m.payload, ok = readMessageValue(value); ok {
				m.payload.JSON = inArray(m.payload.JSON)
			}
			return ok
		}
		return true
	case "opts":
		_, ok = eachMember(value, m.opts.msgpackMember)
		return ok
	case "requestId":
		m.requestID, ok = msgpackString(value)
		return ok
	case "rooms":
		m.rooms, ok = msgpackStrings(value, maxMessageRooms)
		return ok
	case "close":
		m.close = len(value) == 1 && value[0] == msgpackTrue
	case "clientCount":
		var n uint64
		n, ok = msgpackUint(value)
		m.count = int(n)
		return ok && n <= 1<<31
	case "sockets":
		m.payload, ok = readMessageValue(value)
		return ok
	case "prefixes":
		m.prefixes, ok = msgpackStrings(value, maxAnnouncedPrefixes)
		return ok
	}
	return true
}

func (m *message) msgpackPacket(key, value []byte) (ok bool) {
	switch string(key) {
	case "type":
		n, ok := msgpackUint(value)
		return ok && (n == packetEvent || n == packetBinaryEvent)
	case "data":
		m.payload, ok = readMessageValue(value)
		return ok
	}
	return true
}

func (o *messageOpts) msgpackMember(key, value []byte) (ok bool) {
	switch string(key) {
	case "rooms":
		o.rooms, ok = msgpackStrings(value, maxMessageRooms)
		return ok
	case "except":
		o.except, ok = msgpackStrings(value, maxMessageRooms)
		return ok
	case "flags":
		if msgp.NextType(value) == msgp.MapType {
			_, ok = eachMember(value, o.msgpackFlag)
			return ok
		}
	}
	return true
}

func (o *messageOpts) msgpackFlag(key, value []byte) bool {
	switch string(key) {
	case "volatile":
		o.volatile = value[0] == msgpackTrue
	case "compress":
		o.noCompress = value[0] == msgpackFalse
	case "timeout":
		if f, _, err := msgp.ReadFloat64Bytes(value); err == nil {
			o.timeout = milliseconds(f)
		} else if n, ok := msgpackUint(value); ok {
			o.timeout = milliseconds(float64(n))
		}
	case "reason":
		o.reason, _ = msgpackString(value)
	case "greenroom":
		var ok bool
		o.own, ok = msgpackUint(value)
		return ok
	}
	return true
}

const (
	msgpackFalse = 0xc2
	msgpackTrue  = 0xc3
)

// eachMember calls member for each key and value of the map that src begins with, and returns what follows it. Keys
// that are no strings are passed over.
func eachMember(src []byte, member func(key, value []byte) bool) (rest []byte, ok bool) {
	n, src, err := msgp.ReadMapHeaderBytes(src)
	if err != nil {
		return nil, false
	}
	for range n {
		key, after, err := msgp.ReadStringZC(src)
		if err != nil {
			key = nil
			if after, err = msgpack.Skip(src); err != nil {
				return nil, false
			}
		}
		rest, err := msgpack.Skip(after)
		if err != nil || !member(key, after[:len(after)-len(rest)]) {
			return nil, false
		}
		src = rest
	}
	return src, true
}

func msgpackString(b []byte) (string, bool) {
	s, _, err := msgp.ReadStringBytes(b)
	return s, err == nil && utf8.ValidString(s)
}

func msgpackUint(b []byte) (uint64, bool) {
	n, _, err := msgp.ReadUint64Bytes(b)
	return n, err == nil
}

func msgpackStrings(b []byte, most uint32) (list []string, ok bool) {
	if msgp.IsNil(b) {
		return nil, true
	}
	n, b, err := msgp.ReadArrayHeaderBytes(b)
	if err != nil || n > most {
		return nil, false
	}
	for range n {
		if msgp.NextType(b) == msgp.StrType {
			var s string
			if s, b, err = msgp.ReadStringBytes(b); err != nil || !utf8.ValidString(s) {
				return nil, false
			}
			list = append(list, s)
			continue
		}
		r := msgpack.Reader{MaxDepth: 0}
		rest, err := r.Read(b)
		if err != nil || len(r.Text) == 0 || r.Text[0] != '-' && (r.Text[0] < '0' || r.Text[0] > '9') {
			return nil, false
		}
		b, list = rest, append(list, string(r.Text))
	}
	return list, true
}

// appendMessageValue appends JSON text, with binary values in their places, as msgpack.
func appendMessageValue(dst, text []byte, binaries [][]byte) ([]byte, error) {
	return msgpack.Append(dst, text, binaries)
}

// readMessageValue reads a msgpack value.
func readMessageValue(b []byte) (hub.Payload, bool) {
	r := msgpack.Reader{MaxDepth: maxDepth, MaxBinaries: maxMessageBinaries}
	_, err := r.Read(b)
	return hub.Payload{JSON: r.Text, Attachments: r.Binaries}, err == nil
}
