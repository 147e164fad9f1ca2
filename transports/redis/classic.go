package redis

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
)

// What the classic adapter counts by: messages of other nodes that were dropped.
const (
	reasonMalformed = "redis_malformed"     // it is not in the format of the adapter
	reasonForbidden = "redis_forbidden"     // it addresses a room of Greenroom's own, and is not from Greenroom
	reasonFlood     = "redis_request_flood" // more requests came than are served
	reasonUnasked   = "redis_unasked"       // an answer more than was asked for
	reasonNamespace = "redis_namespace"     // a namespace cannot be joined with those of other nodes
)

// The types of requests and answers of the classic adapter, and one of Greenroom's own, which Node.js ignores.
const (
	reqSockets = iota
	reqRooms
	reqJoin
	reqLeave
	reqDisconnect
	reqFetch
	reqServer
	reqAsk
	resCount
	resAck
	resMissing = 100 // clients that a Greenroom node does not wait for any more
)

// classic speaks the format of @socket.io/redis-adapter's createAdapter, and hears @socket.io/redis-emitter. Each namespace
// has channels of its own: one, by a pattern, for what is sent to clients, one for requests, and two for answers.
type classic struct {
	prefix   string
	personal bool // see Options.PersonalAnswers
	node     hub.Node
	link     *link
	rooms    *roomStore
	unsee    func()

	mu       sync.RWMutex
	spaces   map[string]*space // by the namespace's name
	channels map[string]*space // by the channel for requests, and those for answers
	closed   bool

	questions questions
	serving   serving
}

// space is a namespace as others know it.
type space struct {
	name                                   string
	uid                                    string // of this node in this namespace
	broadcast, request, response, personal string // channels
}

func newClassic(o Options) *classic {
	return &classic{
		prefix: o.Prefix, personal: o.PersonalAnswers, spaces: make(map[string]*space), channels: make(map[string]*space),
	}
}

// join implements [driver].
func (c *classic) join(a *Adapter, node hub.Node) error {
	c.node, c.link, c.rooms = node, a.link, a.rooms
	look := func(ns *hub.Namespace) { c.look(ns.Name()) }
	c.unsee = node.Observe(hub.Observer{NamespaceCreated: look, NamespaceDeleted: look})
	for _, ns := range node.Namespaces() {
		c.look(ns.Name())
	}
	return nil
}

// close implements [driver].
func (c *classic) close() error {
	c.unsee()
	c.mu.Lock()
	c.closed = true
	for _, sp := range c.spaces {
		c.leave(sp)
	}
	c.mu.Unlock()
	c.questions.close()
	return nil
}

// look makes this node hear others about a namespace if there is one of that name, and only then. Events of the hub may
// overtake each other: it is what exists that counts.
func (c *classic) look(name string) *space {
	c.mu.Lock()
	defer c.mu.Unlock()
	exists := c.node.Namespace(name) != nil && !c.closed
	sp := c.spaces[name]
	switch {
	case exists && sp == nil:
		return c.enter(name)
	case !exists && sp != nil:
		c.leave(sp)
		return nil
	}
	return sp
}

// enter subscribes. Under c.mu.
func (c *classic) enter(name string) *space {
	if strings.Contains(name, "#") {
		// Its channel is also that of a room of another namespace.
		c.node.Count(reasonNamespace)
		c.node.Logger().Warn(`redis: a namespace with "#" in its name stays alone on its node`, "namespace", name)
		return nil
	}
	sp := &space{
		name: name, uid: uid6(), broadcast: c.prefix + "#" + name + "#", request: c.prefix + "-request#" + name + "#",
		response: c.prefix + "-response#" + name + "#",
	}
	sp.personal = sp.response + sp.uid + "#"
	c.spaces[name] = sp
	c.channels[sp.request], c.channels[sp.response], c.channels[sp.personal] = sp, sp, sp
	c.link.subscribe(subPattern, pattern(sp.broadcast))
	c.link.subscribe(subChannel, sp.response, sp.personal, sp.request)
	return sp
}

// leave unsubscribes. Under c.mu.
func (c *classic) leave(sp *space) {
	delete(c.spaces, sp.name)
	for _, channel := range []string{sp.request, sp.response, sp.personal} {
		delete(c.channels, channel)
	}
	c.link.unsubscribe(subPattern, pattern(sp.broadcast))
	c.link.unsubscribe(subChannel, sp.request, sp.response, sp.personal)
}

// pattern matches all channels that start so.
func pattern(prefix string) string { return patternEscapes.Replace(prefix) + "*" }

var patternEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`)

func (c *classic) space(name string) *space {
	c.mu.RLock()
	sp := c.spaces[name]
	c.mu.RUnlock()
	if sp == nil {
		return c.look(name) // its creation may be on the way to us
	}
	return sp
}

// send implements [driver].
func (c *classic) send(r *hub.NodeRequest, reply func(hub.NodeReply)) (cancel func() (silent []string), err error) {
	sp := c.space(r.Namespace)
	if sp == nil { // it is gone, or stays alone
		r.Keep.Over(nil)
		return nil, nil
	}
	var q *question
	id := ""
	if reply != nil {
		q = c.questions.ask(r, reply, uid6)
		id = q.id
	}
	var body []byte
	channel := sp.request
	switch r.Op {
	case hub.OpEmit:
		channel = sp.broadcast
		if len(r.Rooms) == 1 {
			channel += r.Rooms[0] + "#"
		}
		body, err = sp.appendBroadcast(r)
	case hub.OpAsk:
		body, err = sp.appendAsk(nil, id, r)
	default:
		body, err = sp.appendRequest(nil, id, r)
	}
	if err != nil {
		if q != nil {
			q.cancel()
		}
		return nil, err
	}
	if q == nil {
		c.rooms.publish(false, channel, body, r)
		return nil, nil
	}
	c.ask(sp, q, channel, r.Timeout, func(again string) ([]byte, error) {
		if again == id {
			return body, nil
		}
		return sp.appendRequest(nil, again, r) // what clients are asked is not asked again
	})
	return q.cancel, nil
}

// ask publishes a question, once answers to it are heard.
func (c *classic) ask(sp *space, q *question, channel string, within time.Duration, encode func(id string) ([]byte, error)) {
	q.hold(encode)
	send := func() {
		if encode := q.release(); encode != nil { // somebody waits still
			q.put(c.link, false, channel, sp.request, encode, within)
		}
	}
	// After a reconnection they are confirmed in any order.
	for _, channel := range []string{sp.request, sp.personal, sp.response} {
		next := send
		send = func() { c.link.subscribed(subChannel, channel, next) }
	}
	send()
}

// channelOf finds the namespace and the room of a channel for what is sent to clients.
func (c *classic) channelOf(channel string) (sp *space, room string) {
	rest := channel[len(c.prefix)+1:]
	name, room, found := strings.Cut(rest, "#")
	if !found {
		return nil, ""
	}
	c.mu.RLock()
	sp = c.spaces[name]
	c.mu.RUnlock()
	return sp, strings.TrimSuffix(room, "#")
}

// message implements [driver].
func (c *classic) message(channel string, body []byte) {
	if len(channel) > len(c.prefix) && channel[len(c.prefix)] == '#' {
		c.broadcast(channel, body)
		return
	}
	c.mu.RLock()
	sp := c.channels[channel]
	c.mu.RUnlock()
	var err error
	switch {
	case sp == nil:
		return // it was left
	case channel == sp.request:
		err = c.serve(sp, body)
	default:
		err = c.answered(sp, body)
	}
	if err != nil {
		c.refuse(err)
	}
}

// refuse counts a message that is not done.
func (c *classic) refuse(err error) { c.node.Count(reasonOf(err)) }

// reasonOf is what a message that is not done is counted by.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, errForbidden):
		return reasonForbidden
	case errors.Is(err, errFlood):
		return reasonFlood
	case errors.Is(err, errUnasked):
		return reasonUnasked
	}
	return reasonMalformed
}

var (
	errForbidden = errors.New("rooms of Greenroom's own")
	errFlood     = errors.New("too many requests")
)

// broadcast gives this node's clients what another node, or an emitter, sends.
func (c *classic) broadcast(channel string, body []byte) {
	sp, room := c.channelOf(channel)
	if sp == nil || room != "" && !c.node.Hears(sp.name, []string{room}) {
		return
	}
	r, err := sp.readBroadcast(room, body)
	if err != nil {
		c.refuse(err)
		return
	}
	if r != nil {
		c.node.Serve(r, nil)
	}
}

// readBroadcast decodes [uid, packet, opts]; nil is for others, or ours. The room is that of its channel, "" for none.
func (sp *space) readBroadcast(room string, body []byte) (*hub.NodeRequest, error) {
	if msgp.NextType(body) != msgp.ArrayType {
		return nil, errMalformed
	}
	n, rest, err := msgp.ReadArrayHeaderBytes(body)
	if err != nil || n < 3 {
		return nil, errMalformed
	}
	if msgp.NextType(rest) != msgp.StrType {
		return nil, errMalformed
	}
	uid, rest, err := msgp.ReadStringZC(rest)
	if err != nil {
		return nil, errMalformed
	}
	if string(uid) == sp.uid {
		return nil, nil
	}
	r := &hub.NodeRequest{Op: hub.OpEmit, Namespace: sp.name}
	rest, nsp, err := readPacket(rest, &r.Payload)
	if err != nil {
		return nil, err
	}
	if string(nsp) != sp.name {
		return nil, nil
	}
	a, _, err := readAddressed(rest, room)
	if err != nil {
		return nil, err
	}
	if !a.allowed() {
		return nil, errForbidden
	}
	a.address(r)
	return r, nil
}

// address says in r whom it is for.
func (a *addressed) address(r *hub.NodeRequest) {
	r.Rooms, r.Except, r.Volatile, r.NoCompress = a.rooms, a.except, a.volatile, a.plain
	r.Published, r.Retain = a.ours&oursPublished != 0, a.ours&oursRetain != 0
}

// The types of packets that carry events, as Socket.IO numbers them.
const (
	packetEvent       = 2
	packetBinaryEvent = 5 // of old emitters
)

// root is the namespace that is meant where none is named.
var root = []byte("/")

// readPacket reads {type, data, nsp}; nsp is a part of src.
func readPacket(src []byte, p *hub.Payload) (rest, nsp []byte, err error) {
	nsp = root
	kind, data := packetEvent, false
	rest, err = readMap(src, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "type":
			kind, rest, err = readInt(src)
		case "nsp":
			nsp, rest, err = msgp.ReadStringZC(src)
		case "data":
			data = true
			*p, rest, err = readPayload(src)
		default:
			rest, err = msgpack.Skip(src)
		}
		return rest, err
	})
	if err == nil && (!data || kind != packetEvent && kind != packetBinaryEvent) {
		err = errMalformed
	}
	return rest, nsp, err
}

// appendBroadcast encodes what readBroadcast reads, with the keys in the order that Node.js writes them in.
func (sp *space) appendBroadcast(r *hub.NodeRequest) ([]byte, error) {
	dst := make([]byte, 0, len(r.Payload.JSON)+len(sp.name)+128)
	dst = msgp.AppendArrayHeader(dst, 3)
	dst = msgp.AppendString(dst, sp.uid)
	dst, err := sp.appendPacket(dst, r.Payload)
	if err != nil {
		return nil, err
	}
	return appendAddressed(dst, r, 0), nil
}

func (sp *space) appendPacket(dst []byte, p hub.Payload) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, 3)
	dst = append(msgp.AppendString(dst, "type"), packetEvent)
	dst, err := appendPayload(msgp.AppendString(dst, "data"), p)
	if err != nil {
		return nil, err
	}
	return msgp.AppendString(msgp.AppendString(dst, "nsp"), sp.name), nil
}

// appendAddressed appends opts. With a timeout, the flags have it.
func appendAddressed(dst []byte, r *hub.NodeRequest, timeout time.Duration) []byte {
	dst = msgp.AppendMapHeader(dst, 3)
	dst = appendNames(msgp.AppendString(dst, "rooms"), r.Rooms)
	dst = appendNames(msgp.AppendString(dst, "except"), r.Except)
	ours := oursFlag(r)
	n := uint32(0)
	for _, set := range [...]bool{r.Volatile, r.NoCompress, timeout > 0, ours != 0} {
		if set {
			n++
		}
	}
	dst = msgp.AppendMapHeader(msgp.AppendString(dst, "flags"), n)
	if r.Volatile {
		dst = msgp.AppendBool(msgp.AppendString(dst, "volatile"), true)
	}
	if r.NoCompress {
		dst = msgp.AppendBool(msgp.AppendString(dst, "compress"), false)
	}
	if timeout > 0 {
		dst = msgp.AppendUint64(msgp.AppendString(dst, "timeout"), uint64(timeout.Milliseconds()))
	}
	if ours != 0 {
		dst = msgp.AppendInt(msgp.AppendString(dst, oursKey), ours)
	}
	return dst
}

// oursFlag is what Greenroom nodes have to know of an emit and cannot see from it; mostly nothing.
func oursFlag(r *hub.NodeRequest) int {
	ours := 0
	if ownRooms(r.Rooms, r.Except) {
		ours |= oursSaid
	}
	if r.Published {
		ours |= oursSaid | oursPublished
	}
	if r.Retain {
		ours |= oursRetain
	}
	return ours
}

// appendAsk encodes a question to clients, which is msgpack.
func (sp *space) appendAsk(dst []byte, id string, r *hub.NodeRequest) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, 6)
	dst = msgp.AppendString(msgp.AppendString(dst, "uid"), sp.uid)
	dst = msgp.AppendString(msgp.AppendString(dst, "requestId"), id)
	dst = append(msgp.AppendString(dst, "type"), reqAsk)
	dst, err := sp.appendPacket(msgp.AppendString(dst, "packet"), r.Payload)
	if err != nil {
		return nil, err
	}
	dst = appendAddressed(msgp.AppendString(dst, "opts"), r, max(r.Timeout, time.Millisecond))
	return append(msgp.AppendString(dst, oursKey), oursSaid), nil
}

// appendRequest encodes any other request, which is JSON.
func (sp *space) appendRequest(dst []byte, id string, r *hub.NodeRequest) ([]byte, error) {
	dst = appendText(append(dst, `{"uid":`...), sp.uid)
	if id != "" {
		dst = appendText(append(dst, `,"requestId":`...), id)
	}
	dst = append(append(dst, `,"type":`...), '0'+requestType(r.Op))
	if r.Op != hub.OpServer && r.Op != hub.OpRooms {
		dst = appendNamesJSON(append(dst, `,"opts":{"rooms":`...), r.Rooms)
		dst = appendNamesJSON(append(dst, `,"except":`...), r.Except)
		dst = append(dst, '}')
	}
	switch r.Op {
	case hub.OpJoin, hub.OpLeave:
		dst = appendText(append(dst, `,"rooms":[`...), r.Room)
		dst = append(dst, ']')
	case hub.OpDisconnect:
		dst = append(dst, `,"close":`...)
		if r.CloseConn {
			dst = append(dst, "true"...)
		} else {
			dst = append(dst, "false"...)
		}
		if r.Reason != "" {
			dst = appendText(append(dst, `,"reason":`...), r.Reason)
		}
	case hub.OpServer:
		text, err := jsonOf(r.Payload)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, `,"data":`...), text...)
	}
	return append(dst, `,"`+oursKey+`":1}`...), nil
}

func requestType(op hub.Op) byte {
	switch op {
	case hub.OpJoin:
		return reqJoin
	case hub.OpLeave:
		return reqLeave
	case hub.OpDisconnect:
		return reqDisconnect
	case hub.OpSessions:
		return reqFetch
	case hub.OpServer:
		return reqServer
	case hub.OpRooms:
		return reqRooms
	}
	return reqAsk
}

// wireRequest is a request of another node.
type wireRequest struct {
	UID       string          `json:"uid"`
	RequestID *string         `json:"requestId"`
	Type      *int            `json:"type"`
	Opts      *wireOpts       `json:"opts"`
	Rooms     looseNames      `json:"rooms"`
	Room      json.RawMessage `json:"room"` // of old forms
	SID       string          `json:"sid"`  // likewise
	Close     bool            `json:"close"`
	Reason    string          `json:"reason"`
	Data      json.RawMessage `json:"data"`
	Ours      int             `json:"greenroom"`

	addressed addressed
	payload   hub.Payload
}

type wireOpts struct {
	Rooms  looseNames `json:"rooms"`
	Except looseNames `json:"except"`
}

// readRequest decodes a request: JSON, or, with binary values in it, msgpack.
func readRequest(body []byte, namespace string) (*wireRequest, error) {
	w := new(wireRequest)
	if len(body) > 0 && body[0] == '{' {
		if err := json.Unmarshal(body, w); err != nil {
			return nil, errMalformed
		}
		if w.Opts != nil {
			w.addressed.rooms, w.addressed.except = w.Opts.Rooms, w.Opts.Except
		}
	} else if err := w.readMsgpack(body, namespace); err != nil {
		return nil, err
	}
	if w.Type == nil || len(w.UID) > maxID || w.RequestID != nil && len(*w.RequestID) > maxID || len(w.SID) > maxID {
		return nil, errMalformed
	}
	w.addressed.ours |= w.Ours
	var err error
	switch *w.Type {
	case reqServer:
		w.payload, err = jsonPayload(w.Data)
	case reqAsk:
		if w.payload.JSON == nil || w.RequestID == nil {
			err = errMalformed
		}
	case reqFetch:
		if w.Opts == nil || w.RequestID == nil {
			err = errMalformed
		}
	case reqRooms, reqSockets:
		if w.RequestID == nil {
			err = errMalformed
		}
	}
	return w, err
}

// readMsgpack decodes a request that is msgpack: a question to clients.
func (w *wireRequest) readMsgpack(body []byte, namespace string) error {
	_, err := readMap(body, func(key, src []byte) (rest []byte, err error) {
		switch string(key) {
		case "uid":
			w.UID, rest, err = msgp.ReadStringBytes(src)
		case "requestId":
			var id string
			id, rest, err = msgp.ReadStringBytes(src)
			w.RequestID = &id
		case "type":
			var kind int
			kind, rest, err = readInt(src)
			w.Type = &kind
		case "packet":
			var nsp []byte
			rest, nsp, err = readPacket(src, &w.payload)
			if err == nil && string(nsp) != namespace {
				err = errMalformed
			}
		case "opts":
			w.addressed, rest, err = readAddressed(src, "")
			w.Opts = &wireOpts{}
		case oursKey:
			w.Ours, rest, err = readInt(src)
		default:
			rest, err = msgpack.Skip(src)
		}
		return rest, err
	})
	if err == nil && (w.Type == nil || *w.Type != reqAsk || w.Opts == nil) {
		err = errMalformed
	}
	return err
}
