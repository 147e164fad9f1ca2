package hub

import (
	"slices"
	"sync"

	"greenroom/internal/prefix"
)

// Demand is told of what a node wants to hear of others: an [Adapter] that does not bring every message to every
// node keeps its subscriptions equal to it. Functions that are nil are not called. Locks of the hub are held
// meanwhile: they must neither block nor call the hub back. Any goroutine.
type Demand struct {
	// Room: a room has its first member on this node, or has lost its last. The hub's own rooms are told too, users'
	// among them, but for those of prefixes.
	Room func(namespace, room string, live bool)
	// Session: a session of this name exists, or not any more.
	Session func(namespace, id string, live bool)
	// Prefix: somebody here hears all rooms whose names start with prefix, of the namespace, or with "" of all of them.
	Prefix func(namespace, prefix string, live bool)
}

// WatchDemand implements [Node].
func (n node) WatchDemand(d Demand) (cancel func()) {
	h := n.hub
	var cancels []func()
	if d.Room != nil {
		cancels = append(cancels, h.watchRooms(&roomWatch{fn: d.Room, own: true}))
	}
	if d.Prefix != nil {
		cancels = append(cancels, h.WatchPrefixes(d.Prefix), h.wants.watch(d.Prefix))
	}
	if d.Session != nil {
		cancels = append(cancels, h.watchSessions(d.Session))
	}
	return func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
}

// Hears implements [Node].
func (n node) Hears(namespace string, rooms []string) bool {
	ns := n.hub.lookup(namespace)
	if ns == nil {
		return false
	}
	if len(rooms) == 0 || ns.recovery != nil {
		return true
	}
	for _, room := range rooms {
		if ns.lookupRoom(room) != nil || ns.Session(room) != nil || ns.prefixes.match(room) != nil || n.hub.wants.covers(namespace, room) {
			return true
		}
	}
	return false
}

// Want has the hub's [Adapter] bring the messages of all rooms whose names start with prefix, of one namespace, or with ""
// of all of them, for somebody who hears rooms by [Hub.TapWanted] without being in them. cancel ends it. Any goroutine.
func (h *Hub) Want(namespace, prefix string) (cancel func()) {
	h.wants.add(namespace, prefix)
	return sync.OnceFunc(func() { h.wants.drop(namespace, prefix) })
}

// wants are the prefixes that are heard outside of rooms. mu is taken last.
type wants struct {
	mu      sync.RWMutex
	spaces  map[string]*prefix.Tree[int] // by namespace: how often a prefix is wanted
	watches []*func(namespace, prefix string, live bool)
}

func (w *wants) add(namespace, pre string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.spaces[namespace]
	if t == nil {
		if w.spaces == nil {
			w.spaces = make(map[string]*prefix.Tree[int])
		}
		t = new(prefix.Tree[int])
		w.spaces[namespace] = t
	}
	n := t.Add(pre)
	if *n++; *n == 1 {
		w.tell(namespace, pre, true)
	}
}

func (w *wants) drop(namespace, prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.spaces[namespace]
	n := t.Get(prefix)
	if *n--; *n > 0 {
		return
	}
	if t.Remove(prefix); t.Len() == 0 {
		delete(w.spaces, namespace)
	}
	w.tell(namespace, prefix, false)
}

func (w *wants) tell(namespace, prefix string, live bool) {
	for _, fn := range w.watches {
		(*fn)(namespace, prefix, live)
	}
}

// watch has fn told of changes, and first of all there is.
func (w *wants) watch(fn func(namespace, prefix string, live bool)) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watches = append(w.watches, &fn)
	for namespace, t := range w.spaces {
		for pre := range t.Prefixes() {
			fn(namespace, pre, true)
		}
	}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.watches = slices.DeleteFunc(w.watches, func(x *func(string, string, bool)) bool { return x == &fn })
	}
}

// covers reports whether somebody outside hears a room.
func (w *wants) covers(namespace, room string) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.spaces) == 0 {
		return false
	}
	for _, name := range [2]string{namespace, ""} {
		if t := w.spaces[name]; t != nil {
			if found := t.Matches(room); found.Next() != nil {
				return true
			}
		}
	}
	return false
}

// sessionWatch is one who is told which sessions there are.
type sessionWatch struct {
	fn func(namespace, id string, live bool)
}

func (h *Hub) watchSessions(fn func(namespace, id string, live bool)) (cancel func()) {
	w := &sessionWatch{fn}
	h.editSessionWatches(func(list []*sessionWatch) []*sessionWatch { return append(list, w) })
	for _, ns := range h.Namespaces() {
		ns.mu.RLock()
		for id := range ns.sessions {
			h.guard("a watch of sessions", func() { fn(ns.name, id, true) })
		}
		ns.mu.RUnlock()
	}
	return func() {
		h.editSessionWatches(func(list []*sessionWatch) []*sessionWatch {
			return slices.DeleteFunc(list, func(x *sessionWatch) bool { return x == w })
		})
	}
}

func (h *Hub) editSessionWatches(edit func([]*sessionWatch) []*sessionWatch) {
	h.observersMu.Lock()
	defer h.observersMu.Unlock()
	var list []*sessionWatch
	if old := h.sessionWatches.Load(); old != nil {
		list = slices.Clone(*old)
	}
	if list = edit(list); len(list) == 0 {
		h.sessionWatches.Store(nil)
		return
	}
	h.sessionWatches.Store(&list)
}

// tellSessionName says that a session of this name exists now, or not any more. The namespace's lock is held.
func (ns *Namespace) tellSessionName(id string, live bool) {
	list := ns.hub.sessionWatches.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		ns.hub.guard("a watch of sessions", func() { w.fn(ns.name, id, live) })
	}
}
