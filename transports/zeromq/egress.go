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
	bridge *Bridge
	topics *topics
	count  atomic.Int64 // subscribers
}

// subscriber is a peer of the XPUB endpoint.
type subscriber struct {
	guard  *guard.Conn
	topics map[string]int // topic → place in its entry; guarded by topics.mu
	only   Patterns       // the rooms that it may hear; nil for all
}

func newEgress(b *Bridge) *egress { return &egress{bridge: b, topics: newTopics()} }

// serve reads the subscriptions of one SUB or XSUB peer.
func (e *egress) serve(p *peer) error {
	s := &subscriber{guard: p.guard, topics: make(map[string]int)}
	if read := p.principal.Read; read.reach("") != reachAll {
		s.only = append(Patterns{}, read...) // not nil
	}
	e.count.Add(1)
	defer e.count.Add(-1)
	defer e.topics.drop(s)
	for {
		frames, err := p.receive()
		if err != nil {
			return err
		}
		op, topic, ok := subscription(frames)
		switch {
		case !ok: // an XSUB may send messages upstream; nobody here wants them
			e.bridge.refused(reasonSubscription, "ignored a message that is no subscription", "remote", p.remote)
		case op == 0:
			e.topics.remove(s, topic)
		case p.principal.Read.reach(topic) == reachNone:
			e.bridge.forbidden(p, "ignored a subscription")
		case !e.topics.add(s, topic, e.bridge.opts.MaxTopics):
			e.bridge.refused(reasonManyTopics, "ignored a subscription, the peer has too many", "remote", p.remote)
		}
	}
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
	topic := topicOf(m.Namespace, m.Room)
	s := scratches.Get().(*scratch)
	s.subs = e.topics.match(s.subs[:0], topic)
	if len(s.subs) > 0 {
		var err error
		if s.wire, err = appendMessage(s.wire[:0], topic, m); err != nil {
			e.bridge.refused(reasonOutgoing, "a message cannot be sent", "room", m.Room, "error", err)
		} else {
			e.send(s.subs, m, s.wire)
		}
	}
	clear(s.subs)
	if cap(s.wire) > keepScratch {
		s.wire = nil
	}
	scratches.Put(s)
}

func (e *egress) send(subs []*subscriber, m *hub.Message, wire []byte) {
	for _, s := range subs {
		if s.only != nil && !s.only.Match(m.Namespace, m.Room) {
			continue // its subscription reaches further than its permission
		}
		if s.guard.TrySend(wire) || !s.guard.Sending() {
			continue
		}
		e.bridge.hub.Count(reasonDropped)
		e.bridge.log.warn(reasonDropped, "zeromq: a subscriber does not keep up, messages to it are dropped", "remote", s.guard.RemoteAddr())
		if late := s.guard.SlowFor(); late > e.bridge.opts.SlowAfter {
			s.guard.Fail(&guard.Violation{Reason: reasonSlow, Detail: "its queue overflowed for " + late.Round(time.Millisecond).String()})
		}
	}
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
