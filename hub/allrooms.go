package hub

import (
	"slices"
	"time"
)

// AllRooms lists the rooms that have members, on any node, and the ids of the sessions there are, which are rooms too,
// each once and in order. It waits for the other nodes, at most for d, and returns what it has together with a
// [*MissingError] when some were silent. A greenlet parks meanwhile, a goroutine blocks; a callback on a loop can do
// neither and gets [coop.ErrNotRunning]. Node.js: adapter.allRooms.
func (ns *Namespace) AllRooms(d time.Duration) ([]string, error) {
	h := ns.hub
	if h.opts.Adapter == nil {
		return sortedOnce(ns.roomsHere()), nil
	}
	m, err := h.newMeeting()
	if err != nil {
		return nil, err
	}
	g := newGather(h, m.over)
	h.request(g, &NodeRequest{Op: OpRooms, Namespace: ns.name, Timeout: d})
	g.step()
	err = g.wait(m, d)
	return sortedOnce(append(g.rooms, ns.roomsHere()...)), err
}

func sortedOnce(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// roomsHere lists this node's rooms with members, without the hub's own, and its sessions, in no order.
func (ns *Namespace) roomsHere() []string {
	ns.mu.RLock()
	names := make([]string, 0, len(ns.sessions)+len(ns.rooms))
	for id := range ns.sessions {
		names = append(names, id)
	}
	ns.mu.RUnlock()
	for _, r := range ns.roomList() {
		if shown(r.name) && r.live() {
			names = append(names, r.name)
		}
	}
	return names
}

// live reports whether the room has members.
func (r *Room) live() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members > 0
}
