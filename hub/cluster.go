package hub

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Cluster joins the hubs of one process, each by an [Adapter] of its own: for tests of what happens between nodes,
// and as the model for adapters that cross a network. Each hub needs an [Options].Node of its own. The zero value is
// ready to use. Any goroutine.
type Cluster struct {
	mu    sync.RWMutex
	nodes []Node
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
func (m *clusterMember) Send(r *NodeRequest, reply func(NodeReply)) (nodes []string, cancel func(), err error) {
	m.cluster.mu.RLock()
	all := m.cluster.nodes
	m.cluster.mu.RUnlock()
	var cancelled atomic.Bool
	var take func(NodeReply)
	if reply != nil {
		take = func(r NodeReply) {
			if !cancelled.Load() {
				reply(r)
			}
		}
		cancel = func() { cancelled.Store(true) }
	}
	for _, n := range all {
		if n == m.node {
			continue
		}
		if reply != nil {
			nodes = append(nodes, n.Name())
		}
		n.Serve(r, take)
	}
	return nodes, cancel, nil
}

// Close implements [Adapter].
func (m *clusterMember) Close() error {
	c := m.cluster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = slices.DeleteFunc(slices.Clone(c.nodes), func(n Node) bool { return n == m.node })
	return nil
}
