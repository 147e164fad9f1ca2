package coop

import (
	"slices"
	"sync"
	"time"
)

// TraceOptions configure a [Trace]. The zero value is ready to use.
type TraceOptions struct {
	// MaxEvents is how many events are kept of each loop, the newest; 0 is 65 536, which take 4 MB.
	MaxEvents int

	// OnEvent is told of every event, on its loop, where it must neither block nor park. If it panics,
	// the loop's OnPanic is told and the hook is not called again. nil for none.
	OnEvent func(TraceEvent)
}

const defaultTraceEvents = 1 << 16

// TraceKind is what a [TraceEvent] tells.
type TraceKind uint8

const (
	TraceSpawn TraceKind = iota // the greenlet was made
	TraceRun                    // it ran, and parked or ended
	TraceWake                   // it was made ready
)

// A TraceEvent is one thing that happened to a greenlet.
type TraceEvent struct {
	Kind     TraceKind
	Why      ParkReason    // of a run: what the greenlet then parked for; of a wake-up: what it had parked for
	Ended    bool          // of a run: the greenlet's last
	Loop     int           // its [Loop.ID]
	Greenlet uint64        // its [Greenlet.ID]
	By       uint64        // the greenlet that spawned or woke it; 0: none did
	Cause    string        // what did, when By is 0: "a timer", "I/O", "a link", "a kill by …", "a posted job", …
	At       time.Duration // on the loop's clock
	For      time.Duration // of a run
	Seq      uint64        // the event's place in its loop's order, counted from 0
}

// A Trace records what greenlets do: who spawned whom, who ran when and for how long, what each parked
// for, who woke it. Give it to a loop before it runs by [LoopOptions].Trace, or to running loops by
// Start. When they have ended, or after Stop, it is written as a timeline for a browser ([Trace.WriteHTML])
// or for Perfetto and Chrome's viewer ([Trace.WriteJSON]). Any goroutine.
//
// A recorded switch costs three readings of the clock, about 100 ns; without a trace a switch costs what it
// always did.
type Trace struct {
	o TraceOptions

	mu    sync.Mutex
	on    []*Loop
	parts []tracePart
}

// tracePart is what one loop has left behind.
type tracePart struct {
	loop      int
	name      string
	events    []TraceEvent
	greenlets map[uint64]traced
	lost      uint64 // events that had to make room
}

// traced is what a trace keeps of a greenlet beside its events.
type traced struct {
	name string
	last uint64 // its newest event
}

// NewTrace returns a trace that records nothing yet.
func NewTrace(o TraceOptions) *Trace {
	if o.MaxEvents <= 0 {
		o.MaxEvents = defaultTraceEvents
	}
	return &Trace{o: o}
}

// Start begins to record loops, running or not. A loop that another trace records, or that has been
// closed, is left alone. Not on a loop.
func (t *Trace) Start(loops ...*Loop) {
	for _, l := range loops {
		t.expect(l)
		if !l.PostJob((*startTrace)(t)) {
			t.forget(l)
		}
	}
}

// expect and forget keep the list of those that will hand over.
func (t *Trace) expect(l *Loop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = append(t.on, l)
}

func (t *Trace) forget(l *Loop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.on = slices.DeleteFunc(t.on, func(other *Loop) bool { return l == other })
}

type startTrace Trace

func (t *startTrace) RunOn(l *Loop) { (*Trace)(t).attach(l) }

func (t *Trace) attach(l *Loop) {
	if o := l.observed(); o.trace == nil {
		o.trace = &recorder{trace: t, loop: l, greenlets: make(map[uint64]traced)}
	}
}

// Stop ends the recording and waits until every loop has handed over what it has. A loop that was
// never started hands over nothing. Not on a loop.
func (t *Trace) Stop() {
	t.mu.Lock()
	on := t.on
	t.on = nil
	t.mu.Unlock()
	for _, l := range on {
		j := &stopTrace{trace: t, done: make(chan struct{})}
		if !l.started() {
			continue
		}
		if l.PostJob(j) {
			<-j.done
		} else {
			<-l.done
		}
	}
}

type stopTrace struct {
	trace *Trace
	done  chan struct{}
}

func (j *stopTrace) RunOn(l *Loop) {
	if o := l.observer; o != nil && o.trace != nil && o.trace.trace == j.trace {
		o.trace.handOver()
	}
	close(j.done)
}

// take receives what a loop has recorded.
func (t *Trace) take(p tracePart) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts = append(t.parts, p)
	slices.SortStableFunc(t.parts, func(a, b tracePart) int { return a.loop - b.loop })
}

// snapshot returns what has been handed over so far.
func (t *Trace) snapshot() []tracePart {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.parts)
}

// Events returns what has been handed over, loop by loop, in order. Any goroutine.
func (t *Trace) Events() []TraceEvent {
	var all []TraceEvent
	for _, p := range t.snapshot() {
		all = append(all, p.events...)
	}
	return all
}

// recorder is a trace's end on one loop. // loop
type recorder struct {
	trace     *Trace
	loop      *Loop
	ring      []TraceEvent
	n         uint64 // events ever
	began     time.Duration
	greenlets map[uint64]traced
	deaf      bool // the hook panicked
}

func (r *recorder) spawned(g *Greenlet) { r.touch(g, TraceEvent{Kind: TraceSpawn}) }

func (r *recorder) woken(g *Greenlet) { r.touch(g, TraceEvent{Kind: TraceWake, Why: g.why}) }

// touch records what the running greenlet, or else the loop, does to g.
func (r *recorder) touch(g *Greenlet, e TraceEvent) {
	if by := r.loop.observer.running; by != nil { // also while the loop runs an errand for it
		e.By = by.id
	} else {
		e.Cause = r.loop.observer.cause()
	}
	e.At = r.loop.clock.Now()
	r.add(g, e)
}

func (r *recorder) resumed() { r.began = r.loop.clock.Now() }

func (r *recorder) left(g *Greenlet) {
	e := TraceEvent{Kind: TraceRun, At: r.began, For: r.loop.clock.Now() - r.began, Why: g.why, Ended: g.state == dead}
	r.add(g, e)
	if e.Ended {
		r.greenlets[g.id] = traced{name: g.Name(), last: r.n - 1}
	}
}

func (r *recorder) add(g *Greenlet, e TraceEvent) {
	e.Loop, e.Greenlet, e.Seq = r.loop.id, g.id, r.n
	if len(r.ring) < r.trace.o.MaxEvents {
		r.ring = append(r.ring, e)
	} else {
		r.ring[r.n%uint64(len(r.ring))] = e
	}
	r.n++
	if len(r.greenlets) > 2*r.trace.o.MaxEvents {
		r.prune()
	}
	if r.trace.o.OnEvent != nil && !r.deaf {
		r.tell(e)
	}
}

// prune forgets greenlets of which no event is left.
func (r *recorder) prune() {
	oldest := r.n - uint64(len(r.ring))
	for id, g := range r.greenlets {
		if g.last < oldest {
			delete(r.greenlets, id)
		}
	}
}

func (r *recorder) tell(e TraceEvent) {
	defer func() {
		if v := recover(); v != nil {
			r.deaf = true
			r.loop.reportPanic(recovered(v))
		}
	}()
	r.trace.o.OnEvent(e)
}

// handOver ends the recording on this loop.
func (r *recorder) handOver() {
	l := r.loop
	for g := l.live.newest; g != nil; g = g.older {
		r.greenlets[g.id] = traced{name: g.Name()}
	}
	p := tracePart{loop: l.id, name: l.o.Name, greenlets: r.greenlets}
	if kept := uint64(len(r.ring)); r.n > kept {
		p.lost = r.n - kept
		first := r.n % kept
		p.events = append(slices.Clone(r.ring[first:]), r.ring[:first]...)
	} else {
		p.events = r.ring
	}
	r.trace.take(p)
	r.trace.forget(l)
	l.observer.trace = nil
	l.observer.settle()
}
