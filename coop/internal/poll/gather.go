package poll

// A gatherer makes one Event a descriptor of what a kqueue reports, which speaks of the two directions
// apart and knows descriptors by their number. It makes no system calls, so that every system's tests
// cover it.
type gatherer struct {
	fds    []gathered // by descriptor
	events []Event    // of this fetch
}

// gathered is what is known of a descriptor. The number of a closed one is used again: add begins anew.
type gathered struct {
	Token
	at                  int32 // in events, if the token there is this one
	readOver, writeOver bool
}

// direction is a filter of a kqueue's.
type direction bool

const (
	reading direction = false
	writing direction = true
)

func (g *gatherer) add(fd int, t Token) {
	if fd >= len(g.fds) {
		grown := make([]gathered, max(fd+1, 2*len(g.fds)))
		copy(grown, g.fds)
		g.fds = grown
	}
	g.fds[fd] = gathered{Token: t}
}

// begin forgets the last fetch.
func (g *gatherer) begin() { g.events = g.events[:0] }

// note takes in that a direction of a descriptor is ready. over: that direction has ended, which for writing
// may be our own doing; failed: there is an error behind it.
func (g *gatherer) note(fd int, d direction, over, failed bool) {
	f := &g.fds[fd]
	if int(f.at) >= len(g.events) || g.events[f.at].Token != f.Token {
		f.at = int32(len(g.events))
		g.events = append(g.events, Event{Token: f.Token})
	}
	e := &g.events[f.at]
	if d == reading {
		e.Readable = true
		f.readOver = f.readOver || over
		e.HalfOver = e.HalfOver || over
	} else {
		e.Writable = true
		f.writeOver = f.writeOver || over
	}
	// A connection that has failed, or that both sides have closed, ends in both directions, perhaps in two
	// fetches.
	e.Over = e.Over || failed || f.readOver && f.writeOver
}
