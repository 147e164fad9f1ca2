package zmq

import (
	"fmt"

	"greenroom/internal/prefix"
	"greenroom/transports/zeromq/internal/guard"
)

// sub hears what it has subscribed to (RFC 29). A peer gets all subscriptions when it has shaken hands, and what changes
// afterwards. What it sends beside them is ignored.
type sub struct {
	plain
	topics prefix.Tree[int] // with how many times each was subscribed to
	all    map[string]struct{}
	peers  map[*peer]struct{}
}

func makeSub(s *Socket) sub {
	return sub{plain: plain{s}, all: make(map[string]struct{}), peers: make(map[*peer]struct{})}
}

func newSub(s *Socket) pattern {
	b := makeSub(s)
	return &b
}

// Subscribe subscribes a SUB or XSUB to topics, prefixes of the messages' first frames; "" is everything. It does not
// wait: publishers hear of it soon, and those that are dialled later when they are there. Topics that were subscribed to
// twice have to be cancelled twice.
func (s *Socket) Subscribe(topics ...string) error { return s.subscriptions(subscribe, topics) }

// Unsubscribe cancels subscriptions. One that there is not is none to cancel.
func (s *Socket) Unsubscribe(topics ...string) error { return s.subscriptions(cancel, topics) }

func (s *Socket) subscriptions(op byte, topics []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	subscriber, ok := s.pattern.(interface {
		change(op byte, topics []string)
	})
	switch {
	case !ok:
		return ErrDirection
	case s.closed:
		return ErrClosed
	}
	for _, t := range topics {
		if len(t) > maxTopic {
			return fmt.Errorf("%w: a topic of %d bytes, at most %d are possible", ErrMessage, len(t), maxTopic)
		}
	}
	subscriber.change(op, topics)
	return nil
}

// change notes subscriptions or cancellations and tells the peers what is new by them.
func (b *sub) change(op byte, topics []string) {
	var wire []byte
	for _, t := range topics {
		times := b.topics.Get(t)
		switch {
		case op == subscribe:
			times = b.topics.Add(t)
			if *times++; *times > 1 {
				continue
			}
			b.all[t] = struct{}{}
		case times == nil:
			continue
		default:
			if *times--; *times > 0 {
				continue
			}
			b.topics.Remove(t)
			delete(b.all, t)
		}
		wire = appendSubscription(wire, op, t)
	}
	for p := range b.peers {
		b.tell(p, wire)
	}
}

func appendSubscription(dst []byte, op byte, topic string) []byte {
	return guard.AppendStringFrame(dst, string(rune(op))+topic, false)
}

// tell never waits: a publisher that has not read what it was told before is given up. When it comes back it gets
// everything.
func (b *sub) tell(p *peer, wire []byte) {
	if len(wire) > 0 && !p.guard.TrySend(wire) && p.guard.Sending() {
		p.guard.Fail(&guard.Violation{Reason: reasonPublisher, Detail: "it does not read what is subscribed to"})
	}
}

func (b *sub) size() int { return b.topics.Len() }

func (b *sub) attach(p *peer) error {
	var wire []byte
	for t := range b.all {
		wire = appendSubscription(wire, subscribe, t)
	}
	b.peers[p] = struct{}{}
	b.tell(p, wire)
	return nil
}

func (b *sub) detach(p *peer) { delete(b.peers, p) }

func (b *sub) arrive(_ *peer, frames [][]byte) (message, bool) {
	m := b.topics.Matches(string(frames[0]))
	if m.Next() == nil {
		return b.ignore()
	}
	return message{frames: frames}, true
}

// xsub is a SUB that subscribes by sending: the byte 1 and a topic, or 0 and one to cancel. Other messages go to all
// publishers. What it receives is not filtered again.
type xsub struct{ sub }

func newXSub(s *Socket) pattern { return &xsub{makeSub(s)} }

func (x *xsub) arrive(_ *peer, frames [][]byte) (message, bool) {
	return message{frames: frames}, true
}

func (x *xsub) send(frames [][]byte) error {
	if op, topic, ok := subscriptionOf(frames); ok {
		if len(topic) > maxTopic {
			return fmt.Errorf("%w: a topic of %d bytes, at most %d are possible", ErrMessage, len(topic), maxTopic)
		}
		x.change(op, []string{topic})
		return nil
	}
	wire := x.s.encode(frames)
	for p := range x.peers {
		if !p.guard.TrySend(wire) {
			x.s.stats.Dropped++
		}
	}
	return nil
}

func (*xsub) sendable() bool { return true }
