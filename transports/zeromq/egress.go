package zeromq

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// egress sends the messages of rooms to the subscribers of an XPUB endpoint. publish runs on whichever
// goroutine publishes, with the room locked: it finds the subscribers, encodes once and appends the
// same bytes to each one's queue; the writing is done by each connection's own flusher.
type egress struct {
	bridge  *Bridge
	topics  *topics
	welcome []byte // what each subscriber gets first, nil for nothing
	encoder encoder
	epoch   string        // of the hub, "" when it has none
	count   atomic.Int64  // subscribers
	sent    atomic.Uint64 // messages of rooms, see ownTopics
	own     *ownTopics
	subs    subscribers
}

// subscriber is a peer of the XPUB endpoint.
type subscriber struct {
	guard   *guard.Conn
	who     Subscriber
	topics  map[string]int // topic → place in its entry; guarded by topics.mu
	only    Patterns       // the rooms that it may hear; nil for all
	dropped atomic.Uint64  // messages
}

func newEgress(b *Bridge) *egress {
	e := &egress{bridge: b, topics: newTopics()}
	e.encoder.style = b.opts.PubStyle
	if h, ok := b.hub.(interface{ Epoch() string }); ok {
		e.epoch = h.Epoch()
	}
	if h, ok := b.hub.(*hub.Hub); !ok || h.Options().Adapter == nil { // else meta has it: not all come from this node
		e.encoder.epoch = e.epoch
	}
	for i, f := range b.opts.Welcome {
		e.welcome = guard.AppendStringFrame(e.welcome, f, i < len(b.opts.Welcome)-1)
	}
	e.own = newOwnTopics(e)
	return e
}

func (e *egress) limits() guard.Limits {
	l := e.bridge.opts.subscriberLimits()
	if e.bridge.opts.Slow == SlowDrop {
		l.Stale = e.stale
	}
	return l
}

// serve reads the subscriptions of one SUB or XSUB peer.
func (e *egress) serve(p *peer) error {
	s := &subscriber{
		guard: p.guard, topics: make(map[string]int), who: Subscriber{Remote: p.remote, User: p.principal.User},
	}
	if read := p.principal.Read; read.reach("") != reachAll {
		s.only = append(Patterns{}, read...) // not nil
	}
	e.count.Add(1)
	e.subs.add(p.guard, s)
	defer e.leave(s)
	if e.welcome != nil {
		s.guard.TrySend(e.welcome) // the queue is empty, or the peer gone
	}
	loader := e.loader()
	var later inOrder
	var gone atomic.Bool
	if loader != nil {
		later.begin()
		defer later.close()
		defer gone.Store(true)
	}
	for {
		frames, err := p.receive()
		if err != nil {
			return err
		}
		op, topic, ok := subscription(frames)
		switch {
		case !ok: // an XSUB may send messages upstream; nobody here wants them
			e.bridge.refused(reasonSubscription, "ignored a message that is no subscription", "remote", p.remote)
		case op == 0 && loader != nil:
			later.do(func() { e.unsubscribe(s, topic) })
		case op == 0:
			e.unsubscribe(s, topic)
		case !ownTopic(topic) && p.principal.Read.reach(topic) == reachNone:
			e.bridge.forbidden(p, "ignored a subscription")
		case loader != nil:
			wait, done := e.load(loader, topic)
			later.do(func() {
				defer done()
				if !gone.Load() {
					wait()
					e.subscribe(s, topic)
				}
			})
		default:
			e.subscribe(s, topic)
		}
	}
}

func (e *egress) subscribe(s *subscriber, topic string) {
	did := e.addTopic(s, topic)
	switch did {
	case addedTooMany:
		e.bridge.refused(reasonManyTopics, "ignored a subscription, the peer has too many", "remote", s.who.Remote)
	case addedFirst:
		e.own.demand(topic, true)
		fallthrough
	case addedTopic:
		e.own.changed(topic)
		e.tell(e.bridge.opts.OnSubscribe, s, topic)
	}
}

func (e *egress) unsubscribe(s *subscriber, topic string) {
	had, last := e.topics.remove(s, topic)
	if !had {
		return
	}
	if last {
		e.own.demand(topic, false)
	}
	e.own.changed(topic)
	e.tell(e.bridge.opts.OnUnsubscribe, s, topic)
}

// leave ends all of s's subscriptions.
func (e *egress) leave(s *subscriber) {
	for _, topic := range e.topics.of(s) {
		e.unsubscribe(s, topic)
	}
	e.subs.remove(s.guard)
	e.count.Add(-1)
}

// tell calls a hook of the application's, on the connection's goroutine.
func (e *egress) tell(hook func(Subscriber, string), s *subscriber, topic string) {
	if hook == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			e.bridge.refused(reasonHook, "a subscription hook panicked", "panic", v)
		}
	}()
	hook(s.who, topic)
}

// subscription reads \x01topic and \x00topic.
func subscription(frames [][]byte) (op byte, topic string, ok bool) {
	if len(frames) != 1 || len(frames[0]) == 0 || frames[0][0] > 1 || len(frames[0]) > 1+maxTopic {
		return 0, "", false
	}
	return frames[0][0], string(frames[0][1:]), true
}

// scratch is what one publish needs; pooled, because taps run on many goroutines.
type scratch struct {
	wire []byte
	subs []*subscriber
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keepScratch is the largest encoding kept for the next one.
const keepScratch = 64 << 10

// publish is the hub's tap. It never blocks.
func (e *egress) publish(m *hub.Message) {
	if e.count.Load() == 0 || m.Room == "" || m.Room[0] == '$' {
		return
	}
	e.sent.Add(1)
	topic := topicOf(m.Namespace, m.Room)
	s := scratches.Get().(*scratch)
	s.subs = e.topics.match(s.subs[:0], topic)
	if len(s.subs) > 0 {
		var err error
		if s.wire, err = e.encoder.append(s.wire[:0], topic, m, false); err != nil {
			e.bridge.refused(reasonOutgoing, "a message cannot be sent", "room", m.Room, "error", err)
		} else {
			e.send(s.subs, m.Namespace, m.Room, s.wire)
		}
	}
	s.giveBack()
}

func (s *scratch) giveBack() {
	clear(s.subs)
	if cap(s.wire) > keepScratch {
		s.wire = nil
	}
	scratches.Put(s)
}

// send queues a message of, or about, a room for those who may hear of it.
func (e *egress) send(subs []*subscriber, namespace, room string, wire []byte) {
	for _, s := range subs {
		if s.only != nil && room != "" && !s.only.Match(namespace, room) {
			continue // its subscription reaches further than its permission
		}
		e.sendTo(s, wire)
	}
}

func (e *egress) sendTo(s *subscriber, wire []byte) {
	if s.guard.TrySend(wire) || !s.guard.Sending() {
		return
	}
	s.dropped.Add(1)
	e.bridge.hub.Count(reasonDropped)
	e.bridge.log.warn(reasonDropped, "zeromq: a subscriber does not keep up, messages to it are dropped", "remote", s.who.Remote)
	if e.bridge.opts.Slow == SlowDrop {
		return
	}
	if late := s.guard.SlowFor(); late > e.bridge.opts.SlowAfter {
		s.guard.Fail(&guard.Violation{Reason: reasonSlow, Detail: "its queue overflowed for " + late.Round(time.Millisecond).String()})
	}
}

// stale counts what a peer's queue has dropped because of its age.
func (e *egress) stale(c *guard.Conn, messages int) {
	s := e.subs.get(c)
	if s == nil {
		return
	}
	s.dropped.Add(uint64(messages))
	for range messages {
		e.bridge.hub.Count(reasonStale)
	}
	e.bridge.log.warn(reasonStale, "zeromq: what waited for a subscriber was too old and is dropped", "remote", s.who.Remote, "messages", messages)
}

// topicOf is the first frame of a room's messages: the room, behind its namespace if that is not "/". A room
// of "/" that looks like a topic of another namespace gets the namespace as well, so that nobody can be
// taken for somebody of that one. splitTopic is its inverse.
func topicOf(namespace, room string) string {
	if namespace == "" {
		namespace = "/"
	}
	if namespace == "/" && (!strings.HasPrefix(room, "/") || !strings.Contains(room, topicSeparator)) {
		return room
	}
	return namespace + topicSeparator + room
}
