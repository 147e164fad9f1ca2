package losscheck

import (
	"fmt"
	"slices"
	"strings"
)

// Promise is what an adapter promises.
type Promise int

const (
	PubSub  Promise = iota // losses only inside of faults, on the ways that they close
	Streams                // none
)

// Verdict is what [Ledger.Judge] has found. Lost to Unanswered are breaches of the promise.
type Verdict struct {
	Published, Expected, Received int
	Recovered, Anew               int // connections of clients that came back, and how

	Lost, Doubled, Misordered int
	Refused                   int // sessions that were not recovered, with the streams adapter
	Uncounted                 int // losses while Redis was away, of which the nodes' counters know nothing
	Unanswered                int // publications that no node answered, with the streams adapter, although none failed but orderly

	ExcusedLost, ExcusedOrder int // inside of faults
	ExcusedDouble             int // by a session that began anew, or by nodes that judged for themselves while Redis was away
	Unpublished               int // messages without an answer, that never were in the stream
	Answered, AtOnce          int // publications: by some node, and by the first one that was asked
	Retried                   int // those that were sent to several nodes
	Local                     int // deliveries within nodes while Redis was away from them
	Shuffled                  int // messages that a client got in another order than that of the stream, of several publishers

	Notes []string // the first breaches, in words
}

// OK is that nothing was breached.
func (v *Verdict) OK() bool {
	return v.Lost+v.Doubled+v.Misordered+v.Refused+v.Uncounted+v.Unanswered == 0
}

func (v *Verdict) String() string {
	return fmt.Sprintf("%d published, %d answered, %d at once, %d sent to several nodes; %d local deliveries without Redis; %d of %d expected deliveries, %d clients recovered and %d anew; "+
		"lost %d, doubled %d, misordered %d, refused %d, uncounted %d, unanswered %d; inside of faults: lost %d, doubled %d, misordered %d, unpublished %d; "+
		"in another order than the stream's: %d%s",
		v.Published, v.Answered, v.AtOnce, v.Retried, v.Local, v.Received, v.Expected, v.Recovered, v.Anew,
		v.Lost, v.Doubled, v.Misordered, v.Refused, v.Uncounted, v.Unanswered, v.ExcusedLost, v.ExcusedDouble, v.ExcusedOrder, v.Unpublished, v.Shuffled,
		strings.Join(append([]string{""}, v.Notes...), "\n  "))
}

// maxNotes bounds the breaches that are told in words.
const maxNotes = 20

func (v *Verdict) note(counter *int, format string, args ...any) {
	*counter++
	if len(v.Notes) < maxNotes {
		v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
	}
}

// Judge compares what clients got with what was published, up to a mark of [Ledger.Sent] that all of them have reached.
func (l *Ledger) Judge(promise Promise, mark []int) *Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := &Verdict{Local: l.local}
	seen := make(map[stamp]bool)
	for _, c := range l.clients {
		for s := range c.has {
			seen[s] = true
		}
	}
	for pub, p := range l.pubs {
		v.Published += mark[pub]
		for _, e := range p.sent[:mark[pub]] {
			v.count(&e)
		}
		if promise == Streams {
			l.judgeStream(v, pub, p, mark[pub])
		}
	}
	for i, c := range l.clients {
		for n, s := range c.conns[1:] {
			if s.recovered {
				v.Recovered++
				continue
			}
			v.Anew++
			if promise == Streams && !s.excused {
				v.note(&v.Refused, "client %d: connection %d, to node %d, began anew", i, n+1, s.node)
			}
		}
		l.judgeOrder(v, promise, i, c)
		for pub, p := range l.pubs {
			if slices.Contains(c.rooms, p.room) {
				l.judgeLoss(v, promise, i, c, pub, mark[pub], seen)
			}
		}
	}
	return v
}

func (v *Verdict) count(e *entry) {
	if e.acked {
		v.Answered++
		if e.times == 1 {
			v.AtOnce++
		}
	}
	if e.several() {
		v.Retried++
	}
}

// judgeStream looks for messages that the stream does not have. One that it has twice is told apart by those who read.
func (l *Ledger) judgeStream(v *Verdict, pub int, p *published, mark int) {
	for n := 1; n <= mark; n++ {
		s, e := stamp{pub, n}, &p.sent[n-1]
		w := l.window(s)
		if !e.acked && (w == nil || w.Fault == Roll || w.Fault == Term || w.Fault == Cut) {
			v.note(&v.Unanswered, "%s", l.name(s))
		}
		if l.stream[s] != 0 {
			continue
		}
		if w != nil && (w.kills() && w.about(e.told()) || w.Fault == Empty) || !e.acked {
			v.Unpublished++
			continue
		}
		v.note(&v.Lost, "%s was answered, and is not in the stream", l.name(s))
	}
}

// judgeOrder looks for messages that a client got twice, or behind later ones.
func (l *Ledger) judgeOrder(v *Verdict, promise Promise, client int, c *log) {
	seen := make(map[stamp]receipt)
	high := make(map[int]receipt)
	place := 0
	for _, r := range c.got {
		if first, again := seen[r.stamp]; again && (!c.stayed(first.conn, r.conn) || l.judgedApart(r.stamp, c, first, r)) {
			v.ExcusedDouble++ // by two sessions, of which the second knows nothing of the first; or by two nodes
			continue
		} else if again {
			v.note(&v.Doubled, "client %d: %s by connections %d and %d", client, l.name(r.stamp), first.conn, r.conn)
			continue
		}
		seen[r.stamp] = r
		if at := l.stream[r.stamp]; at != 0 && at < place {
			v.Shuffled++
		} else if at != 0 {
			place = at
		}
		last := high[r.Pub]
		if r.N > last.N {
			high[r.Pub] = r
			continue
		}
		if !c.stayed(last.conn, r.conn) {
			continue // another session, which is behind, or has what came late
		}
		sent := l.pubs[r.Pub].sent
		if one, other := &sent[last.N-1], &sent[r.N-1]; (promise == PubSub || l.window(r.stamp) != nil) && one.elsewhere(other) {
			v.ExcusedOrder++ // by two nodes, which have no common order, or of which one was not there
			continue
		}
		v.note(&v.Misordered, "client %d: %s by connection %d behind %s by %d", client, l.name(r.stamp), r.conn, l.name(last.stamp), last.conn)
	}
}

// judgedApart reports whether a client may have got a message twice, because two nodes were asked to publish it, and its
// own could not know: it had no Redis, or that one has forgotten all.
func (l *Ledger) judgedApart(s stamp, c *log, one, other receipt) bool {
	w, e := l.window(s), &l.pubs[s.Pub].sent[s.N-1]
	if w == nil || !e.several() {
		return false
	}
	if w.Fault == Empty {
		return true
	}
	for _, r := range []receipt{one, other} {
		if node := c.conns[r.conn].node; w.without(node) && e.triedAt(node) {
			return true
		}
	}
	return false
}

// judgeLoss looks for what a client should have got of a publisher, and has not. seen is what anybody has got.
func (l *Ledger) judgeLoss(v *Verdict, promise Promise, client int, c *log, pub, mark int, seen map[stamp]bool) {
	by := make(map[int]int) // number → connection + 1
	for _, r := range c.got {
		if r.Pub == pub && by[r.N] == 0 {
			by[r.N] = r.conn + 1
		}
	}
	first := slices.IndexFunc(c.conns, func(s stay) bool { return s.behind != nil })
	if first < 0 {
		v.note(&v.Lost, "client %d never was in its rooms", client)
		return
	}
	prev := first
	for n := c.conns[first].behind[pub] + 1; n <= mark; n++ {
		s := stamp{pub, n}
		w := l.window(s)
		forgotten := promise == Streams && l.stream[s] == 0
		if forgotten && (w == nil || w.Fault != Empty || !seen[s]) {
			continue
		}
		v.Expected++
		if conn := by[n]; conn > 0 {
			v.Received++
			prev = conn - 1
			continue
		}
		next := len(c.conns) - 1
		for m := n + 1; m <= mark; m++ {
			if conn := by[m]; conn > 0 {
				next = conn - 1
				break
			}
		}
		switch {
		case forgotten && (prev == next || !c.stayed(prev, next)):
			v.ExcusedLost++ // Redis had taken it, and not brought it to this node
		case promise == Streams && (!c.stayed(prev, next) || c.before(next, s) || w.swallows(c, s)):
			v.ExcusedLost++ // counted as refused
		case promise == PubSub && w != nil && l.closed(w, c, prev, next, s):
			v.ExcusedLost++
			if (w.away() || w.Fault == Hang) && w.counted == 0 && prev == next {
				v.note(&v.Uncounted, "client %d: %s, in %v", client, l.name(s), w.Step)
			}
		default:
			v.note(&v.Lost, "client %d: %s, between connections %d and %d (node %d), %v", client, l.name(s), prev, next, c.conns[next].node, w)
		}
	}
}

// stayed reports whether a client has had one session from one connection to another.
func (c *log) stayed(prev, next int) bool {
	for i := prev + 1; i <= next; i++ {
		if !c.conns[i].recovered {
			return false
		}
	}
	return true
}

// before reports whether a message was sent before the session of a connection was in its rooms, which is not the client's
// first.
func (c *log) before(conn int, s stamp) bool {
	first := true
	for i := conn; i >= 0; i-- {
		if b := c.conns[i].behind; b != nil && first {
			first = false
			if s.N > b[s.Pub] {
				return false
			}
		} else if b != nil {
			return true
		}
	}
	return false
}

// closed reports whether a fault may cost a client a message: it is between what it got by two connections.
func (l *Ledger) closed(w *window, c *log, prev, next int, s stamp) bool {
	e := &l.pubs[s.Pub].sent[s.N-1]
	there := prev == next && !w.swallows(c, s)
	here := c.conns[next].node
	switch w.Fault {
	case Kill, Term, Roll, Cut:
		// Who came anew is there for what was sent after it was in its rooms.
		there = there || c.conns[next].behind != nil && s.N > c.conns[next].behind[s.Pub]
		return !there || !e.acked || w.about(e.told())
	case Split, Hang:
		return !there || here != e.told() && (w.about(here) || w.about(e.told()))
	}
	return !there || here != e.told() || e.several()
}

// swallows reports whether a client has begun anew meanwhile, after a message was sent. It may have others, earlier or
// later ones, by either session: those of one publisher come in no order when they come from several nodes.
func (w *window) swallows(c *log, s stamp) bool {
	if w == nil {
		return false
	}
	for _, conn := range c.conns[1:] {
		if b := conn.behind; b != nil && s.N <= b[s.Pub] && (w.open || b[s.Pub] <= w.upto[s.Pub]) {
			return true
		}
	}
	return false
}

func (l *Ledger) name(s stamp) string {
	e := &l.pubs[s.Pub].sent[s.N-1]
	text := fmt.Sprintf("message %d.%d (room %d, by node %d", s.Pub, s.N, l.pubs[s.Pub].room, e.told())
	if e.several() {
		text += fmt.Sprintf(", sent to %b", e.tried)
	}
	if !e.acked {
		text += ", not answered " + e.why
	}
	if at := l.stream[s]; at != 0 {
		text += fmt.Sprintf(", place %d", at)
	}
	if w := l.window(s); w != nil {
		text += ", in " + w.Step.String()
	}
	return text + ")"
}

func (w *window) String() string {
	if w == nil {
		return "outside of faults"
	}
	return "in " + w.Step.String()
}
