package zeromq

import (
	"sync"

	"greenroom/internal/prefix"
)

// topics finds the subscribers of a message once, for all of them: a subscription is a prefix, and a message's
// subscribers are those of all prefixes of its topic. They stand in a tree, so that what a message costs does not
// depend on the number of subscriptions, nor on how many lengths they have: a peer that subscribes to prefixes of
// all lengths costs those that it does not hear nothing. It has its own lock; inside it, first may take those of
// a connection.
type topics struct {
	mu   sync.RWMutex
	tree prefix.Tree[topicEntry]
	n    int // subscriptions
}

// topicEntry is the set of subscribers of one topic.
type topicEntry struct {
	subs []*subscriber
}

func newTopics() *topics { return &topics{} }

// added says what add has done.
type added uint8

const (
	addedNothing added = iota // s has the topic already
	addedTooMany              // s has limit topics, and this one was not added
	addedTopic                // s hears the topic
	addedFirst                // and nobody did before
)

// add subscribes s; a second time changes nothing. first, unless it is nil, is called just before s hears the topic.
func (t *topics) add(s *subscriber, topic string, limit int, first func()) added {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, have := s.topics[topic]; have {
		return addedNothing
	}
	if len(s.topics) >= limit {
		return addedTooMany
	}
	if first != nil {
		first()
	}
	e := t.tree.Add(topic)
	s.topics[topic] = len(e.subs)
	e.subs = append(e.subs, s)
	t.n++
	if len(e.subs) == 1 {
		return addedFirst
	}
	return addedTopic
}

// remove ends a subscription. had says whether there was one, last that nobody is subscribed to the topic any more.
func (t *topics) remove(s *subscriber, topic string) (had, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, had := s.topics[topic]
	if !had {
		return false, false
	}
	delete(s.topics, topic)
	t.n--
	e := t.tree.Get(topic)
	end := len(e.subs) - 1
	if moved := e.subs[end]; moved != s {
		e.subs[i] = moved
		moved.topics[topic] = i
	}
	e.subs[end] = nil
	e.subs = e.subs[:end]
	if end == 0 {
		t.tree.Remove(topic)
	}
	return true, end == 0
}

// of lists s's topics.
func (t *topics) of(s *subscriber) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]string, 0, len(s.topics))
	for topic := range s.topics {
		list = append(list, topic)
	}
	return list
}

// has reports whether s has this topic.
func (t *topics) has(s *subscriber, topic string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, have := s.topics[topic]
	return have
}

// hears reports whether s has a topic that is a prefix of this one. The lock of topics is held.
func (s *subscriber) hears(topic string) bool {
	if len(s.topics) == 0 {
		return false
	}
	for n := range len(topic) + 1 {
		if _, have := s.topics[topic[:n]]; have {
			return true
		}
	}
	return false
}

// match appends topic's subscribers to dst, each once. Those of "", which is a prefix of all, hear the topics of the
// bridge's own, which start with "$", only if they have asked for them.
func (t *topics) match(dst []*subscriber, topic string) []*subscriber {
	own := topic != "" && topic[0] == '$'
	t.mu.RLock()
	defer t.mu.RUnlock()
	entries := 0
	found := t.tree.Matches(topic)
	all := t.tree.Get("")
	for e := found.Next(); e != nil; e = found.Next() {
		if own && e == all {
			continue
		}
		dst = append(dst, e.subs...)
		entries++
	}
	if entries > 1 {
		dst = unique(dst)
	}
	return dst
}

// len is the number of topics that somebody has subscribed to.
func (t *topics) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.tree.Len()
}

// size is the number of subscriptions.
func (t *topics) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.n
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
