package hub

// seqs remembers the sequence numbers of rooms that are gone, so that a room that comes into being again goes on
// where it was and its subscribers see no gap that is none. It remembers between half of max and max of them; of
// older ones it knows the highest number only, with which such a room then goes on: what looks like a gap costs a
// subscriber a look at the snapshot, what looks like an old message would be lost. Guarded by Namespace.mu.
type seqs struct {
	newer, older map[string]uint64
	floor        uint64 // no room that is in neither map has had a higher one
}

// forget notes a room's number.
func (q *seqs) forget(room string, seq uint64, max int) {
	if seq == 0 {
		return
	}
	if len(q.newer) > 0 && len(q.newer) >= max/2 {
		for _, seq := range q.older {
			q.raise(seq)
		}
		q.older, q.newer = q.newer, nil
	}
	if q.newer == nil {
		q.newer = make(map[string]uint64)
	}
	q.newer[room] = seq
}

func (q *seqs) raise(seq uint64) {
	if seq > q.floor {
		q.floor = seq
	}
}

// resume is the number with which a room begins.
func (q *seqs) resume(room string) uint64 {
	if seq, ok := q.newer[room]; ok {
		return seq
	}
	if seq, ok := q.older[room]; ok {
		return seq
	}
	return q.floor
}

// highest is no less than the number of any room forgotten.
func (q *seqs) highest() uint64 {
	top := q.floor
	for _, m := range []map[string]uint64{q.newer, q.older} {
		for _, seq := range m {
			top = max(top, seq)
		}
	}
	return top
}

// raiseFloor makes namespaces to come begin behind what ns had, for it may be one of them. Hub.mu and ns.mu are held.
func (h *Hub) raiseFloor(ns *Namespace) {
	top := max(h.seqFloor.Load(), ns.seqs.highest())
	for _, r := range ns.rooms {
		r.mu.Lock()
		top = max(top, r.seq)
		r.mu.Unlock()
	}
	h.seqFloor.Store(top)
}
