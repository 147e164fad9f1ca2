package hub

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SequencedAdapter is an [Adapter] that may have a [Sequencer]. It is asked for it before it joins: nil is none.
type SequencedAdapter interface {
	Adapter
	Sequencer() Sequencer
}

// Sequencer gives what is sent in all namespaces one order for all nodes, and keeps it for a while.
// A hub with one does nothing at once of what is for all nodes: [Target.Emit], Publish, Join, Leave and Disconnect hand
// it to the adapter, which gives it back in its place, on the node that has sent it as on all others; see [Ordered].
// What is [Target.Local] has no place in that order, nor have questions.
//
// With [Options.Recovery] the order is the log of what clients may have missed, and what they know as an offset is a
// place in it: so a client may come back to any node. What is Local is not recovered then.
type Sequencer interface {
	// Origin is this node in [Entry].Origin.
	Origin() string
	// Sequence is [Adapter.Send] for what has a place in the order: OpEmit, OpJoin, OpLeave, OpDisconnect, OpReplaced. The
	// caller's node gets r itself back, so that it knows its own. It never blocks, nor calls the hub: the lock of a room
	// may be held. The calls of one goroutine keep their order.
	Sequence(r *NodeRequest)
	// Save keeps what another node needs to take a session over, for s.For. Unless s.New, only if what is kept for
	// s.RecoveryID has the same token: another node may have taken the session over. Calls keep their order, with those of
	// Forget and Claim. None of them blocks.
	Save(s *SavedSession)
	// Forget ends that, if it has the token.
	Forget(recoveryID, token string)
	// Claim takes what is kept for a session, which is then kept no longer, and calls fn with it from any goroutine: nil
	// when there is nothing, an error when that cannot be known.
	Claim(recoveryID string, fn func(*SavedSession, error))
	// Missed calls fn, from any goroutine, with what was sent in a namespace behind a place, up to some later one, as far
	// as it is kept. ErrOffsetGone: some of it is not.
	Missed(namespace string, behind Place, fn func(list []Entry, upto Place, err error))
}

// Ordered is what a [Node] is for a [Sequencer]. One goroutine calls its methods, without holding a lock that Sequence
// takes. They do not block.
type Ordered interface {
	Node
	// Deliver does what e asks for, which is next in the order.
	Deliver(e *Entry)
	// Settle says that p is the place of an own message that was delivered ahead of it.
	Settle(n uint64, p Place)
	// Skip says that this node does what is behind p, and has missed what is between that and what it did last, if lost.
	// It is called before the first Deliver.
	Skip(p Place, lost bool)
}

// Place is a place in the order of a [Sequencer]: the moment, in milliseconds since 1970, and a count within it.
type Place struct{ Time, Count uint64 }

// Compare is -1, 0 or +1, as p is in front of q, the same, or behind it.
func (p Place) Compare(q Place) int {
	if c := cmp.Compare(p.Time, q.Time); c != 0 {
		return c
	}
	return cmp.Compare(p.Count, q.Count)
}

// Next is the first place behind p.
func (p Place) Next() Place {
	if p.Count == math.MaxUint64 {
		return Place{p.Time + 1, 0}
	}
	return Place{p.Time, p.Count + 1}
}

// String is "1795520204714-0".
func (p Place) String() string { return string(p.append(make([]byte, 0, 24))) }

func (p Place) append(b []byte) []byte {
	b = strconv.AppendUint(b, p.Time, 10)
	return strconv.AppendUint(append(b, '-'), p.Count, 10)
}

// ParsePlace reads what [Place.String] has written.
func ParsePlace(s string) (p Place, ok bool) {
	major, minor, ok := strings.Cut(s, "-")
	if !ok {
		return p, false
	}
	var err1, err2 error
	p.Time, err1 = strconv.ParseUint(major, 10, 64)
	p.Count, err2 = strconv.ParseUint(minor, 10, 64)
	return p, err1 == nil && err2 == nil && p.String() == s
}

// Offset is how far a client is in the order: it has everything up to Place, and, of what a node has delivered to its
// own clients before it got its place, the first Ahead of From. As a text, it is the place alone where nothing is
// ahead, as official servers write it, else "1795520204714-0+3f2a.17": those refuse it, and give the client a new
// session.
type Offset struct {
	Place
	From  string
	Ahead uint64
}

// String is the offset as clients get it.
func (o Offset) String() string {
	b := o.Place.append(make([]byte, 0, 48))
	if o.Ahead > 0 {
		b = append(append(append(b, '+'), o.From...), '.')
		b = strconv.AppendUint(b, o.Ahead, 10)
	}
	return string(b)
}

// ParseOffset reads an offset, which is a client's word.
func ParseOffset(s string) (o Offset, ok bool) {
	place, ahead, isAhead := strings.Cut(s, "+")
	if o.Place, ok = ParsePlace(place); !ok || !isAhead {
		return o, ok
	}
	from, n, ok := strings.Cut(ahead, ".")
	if !ok || from == "" || len(from) > 64 {
		return o, false
	}
	var err error
	if o.Ahead, err = strconv.ParseUint(n, 10, 64); err != nil || o.Ahead == 0 {
		return o, false
	}
	o.From = strings.Clone(from)
	return o, o.String() == s
}

// Entry is one thing in the order of a [Sequencer].
type Entry struct {
	// Offset is what a client has that has got the entry.
	Offset
	// Origin names who has sent it, and N counts its entries, from 1; 0 when it does not count.
	Origin string
	N      uint64
	// Early says that the entry is delivered on the node that has sent it, ahead of its place: Offset's is the last one
	// before.
	Early   bool
	Request *NodeRequest // read-only
}

// SavedSession is what nodes need of a session to take it over.
type SavedSession struct {
	ID, RecoveryID, Namespace string
	Rooms                     []string // with that of the session's id, as official servers have it
	Data                      Payload  // [Session.Data]: an array of one value; empty if it cannot be encoded

	New  bool          // it replaces whatever was kept
	Live bool          // the client is there, or the node is not aware that it is not
	For  time.Duration // how long it is kept

	// Upto is how far the node was. Last is the newest offset that the client was sent until then, "" when something else
	// was on its way to it.
	Last string
	Upto Place
	// Token names whose it is: what is kept is replaced by the same one only, unless New. "" for what an official server
	// has saved.
	Token string
}

// ordered is the request as this node does it when it comes back in its place.
type ordered struct {
	message     *Message     // of OpEmit
	publication *Publication // that it is, or nil
}

// sequencer is that of t, or nil when t is done at once.
func (t Target) sequencer() Sequencer {
	if t.local {
		return nil
	}
	return t.ns.hub.sequencer
}

// sequence has r done in its place, to those addressed by t, on all nodes.
func (t Target) sequence(q Sequencer, r *NodeRequest) {
	t.address(r)
	q.Sequence(r)
}

// Deliver implements [Ordered].
func (n node) Deliver(e *Entry) {
	h, r := n.hub, e.Request
	ns := h.begun(e.Place, r.Namespace)
	defer h.done(e)
	if ns == nil {
		return
	}
	t := Target{
		ns: ns, rooms: r.Rooms, except: r.Except, volatile: r.Volatile, plain: r.NoCompress, local: true,
		entry: e,
	}
	switch r.Op {
	case OpEmit:
		switch own := r.ordered; {
		case own == nil:
			event, err := r.Payload.event()
			if err != nil {
				h.Count("adapter_bad_payload")
				return
			}
			m := t.message(event, r.Payload)
			m.Foreign = r.Published
			t.send(m)
		case own.publication != nil:
			ns.drop(ns.deliver(own.message, own.publication, e))
		default:
			t.send(own.message)
		}
	case OpJoin:
		t.joinHere(r.Room)
	case OpLeave:
		t.leaveHere(r.Room)
	case OpDisconnect:
		t.disconnectHere(r.Reason, r.CloseConn)
	case OpReplaced:
		if ns.recovery != nil && r.ordered == nil {
			ns.recovery.taken(r.Room, r.Reason)
		}
	}
}

// progress is how far a hub is in the order of a [Sequencer]. Its lock is taken last.
type progress struct {
	mu      sync.Mutex
	begun   Place             // of the newest entry that namespaces had to do
	done    Place             // everything up to here is done: posted to the loops
	sent    map[string]uint64 // by node: the newest of its entries that was done here
	waiting []progressWait
}

// progressWait is somebody who waits until all up to a place is done.
type progressWait struct {
	place Place
	r     *retrieval
}

// add has r answered when everything up to a place is done here.
func (p *progress) add(place Place, r *retrieval) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, progressWait{place, r})
	p.wake()
}

// wake answers those whose place has come. mu is held.
func (p *progress) wake() {
	p.waiting = slices.DeleteFunc(p.waiting, func(w progressWait) bool {
		if p.done.Compare(w.place) < 0 {
			return false
		}
		w.r.done(func() {})
		return true
	})
}

// forget takes r off the list.
func (p *progress) forget(r *retrieval) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w progressWait) bool { return w.r == r })
}

// maxOrigins bounds the nodes in progress.sent: those that have gone long ago are among them.
const maxOrigins = 1000

// has reports whether the first n entries of a node are done here.
func (p *progress) has(origin string, n uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent[origin] >= n
}

// upto is how far all is done.
func (p *progress) upto() Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// begun notes that what is at p is next, and returns the namespace that it is for. One that comes into being later
// begins behind p: see newRecovery.
func (h *Hub) begun(p Place, namespace string) *Namespace {
	h.mu.RLock()
	defer h.mu.RUnlock()
	h.order.mu.Lock()
	defer h.order.mu.Unlock()
	h.order.begun = p
	return h.namespaces[namespace]
}

func (h *Hub) done(e *Entry) {
	p := &h.order
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = e.Place
	if len(p.waiting) > 0 {
		p.wake()
	}
	if e.N == 0 || e.Early {
		return
	}
	if _, known := p.sent[e.Origin]; !known && len(p.sent) >= maxOrigins {
		clear(p.sent)
	}
	if p.sent == nil {
		p.sent = make(map[string]uint64)
	}
	p.sent[e.Origin] = max(p.sent[e.Origin], e.N)
}

// Settle implements [Ordered].
func (n node) Settle(number uint64, p Place) {
	n.hub.begun(p, "")
	defer n.hub.done(&Entry{Offset: Offset{Place: p}})
	for _, ns := range n.hub.Namespaces() {
		if rec := ns.recovery; rec != nil {
			rec.settleEarly(number, p)
		}
	}
}

// Skip implements [Ordered].
func (n node) Skip(p Place, lost bool) {
	n.hub.begun(p, "")
	defer n.hub.done(&Entry{Offset: Offset{Place: p}})
	for _, ns := range n.hub.Namespaces() {
		if rec := ns.recovery; rec != nil {
			rec.skip(p, lost)
		}
	}
}
