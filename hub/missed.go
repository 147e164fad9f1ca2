package hub

import (
	"slices"
	"strings"
	"sync"
)

// maxMissed bounds those of other nodes, in one room, that a node knows its watchers to know. Where there are more, nobody
// is told of those who left while messages were lost.
const maxMissed = 10_000

// catcher tells watchers here what they were not told while messages of other nodes were lost. Any goroutine.
type catcher struct {
	hub *Hub

	mu      sync.Mutex
	running bool
	again   bool
	wg      sync.WaitGroup
	closed  bool
}

// missed looks up all rooms that are watched here, in a goroutine, one after the other.
func (c *catcher) missed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.hub.shared == nil {
		return
	}
	if c.again = c.running; c.running {
		return
	}
	c.running = true
	c.wg.Go(func() {
		for {
			for _, ns := range c.hub.Namespaces() {
				for _, room := range ns.watchedRooms() {
					if c.hub.closed.Load() {
						break
					}
					ns.catchUp(room)
				}
			}
			c.mu.Lock()
			again := c.again && !c.closed
			c.again, c.running = false, again
			c.mu.Unlock()
			if !again {
				return
			}
		}
	})
}

func (c *catcher) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wg.Wait()
}

// Missed implements [Node].
func (n node) Missed() { n.hub.catch.missed() }

// watchedRooms are the rooms of which somebody here is told who is there.
func (ns *Namespace) watchedRooms() (names []string) {
	for _, r := range ns.roomList() {
		if room, ok := strings.CutPrefix(r.name, presencePrefix); ok && r.watched() {
			names = append(names, room)
		}
	}
	return names
}

func (r *Room) watched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members > 0
}

// watchers is how many sessions here are told who is in a room. No room's lock is held.
func (ns *Namespace) watchers(room string) int {
	r := ns.lookupRoom(presenceRoom(room))
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.members
}

// catchUp tells the watchers of a room what has changed on other nodes since they were told last.
func (ns *Namespace) catchUp(name string) {
	d := ns.hold(name)
	read := &sharedRead{h: ns.hub, namespace: ns.name, room: name, query: RoomQuery{Members: maxMissed}}
	_ = ns.hub.await(read.start) // without an answer there is no view
	r := d.room
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	joined, left := r.differencesLocked(read.view.Load())
	over := d.releaseLocked()
	r.mu.Unlock()
	ns.drop(over)
	if len(joined)+len(left) == 0 {
		return
	}
	ns.hub.Count("presence_caught_up")
	for len(joined)+len(left) > 0 {
		came := joined[:min(len(joined), maxAnnounced)]
		went := left[:min(len(left), maxAnnounced-len(came))]
		if err := ns.To(presenceRoom(name)).Local().Emit(presenceEvent, presenceChange{name, came, went}); err != nil { // such a struct always encodes
			ns.hub.Count("presence_failed")
		}
		joined, left = joined[len(came):], left[len(went):]
	}
}

// differencesLocked are those of other nodes who are in the room now, and the watchers here do not know it, or not on which
// node, or the other way round. The room's lock is held.
func (r *Room) differencesLocked(view *RoomView) (joined, left []*Sender) {
	joined, left = []*Sender{}, []*Sender{}
	if view == nil {
		return joined, left
	}
	now := r.othersLocked(view)
	for id, s := range now {
		if known := r.others[id]; (known == nil || known.Node != s.Node) && !r.hereLocked(s) {
			joined = append(joined, s)
		}
	}
	slices.SortFunc(joined, compareSenders)
	if len(view.Members) < view.Count { // whoever is not listed may be there
		r.toldLocked(&presenceChange{Joined: joined})
		return joined, left
	}
	for id, s := range r.others {
		if now[id] == nil && !r.hereLocked(s) {
			left = append(left, s)
		}
	}
	slices.SortFunc(left, compareSenders)
	if r.others = now; len(now) > maxMissed {
		r.others = nil
	}
	return joined, left
}

// toldLocked notes what watchers here are told of other nodes. The room's lock is held.
func (r *Room) toldLocked(u *presenceChange) {
	if r.others == nil {
		return
	}
	for _, s := range u.Joined {
		r.others[s.ID] = s
	}
	for _, s := range u.Left {
		if known := r.others[s.ID]; known != nil && (known.Node == s.Node || s.Node == "") { // else it has come back on another node
			delete(r.others, s.ID)
		}
	}
	if len(r.others) > maxMissed {
		r.others = nil
	}
}

// watchedLocked notes that the first watcher here has been given a list of who is there. The room's lock is held.
func (r *Room) watchedLocked(view *RoomView) {
	r.others = nil
	if view != nil && len(view.Members) <= maxMissed {
		r.others = r.othersLocked(view)
	}
}
