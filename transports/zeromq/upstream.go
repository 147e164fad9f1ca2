package zeromq

import (
	"maps"
	"slices"
	"sync"

	"greenroom/transports/zeromq/internal/guard"
)

// upstream is what the bridge subscribes to at publishers: one set, the same for all of them. A publisher gets the
// whole of it before anything else when it has shaken hands, and what changes afterwards; it is never sent a
// subscription that it has. Any goroutine.
type upstream struct {
	mu     sync.Mutex
	topics map[string]struct{}
	peers  map[*guard.Conn]struct{}
}

func newUpstream(topics []string) *upstream {
	u := &upstream{topics: make(map[string]struct{}), peers: make(map[*guard.Conn]struct{})}
	for _, t := range topics {
		u.topics[t] = struct{}{}
	}
	return u
}

// attach subscribes a publisher to everything and keeps it up to date until detach.
func (u *upstream) attach(g *guard.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var wire []byte
	for _, t := range slices.Sorted(maps.Keys(u.topics)) { // one order, for whoever reads a trace
		wire = appendSubscription(wire, 1, t)
	}
	u.peers[g] = struct{}{}
	u.tell(g, wire)
}

func (u *upstream) detach(g *guard.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.peers, g)
}

// change subscribes to topics that are new, and cancels others, at all publishers.
func (u *upstream) change(add, cancel []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var wire []byte
	for _, t := range cancel {
		if _, have := u.topics[t]; have {
			delete(u.topics, t)
			wire = appendSubscription(wire, 0, t)
		}
	}
	for _, t := range add {
		if _, have := u.topics[t]; !have {
			u.topics[t] = struct{}{}
			wire = appendSubscription(wire, 1, t)
		}
	}
	for g := range u.peers {
		u.tell(g, wire)
	}
}

// tell never waits: a publisher that has not read what it was told before is given up. When it comes back it gets
// the whole set. mu is held.
func (u *upstream) tell(g *guard.Conn, wire []byte) {
	if len(wire) > 0 && !g.TrySend(wire) && g.Sending() {
		g.Fail(&guard.Violation{Reason: reasonSlowPublisher, Detail: "it does not read what is subscribed to"})
	}
}

// size is the number of subscriptions at each publisher.
func (u *upstream) size() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.topics)
}

// appendSubscription appends \x01topic or \x00topic, the form that every ZeroMQ version knows.
func appendSubscription(dst []byte, op byte, topic string) []byte {
	return guard.AppendStringFrame(dst, string(rune(op))+topic, false)
}
