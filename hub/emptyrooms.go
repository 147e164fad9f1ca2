package hub

import (
	"container/list"
	"sync"
	"time"
)

// emptyRooms are the rooms of a namespace that are kept for their history alone, longest empty first,
// bounded by number, bytes and time. They are looked at when one is added, so that no timer is needed;
// what is overdue between two additions stays within the other two bounds.
//
// A room is in the list exactly while it has no members but history. The lock is taken last, inside a
// room's.
type emptyRooms struct {
	mu    sync.Mutex
	list  list.List // of *Room
	bytes int       // of their histories
}

// keepsake is a room's place in that list, guarded by the list's lock.
type keepsake struct {
	at    *list.Element
	since time.Time
	bytes int
}

// keep puts r at the end of the list, also when it was in it, and returns the rooms for which there
// is no time or space any more. r's lock is held; the caller drops the others without it.
func (e *emptyRooms) keep(r *Room, now time.Time, o *Options) (over []*Room) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at := r.kept.at
	if at == nil {
		at = e.list.PushBack(r)
	}
	e.list.MoveToBack(at)
	e.bytes += r.history.bytes - r.kept.bytes
	r.kept = keepsake{at: at, since: now, bytes: r.history.bytes}
	for e.list.Len() > 0 {
		oldest := e.list.Front().Value.(*Room)
		if e.list.Len() <= o.MaxEmptyRooms && e.bytes <= o.EmptyRoomBytes && now.Sub(oldest.kept.since) <= o.HistoryTTL {
			break
		}
		e.forgetLocked(oldest)
		over = append(over, oldest)
	}
	return over
}

// forget takes r off the list: it has a member.
func (e *emptyRooms) forget(r *Room) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.forgetLocked(r)
}

func (e *emptyRooms) forgetLocked(r *Room) {
	if r.kept.at != nil {
		e.list.Remove(r.kept.at)
		e.bytes -= r.kept.bytes
		r.kept = keepsake{}
	}
}

func (e *emptyRooms) has(r *Room) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return r.kept.at != nil
}

// emptiedLocked is called when r may be without members, its lock held. It returns what the caller gives
// to [Namespace.drop] after unlocking: r itself when it has nothing worth keeping, or others that it
// has pushed out.
func (r *Room) emptiedLocked(now time.Time) (over []*Room) {
	switch {
	case r.members > 0 || r.holds > 0 || r.dead || r == r.ns.all:
		return nil
	case r.history.len() > 0:
		return r.ns.empty.keep(r, now, &r.ns.hub.opts)
	}
	return []*Room{r}
}

// drop forgets rooms, whose locks are not held, unless somebody has come or published meanwhile.
// Locks are taken in the order namespace, room.
func (ns *Namespace) drop(rooms []*Room) {
	for _, r := range rooms {
		if isPrefixRoom(r.name) {
			ns.prefixes.drop(r)
			continue
		}
		ns.mu.Lock()
		r.mu.Lock()
		if r.members == 0 && r.holds == 0 && !r.dead && !ns.empty.has(r) {
			r.dead = true
			delete(ns.rooms, r.name)
			ns.seqs.forget(r.name, r.seq, ns.hub.opts.MaxEmptyRooms)
		}
		r.mu.Unlock()
		ns.mu.Unlock()
	}
}
