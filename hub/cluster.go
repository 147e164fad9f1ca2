package hub

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Cluster joins the hubs of one process, each by an [Adapter] of its own: for tests of what happens between nodes,
// and as the model for adapters that cross a network. What rooms have is kept in memory for all, see [SharedRooms]. Each hub needs an [Options].Node of its own. The zero value is
// ready to use. Any goroutine.
type Cluster struct {
	mu    sync.RWMutex
	nodes []Node
	rooms clusterRooms
}

// Adapter returns an adapter for one hub.
func (c *Cluster) Adapter() Adapter { return &clusterMember{cluster: c} }

type clusterMember struct {
	cluster *Cluster
	node    Node
}

// Join implements [Adapter]. Two nodes cannot have one name.
func (m *clusterMember) Join(node Node) error {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.node != nil {
		return fmt.Errorf("the adapter serves node %q already", m.node.Name())
	}
	if slices.ContainsFunc(c.nodes, func(n Node) bool { return n.Name() == node.Name() }) {
		return fmt.Errorf("there is a node %q already (Options.Node names it)", node.Name())
	}
	m.node = node
	c.nodes = append(slices.Clip(c.nodes), node) // Send may read the old list
	return nil
}

// Send implements [Adapter]. The others do what r says in the caller's goroutine, and so in its order.
func (m *clusterMember) Send(r *NodeRequest, reply func(NodeReply)) (cancel func() (silent []string), err error) {
	m.cluster.mu.RLock()
	all := m.cluster.nodes
	m.cluster.mu.RUnlock()
	if r.Keep != nil && !m.cluster.rooms.keep(m.node.Name(), r) {
		r.Keep.Over(nil)
		return nil, nil
	}
	var take func(NodeReply)
	if reply != nil {
		a := &clusterAnswer{reply: reply, silent: make(map[string]bool)}
		for _, n := range all {
			if n != m.node {
				a.silent[n.Name()] = true
			}
		}
		if len(a.silent) == 0 {
			return nil, nil
		}
		take, cancel = a.take, a.cancel
	}
	for _, n := range all {
		if n != m.node {
			n.Serve(r, take)
		}
	}
	r.Keep.Over(nil)
	return cancel, nil
}

// clusterAnswer is what the nodes answer to one request.
type clusterAnswer struct {
	reply func(NodeReply)

	mu     sync.Mutex
	silent map[string]bool // nodes that have not answered completely
	over   bool
}

func (a *clusterAnswer) take(r NodeReply) {
	a.mu.Lock()
	defer a.mu.Unlock() // the last reply comes behind all others
	if a.over {
		return
	}
	if r.Done {
		delete(a.silent, r.Node)
		r.Last = len(a.silent) == 0
	}
	a.reply(r)
}

func (a *clusterAnswer) cancel() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	return slices.Sorted(maps.Keys(a.silent))
}

// Close implements [Adapter].
func (m *clusterMember) Close() error {
	if m.leave() {
		m.cluster.bury(m.node.Name())
	}
	return nil
}

func (m *clusterMember) leave() (was bool) {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.nodes)
	c.nodes = slices.DeleteFunc(slices.Clone(c.nodes), func(n Node) bool { return n == m.node })
	return len(c.nodes) < n
}
