package redis

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// The messages of the sharded and the streams adapter, as class ClusterAdapter of socket.io-adapter makes them:
// {type, data, uid, nsp}, JSON text, or msgpack when data holds binary values. Vectors: testdata/sharded.txt.

// messageType says what a message's data is.
type messageType uint8

const (
	// 1, 2 and 13 are heartbeats and farewells, which those adapters do not send.
	msgBroadcast     messageType = 3  // packet, opts; who wants answers: requestId
	msgJoin          messageType = 4  // opts, rooms
	msgLeave         messageType = 5  // opts, rooms
	msgDisconnect    messageType = 6  // opts, close
	msgFetch         messageType = 7  // opts, requestId
	msgFetched       messageType = 8  // requestId, sockets
	msgServerEmit    messageType = 9  // packet; who wants an answer: requestId
	msgServerEmitted messageType = 10 // requestId, packet
	msgClientCount   messageType = 11 // requestId, clientCount
	msgAck           messageType = 12 // requestId, packet

	// Greenroom's own, which Node.js ignores.
	msgDemand      messageType = 100 // prefixes: all that the node wants to hear
	msgDemandAsked messageType = 101 // who wants to hear prefixes says so now
	msgMissing     messageType = 102 // requestId, missing: clients that are not waited for any more
)

// maxAnnounced bounds the prefixes that one node tells of.
const maxAnnounced = 1024

// message is one of them. Which fields are used depends on its type.
type message struct {
	kind      messageType
	uid, nsp  string
	opts      addressed
	reason    string      // of a disconnection, in opts.flags: Greenroom's own
	payload   hub.Payload // ["event", arg…]; of answers, the value in an array; of msgFetched, the list of sockets
	requestID string
	rooms     []string
	close     bool
	count     int

	// What Greenroom nodes say; Node.js ignores it.
	ours     bool        // who asks is one
	node     string      // who answers
	session  string      // for which client
	more     hub.Payload // all of an answer that is more than one value
	none     bool        // nobody has anything to answer
	missing  []string
	prefixes []string
}

// append writes m as Node.js does.
func (m *message) append(dst []byte) ([]byte, error) {
	if len(m.payload.Attachments) > 0 || len(m.more.Attachments) > 0 {
		return m.appendMsgpack(dst)
	}
	return m.appendJSON(dst), nil
}

// size is about what m takes.
func (m *message) size() int {
	n := 192 + len(m.payload.JSON) + len(m.more.JSON) + len(m.uid) + len(m.nsp)
	for _, list := range [...][]string{m.opts.rooms, m.opts.except, m.rooms, m.prefixes, m.missing} {
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
	start := len(dst)
	switch m.kind {
	case msgBroadcast:
		dst = append(dst, `"packet":{"type":2,"data":`...)
		dst = append(dst, m.payload.JSON...)
		dst = append(dst, '}')
		dst = appendMember(dst, "requestId", m.requestID)
		dst = m.appendOpts(append(dst, ','))
	case msgJoin, msgLeave, msgReplaced:
		dst = m.appendOpts(dst)
		dst = appendTexts(append(dst, `,"rooms":`...), m.rooms)
	case msgDisconnect:
		dst = m.appendOpts(dst)
		dst = strconv.AppendBool(append(dst, `,"close":`...), m.close)
	case msgFetch:
		dst = m.appendOpts(dst)
		dst = appendMember(dst, "requestId", m.requestID)
	case msgDemandAsked:
	default:
		dst = appendMember(dst, "requestId", m.requestID)
		switch m.kind {
		case msgDemand:
			dst = appendTexts(append(dst, `,"prefixes":`...), m.prefixes)
		case msgMissing:
			dst = appendTexts(append(dst, `,"missing":`...), m.missing)
		case msgClientCount:
			dst = strconv.AppendInt(append(dst, `,"clientCount":`...), int64(m.count), 10)
		case msgFetched:
			dst = append(append(dst, `,"sockets":`...), m.payload.JSON...)
		case msgServerEmit:
			dst = append(append(dst, `,"packet":`...), m.payload.JSON...)
			if m.ours {
				dst = append(dst, `,"`+oursKey+`":1`...)
			}
		default: // an answer: its first value, of which Node.js has only one
			if value := first(m.payload); value != nil {
				dst = append(append(dst, `,"packet":`...), value...)
			}
		}
		dst = m.appendBeside(dst)
		if len(dst) > start { // the comma in front
			dst = append(dst[:start], dst[start+1:]...)
		}
	}
	return m.appendEnd(append(dst, '}'))
}

func (m *message) appendEnd(dst []byte) []byte {
	dst = appendText(append(dst, `,"uid":`...), m.uid)
	dst = appendText(append(dst, `,"nsp":`...), m.nsp)
	return append(dst, '}')
}

func (m *message) appendEndMsgpack(dst []byte) []byte {
	dst = msgp.AppendString(msgp.AppendString(dst, "uid"), m.uid)
	return msgp.AppendString(msgp.AppendString(dst, "nsp"), m.nsp)
}

// appendMember appends a member with a comma in front of it, unless its text is "".
func appendMember(dst []byte, key, text string) []byte {
	if text == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), key...), `":`...)
	return appendText(dst, text)
}

// appendBeside appends what Greenroom nodes say beside their answers.
func (m *message) appendBeside(dst []byte) []byte {
	dst = appendMember(dst, "node", m.node)
	dst = appendMember(dst, "sid", m.session)
	if m.more.JSON != nil {
		dst = append(append(dst, `,"args":`...), m.more.JSON...)
	}
	if m.none {
		dst = append(dst, `,"none":true`...)
	}
	return dst
}

func (m *message) appendOpts(dst []byte) []byte {
	o := &m.opts
	dst = appendNamesJSON(append(dst, `"opts":{"rooms":`...), o.rooms)
	dst = appendNamesJSON(append(dst, `,"except":`...), o.except)
	dst = append(dst, `,"flags":{`...)
	empty := len(dst)
	if o.volatile {
		dst = append(dst, `"volatile":true,`...)
	}
	if o.plain {
		dst = append(dst, `"compress":false,`...)
	}
	if o.timeout > 0 {
		dst = append(strconv.AppendInt(append(dst, `"timeout":`...), int64(o.timeout), 10), ',')
	}
	if m.reason != "" {
		dst = append(appendText(append(dst, `"reason":`...), m.reason), ',')
	}
	if o.ours != 0 {
		dst = append(strconv.AppendInt(append(dst, `"`+oursKey+`":`...), int64(o.ours), 10), ',')
	}
	if len(dst) > empty {
		dst = dst[:len(dst)-1]
	}
	return append(dst, "}}"...)
}

// count counts what is true.
func count(all ...bool) (n uint32) {
	for _, is := range all {
		if is {
			n++
		}
	}
	return n
}

func (m *message) appendMsgpack(dst []byte) ([]byte, error) {
	var err error
	dst = msgp.AppendMapHeader(dst, 4)
	dst = msgp.AppendUint64(msgp.AppendString(dst, "type"), uint64(m.kind))
	dst = msgp.AppendString(dst, "data")
	switch m.kind {
	case msgBroadcast:
		dst = msgp.AppendMapHeader(dst, 2+count(m.requestID != ""))
		dst = msgp.AppendMapHeader(msgp.AppendString(dst, "packet"), 2)
		dst = append(msgp.AppendString(dst, "type"), packetEvent)
		if dst, err = appendPayload(msgp.AppendString(dst, "data"), m.payload); err != nil {
			return dst, err
		}
		if m.requestID != "" {
			dst = msgp.AppendString(msgp.AppendString(dst, "requestId"), m.requestID)
		}
		dst = m.appendOptsMsgpack(dst)
	case msgFetched, msgServerEmit, msgServerEmitted, msgAck:
		key, text := "packet", m.payload.JSON
		switch m.kind {
		case msgFetched:
			key = "sockets"
		case msgServerEmitted, msgAck:
			if text = first(m.payload); text == nil {
				text = []byte("null")
			}
		}
		dst = msgp.AppendMapHeader(dst, 1+count(m.requestID != "", m.ours, m.node != "", m.session != "", m.more.JSON != nil))
		if m.requestID != "" {
			dst = msgp.AppendString(msgp.AppendString(dst, "requestId"), m.requestID)
		}
		if dst, err = msgpack.Append(msgp.AppendString(dst, key), text, m.payload.Attachments); err != nil {
			return dst, err
		}
		if m.ours {
			dst = msgp.AppendInt(msgp.AppendString(dst, oursKey), 1)
		}
		if m.node != "" {
			dst = msgp.AppendString(msgp.AppendString(dst, "node"), m.node)
		}
		if m.session != "" {
			dst = msgp.AppendString(msgp.AppendString(dst, "sid"), m.session)
		}
		if m.more.JSON != nil {
			if dst, err = appendPayload(msgp.AppendString(dst, "args"), m.more); err != nil {
				return dst, err
			}
		}
	default:
		return dst, errMalformed // no other holds binary values
	}
	return m.appendEndMsgpack(dst), nil
}

func (m *message) appendOptsMsgpack(dst []byte) []byte {
	o := &m.opts
	dst = msgp.AppendMapHeader(msgp.AppendString(dst, "opts"), 3)
	dst = appendNames(msgp.AppendString(dst, "rooms"), o.rooms)
	dst = appendNames(msgp.AppendString(dst, "except"), o.except)
	dst = msgp.AppendMapHeader(msgp.AppendString(dst, "flags"), count(o.volatile, o.plain, o.timeout > 0, m.reason != "", o.ours != 0))
	if o.volatile {
		dst = msgp.AppendBool(msgp.AppendString(dst, "volatile"), true)
	}
	if o.plain {
		dst = msgp.AppendBool(msgp.AppendString(dst, "compress"), false)
	}
	if o.timeout > 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "timeout"), uint64(o.timeout))
	}
	if m.reason != "" {
		dst = msgp.AppendString(msgp.AppendString(dst, "reason"), m.reason)
	}
	if o.ours != 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, oursKey), uint64(o.ours))
	}
	return dst
}

func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, s)
	}
	return append(dst, ']')
}

// readMessage reads a message of another node. Its payload may be a part of body, see [message.keep].
func readMessage(body []byte) (m message, err error) {
	ok := false
	switch {
	case len(body) == 0:
	case body[0] == '{':
		ok = m.readJSON(body)
	default:
		ok = m.readMsgpack(body)
	}
	if !ok || len(m.uid) > maxID || len(m.requestID) > maxID || len(m.node) > maxID || len(m.session) > maxID {
		return m, errMalformed
	}
	list := len(m.payload.JSON) > 0 && m.payload.JSON[0] == '['
	switch m.kind {
	case msgBroadcast, msgServerEmit:
		if !list {
			return m, errMalformed
		}
		return m, checkEvent(firstOf(m.payload.JSON))
	case msgFetched:
		if !list || m.requestID == "" {
			return m, errMalformed
		}
	case msgFetch, msgClientCount, msgAck, msgServerEmitted, msgMissing:
		if m.requestID == "" {
			return m, errMalformed
		}
	}
	return m, nil
}

// firstOf is the first element of an array that was checked, nil for none.
func firstOf(array []byte) []byte {
	s := scanner{b: array, depth: maxDepth, ok: true}
	if s.open('['); s.close(']') {
		return nil
	}
	return s.value()
}

// keep makes the message last longer than the body that it was read from.
func (m *message) keep() {
	if len(m.payload.Attachments) == 0 {
		m.payload.JSON = slices.Clone(m.payload.JSON)
	}
}

// readJSON walks over the text once, if type comes before data as it does in all that Node.js writes.
func (m *message) readJSON(body []byte) bool {
	s := scan(body)
	var data []byte // when it came first
	seen := false
	s.object(func(key []byte) {
		switch string(key) {
		case "type":
			if m.kind != 0 { // what was read would be taken for something else
				s.fail()
				return
			}
			m.kind = messageType(s.uint(255))
		case "data":
			seen = true
			if m.kind != 0 {
				s.object(func(key []byte) { m.member(&s, key) })
			} else {
				data = s.value()
			}
		case "uid":
			m.uid = s.text()
		case "nsp":
			m.nsp = s.text()
		default:
			s.value()
		}
	})
	if !s.end() || !seen || m.kind == 0 {
		return false
	}
	if data != nil {
		s = scanner{b: data, depth: maxDepth, ok: true}
		s.object(func(key []byte) { m.member(&s, key) })
	}
	return s.end()
}

// member reads a member of data.
func (m *message) member(s *scanner, key []byte) {
	switch string(key) {
	case "packet":
		switch m.kind {
		case msgBroadcast:
			s.object(func(key []byte) { m.packet(s, key) })
		case msgServerEmit:
			m.payload.JSON = s.value()
		case msgServerEmitted, msgAck:
			m.payload.JSON = answerOf(s.value())
		default:
			s.value()
		}
	case "opts":
		s.object(func(key []byte) { m.optsMember(s, key) })
	case "requestId":
		m.requestID = s.text()
	case "rooms":
		m.rooms = s.names(maxRooms)
	case "close":
		m.close = string(s.value()) == "true"
	case "clientCount":
		m.count = int(s.uint(maxClients))
	case "sockets":
		m.payload.JSON = s.value()
	case "prefixes":
		m.prefixes = s.names(maxAnnounced)
	case "missing":
		m.missing = s.names(maxRooms)
	case oursKey:
		m.ours = string(s.value()) == "1"
	case "node":
		m.node = s.text()
	case "sid":
		m.session = s.text()
	case "args":
		if s.space() != '[' {
			s.fail()
		}
		m.more.JSON = slices.Clone(s.value())
	case "none":
		m.none = string(s.value()) == "true"
	default:
		s.value()
	}
}

// packet reads a member of {"type":2,"data":["event",…]}.
func (m *message) packet(s *scanner, key []byte) {
	switch string(key) {
	case "type":
		if kind := s.uint(255); kind != packetEvent && kind != packetBinaryEvent {
			s.fail()
		}
	case "data":
		m.payload.JSON = s.value()
	default:
		s.value()
	}
}

// optsMember reads a member of opts.
func (m *message) optsMember(s *scanner, key []byte) {
	switch string(key) {
	case "rooms":
		m.opts.rooms = s.names(maxRooms)
	case "except":
		m.opts.except = s.names(maxRooms)
	case "flags":
		if s.space() == '{' {
			s.object(func(key []byte) { m.flag(s, key) })
			return
		}
		s.value()
	default:
		s.value()
	}
}

func (m *message) flag(s *scanner, key []byte) {
	switch string(key) {
	case "volatile":
		m.opts.volatile = string(s.value()) == "true"
	case "compress":
		m.opts.plain = string(s.value()) == "false"
	case "timeout":
		f, _ := strconv.ParseFloat(string(s.value()), 64)
		m.opts.timeout = milliseconds(f)
	case "reason":
		m.reason = s.text()
	case oursKey:
		m.opts.ours = int(s.uint(1 << 30))
	default:
		s.value()
	}
}

// milliseconds are what another node's time-out is, within reason.
func milliseconds(ms float64) int { return int(max(0, min(ms, float64(serveLongest.Milliseconds())))) }

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

// names reads a list of rooms, some of which may be numbers. What cannot be a room here is "", the name of none.
func (s *scanner) names(most int) []string {
	var list []string
	if s.space() == 'n' { // null, of other languages
		s.word("null")
		return nil
	}
	s.array(func() {
		name := ""
		switch {
		case len(list) >= most:
			s.fail()
		case s.space() == '"':
			if name = s.text(); len(name) > maxRoomName {
				name = ""
			}
		default:
			if n := s.number(); len(n) <= maxRoomName {
				name = string(n)
			}
		}
		list = append(list, name)
	})
	return list
}

// readMsgpack is readJSON for msgpack, which is walked over several times: what is binary is large, not nested.
func (m *message) readMsgpack(body []byte) bool {
	var data []byte
	rest, ok := eachMember(body, func(key, value []byte) (ok bool) {
		switch string(key) {
		case "type":
			n, ok := msgpackUint(value)
			m.kind = messageType(n)
			return ok && n <= 255
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
		return false
	}
	_, ok = eachMember(data, m.msgpackMember)
	return ok
}

func (m *message) msgpackMember(key, value []byte) (ok bool) {
	switch string(key) {
	case "packet":
		switch m.kind {
		case msgBroadcast:
			_, ok = eachMember(value, m.msgpackPacket)
			return ok
		case msgServerEmit:
			m.payload, ok = msgpackValue(value)
			return ok
		case msgServerEmitted, msgAck:
			m.payload, ok = msgpackValue(value)
			m.payload.JSON = answerOf(m.payload.JSON)
			return ok
		}
	case "opts":
		_, ok = eachMember(value, m.msgpackOpts)
		return ok
	case "requestId":
		m.requestID, ok = msgpackString(value)
		return ok
	case "rooms":
		m.rooms, ok = msgpackNames(value)
		return ok
	case "close":
		m.close, _, _ = readBool(value)
	case "clientCount":
		n, ok := msgpackUint(value)
		m.count = int(n)
		return ok && n <= maxClients
	case "sockets":
		m.payload, ok = msgpackValue(value)
		return ok
	case oursKey:
		n, _ := msgpackUint(value)
		m.ours = n == 1
	case "node":
		m.node, ok = msgpackString(value)
		return ok
	case "sid":
		m.session, ok = msgpackString(value)
		return ok
	case "none":
		m.none, _, _ = readBool(value)
	case "missing":
		m.missing, ok = msgpackNames(value)
		return ok
	case "prefixes":
		m.prefixes, ok = msgpackNames(value)
		return ok && len(m.prefixes) <= maxAnnounced
	case "args":
		m.more, ok = msgpackValue(value)
		return ok && len(m.more.JSON) > 0 && m.more.JSON[0] == '['
	}
	return true
}

func (m *message) msgpackPacket(key, value []byte) (ok bool) {
	switch string(key) {
	case "type":
		n, ok := msgpackUint(value)
		return ok && (n == packetEvent || n == packetBinaryEvent)
	case "data":
		m.payload, ok = msgpackValue(value)
		return ok
	}
	return true
}

func (m *message) msgpackOpts(key, value []byte) (ok bool) {
	switch string(key) {
	case "rooms":
		m.opts.rooms, ok = msgpackNames(value)
		return ok
	case "except":
		m.opts.except, ok = msgpackNames(value)
		return ok
	case "flags":
		if msgp.NextType(value) == msgp.MapType {
			_, ok = eachMember(value, m.msgpackFlag)
			return ok
		}
	}
	return true
}

func (m *message) msgpackFlag(key, value []byte) bool {
	switch string(key) {
	case "volatile":
		m.opts.volatile, _, _ = readBool(value)
	case "compress":
		on, _, _ := readBool(value)
		m.opts.plain = !on
	case "timeout":
		ms, _, _ := readInt(value)
		m.opts.timeout = milliseconds(float64(ms))
	case "reason":
		m.reason, _ = msgpackString(value)
	case oursKey:
		n, ok := msgpackUint(value)
		m.opts.ours = int(n)
		return ok && n <= 1<<30
	}
	return true
}

// eachMember calls member for each key and value of the map that src begins with, and returns what follows it. Keys
// that are no strings are "".
func eachMember(src []byte, member func(key, value []byte) bool) (rest []byte, ok bool) {
	if msgp.NextType(src) != msgp.MapType {
		return nil, false
	}
	n, src, err := msgp.ReadMapHeaderBytes(src)
	if err != nil {
		return nil, false
	}
	for range n { // each takes two bytes at least, or ends it
		var key []byte
		value := src
		if msgp.NextType(src) == msgp.StrType {
			key, value, err = msgp.ReadStringZC(src)
		} else {
			value, err = msgpack.Skip(src)
		}
		if err != nil {
			return nil, false
		}
		rest, err := msgpack.Skip(value)
		if err != nil || !member(key, value[:len(value)-len(rest)]) {
			return nil, false
		}
		src = rest
	}
	return src, true
}

func msgpackString(b []byte) (string, bool) {
	if msgp.NextType(b) != msgp.StrType {
		return "", false
	}
	s, _, err := msgp.ReadStringBytes(b)
	return s, err == nil && utf8.ValidString(s)
}

func msgpackUint(b []byte) (uint64, bool) {
	n, _, err := msgp.ReadUint64Bytes(b)
	return n, err == nil
}

func msgpackNames(b []byte) ([]string, bool) {
	names, _, err := readNames(b)
	return names, err == nil
}

func msgpackValue(b []byte) (hub.Payload, bool) {
	r := msgpack.Reader{MaxDepth: maxDepth, MaxBinaries: maxBinaries, Timestamps: true}
	_, err := r.Read(b)
	return hub.Payload{JSON: r.Text, Attachments: r.Binaries}, err == nil
}
