package zmq

import (
	"greenroom/internal/prefix"
	"greenroom/transports/zeromq/internal/guard"
)

const maxTopic = 255 // bytes

// First bytes of the messages that subscriptions are.
const (
	cancel    = 0
	subscribe = 1
)

// pub sends each message to those of its peers that have subscribed to a prefix of the first frame (RFC 29). It never
// waits: what a peer has no room for is dropped for that peer.
type pub struct {
	plain
	topics prefix.Tree[map[*peer]struct{}]
	serial uint64 // of messages
}

func newPub(s *Socket) pattern { return &pub{plain: plain{s}} }

func (b *pub) attach(p *peer) error {
	p.topics = make(map[string]struct{})
	return nil
}

func (b *pub) detach(p *peer) {
	for topic := range p.topics {
		b.remove(p, topic)
	}
}

func (b *pub) size() int { return b.topics.Len() }

// add subscribes p; first reports whether nobody had that topic before. A second time changes nothing.
func (b *pub) add(p *peer, topic string) (first, ok bool) {
	if _, have := p.topics[topic]; have || len(p.topics) >= b.s.opts.MaxTopics {
		return false, have
	}
	p.topics[topic] = struct{}{}
	peers := b.topics.Add(topic)
	if *peers == nil {
		*peers = make(map[*peer]struct{})
	}
	(*peers)[p] = struct{}{}
	return len(*peers) == 1, true
}

// remove ends a subscription; last reports whether nobody has that topic any more.
func (b *pub) remove(p *peer, topic string) (last bool) {
	if _, have := p.topics[topic]; !have {
		return false
	}
	delete(p.topics, topic)
	peers := *b.topics.Get(topic)
	delete(peers, p)
	if len(peers) > 0 {
		return false
	}
	b.topics.Remove(topic)
	return true
}

// subscription applies a message that is one. event reports whether an XPUB hands it up.
func (b *pub) subscription(p *peer, frames [][]byte) (event, ok bool) {
	op, topic, ok := subscriptionOf(frames)
	if !ok {
		return false, false
	}
	switch {
	case len(topic) > maxTopic:
		p.guard.Fail(&guard.Violation{Reason: reasonTopic, Detail: "a topic of more than 255 bytes"})
	case op == subscribe:
		first, taken := b.add(p, topic)
		if !taken {
			b.s.stats.Ignored++
		}
		event = first || taken && b.s.opts.Verbose
	default:
		event = b.remove(p, topic)
	}
	return event, true
}

func subscriptionOf(frames [][]byte) (op byte, topic string, ok bool) {
	if len(frames) != 1 || len(frames[0]) == 0 || frames[0][0] > subscribe {
		return 0, "", false
	}
	return frames[0][0], string(frames[0][1:]), true
}

func (b *pub) arrive(p *peer, frames [][]byte) (message, bool) {
	if _, ok := b.subscription(p, frames); !ok {
		return b.ignore()
	}
	return message{}, false
}

func (b *pub) send(frames [][]byte) error {
	b.serial++
	var wire []byte
	for m := b.topics.Matches(string(frames[0])); ; {
		peers := m.Next()
		if peers == nil {
			return nil
		}
		if wire == nil {
			wire = b.s.encode(frames) // once for all
		}
		for p := range *peers {
			if p.serial == b.serial {
				continue // has it, by another of its topics
			}
			p.serial = b.serial
			if !p.guard.TrySend(wire) {
				b.s.stats.Dropped++
			}
		}
	}
}

func (*pub) sendable() bool         { return true }
func (*pub) recv() (message, error) { return message{}, ErrDirection }
func (*pub) receivable() bool       { return false }

// xpub is a PUB whose Recv returns the subscriptions: the byte 1 and a topic that has its first subscriber, 0 and one
// that has lost its last. Other messages from XSUBs come as they are. Who does not receive them stops his subscribers'
// being read once RecvHWM of them wait.
type xpub struct{ pub }

func newXPub(s *Socket) pattern { return &xpub{pub{plain: plain{s}}} }

func (x *xpub) arrive(p *peer, frames [][]byte) (message, bool) {
	event, ok := x.subscription(p, frames)
	return message{frames: frames}, event || !ok
}

func (x *xpub) detach(p *peer) {
	for topic := range p.topics {
		if x.remove(p, topic) && !x.s.closed {
			x.s.deliver(p, message{frames: [][]byte{append([]byte{cancel}, topic...)}})
		}
	}
}

func (x *xpub) recv() (message, error) { return x.s.fair() }
func (x *xpub) receivable() bool       { return x.plain.receivable() }
