package hub

import (
	"encoding/json"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"greenroom/coop"
)

// Publication is a message published into a room by a client of Relay, over ZeroMQ or by the
// application. Unlike [Target.Emit] it carries who sent it, has an id and is kept in the room's
// history: members get the event with its arguments and then `meta`, an object {room, id, seq, from:{id, name?}, at, via?}.
// seq counts the room's publications: who misses none sees no gap in it. With an [Options].Adapter there is epoch as well:
// each node counts its own.
// An application that knows who its users are may set user in From.
type Publication struct {
	Namespace string // "" is "/"
	Room      string
	Event     string
	Args      []any    // encoded as EncodeArgs does it
	From      *Sender  // stamped by the transport or Relay, nil for the server itself
	Via       string   // the transport it came by, when that is not Socket.IO: "zeromq"
	Volatile  bool     // not kept in history, missed by clients that cannot take it at once
	ID        string   // the publisher's own id: a second one within DedupWindow is not sent again
	Except    []string // sessions, or rooms, that do not get it
	// Retain keeps the publication as the room's last value for those who come later, in place of the one before; without arguments, or with null alone, it ends that.
	Retain bool
	Local  bool // for this node alone: its publisher reaches the others as well, or does not want to

	skip    *Session
	nothing bool // with Retain: that ends it
}

// serverSender stands in `from` for what the application itself publishes.
var serverSender = &Sender{ID: "server"}

// Publish gives p its place in its room and sends it to the members. It returns the publication's id
// once it is sequenced, in history and shown to the taps, and never waits for a client. With an ID and other nodes it waits
// for them, at most for two seconds, and then parks if it is called in a greenlet. Any goroutine.
// Errors: [*Error] when the room or event is not acceptable (`presence` is the hub's own event), or the
// arguments cannot be encoded or hold more than ten binary values, which no client would take;
// [ErrDuplicate], with the first one's id, or "" while the first is being sequenced; [ErrClosed].
func (h *Hub) Publish(p Publication) (id string, err error) {
	id, _, err = h.PublishSeq(p)
	return id, err
}

// PublishSeq is Publish that also returns the publication's place among those of its room, as in meta: 0 with
// [ErrDuplicate].
func (h *Hub) PublishSeq(p Publication) (id string, seq uint64, err error) {
	var w publishing
	if first, err := h.begin(&w, &p); err != nil {
		return first, 0, err
	}
	if w.once != "" {
		if first, fresh := h.claim(w.ns.name, p.Room, p.ID); !fresh {
			return h.duplicate(&w, first), 0, ErrDuplicate
		}
	}
	id, seq = h.finish(&w, &p)
	return id, seq, nil
}

// BeginPublish is Publish for one who has more to publish while other nodes are asked about an ID: it returns what waits
// for them and publishes. Publications get their places in the order in which that is called, once for each.
func (h *Hub) BeginPublish(p Publication) (finish func() (id string, err error)) {
	w := new(publishing)
	if first, err := h.begin(w, &p); err != nil {
		return func() (string, error) { return first, err }
	}
	if w.once == "" {
		return func() (string, error) {
			id, _ := h.finish(w, &p)
			return id, nil
		}
	}
	claimed := h.beginClaim(w.ns.name, p.Room, p.ID)
	return func() (string, error) {
		if first, fresh := claimed(); !fresh {
			return h.duplicate(w, first), ErrDuplicate
		}
		id, _ := h.finish(w, &p)
		return id, nil
	}
}

// publishing is a publication that is acceptable, before it has its place.
type publishing struct {
	ns      *Namespace
	payload Payload
	key     string // of its publisher's own id on this node, "" without
	once    string // that id, when it is to be claimed on all nodes
}

// begin checks p. With [ErrDuplicate] it returns the first one's id.
func (h *Hub) begin(w *publishing, p *Publication) (first string, err error) {
	if err := CheckRoom(p.Room); err != nil {
		return "", err
	}
	if err := checkEvent(p.Event); err != nil {
		return "", err
	}
	if w.payload, err = encodeEvent(p.Event, p.Args, len(p.Room)+metaBytes); err != nil {
		return "", refusal("bad_arguments", "%v", err)
	}
	if n := len(w.payload.Attachments); n > maxBinary {
		return "", refusal("too_many_attachments", "%d binary values; clients take at most %d", n, maxBinary)
	}
	if h.closed.Load() {
		return "", ErrClosed
	}
	if p.From == nil {
		p.From = serverSender
	}
	name := p.Namespace
	if name == "" {
		name = "/"
	}
	if w.ns = h.lookup(name); w.ns == nil {
		return "", refusal("unknown_namespace", "no such namespace")
	}
	if p.ID == "" {
		return "", nil
	}
	w.key = name + "\x00" + p.Room + "\x00" + p.ID
	if first, fresh := h.dedup.claim(w.key, h.now()); !fresh {
		h.Count("publication_duplicate")
		return first, ErrDuplicate
	}
	if h.shared != nil && !p.Local {
		w.once = p.ID
	}
	return "", nil
}

// duplicate notes that another node has, or has had, a publication with this one's id, and returns that of the first.
func (h *Hub) duplicate(w *publishing, first string) string {
	if first == "" { // it is under way elsewhere, or will not come: who asks again is told
		h.dedup.forget(w.key)
	} else {
		h.dedup.settle(w.key, first)
	}
	h.Count("publication_duplicate")
	return first
}

// finish gives p its place.
func (h *Hub) finish(w *publishing, p *Publication) (id string, seq uint64) {
	ns := w.ns
	m := &Message{
		Namespace: ns.name, Room: p.Room, Event: p.Event, Payload: w.payload, Ack: NoAck,
		Volatile: p.Volatile, From: p.From, Via: p.Via, At: h.now(), alone: p.Local,
	}
	switch {
	case h.opts.Adapter == nil || p.Local:
		ns.drop(ns.publish(m, p))
	case h.sequencer != nil:
		ns.submit(h.sequencer, m, p, w.once)
	default:
		ns.publishAll(m, p, w.once)
	}
	if w.key != "" {
		h.dedup.settle(w.key, m.ID)
	}
	return m.ID, m.Seq
}

// claim claims a publisher's own id for a publication, on all nodes. When they cannot say, it is this node's to judge:
// fresh.
func (h *Hub) claim(namespace, room, id string) (first string, fresh bool) {
	var c claimAnswer
	err := h.await(func(over func()) { h.askClaim(&c, namespace, room, id, over) })
	return h.judge(&c, err)
}

// beginClaim is claim for a goroutine that has more to do meanwhile: it returns what waits.
func (h *Hub) beginClaim(namespace, room, id string) (wait func() (first string, fresh bool)) {
	c, m := new(claimAnswer), &meeting{done: make(chan struct{})}
	began := time.Now()
	h.askClaim(c, namespace, room, id, m.over)
	return func() (string, bool) { return h.judge(c, m.wait(sharedPatience-time.Since(began))) }
}

// claimAnswer is what the nodes say, when they do.
type claimAnswer struct{ said atomic.Pointer[claimed] }

type claimed struct {
	first string
	fresh bool
}

func (h *Hub) askClaim(c *claimAnswer, namespace, room, id string, over func()) {
	h.shared.Claim(namespace, room, id, h.opts.DedupWindow, func(first string, fresh bool, err error) {
		if err == nil {
			c.said.Store(&claimed{first, fresh})
		}
		over()
	})
}

func (h *Hub) judge(c *claimAnswer, err error) (first string, fresh bool) {
	if a := c.said.Load(); a != nil {
		return a.first, a.fresh
	}
	if !errors.Is(err, coop.ErrKilled) {
		h.Count("shared_claim_failed")
	}
	return "", true
}

// publishAll publishes here and on all other nodes, a room's publications in the order of their numbers.
func (ns *Namespace) publishAll(m *Message, p *Publication, once string) {
	turn := &ns.turns[maphash.String(turnSeed, p.Room)%uint64(len(ns.turns))]
	turn.Lock()
	defer turn.Unlock()
	ns.drop(ns.publish(m, p))
	ns.hub.spread(ns, m, p, once)
}

var turnSeed = maphash.MakeSeed()

// publish sequences m in its room and returns the rooms to drop. The lock is given back even if a tap
// panics, see [Room.emit].
func (ns *Namespace) publish(m *Message, p *Publication) (over []*Room) {
	rec := ns.recovery
	if rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
	}
	r := ns.lockRoom(p.Room)
	defer r.mu.Unlock()
	d := &delivery{skip: p.skip, except: p.Except}
	if rec != nil {
		rec.begin(d) // in the room's lock: who joins and takes the history must find it there or get it
	}
	if p.Retain {
		r.retainLocked(m, d)
	} else {
		r.publishLocked(m, d)
	}
	return r.emptiedLocked(m.At)
}

// submit gives m its number among the room's publications on this node, and hands it over to get its place. Two of the
// room keep their order, because the room is locked meanwhile. With once, the publisher's own id for it was claimed.
func (ns *Namespace) submit(q Sequencer, m *Message, p *Publication, once string) {
	ns.drop(func() []*Room {
		r := ns.lockRoom(p.Room)
		defer r.mu.Unlock()
		r.numberLocked(m)
		p.nothing = p.Retain && m.saysNothing()
		q.Sequence(ns.hub.publication(ns, m, p, once, &ordered{m, p}))
		return r.emptiedLocked(m.At)
	}())
}

// deliver is publish for what was submitted, when its place has come.
func (ns *Namespace) deliver(m *Message, p *Publication, e *Entry) (over []*Room) {
	rec := ns.recovery
	if rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
	}
	r := ns.lockRoom(p.Room)
	defer r.mu.Unlock()
	d := &delivery{skip: p.skip, except: slices.Concat(p.Except, r.takeGivenLocked(m)), entry: e}
	if rec != nil {
		rec.begin(d)
	}
	if r.history.epoch == "" { // the room was forgotten meanwhile
		r.history.epoch, _, _ = strings.Cut(m.ID, "-")
		r.seq = max(r.seq, m.Seq)
	}
	if p.Retain {
		h := ns.hub
		h.retained.mu.Lock()
		defer h.retained.mu.Unlock()
		defer h.retained.put(m, p.nothing, h)
	}
	r.placeLocked(m, d)
	return r.emptiedLocked(m.At)
}

// leftOut is who does not get p.
func (p *Publication) leftOut() []string {
	if p.skip == nil {
		return p.Except
	}
	return append(slices.Clip(p.Except), p.skip.id)
}

// publishLocked sequences m with its meta, and keeps it. The room's lock is held.
func (r *Room) publishLocked(m *Message, d *delivery) {
	r.numberLocked(m)
	r.placeLocked(m, d)
}

// numberLocked makes m a publication of the room. The room's lock is held.
func (r *Room) numberLocked(m *Message) {
	if r.history.epoch == "" {
		r.history.epoch = NewID()[:6]
	}
	r.seq++
	m.Seq = r.seq
	var few [48]byte
	m.ID = string(strconv.AppendUint(append(append(few[:0], r.history.epoch...), '-'), m.Seq, 10))
	need, spare := len(r.name)+metaBytes, cap(m.Payload.JSON)-len(m.Payload.JSON)
	if epoch := r.ns.hub.metaEpoch; need <= spare && spare < 2*need {
		m.Payload = m.Payload.appendMeta(m, epoch, m.Payload.JSON)
	} else { // the arguments' size was a guess, and history would keep what is left of it
		m.Payload = m.Payload.withMeta(m, epoch)
	}
}

// placeLocked sequences m, and keeps it. The room's lock is held.
func (r *Room) placeLocked(m *Message, d *delivery) {
	r.sequence(m, d)
	if !m.Volatile {
		r.history.add(m, r.ns.hub.opts)
	}
}

// with appends an argument of ours to the payload.
func (p Payload) with(arg any) Payload {
	tail, err := json.Marshal(arg)
	if err != nil { // structs of strings and numbers always marshal
		tail = []byte("null")
	}
	body := append(p.JSON[:len(p.JSON)-1:len(p.JSON)-1], ',')
	body = append(append(body, tail...), ']')
	return Payload{JSON: body, Attachments: p.Attachments}
}

// metaBytes is what meta takes, the room's name not included: if it is more, appending it copies.
const metaBytes = 160

// withMeta appends the last argument of a published event. epoch is whose count seq is, where there are other nodes, which
// count for themselves; "" leaves it out.
func (p Payload) withMeta(m *Message, epoch string) Payload {
	return p.appendMeta(m, epoch, append(make([]byte, 0, len(p.JSON)+len(m.Room)+metaBytes), p.JSON...))
}

// appendMeta is withMeta that writes over the end of b, which holds what p.JSON does: p itself when nobody else has it. It
// is written by hand because it is most of what a small publication costs.
func (p Payload) appendMeta(m *Message, epoch string, b []byte) Payload {
	b = append(b[:len(b)-1], `,{"room":`...)
	b = appendString(b, m.Room)
	b = append(b, `,"id":`...)
	b = appendString(b, m.ID)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, m.Seq, 10)
	b = append(b, `,"from":{"id":`...)
	b = appendString(b, m.From.ID)
	if m.From.Name != "" {
		b = append(b, `,"name":`...)
		b = appendString(b, m.From.Name)
	}
	if m.From.User != "" {
		b = append(b, `,"user":`...)
		b = appendString(b, m.From.User)
	}
	b = append(b, `},"at":`...) // milliseconds since 1970
	b = strconv.AppendInt(b, m.At.UnixMilli(), 10)
	if m.Via != "" {
		b = append(b, `,"via":`...)
		b = appendString(b, m.Via)
	}
	if epoch != "" {
		b = append(b, `,"epoch":`...)
		b = appendString(b, epoch)
	}
	return Payload{JSON: append(b, '}', ']'), Attachments: p.Attachments, meta: len(p.JSON)}
}

// maxBinary is how many binary values a publication or an answer may hold: official Socket.IO clients
// close their connection over a packet with more.
const maxBinary = 10

// maxEventName is the longest name of a published event, in bytes.
const maxEventName = 255

func checkEvent(name string) error {
	switch {
	case name == "":
		return refusal("bad_event", "the event needs a name")
	case len(name) > maxEventName:
		return refusal("bad_event", "the event's name is longer than %d bytes", maxEventName)
	case ReservedEvent(name):
		return refusal("reserved_event", "%q is a reserved event name", name)
	case name == presenceEvent:
		// Members could not tell a forged update on who is here from the hub's own.
		return refusal("reserved_event", "%q is the server's own event", name)
	}
	return nil
}
