package redis

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// msgReplaced is Greenroom's own: another node has the session of reason's token. Node.js ignores it.
const msgReplaced messageType = 110

// streamEntry is an entry as it lies in the stream: the fields uid, nsp, type and data, as Node.js writes them, and n, by
// which a Greenroom node counts its own.
type streamEntry struct {
	place    hub.Place
	uid, nsp string
	kind     messageType
	data     string
	n        uint64
	bad      bool
}

// readStreamEntry reads what XREAD or XRANGE has returned.
func readStreamEntry(m *goredis.XMessage) streamEntry {
	field := func(name string) string {
		text, _ := m.Values[name].(string)
		return text
	}
	x := streamEntry{uid: field("uid"), nsp: field("nsp"), data: field("data")}
	kind, err := strconv.ParseUint(field("type"), 10, 8)
	x.kind = messageType(kind)
	var ok bool
	x.place, ok = hub.ParsePlace(m.ID)
	if n := field("n"); n != "" {
		x.n, _ = strconv.ParseUint(n, 10, 64)
	}
	x.bad = err != nil || !ok || x.nsp == ""
	return x
}

// entryError is why an entry is left out, as a counter is called.
type entryError struct{ reason string }

// decode reads the data of an entry.
func (x *streamEntry) decode() (m message, err error) {
	var body []byte
	if strings.HasPrefix(x.data, "{") {
		body = strconv.AppendUint(append(make([]byte, 0, len(x.data)+24), `{"type":`...), uint64(x.kind), 10)
		body = append(append(append(body, `,"data":`...), x.data...), '}')
	} else {
		body = msgp.AppendMapHeader(make([]byte, 0, len(x.data)+16), 2)
		body = msgp.AppendString(msgp.AppendUint64(msgp.AppendString(body, "type"), uint64(x.kind)), "data")
		if body, err = base64.StdEncoding.AppendDecode(body, []byte(x.data)); err != nil {
			return m, err
		}
	}
	m, err = readMessage(body)
	m.nsp, m.uid = x.nsp, x.uid
	return m, err
}

// requests are what an entry of another node asks for: one thing, but for several rooms to enter or leave.
func (x *streamEntry) requests() (list []*hub.NodeRequest, err *entryError) {
	switch x.kind {
	case msgBroadcast, msgJoin, msgLeave, msgDisconnect, msgReplaced:
	default:
		return nil, nil // not for us, or of another version
	}
	m, err2 := x.decode()
	if err2 != nil {
		return nil, &entryError{reasonStreamBad}
	}
	r := hub.NodeRequest{
		Namespace: x.nsp, Rooms: m.opts.rooms, Except: m.opts.except, Volatile: m.opts.volatile, NoCompress: m.opts.plain,
	}
	if !m.opts.allowed() || m.opts.ours == 0 && ownRooms(m.rooms) {
		return nil, &entryError{reasonForbidden}
	}
	switch x.kind {
	case msgBroadcast:
		if m.requestID != "" {
			return nil, &entryError{reasonStreamBad}
		}
		r.Op, r.Payload, r.Published = hub.OpEmit, m.payload, m.opts.ours&oursPublished != 0
		return []*hub.NodeRequest{&r}, nil
	case msgDisconnect:
		r.Op, r.Reason, r.CloseConn = hub.OpDisconnect, nodeDisconnect, m.close
		if m.opts.ours != 0 && m.reason != "" {
			r.Reason = m.reason
		}
		return []*hub.NodeRequest{&r}, nil
	case msgReplaced:
		if len(m.rooms) != 1 {
			return nil, &entryError{reasonStreamBad}
		}
		r.Op, r.Room, r.Reason = hub.OpReplaced, m.rooms[0], m.reason
		return []*hub.NodeRequest{&r}, nil
	}
	for _, room := range m.rooms {
		own := r
		own.Op, own.Room = hub.OpJoin, room
		if x.kind == msgLeave {
			own.Op = hub.OpLeave
		}
		list = append(list, &own)
	}
	return list, nil
}

// messageOf is a request as other nodes read it.
func messageOf(r *hub.NodeRequest) message {
	m := message{opts: addressed{rooms: r.Rooms, except: r.Except, volatile: r.Volatile, plain: r.NoCompress, ours: oursFlag(r)}}
	if ownRooms([]string{r.Room}) {
		m.opts.ours |= oursSaid
	}
	switch r.Op {
	case hub.OpJoin:
		m.kind, m.rooms = msgJoin, []string{r.Room}
	case hub.OpLeave:
		m.kind, m.rooms = msgLeave, []string{r.Room}
	case hub.OpDisconnect:
		if m.reason = r.Reason; m.reason == nodeDisconnect {
			m.reason = ""
		} else if m.reason != "" {
			m.opts.ours |= oursSaid
		}
		m.kind, m.close = msgDisconnect, r.CloseConn
	case hub.OpReplaced:
		m.kind, m.rooms, m.reason = msgReplaced, []string{r.Room}, r.Reason
	default:
		m.kind, m.payload = msgBroadcast, r.Payload
	}
	return m
}

// appendData appends what is in a message's data, as JSON, or, when it holds binary values, as base64 of msgpack.
func (m *message) appendData(dst []byte) ([]byte, error) {
	bare := *m
	bare.uid, bare.nsp = "", ""
	text := bare.appendJSON(make([]byte, 0, m.size()))
	i := bytes.Index(text, []byte(`"data":`)) + len(`"data":`)
	text = text[i : len(text)-len(`,"uid":"","nsp":""}`)]
	if len(m.payload.Attachments) == 0 {
		return append(dst, text...), nil
	}
	packed, err := msgpack.Append(nil, text, m.payload.Attachments)
	if err != nil {
		return dst, err
	}
	return base64.StdEncoding.AppendEncode(dst, packed), nil
}

// xadd is the command that adds a pending message to the stream. scripted: it is a script, because its publisher has given
// it an id, which counts from when it is in the stream.
func (s *streams) xadd(p *pendingEntry) (args []any, scripted bool, err error) {
	m := messageOf(p.r)
	data, err := m.appendData(nil)
	if err != nil {
		return nil, false, err
	}
	if k := p.r.Keep; k != nil && k.Once != "" && !s.scriptless {
		nothing := messageOf(&hub.NodeRequest{Op: hub.OpReplaced})
		void, err := nothing.appendData(nil)
		if err != nil {
			return nil, false, err
		}
		return []any{
			"EVAL", luaAppend, 2, s.key, s.a.rooms.key("o", p.r.Namespace, k.Room) + "," + digest(k.Once),
			k.ID, k.Window.Milliseconds(), s.a.opts.maxLen(), s.uid, strconv.FormatUint(p.n, 10), p.r.Namespace,
			strconv.Itoa(int(m.kind)), data, strconv.Itoa(int(nothing.kind)), void,
		}, true, nil
	}
	return []any{
		"XADD", s.key, "MAXLEN", "~", s.a.opts.maxLen(), "*",
		"uid", s.uid, "n", strconv.FormatUint(p.n, 10), "nsp", p.r.Namespace, "type", strconv.Itoa(int(m.kind)), "data", data,
	}, false, nil
}
