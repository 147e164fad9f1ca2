package redis

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// How other nodes' requests are served, and the answers to ours taken.

// nodeDisconnect is why a session ends that a Node.js node disconnects.
const nodeDisconnect = "server namespace disconnect"

// serve does what another node asks for.
func (c *classic) serve(sp *space, body []byte) error {
	w, err := readRequest(body, sp.name)
	if err != nil {
		return err
	}
	if w.UID == sp.uid {
		return nil // what it says was done here before it was sent
	}
	asks := w.RequestID != nil
	if !w.addressed.allowed() || w.addressed.ours == 0 && ownRooms(w.Rooms) {
		return errForbidden
	}
	if !c.serving.take(asks) {
		return errFlood
	}
	r := &hub.NodeRequest{Namespace: sp.name, Timeout: serveWithin}
	w.addressed.address(r)
	if !asks {
		_, err := c.do(sp, w, r)
		return err
	}
	a := &answering{c: c, to: w, channel: sp.response}
	if w.Ours != 0 || c.personal && *w.Type != reqServer { // which Node.js answers to all
		a.channel += w.UID + "#"
	}
	switch *w.Type {
	case reqSockets:
		r.Op, r.Rooms = hub.OpSessions, w.Rooms
	case reqRooms:
		r.Op = hub.OpRooms
	case reqFetch:
		r.Op = hub.OpSessions
	case reqServer:
		r.Op, r.Payload = hub.OpServer, w.payload
	case reqAsk:
		r.Op, r.Payload = hub.OpAsk, w.payload
		r.Timeout = min(time.Duration(w.addressed.timeout)*time.Millisecond, serveLongest)
	default:
		old := w.Opts == nil
		done, err := c.do(sp, w, r)
		if done && old {
			a.publish(a.tail(appendText([]byte(`{"requestId":`), *w.RequestID)))
		}
		c.serving.done()
		return err
	}
	c.node.Serve(r, a.reply)
	return nil
}

// do serves what has no answer but in old forms, of before 6.0: those are about one session, and answered by its node.
func (c *classic) do(sp *space, w *wireRequest, r *hub.NodeRequest) (done bool, err error) {
	if w.Opts == nil && *w.Type != reqServer {
		ns := c.node.Namespace(sp.name)
		if w.SID == "" || ns == nil || ns.Session(w.SID) == nil {
			return false, nil
		}
		w.Rooms, r.Rooms = looseNames{looseName(w.Room)}, []string{w.SID}
		if ownRooms(w.Rooms) && w.Ours == 0 {
			return false, errForbidden
		}
	}
	switch *w.Type {
	case reqJoin, reqLeave:
		r.Op = hub.OpJoin
		if *w.Type == reqLeave {
			r.Op = hub.OpLeave
		}
		for i, room := range w.Rooms {
			if i == maxRounds {
				c.node.Count(reasonFlood)
				break
			}
			if room != "" {
				one := *r
				one.Room = room
				c.node.Serve(&one, nil)
			}
		}
	case reqDisconnect:
		r.Op, r.CloseConn, r.Reason = hub.OpDisconnect, w.Close, nodeDisconnect
		if w.Ours != 0 && w.Reason != "" {
			r.Reason = w.Reason
		}
		c.node.Serve(r, nil)
	case reqServer:
		r.Op, r.Payload = hub.OpServer, w.payload
		c.node.Serve(r, nil)
	}
	return true, nil
}

// answering is the answer to one request of another node.
type answering struct {
	c       *classic
	to      *wireRequest
	channel string

	mu      sync.Mutex
	counted bool // it has been told how many clients were asked
	over    bool
}

func (a *answering) publish(body []byte) { a.c.link.publish(false, a.channel, body) }

// ours reports whether who asks is a Greenroom node, which understands more than others do.
func (a *answering) ours() bool { return a.to.Ours != 0 }

// reply passes on what the hub answers.
func (a *answering) reply(r hub.NodeReply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	switch *a.to.Type {
	case reqAsk:
		a.replyAsk(&r)
	case reqServer:
		a.replyServer(&r)
	default:
		if r.Done {
			a.replyList(&r)
		}
	}
	if r.Done {
		a.over = true
		a.c.serving.done()
	}
}

// replyAsk answers for clients: with their number, and with what each of them says.
func (a *answering) replyAsk(r *hub.NodeReply) {
	if !a.counted && (r.Done || len(r.Answers) == 0) {
		a.counted = true
		body := append(a.head(`{"type":`, resCount), `,"clientCount":`...)
		a.publish(a.tail(strconv.AppendInt(body, int64(r.Asked), 10)))
	}
	for _, answer := range r.Answers {
		if body, err := a.appendAck(answer); err == nil {
			a.publish(body)
		}
	}
	if r.Done && len(r.Missing) > 0 && a.ours() {
		body := append(a.head(`{"type":`, resMissing), `,"missing":`...)
		missing, _ := json.Marshal(r.Missing) // texts always encode
		a.publish(a.tail(append(body, missing...)))
	}
}

// appendAck encodes what a client answers: its first value, which is all that Node.js takes, and for Greenroom the rest.
func (a *answering) appendAck(answer hub.Answer) ([]byte, error) {
	n := uint32(2)
	value := first(answer.Payload)
	if value != nil {
		n++
	}
	if a.ours() {
		n += 2
		if more(answer.Payload, value) {
			n++
		}
	}
	dst := msgp.AppendMapHeader(nil, n)
	dst = append(msgp.AppendString(dst, "type"), resAck)
	dst = msgp.AppendString(msgp.AppendString(dst, "requestId"), *a.to.RequestID)
	var err error
	if value != nil {
		if dst, err = msgpack.Append(msgp.AppendString(dst, "packet"), value, answer.Payload.Attachments); err != nil {
			return nil, err
		}
	}
	if a.ours() {
		dst = msgp.AppendString(msgp.AppendString(dst, "node"), a.c.node.Name())
		dst = msgp.AppendString(msgp.AppendString(dst, "sid"), answer.Session)
		if more(answer.Payload, value) {
			dst, err = appendPayload(msgp.AppendString(dst, "args"), answer.Payload)
		}
	}
	return dst, err
}

// more reports whether an answer has more than its first value.
func more(p hub.Payload, first []byte) bool { return len(p.JSON) > len(first)+2 }

// replyServer answers for this node itself. Node.js waits for all nodes, and does not tell those that have nothing to
// say: so there is an answer always.
func (a *answering) replyServer(r *hub.NodeReply) {
	if !r.Done {
		return
	}
	body := a.head(`{"type":`, reqServer)
	if len(r.Answers) == 0 {
		body = append(body, `,"data":null`...)
		if a.ours() {
			body = append(body, `,"none":true`...)
		}
		a.publish(a.tail(body))
		return
	}
	text, err := jsonOf(r.Answers[0].Payload)
	if err != nil {
		text = []byte("[]")
	}
	value := first(hub.Payload{JSON: text})
	if value != nil {
		body = append(append(body, `,"data":`...), value...)
	}
	if a.ours() && more(hub.Payload{JSON: text}, value) {
		body = append(append(body, `,"args":`...), text...)
	}
	a.publish(a.tail(body))
}

// replyList answers with rooms or sessions.
func (a *answering) replyList(r *hub.NodeReply) {
	body := appendText([]byte(`{"requestId":`), *a.to.RequestID)
	switch *a.to.Type {
	case reqRooms:
		slices.Sort(r.Rooms)
		body = append(body, `,"rooms":[`...)
		for i, room := range r.Rooms {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendText(body, room)
		}
	case reqSockets:
		body = append(body, `,"sockets":[`...)
		for i := range r.Sessions {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendText(body, r.Sessions[i].ID)
		}
	default:
		body = append(body, `,"sockets":[`...)
		for i := range r.Sessions {
			if i > 0 {
				body = append(body, ',')
			}
			body = appendSocket(body, &r.Sessions[i], a.ours())
		}
	}
	a.publish(a.tail(append(body, ']')))
}

// head begins an answer that is JSON.
func (a *answering) head(open string, kind int) []byte {
	b := strconv.AppendInt([]byte(open), int64(kind), 10)
	return appendText(append(b, `,"requestId":`...), *a.to.RequestID)
}

// tail ends it.
func (a *answering) tail(b []byte) []byte {
	if a.ours() {
		b = appendText(append(b, `,"node":`...), a.c.node.Name())
	}
	return append(b, '}')
}

// wireAnswer is an answer of another node.
type wireAnswer struct {
	Type        *int            `json:"type"`
	RequestID   string          `json:"requestId"`
	ClientCount int             `json:"clientCount"`
	Sockets     json.RawMessage `json:"sockets"`
	Rooms       json.RawMessage `json:"rooms"`
	Data        json.RawMessage `json:"data"`
	Args        json.RawMessage `json:"args"`
	Missing     []string        `json:"missing"`
	None        bool            `json:"none"`
	Node        string          `json:"node"`

	answer hub.Answer // of a client
}

// readResponse decodes an answer: JSON, or what a client has said, which is msgpack.
func readResponse(body []byte) (*wireAnswer, error) {
	w := new(wireAnswer)
	if len(body) > 0 && body[0] == '{' {
		if json.Unmarshal(body, w) != nil {
			return nil, errMalformed
		}
	} else if err := w.readMsgpack(body); err != nil {
		return nil, err
	}
	if len(w.RequestID) > maxID || len(w.Node) > maxID || len(w.answer.Session) > maxID {
		return nil, errMalformed
	}
	if w.Node == "" {
		w.Node = hub.Unnamed
	}
	return w, nil
}

func (w *wireAnswer) readMsgpack(body []byte) error {
	var one, all hub.Payload
	one.JSON = []byte("[]")
	_, err := readMap(body, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "type":
			var kind int
			kind, rest, err = readInt(src)
			w.Type = &kind
		case "requestId":
			w.RequestID, rest, err = msgp.ReadStringBytes(src)
		case "packet":
			one, rest, err = readAnswer(src)
		case "args":
			if msgp.NextType(src) != msgp.ArrayType {
				return nil, errMalformed
			}
			all, rest, err = readAnswer(src)
		case "node":
			w.Node, rest, err = msgp.ReadStringBytes(src)
		case "sid":
			w.answer.Session, rest, err = msgp.ReadStringBytes(src)
		default:
			rest, err = msgpack.Skip(src)
		}
		return rest, err
	})
	w.answer.Payload = one
	if n := len(all.JSON); n > 2 {
		all.JSON = all.JSON[1 : n-1] // args is the array itself
		w.answer.Payload = all
	}
	if err == nil && w.Type == nil {
		err = errMalformed
	}
	return err
}

// answered takes an answer to a question of this node; those to questions of others come here too.
func (c *classic) answered(sp *space, body []byte) error {
	w, err := readResponse(body)
	if err != nil {
		return err
	}
	q := c.questions.find(w.RequestID)
	if q == nil || q.nsp != sp.name {
		return nil
	}
	kind := -1
	if w.Type != nil {
		kind = *w.Type
	}
	from := answerFrom{request: w.RequestID, name: w.Node, bytes: len(body)}
	if w.Node != hub.Unnamed { // Node.js does not say who answers
		from.id = w.Node
	}
	switch q.op {
	case hub.OpAsk:
		switch kind {
		case resCount:
			return q.asked(from, max(min(w.ClientCount, maxClients), 0))
		case resAck:
			return q.client(from, w.answer)
		case resMissing:
			return q.missing(from, w.Missing)
		}
	case hub.OpServer:
		var r hub.NodeReply
		if !w.None {
			a, err := w.serverAnswer()
			if err != nil {
				return err
			}
			r.Answers = []hub.Answer{a}
		}
		return q.node(from, r)
	case hub.OpSessions:
		var r hub.NodeReply
		ok := eachSocket(w.Sockets, sp.name, func(s hub.Snapshot) { r.Sessions = append(r.Sessions, s) })
		if !ok {
			return errMalformed
		}
		return q.node(from, r)
	case hub.OpRooms:
		var r hub.NodeReply
		ok := eachElement(w.Rooms, func(raw []byte) {
			if room := looseName(raw); room != "" {
				r.Rooms = append(r.Rooms, room)
			}
		})
		if !ok {
			return errMalformed
		}
		return q.node(from, r)
	}
	return nil
}

// serverAnswer is what a node itself answers.
func (w *wireAnswer) serverAnswer() (a hub.Answer, err error) {
	raw := w.Args
	if len(raw) == 0 || raw[0] != '[' {
		raw = answerOf(w.Data)
	}
	a.Payload.JSON, err = compact(raw)
	return a, err
}
