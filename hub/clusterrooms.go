package hub

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// clusterRooms is what the nodes of a [Cluster] share.
type clusterRooms struct {
	mu    sync.Mutex
	rooms map[roomName]*clusterRoom
}

type clusterRoom struct {
	history  []KeptPublication
	bytes    int
	retained *KeptPublication
	ended    bool
	last     map[string]uint64
	present  map[present]bool
	claims   map[string]clusterClaim
}

type present struct {
	Sender
	node string
}

type clusterClaim struct {
	id    string
	until time.Time
}

// claimFor is how long a claim waits for its publication.
const claimFor = 5 * time.Second

func (c *clusterRooms) lockedRoom(namespace, room string) *clusterRoom {
	n := roomName{namespace, room}
	r := c.rooms[n]
	if r == nil {
		r = &clusterRoom{last: make(map[string]uint64), present: make(map[present]bool), claims: make(map[string]clusterClaim)}
		if c.rooms == nil {
			c.rooms = make(map[roomName]*clusterRoom)
		}
		c.rooms[n] = r
	}
	return r
}

// keep keeps what a request of a node says, and reports false when that is nothing, see [Keep].Once.
func (c *clusterRooms) keep(node string, req *NodeRequest) bool {
	k := req.Keep
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.lockedRoom(req.Namespace, k.Room)
	if old := r.claims[k.Once]; k.Once != "" && old.id != "" && old.id != k.ID && time.Now().Before(old.until) {
		return false
	}
	p := KeptPublication{ID: k.ID, Payload: req.Payload}
	if k.ID != "" {
		r.last[k.Epoch] = max(r.last[k.Epoch], k.Seq)
	}
	if k.History {
		r.history = append(r.history, p)
		for r.bytes += len(p.Payload.JSON); len(r.history) > k.Limits.Messages || r.bytes > k.Limits.Bytes; r.history = r.history[1:] {
			r.bytes -= len(r.history[0].Payload.JSON)
		}
	}
	switch {
	case k.Retain:
		r.retained, r.ended = &p, false
	case k.Forget:
		r.retained, r.ended = nil, true
	}
	if k.Once != "" {
		r.claims[k.Once] = clusterClaim{k.ID, time.Now().Add(k.Window)}
	}
	for _, s := range k.Joined {
		r.present[present{*s, node}] = true
	}
	for _, s := range k.Left {
		delete(r.present, present{*s, node})
	}
	return true
}

func (c *clusterRooms) read(namespace, room string, q RoomQuery) (v RoomView) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.lockedRoom(namespace, room)
	v.History = slices.Clone(r.history[max(0, len(r.history)-q.History):])
	v.Last = maps.Clone(r.last)
	if q.Retained {
		v.Retained, v.Ended = r.retained, r.ended
	}
	if q.Members > 0 {
		for p := range r.present {
			v.Members = append(v.Members, Present{p.Sender, p.node})
		}
		slices.SortFunc(v.Members, func(a, b Present) int {
			return cmp.Or(compareSenders(&a.Sender, &b.Sender), strings.Compare(a.Node, b.Node))
		})
		v.Count = len(v.Members)
		v.Members = v.Members[:min(q.Members, v.Count)]
	}
	return v
}

func (c *clusterRooms) retained(namespace string, q RetainedQuery) (list []RetainedRoom) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for n, r := range c.rooms {
		if n.namespace == namespace && r.retained != nil && n.room > q.After && strings.HasPrefix(n.room, q.Prefix) {
			names = append(names, n.room)
		}
	}
	slices.Sort(names)
	names = names[:min(q.Limit, len(names))]
	for _, name := range sortedOnce(append(names, q.Also...)) {
		r := c.lockedRoom(namespace, name)
		list = append(list, RetainedRoom{name, r.retained, r.ended, maps.Clone(r.last)})
	}
	return list
}

func (c *clusterRooms) claim(namespace, room, id string, window time.Duration) (first string, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.lockedRoom(namespace, room)
	now := time.Now()
	if old, there := r.claims[id]; there && now.Before(old.until) {
		return old.id, false
	}
	r.claims[id] = clusterClaim{until: now.Add(min(window, claimFor))}
	return "", true
}

// forget forgets who is said to be on a node, and returns who that was, by room.
func (c *clusterRooms) forget(node string) map[roomName][]*Sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := make(map[roomName][]*Sender)
	for n, r := range c.rooms {
		for p := range r.present {
			if p.node == node {
				delete(r.present, p)
				gone[n] = append(gone[n], &p.Sender)
			}
		}
	}
	return gone
}

// ReadRoom implements [SharedRooms].
func (m *clusterMember) ReadRoom(namespace, room string, q RoomQuery, done func(RoomView, error)) {
	done(m.cluster.rooms.read(namespace, room, q), nil)
}

// ReadRetained implements [SharedRooms].
func (m *clusterMember) ReadRetained(namespace string, q RetainedQuery, done func([]RetainedRoom, error)) {
	done(m.cluster.rooms.retained(namespace, q), nil)
}

// Claim implements [SharedRooms].
func (m *clusterMember) Claim(namespace, room, id string, window time.Duration, done func(first string, fresh bool, err error)) {
	first, fresh := m.cluster.rooms.claim(namespace, room, id, window)
	done(first, fresh, nil)
}

// Renew implements [SharedRooms].
func (m *clusterMember) Renew() {
	m.cluster.rooms.forget(m.node.Name())
	m.node.Announce()
}

// bury tells the nodes that are left who was on one that is gone.
func (c *Cluster) bury(node string) {
	c.mu.RLock()
	left := c.nodes
	c.mu.RUnlock()
	for n, who := range c.rooms.forget(node) {
		slices.SortFunc(who, compareSenders)
		p, err := EncodeArgs(presenceEvent, presenceChange{n.room, []*Sender{}, who})
		if err != nil {
			continue // such a struct always encodes
		}
		r := &NodeRequest{Op: OpEmit, Namespace: n.namespace, Rooms: []string{presenceRoom(n.room)}, Payload: p}
		for _, n := range left {
			n.Serve(r, nil)
		}
	}
}
