package zeromq

import "sync"

// topics finds the subscribers of a message once, for all of them: a subscription is a prefix, so a
// topic's subscribers are those of its prefixes, and only prefixes of a length that somebody uses
// are looked up. With exact room names that is one or two look-ups, however many subscribers.
// It has its own lock; nothing is called while it is held.
type topics struct {
	mu      sync.RWMutex
	entries map[string]*topicEntry
	lengths [maxTopic + 1]int // entries by the length of their topic
	longest int               // of lengths, an upper bound

	// wanted, unless it is nil, is told when a topic gets its first subscriber and when it has lost its last. mu is held.
	wanted func(topic string, live bool)
}

// topicEntry is the set of subscribers of one topic.
type topicEntry struct {
	subs []*subscriber
}

func newTopics() *topics { return &topics{entries: make(map[string]*topicEntry)} }

// add subscribes s; a second time changes nothing. false when s has limit topics already.
func (t *topics) add(s *subscriber, topic string, limit int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, have := s.topics[topic]; have {
		return true
	}
	if len(s.topics) >= limit {
		return false
	}
	e := t.entries[topic]
	if e == nil {
		e = &topicEntry{}
		t.entries[topic] = e
		t.lengths[len(topic)]++
		t.longest = max(t.longest, len(topic))
		if t.wanted != nil {
			t.wanted(topic, true)
		}
	}
	s.topics[topic] = len(e.subs)
	e.subs = append(e.subs, s)
	return true
}

// remove ends a subscription, if there is one.
func (t *topics) remove(s *subscriber, topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(s, topic)
}

func (t *topics) removeLocked(s *subscriber, topic string) {
	i, have := s.topics[topic]
	if !have {
		return
	}
	delete(s.topics, topic)
	e := t.entries[topic]
	last := len(e.subs) - 1
	if moved := e.subs[last]; moved != s {
		e.subs[i] = moved
		moved.topics[topic] = i
	}
	e.subs[last] = nil
	e.subs = e.subs[:last]
	if last == 0 {
		delete(t.entries, topic)
		t.lengths[len(topic)]--
		if t.wanted != nil {
			t.wanted(topic, false)
		}
	}
}

// drop ends all of s's subscriptions.
func (t *topics) drop(s *subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic := range s.topics {
		t.removeLocked(s, topic)
	}
}

// match appends topic's subscribers to dst, each once.
func (t *topics) match(dst []*subscriber, topic string) []*subscriber {
	t.mu.RLock()
	defer t.mu.RUnlock()
	entries := 0
	for n := 0; n <= t.longest && n <= len(topic); n++ {
		if t.lengths[n] == 0 {
			continue
		}
		if e := t.entries[topic[:n]]; e != nil {
			dst = append(dst, e.subs...)
			entries++
		}
	}
	if entries > 1 {
		dst = unique(dst)
	}
	return dst
}

// unique removes second occurrences. Only subscribers of several topics can have one. The lock of
// topics is held, for reading.
func unique(subs []*subscriber) []*subscriber {
	seen := make(map[*subscriber]struct{})
	kept := subs[:0]
	for _, s := range subs {
		if len(s.topics) > 1 {
			if _, twice := seen[s]; twice {
				continue
			}
			seen[s] = struct{}{}
		}
		kept = append(kept, s)
	}
	return kept
}
