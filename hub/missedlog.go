package hub

import (
	"sort"
	"time"
)

// logged is a message with whom it was for: sessions by their ids and rooms, or everybody when neither is
// given, without skip and the members of except.
type logged struct {
	pos        position
	seq        uint64
	frame      *Frame
	ids, rooms []string
	except     []string
	skip       string // a session's id
	at         time.Time
	spot       *spot // in the order of all nodes, with a [Sequencer]
}

// loggedOverhead is what a message costs in the log beside its payload, roughly.
const loggedOverhead = 600

// cost counts the payload twice, because it is also there as encoded for a wire.
func (e *logged) cost() int { return loggedOverhead + 2*size(e.frame.msg) }

// memoryLog keeps the messages of a namespace that clients may have missed: a ring, bounded by number, bytes and time. It
// is looked at when a message is added, so that no timer is needed. [recovery]'s lock is held for all calls.
type memoryLog struct {
	maxMessages, maxBytes int
	maxAge                time.Duration
	count                 func(reason string)

	entries []logged
	start   int
	bytes   int
	lost    uint64 // sequence number of the newest message that is gone

	gone    Place         // with a [Sequencer]: everything behind it is here
	gap     bool          // what was at gone, or in front of it, was perhaps never here
	dropped func(*logged) // told of what is dropped, or nil
}

// add keeps a message, whose sequence number is higher than all before.
func (l *memoryLog) add(e logged) {
	l.entries = append(l.entries, e)
	l.bytes += e.cost()
	for reason := l.excess(e.at); reason != ""; reason = l.excess(e.at) {
		l.count(reason)
		l.drop()
	}
	if l.start >= 64 && l.start*2 >= len(l.entries) {
		n := copy(l.entries, l.entries[l.start:])
		clear(l.entries[n:])
		l.entries, l.start = l.entries[:n], 0
	}
}

// excess says by which bound the oldest message has to go, "" when it can stay.
func (l *memoryLog) excess(now time.Time) (reason string) {
	switch n := len(l.entries) - l.start; {
	case n == 0:
		return ""
	case n > l.maxMessages:
		return "recovery_messages_full"
	case l.bytes > l.maxBytes:
		return "recovery_bytes_full"
	case now.Sub(l.entries[l.start].at) > l.maxAge:
		return "recovery_message_expired"
	}
	return ""
}

func (l *memoryLog) drop() {
	e := &l.entries[l.start]
	l.bytes -= e.cost()
	l.lost = e.seq
	if l.dropped != nil {
		l.dropped(e)
	}
	*e = logged{}
	l.start++
}

// after lists what was kept behind a sequence number, oldest first. ok is false when some of it is gone. The list is
// valid until the next add.
func (l *memoryLog) after(seq uint64) (list []logged, ok bool) {
	all := l.entries[l.start:]
	i := sort.Search(len(all), func(i int) bool { return all[i].seq > seq })
	return all[i:], seq >= l.lost
}

// clear forgets everything.
func (l *memoryLog) clear() { l.entries, l.start, l.bytes = nil, 0, 0 }

// covers reports whether everything is here that a client has missed that has all up to p.
func (l *memoryLog) covers(p Place) bool {
	c := p.Compare(l.gone)
	return c > 0 || c == 0 && !l.gap
}
