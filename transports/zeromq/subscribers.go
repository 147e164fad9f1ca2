package zeromq

import (
	"sync"
	"time"

	"greenroom/transports/zeromq/internal/guard"
)

// Subscriber is a peer of Pub as [Options].OnSubscribe is told of it.
type Subscriber struct {
	Remote string // its address
	User   string // its verified identity, "" where nobody proved one
}

// SubscriberStats is how a subscriber is served, see [Bridge.SubscriberStats].
type SubscriberStats struct {
	Subscriber
	Topics         int           // that it has subscribed to
	QueuedMessages int           // waiting for it, or on their way out
	QueuedBytes    int           // of them
	Lag            time.Duration // the age of the oldest of them; 0 when nothing waits
	Dropped        uint64        // messages that it has missed
}

// SlowPolicy says what happens to a subscriber that does not keep up.
type SlowPolicy uint8

const (
	// SlowDisconnect ends its connection when its queue has overflowed, or one write to it has taken, for
	// Options.SlowAfter, or when the oldest message for it has waited for Options.MaxLag. A ZeroMQ library connects
	// again, and knows that it has missed something.
	SlowDisconnect SlowPolicy = iota
	// SlowDrop never ends it. What does not fit into its queue is dropped; what has waited for longer than
	// Options.MaxLag is dropped with all behind it, so that it goes on with what is new.
	SlowDrop
)

// subscribers are those of an endpoint by their connections. Any goroutine.
type subscribers struct {
	m sync.Map // *guard.Conn → *subscriber
}

func (l *subscribers) add(c *guard.Conn, s *subscriber) { l.m.Store(c, s) }
func (l *subscribers) remove(c *guard.Conn)             { l.m.Delete(c) }

func (l *subscribers) get(c *guard.Conn) *subscriber {
	if s, ok := l.m.Load(c); ok {
		return s.(*subscriber)
	}
	return nil
}

// SubscriberStats lists the subscribers at Pub, in no order.
func (b *Bridge) SubscriberStats() []SubscriberStats {
	var list []SubscriberStats
	now := time.Now()
	b.egress.subs.m.Range(func(_, v any) bool {
		s := v.(*subscriber)
		st := SubscriberStats{Subscriber: s.who, Dropped: s.dropped.Load()}
		var since time.Time
		st.QueuedBytes, st.QueuedMessages, since = s.guard.Load()
		if !since.IsZero() {
			st.Lag = now.Sub(since)
		}
		b.egress.topics.mu.RLock()
		st.Topics = len(s.topics)
		b.egress.topics.mu.RUnlock()
		list = append(list, st)
		return true
	})
	return list
}

// Topics is the number of different subscriptions at Pub.
func (b *Bridge) Topics() int { return b.egress.topics.len() }
