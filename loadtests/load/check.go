package load

import "time"

// A lane is a room, or one client that echoes: messages with numbers of their own, of which every member must get
// each, once, in order.
type lane struct {
	tag       [digits]byte // what its messages carry
	members   int32
	name      string // of its room
	publisher *user
	sent      uint32 // the number of the next message
	open      int    // messages that have not reached all members
	ring      []outgoing
	queued    bool // in run.ready
}

// outgoing is a message under way.
type outgoing struct {
	at   time.Duration // when it was due
	seq  uint32
	left int32 // members that have not got it yet
}

// maxUnderWay bounds a lane's memory of messages under way. When more are, the oldest count as lost for the window
// and the latency; receivers go on missing them.
const maxUnderWay = 1 << 16

// begin takes up a message and returns its number.
func (l *lane) begin(at time.Duration) uint32 {
	seq := l.sent
	l.sent++
	if len(l.ring) == 0 {
		l.ring = make([]outgoing, 8)
	}
	for l.slot(seq).left > 0 {
		if len(l.ring) == maxUnderWay {
			l.open--
			break
		}
		l.grow()
	}
	*l.slot(seq) = outgoing{at: at, seq: seq, left: l.members}
	l.open++
	return seq
}

func (l *lane) slot(seq uint32) *outgoing { return &l.ring[int(seq)&(len(l.ring)-1)] }

// grow doubles the ring. Those that shared a place do not, since their numbers are less than a ring's length apart.
func (l *lane) grow() {
	old := l.ring
	l.ring = make([]outgoing, 2*len(old))
	for _, o := range old {
		if o.left > 0 {
			*l.slot(o.seq) = o
		}
	}
}

// arrived notes that one more member has a message, and returns when it was due. known is false when that has been
// forgotten.
func (l *lane) arrived(seq uint32) (at time.Duration, known bool) {
	o := l.slot(seq)
	if o.seq != seq || o.left == 0 {
		return 0, false
	}
	o.left--
	if o.left == 0 {
		l.open--
	}
	return o.at, true
}

// A receiver is what one member has got of its lane.
type receiver struct {
	next uint32              // the number that comes next, if all is well
	gaps map[uint32]struct{} // numbers before it that have not come; nil as long as all is well
	lost uint32              // numbers before it that are no longer waited for
}

// maxGaps bounds what is remembered of a receiver that misses a lot; beyond it a message that comes late counts as
// missing and as a duplicate.
const maxGaps = 1 << 14

// got takes in a message that is not the next one, and reports whether it is the first copy of it.
func (r *receiver) got(seq uint32, f *Faults) bool {
	if seq < r.next {
		if _, late := r.gaps[seq]; !late {
			f.Duplicated++
			return false
		}
		delete(r.gaps, seq)
		f.Misordered++
		return true
	}
	for ; r.next < seq; r.next++ {
		r.miss(r.next)
	}
	r.next++
	return true
}

func (r *receiver) miss(seq uint32) {
	if len(r.gaps) >= maxGaps {
		r.lost++
		return
	}
	if r.gaps == nil {
		r.gaps = make(map[uint32]struct{})
	}
	r.gaps[seq] = struct{}{}
}

// missing is how many of the messages sent have not come.
func (r *receiver) missing(sent uint32) uint64 {
	return uint64(len(r.gaps)) + uint64(r.lost) + uint64(sent-r.next)
}
