package redis

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/hub"
	"greenroom/internal/prefix"
)

// Rooms are heard by more than their members: by sessions that have joined a prefix, and by subscribers of other
// transports, whose subscriptions are prefixes too. Where each room has its own channel, nobody could subscribe to all
// of those that begin so. A node that wants prefixes therefore says which, on the namespace's channel, and the
// Greenroom nodes send what is for a room that begins so to that channel instead of the room's. Node.js nodes do not
// know of it: of what they send, the room that is called like the prefix itself is heard, by its channel, and no other.

const (
	demandGap    = 50 * time.Millisecond // between two changes of what a node wants: one that many come with tells it once
	demandEvery  = 10 * time.Second      // how often a node that wants prefixes says so
	demandExpiry = 35 * time.Second      // three of them may be lost
	maxDemanding = 1000                  // nodes that are listened to
	maxDemanded  = 100_000               // prefixes of all of them
)

// foreignDemand is which prefixes other nodes want.
type foreignDemand struct {
	some atomic.Bool // there are any: all that a message looks at while there are none

	mu    sync.RWMutex
	nodes map[string]demanding // by uid
	tree  prefix.Tree[int]     // prefix → how many nodes want it
	count int                  // prefixes of all nodes
	all   time.Time            // until then everything is wanted: more nodes, or prefixes, than are noted
}

type demanding struct {
	prefixes []string
	until    time.Time
}

// set notes what a node wants, instead of what it wanted before.
func (f *foreignDemand) set(uid string, prefixes []string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(uid)
	switch {
	case len(prefixes) == 0:
	case len(f.nodes) == maxDemanding || f.count+len(prefixes) > maxDemanded:
		f.all = until
	default:
		if f.nodes == nil {
			f.nodes = make(map[string]demanding)
		}
		f.nodes[uid] = demanding{prefixes, until}
		f.count += len(prefixes)
		for _, p := range prefixes {
			*f.tree.Add(p)++
		}
	}
	f.some.Store(len(f.nodes) > 0 || !f.all.IsZero())
}

// drop forgets a node. Under f.mu.
func (f *foreignDemand) drop(uid string) {
	f.count -= len(f.nodes[uid].prefixes)
	for _, p := range f.nodes[uid].prefixes {
		if n := f.tree.Get(p); n != nil {
			if *n--; *n == 0 {
				f.tree.Remove(p)
			}
		}
	}
	delete(f.nodes, uid)
}

func (f *foreignDemand) expire(now time.Time) {
	if !f.some.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for uid, d := range f.nodes {
		if now.After(d.until) {
			f.drop(uid)
		}
	}
	if now.After(f.all) {
		f.all = time.Time{}
	}
	f.some.Store(len(f.nodes) > 0 || !f.all.IsZero())
}

// covers reports whether another node wants a prefix of a room's name.
func (f *foreignDemand) covers(room string) bool {
	if !f.some.Load() || room[0] == '$' {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if !f.all.IsZero() {
		return true
	}
	found := f.tree.Matches(room)
	return found.Next() != nil
}

// prefixWanted is told which prefixes somebody here wants to hear; namespace "" is all of them. Locks of the hub are held.
func (s *sharded) prefixWanted(namespace, prefix string, live bool) {
	if strings.Contains(namespace, "#") {
		return
	}
	s.mu.Lock()
	before := s.wants[namespace][prefix]
	now := before - 1
	if live {
		now = before + 1
	}
	if now > 0 {
		if s.wants[namespace] == nil {
			s.wants[namespace] = make(map[string]int)
		}
		s.wants[namespace][prefix] = now
	} else if delete(s.wants[namespace], prefix); len(s.wants[namespace]) == 0 {
		delete(s.wants, namespace)
	}
	if (before > 0) != (now > 0) && !s.closed {
		for name, sp := range s.spaces {
			if namespace == "" || namespace == name {
				s.tellSoon(sp)
			}
		}
	}
	s.mu.Unlock()
	// What Node.js sends to the room that is called so comes by its channel.
	if (before > 0) != (now > 0) && namespace != "" && s.apart(prefix) && hub.CheckRoom(prefix) == nil {
		s.change(namespace, prefix, func(r *route) { r.wants = min(now, 1) })
	}
}

// tellSoon has others told what is wanted here. Under s.mu.
func (s *sharded) tellSoon(sp *shardSpace) {
	s.dirty[sp] = true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// announceDirty tells others what is wanted here where that has changed.
func (s *sharded) announceDirty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sp := range s.dirty {
		s.announce(sp, sp.channel)
	}
	clear(s.dirty)
}

// announce tells others which prefixes this node wants, also that it wants none any more. Under s.mu.
func (s *sharded) announce(sp *shardSpace, channel string) {
	s.publish(sp, channel, &message{kind: msgDemand, prefixes: s.wanted(sp)})
}

// wanted lists the prefixes that this node wants. Too many are all there are.
func (s *sharded) wanted(sp *shardSpace) []string {
	n := len(s.wants[sp.name]) + len(s.wants[""])
	if n > maxAnnounced {
		return []string{""}
	}
	list := make([]string, 0, n)
	for _, name := range [2]string{sp.name, ""} {
		for p := range s.wants[name] {
			list = append(list, p)
		}
	}
	return list
}

// announceAll says again what this node wants.
func (s *sharded) announceAll() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sp := range s.spaces {
		if len(s.wants[sp.name])+len(s.wants[""]) > 0 {
			s.announce(sp, sp.channel)
		}
	}
}

func (s *sharded) expireDemand(now time.Time) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sp := range s.spaces {
		sp.foreign.expire(now)
	}
}
