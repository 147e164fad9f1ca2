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

// Verdict is what [Ledger.Judge] has found. Lost to Uncounted are breaches of the promise.
type Verdict struct {
	Published, Expected, Received int
	Recovered, Anew               int // connections of clients that came back, and how

	Lost, Doubled, Misordered int
	Refused                   int // sessions that were not recovered, with the streams adapter
	Uncounted                 int // losses while Redis was away, of which the nodes' counters know nothing

	ExcusedLost, ExcusedOrder int // inside of faults
	ExcusedDouble             int // by a session that began anew
	Unpublished               int // messages without an answer, that never were in the stream
	Shuffled                  int // messages that a client got in another order than that of the stream, of several publishers

	Notes []string // the first breaches, in words
}

// OK is that nothing was breached.
func (v *Verdict) OK() bool {
	return v.Lost+v.Doubled+v.Misordered+v.Refused+v.Uncounted == 0
}

func (v *Verdict) String() string {
	return fmt.Sprintf("%d published, %d of %d expected deliveries, %d clients recovered and %d anew; "+
		"lost %d, doubled %d, misordered %d, refused %d, uncounted %d; inside of faults: lost %d, doubled %d, misordered %d, unpublished %d; "+
		"in another order than the stream's: %d%s",
		v.Published, v.Received, v.Expected, v.Recovered, v.Anew,
		v.Lost, v.Doubled, v.Misordered, v.Refused, v.Uncounted, v.ExcusedLost, v.ExcusedDouble, v.ExcusedOrder, v.Unpublished, v.Shuffled,
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
	v := new(Verdict)
	for pub, p := range l.pubs {
		v.Published += mark[pub]
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
		l.judgeOrder(v, i, c)
		for pub, p := range l.pubs {
			if slices.Contains(c.rooms, p.room) {
				l.judgeLoss(v, promise, i, c, pub, mark[pub])
			}
		}
	}
	return v
}

// judgeStream looks for messages that the stream does not have. One that it has twice is told apart by those who read.
func (l *Ledger) judgeStream(v *Verdict, pub int, p *published, mark int) {
	for n := 1; n <= mark; n++ {
		s, e := stamp{pub, n}, p.sent[n-1]
		if l.stream[s] != 0 {
			continue
		}
		if w := l.window(s); w != nil && w.kills() && w.about(e.node) || !e.acked {
			v.Unpublished++
			continue
		}
		v.note(&v.Lost, "%s was answered, and is not in the stream", l.name(s))
	}
}

// judgeOrder looks for messages that a client got twice, or behind later ones.
func (l *Ledger) judgeOrder(v *Verdict, client int, c *log) {
	seen := make(map[stamp]receipt)
	high := make(map[int]receipt)
	place := 0
	for _, r := range c.got {
		if first, again := seen[r.stamp]; again && !c.stayed(first.conn, r.conn) {
			v.ExcusedDouble++ // by two sessions, of which the second knows nothing of the first
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
		if sent[r.N-1].moved != sent[last.N-1].moved && l.window(r.stamp) != nil {
			v.ExcusedOrder++ // by two nodes, of which one was not there
			continue
		}
		v.note(&v.Misordered, "client %d: %s by connection %d behind %s by %d", client, l.name(r.stamp), r.conn, l.name(last.stamp), last.conn)
	}
}

// judgeLoss looks for what a client should have got of a publisher, and has not.
func (l *Ledger) judgeLoss(v *Verdict, promise Promise, client int, c *log, pub, mark int) {
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
		if promise == Streams && l.stream[s] == 0 {
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
		w := l.window(s)
		switch {
		case promise == Streams && (!c.stayed(prev, next) || c.before(next, s)):
			v.ExcusedLost++ // counted as refused
		case promise == PubSub && w != nil && l.closed(w, c, prev, next, s):
			v.ExcusedLost++
			if w.Fault != Kill && w.Fault != Term && w.Fault != Roll && w.Fault != Cut && w.counted == 0 && prev == next {
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
	e := l.pubs[s.Pub].sent[s.N-1]
	there := prev == next
	here := c.conns[next].node
	switch w.Fault {
	case Kill, Term, Roll, Cut:
		// Who came anew is there for what was sent after it was in its rooms.
		there = there || c.conns[next].behind != nil && s.N > c.conns[next].behind[s.Pub]
		return !there || !e.acked || w.about(e.node)
	case Split:
		return !there || here != e.node && (w.about(here) || w.about(e.node))
	}
	return !there || here != e.node
}

func (l *Ledger) name(s stamp) string {
	e := l.pubs[s.Pub].sent[s.N-1]
	text := fmt.Sprintf("message %d.%d (room %d, by node %d", s.Pub, s.N, l.pubs[s.Pub].room, e.node)
	if !e.acked {
		text += ", not answered"
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
