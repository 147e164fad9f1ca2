package losscheck

import (
	"slices"
	"sync"
)

// Ledger is what was published, what failed meanwhile, and what clients got. Any goroutine.
type Ledger struct {
	mu      sync.Mutex
	pubs    []*published
	clients []*log
	faults  []*window
	stream  map[stamp]int // what lies in the stream, and where; nil without one
	local   int           // deliveries by nodes without Redis to their own clients, see [Ledger.Local]
}

// stamp is what a message carries: its publisher, and its number there, from 1.
type stamp struct{ Pub, N int }

// published is what one publisher has sent.
type published struct {
	room  int
	sent  []entry // number n is sent[n-1]
	moved int     // how often it has changed its connection
}

// entry is a message as its publisher knows it.
type entry struct {
	node  int // to which it was sent first
	moved int
	tried uint64 // the nodes to which it was sent, as bits
	times int    // how often it was sent by a new connection
	// acked says that a node has answered, the node by. If not, the connection broke before: it was published or not.
	acked bool
	by    int
	why   string // why it was not answered well, if that is known
}

// told is the node that has answered, or the one that might have.
func (e *entry) told() int {
	if e.acked {
		return e.by
	}
	return e.node
}

// several reports whether more than one node may have published it.
func (e *entry) several() bool { return e.tried&(e.tried-1) != 0 }

// elsewhere reports whether another one of the same publisher may have come from another node.
func (e *entry) elsewhere(other *entry) bool {
	return e.moved != other.moved || e.several() || other.several() || e.told() != other.told()
}

func (e *entry) triedAt(node int) bool { return e.tried&(1<<node) != 0 }

// log is what one client has got.
type log struct {
	rooms []int
	conns []stay
	got   []receipt
	has   map[stamp]bool
	high  []int // by publisher: the highest number
}

// stay is one connection of a client.
type stay struct {
	node      int
	recovered bool
	excused   bool  // it may have begun anew, because of a fault
	behind    []int // by publisher: what was sent before the client had entered its rooms; nil if it was there already
}

type receipt struct {
	stamp
	conn int
}

// window is a fault.
type window struct {
	Step
	whole   bool  // what it is about are all nodes
	from    []int // by publisher: all clients had what was up to here when it began
	upto    []int // it was over when what is behind this was sent
	open    bool
	counted int // how much the nodes' counters of what was dropped have risen
}

// Publisher has one more publisher, into a room.
func (l *Ledger) Publisher(room int) (pub int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs = append(l.pubs, &published{room: room})
	return len(l.pubs) - 1
}

// Client has one more client, in rooms. All publishers are there already.
func (l *Ledger) Client(rooms ...int) (client int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients = append(l.clients, &log{rooms: rooms, has: make(map[stamp]bool), high: make([]int, len(l.pubs))})
	return len(l.clients) - 1
}

// Sending notes that a publisher is about to send its next message, or the same once more, to a node.
func (l *Ledger) Sending(pub, n, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pubs[pub]
	if n > len(p.sent) {
		p.sent = append(p.sent, entry{node: node, moved: p.moved})
	}
	e := &p.sent[n-1]
	e.tried |= 1 << node
	e.times++
}

// Acked notes that a node has answered that a message is published.
func (l *Ledger) Acked(pub, n, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.pubs[pub].sent[n-1]
	e.acked, e.by, e.why = true, node, ""
}

// Failed notes why there is no such answer.
func (l *Ledger) Failed(pub, n int, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs[pub].sent[n-1].why = why.Error()
}

// Moved notes that a publisher has a new connection.
func (l *Ledger) Moved(pub int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pubs[pub].moved++
}

// Connected notes that a client has a connection.
func (l *Ledger) Connected(client, node int, recovered bool) (conn int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[client]
	s := stay{node: node, recovered: recovered}
	if n := len(l.faults); n > 0 && l.faults[n-1].open {
		s.excused = l.faults[n-1].costs()
	}
	c.conns = append(c.conns, s)
	return len(c.conns) - 1
}

// Joined notes that a client has entered its rooms by a connection.
func (l *Ledger) Joined(client, conn int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients[client].conns[conn].behind = l.sentLocked()
}

// Got notes what a client has got by a connection.
func (l *Ledger) Got(client, conn, pub, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.clients[client]
	c.got = append(c.got, receipt{stamp{pub, n}, conn})
	c.high[pub] = max(c.high[pub], n)
	c.has[stamp{pub, n}] = true
}

// Local counts deliveries that need no Redis: of what publishers at a node, of those that away names, have sent behind one mark
// up to another, and been told to be published, to clients that are at the same node. want is what is to come, got what has.
func (l *Ledger) Local(from, upto []int, away func(node int) bool) (want, got int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.clients {
		here := c.conns[len(c.conns)-1].node
		if !away(here) {
			continue
		}
		for i, p := range l.pubs {
			if !slices.Contains(c.rooms, p.room) {
				continue
			}
			for n := from[i] + 1; n <= upto[i]; n++ {
				if e := &p.sent[n-1]; !e.acked || e.by != here {
					continue
				}
				want++
				if c.has[stamp{i, n}] {
					got++
				}
			}
		}
	}
	return want, got
}

// Delivered notes that so many of [Ledger.Local] have come while Redis was away.
func (l *Ledger) Delivered(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.local += n
}

// Stream notes that a message is the next in the stream.
func (l *Ledger) Stream(pub, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == nil {
		l.stream = make(map[stamp]int)
	}
	if s := (stamp{pub, n}); l.stream[s] == 0 {
		l.stream[s] = len(l.stream) + 1
	}
}

// Sent is what every publisher has sent so far.
func (l *Ledger) Sent() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sentLocked()
}

func (l *Ledger) sentLocked() []int {
	list := make([]int, len(l.pubs))
	for i, p := range l.pubs {
		list[i] = len(p.sent)
	}
	return list
}

// Behind counts the clients that have not got as far as a mark of [Ledger.Sent], in the rooms that they are in, and names
// one of them. What was sent last and has no answer does not count: it is on its way, or its node was killed. So have is
// what all clients have if nobody is behind.
func (l *Ledger) Behind(mark []int) (behind, client, pub int, have []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	want := slices.Clone(mark)
	for i, p := range l.pubs {
		for want[i] > 0 && !p.sent[want[i]-1].acked {
			want[i]--
		}
	}
	for i, c := range l.clients {
		for j, p := range l.pubs {
			if c.high[j] < want[j] && slices.Contains(c.rooms, p.room) {
				behind++
				client, pub = i, j
				break
			}
		}
	}
	return behind, client, pub, want
}

// Begin notes that a fault begins, when all clients have what was sent up to mark.
func (l *Ledger) Begin(s Step, mark []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, &window{
		Step: s, open: true, from: mark, whole: s.Fault == Roll || s.Fault == Freeze || s.Fault == Restart || s.Fault == Empty,
	})
}

// End notes that the fault is over, and how much the nodes have counted of what was dropped meanwhile.
func (l *Ledger) End(counted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.faults[len(l.faults)-1]
	w.open, w.upto, w.counted = false, l.sentLocked(), counted
}

// window is the fault that a message falls into, or nil.
func (l *Ledger) window(s stamp) *window {
	for _, w := range l.faults {
		if s.N > w.from[s.Pub] && (w.open || s.N <= w.upto[s.Pub]) {
			return w
		}
	}
	return nil
}

func (w *window) about(node int) bool { return w.whole || w.Node == node }

// without reports whether a node has no Redis meanwhile.
func (w *window) without(node int) bool { return w.away() && (w.about(node) || w.Fault == Dark) }
