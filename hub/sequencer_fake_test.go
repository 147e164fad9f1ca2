package hub

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
)

// fakeOrder is the order of several hubs in one process. Nothing happens in it by itself: tests have its nodes write and
// read.
type fakeOrder struct {
	mu      sync.Mutex
	entries []Entry
	from    Place // everything up to here was trimmed
	clock   uint64
	saved   map[string]SavedSession
	nodes   []*fakeSequencer
}

// fakeSequencer is the [Sequencer] of one hub.
type fakeSequencer struct {
	order *fakeOrder
	name  string
	node  Ordered
	hub   *Hub

	// All of this is guarded by order.mu. reading is held while entries are delivered.
	reading sync.Mutex
	queue   []*fakePending // own ones that were not read back
	written int            // of the queue
	n       uint64
	read    int
	last    Place
	ahead   uint64 // the newest own one that was delivered early, until it was read
	dead    bool
	cut     bool // it reaches the order no longer
}

type fakePending struct {
	n     uint64
	r     *NodeRequest
	early bool
}

// join makes a hub one of the nodes.
func (o *fakeOrder) join(t testing.TB, name string, opts Options, handler any) *fakeSequencer {
	t.Helper()
	q := &fakeSequencer{order: o, name: name}
	o.mu.Lock()
	q.read = len(o.entries)
	if q.read > 0 {
		q.last = o.entries[q.read-1].Place
	}
	o.nodes = append(o.nodes, q)
	o.mu.Unlock()
	opts.Adapter, opts.Node = q, name
	q.hub = newTestHub(t, opts)
	q.node.Skip(q.last, false)
	mustHandle(t, q.hub, "/", handler)
	return q
}

func (q *fakeSequencer) Join(n Node) error                                           { q.node = n.(Ordered); return nil }
func (q *fakeSequencer) Close() error                                                { return nil }
func (q *fakeSequencer) Sequencer() Sequencer                                        { return q }
func (q *fakeSequencer) Origin() string                                              { return q.name }
func (q *fakeSequencer) Send(*NodeRequest, func(NodeReply)) (func() []string, error) { return nil, nil }

func (q *fakeSequencer) Sequence(r *NodeRequest) {
	q.order.mu.Lock()
	defer q.order.mu.Unlock()
	if !q.dead {
		q.n++
		q.queue = append(q.queue, &fakePending{n: q.n, r: r})
	}
}

func (q *fakeSequencer) Save(s *SavedSession) {
	o := q.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if q.dead || q.cut {
		return
	}
	if old, ok := o.saved[s.RecoveryID]; s.New || ok && old.Token == s.Token {
		if o.saved == nil {
			o.saved = make(map[string]SavedSession)
		}
		o.saved[s.RecoveryID] = *s
	}
}

func (q *fakeSequencer) Forget(pid, token string) {
	o := q.order
	o.mu.Lock()
	defer o.mu.Unlock()
	if !q.dead && !q.cut && o.saved[pid].Token == token {
		delete(o.saved, pid)
	}
}

func (q *fakeSequencer) Claim(pid string, fn func(*SavedSession, error)) {
	o := q.order
	o.mu.Lock()
	st, ok := o.saved[pid]
	cut := q.cut
	if !cut {
		delete(o.saved, pid)
	}
	o.mu.Unlock()
	switch {
	case cut:
		fn(nil, errors.New("cut off"))
	case ok:
		st.New = false
		fn(&st, nil)
	default:
		fn(nil, nil)
	}
}

func (q *fakeSequencer) Missed(namespace string, behind Place, fn func([]Entry, Place, error)) {
	o := q.order
	o.mu.Lock()
	var list []Entry
	upto := behind
	err := error(nil)
	if behind.Compare(o.from) < 0 {
		err = ErrOffsetGone
	}
	for _, e := range o.entries {
		if e.Place.Compare(behind) > 0 {
			upto = e.Place
			if e.Request.Op == OpEmit && e.Request.Namespace == namespace && !e.Request.Volatile {
				list = append(list, e)
			}
		}
	}
	o.mu.Unlock()
	fn(list, upto, err)
}

// write gives the next of the node's messages their places.
func (q *fakeSequencer) write(most int) (done int) {
	o := q.order
	o.mu.Lock()
	defer o.mu.Unlock()
	for ; done < most && q.written < len(q.queue) && !q.cut && !q.dead; done++ {
		p := q.queue[q.written]
		q.written++
		o.clock += 1 + p.n%2
		r := *p.r
		r.ordered = nil
		o.entries = append(o.entries, Entry{
			Offset: Offset{Place: Place{1_000_000 + o.clock/3, o.clock % 3}}, Origin: q.name, N: p.n, Request: &r,
		})
	}
	return done
}

// readOn has the node do what is next.
func (q *fakeSequencer) readOn(most int) (done int) {
	q.reading.Lock()
	defer q.reading.Unlock()
	for ; done < most; done++ {
		q.order.mu.Lock()
		if q.read == len(q.order.entries) || q.cut || q.dead {
			q.order.mu.Unlock()
			return done
		}
		e := q.order.entries[q.read]
		q.read++
		q.last = e.Place
		settled := false
		if e.Origin == q.name {
			p := q.queue[0]
			q.queue = q.queue[1:]
			q.written--
			e.Request, settled = p.r, p.early
			if e.N == q.ahead {
				q.ahead = 0
			}
		}
		if q.ahead > 0 {
			e.From, e.Ahead = q.name, q.ahead
		}
		q.order.mu.Unlock()
		if settled {
			q.node.Settle(e.N, e.Place)
		} else {
			q.node.Deliver(&e)
		}
	}
	return done
}

// hurry has the node deliver its own without waiting for their places.
func (q *fakeSequencer) hurry() {
	q.reading.Lock()
	defer q.reading.Unlock()
	q.order.mu.Lock()
	queue := slices.Clone(q.queue)
	q.order.mu.Unlock()
	for _, p := range queue {
		if p.early {
			continue
		}
		q.order.mu.Lock()
		p.early, q.ahead = true, p.n
		e := &Entry{Offset: Offset{Place: q.last, From: q.name, Ahead: p.n}, Origin: q.name, N: p.n, Early: true, Request: p.r}
		q.order.mu.Unlock()
		q.node.Deliver(e)
	}
}

// flush has the changes of sessions saved.
func (q *fakeSequencer) flush() {
	settled(q.hub)
	rec := q.hub.Of("/").recovery
	if rec == nil {
		return
	}
	for _, l := range q.hub.loops.All() {
		done := make(chan struct{})
		l.Post(func() { rec.saveChanged(l); close(done) })
		<-done
	}
}

// calm writes and reads all that there is, on all nodes that can.
func (o *fakeOrder) calm() {
	for again := true; again; {
		again = false
		for _, q := range o.nodes {
			again = q.write(1000) > 0 || again
			again = q.readOn(1000) > 0 || again
		}
		for _, q := range o.nodes {
			if !q.dead {
				settled(q.hub)
				q.flush()
			}
		}
	}
}

func (o *fakeOrder) savedNow() map[string]SavedSession {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.saved)
}
