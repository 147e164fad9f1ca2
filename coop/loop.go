package coop

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"greenroom/coop/internal/poll"
)

// LoopOptions configure a loop. The zero value is ready to use.
type LoopOptions struct {
	// Name appears in logs.
	Name string

	// Clock is the loop's time; nil is the system's monotonic clock, counted from NewLoop.
	Clock Clock

	// OnFailure is told, on the loop, of every panic of a greenlet and of every other failed greenlet
	// that nobody had begun to join by then. Being killed is no failure. nil logs through slog.
	OnFailure func(g *Greenlet, err error)

	// OnPanic is told, on the loop, of a panic in a posted function, a timer, a flusher or a
	// stream's handler. The loop goes on. nil logs through slog.
	OnPanic func(l *Loop, err *PanicError)

	// OnSpawn is told of every new greenlet, on the loop, before it can run. It must not park. A panic in it goes to
	// OnPanic.
	OnSpawn func(g *Greenlet)
	// Trace records what the loop does, from its first tick; nil for none.
	Trace *Trace

	// MaxAwait bounds the goroutines that run functions given to [Await] for this loop; further
	// ones wait in order. 0 is 1024.
	MaxAwait int
}

const defaultMaxAwait = 1024

// LoopStats are counters of a loop. Ready, Switches and Ticks lag by up to 64 ticks while the loop is busy.
type LoopStats struct {
	Greenlets int64  // alive now
	Ready     int64  // greenlets that can go on, when last looked at
	Streams   int64  // open now
	Switches  uint64 // times that a greenlet was resumed
	Posts     uint64 // jobs taken in
	Ticks     uint64
}

// A Flusher has something to do at the end of a tick, such as writing in one go what gathered
// during it.
type Flusher interface{ Flush() }

// ScratchSize is the length of what [Loop.Scratch] returns, in bytes.
const ScratchSize = 64 << 10

// A Loop is one goroutine that runs greenlets, timers, streams and posted functions, one at a time.
// What is marked "loop only" may be called from any of these, or before Start; it needs no lock.
type Loop struct {
	// Touched at every switch.
	ready    readyQueue // greenlets that can go on
	quota    int        // how many of them still belong to this tick
	current  *Greenlet  // the one that runs
	errand   func()     // what it wants done on the loop's stack
	self     identity   // which goroutines are the loop's
	switches uint64

	now      time.Duration // the clock's reading, if nowValid
	nowValid bool

	observer *observer // who looks on, nil when nobody does

	timers   timerHeap
	timerSeq uint64

	jobs    []Job // the batch being run
	jobAt   int
	fewJobs thrift

	flushers []Flusher
	flushing []Flusher // the batch being run
	flushAt  int
	flushed  time.Duration // when the loop left the batch, to go on with it in the next tick

	fewFlushers thrift
	fewStreams  thrift

	ticks   uint64
	doing   activity
	skipped int // ticks since I/O was polled
	polled  time.Duration

	handling *Stream   // whose handler is being called
	again    []*Stream // have more to read than one tick's share
	fetching []*Stream // the batch of those being run
	fetchAt  int
	ending   []*Stream // closed, OnClose still to be called
	table    streamTable
	io       pacer // of connections

	live     liveList
	idlers   waitList // greenlets that wait for the loop to have nothing to do
	places   liveList // of those who wait here and live elsewhere
	idle     []*coro  // coroutines without a greenlet
	awaiting int      // goroutines at work for Await
	backlog  ring[awaitJob]
	unwanted int // how many in the backlog nobody waits for any more

	phase  phase
	rounds int       // ticks since the loop began to close
	limit  time.Time // when closing turns to force

	scratch []byte
	readBuf []byte
	sealBuf []byte // what TLS encrypts is gathered here
	sealed  []byte // and put here

	world  *World // of a simulation, or nil
	o      LoopOptions
	id     int
	serial uint64 // unique in the process
	clock  Clock
	poller *poll.Poller
	inbox  inbox
	stats  struct{ greenlets, ready, streams, switches, ticks atomic.Int64 }

	attached struct { // streams that were attached but not started, and listeners
		sync.Mutex
		set       map[*Stream]struct{}
		listeners map[*Listener]struct{}
		closed    bool
	}

	control struct { // Start and Close
		sync.Mutex
		started, closing bool
	}
	until   *Greenlet      // Run: the one whose end stops the ticking
	halt    bool           // tick no more
	over    bool           // for good
	broken  bool           // the ready queue is; the process is ending
	done    chan struct{}  // closed after the last tick
	outside sync.WaitGroup // goroutines that work for this loop: Await, portable streams
}

// phase is how far a loop is on its way to its end.
type phase uint8

const (
	running phase = iota
	closing       // everyone has been told
)

// NewLoop returns a loop that does not run yet. Greenlets may be spawned and functions posted; they
// run after Start. It must be closed, started or not.
func NewLoop(o LoopOptions) (*Loop, error) {
	p, err := poll.New()
	if err != nil {
		return nil, err
	}
	if o.OnFailure == nil {
		o.OnFailure = logFailure
	}
	if o.OnPanic == nil {
		o.OnPanic = logPanic
	}
	if o.MaxAwait <= 0 {
		o.MaxAwait = defaultMaxAwait
	}
	if o.Clock == nil {
		o.Clock = realClock{time.Now()}
	}
	l := &Loop{o: o, serial: lastLoop.Add(1), clock: o.Clock, poller: p, done: make(chan struct{})}
	if o.Trace != nil {
		o.Trace.expect(l)
		o.Trace.attach(l)
	}
	return l, nil
}

// lastLoop counts the loops of the process.
var lastLoop atomic.Uint64

func logFailure(g *Greenlet, err error) {
	at := g.Spawned()
	args := []any{"loop", g.loop.o.Name, "greenlet", g.Name(), "err", err, "spawned", fmt.Sprintf("%s:%d", at.File, at.Line)}
	if p, ok := err.(*PanicError); ok {
		args = append(args, "stack", string(p.Stack))
	}
	slog.Error("greenlet failed", args...)
}

func logPanic(l *Loop, err *PanicError) {
	slog.Error("panic in a loop's callback", "loop", l.o.Name, "err", err, "stack", string(err.Stack))
}

// ID is the loop's index in its [Loops], 0 when it is alone. Any goroutine.
func (l *Loop) ID() int { return l.id }

// Name is what the options say. Any goroutine.
func (l *Loop) Name() string { return l.o.Name }

// Now is the loop's time: the clock's reading, taken once a tick, and again when a greenlet sleeps or
// opens a timeout. Loop only.
func (l *Loop) Now() time.Duration {
	if !l.nowValid {
		l.readClock()
	}
	return l.now
}

// readClock makes Now tell the time as it is now.
func (l *Loop) readClock() { l.now, l.nowValid = l.clock.Now(), true }

// Scratch returns a buffer of [ScratchSize] bytes that all callers share: its content is lost as
// soon as the caller parks, returns, or calls foreign code. Loop only.
func (l *Loop) Scratch() []byte {
	if l.scratch == nil {
		l.scratch = make([]byte, ScratchSize)
	}
	return l.scratch
}

// Stats returns the counters. Any goroutine.
func (l *Loop) Stats() LoopStats {
	return LoopStats{
		Greenlets: l.stats.greenlets.Load(),
		Ready:     l.stats.ready.Load(),
		Streams:   l.stats.streams.Load(),
		Switches:  uint64(l.stats.switches.Load()),
		Posts:     l.inbox.posted(),
		Ticks:     uint64(l.stats.ticks.Load()),
	}
}

func (l *Loop) publishStats() {
	l.stats.ready.Store(int64(l.ready.n))
	l.stats.switches.Store(int64(l.switches))
	l.stats.ticks.Store(int64(l.ticks))
}

// QueueFlush has f.Flush called once, at the end of this tick, before I/O is polled; at the end of the
// next one if this tick's flushers run already. In a tick 512 are called, or more if all else takes longer than they do, and
// the others in the next ticks, first queued, first called. The caller sees to it that f is not queued twice.
// Loop only.
func (l *Loop) QueueFlush(f Flusher) { l.flushers = append(l.flushers, f) }

// run is the loop's goroutine.
func (l *Loop) run() {
	l.self.enter(l)
	defer func() {
		l.self.leave(l)
		if l.broken {
			return // the process ends
		}
		if l.over {
			close(l.done)
			return
		}
		// Someone called runtime.Goexit, as t.FailNow does. It ends this goroutine, not the loop.
		l.abandon(ErrGoexit)
		go l.run()
	}()
	for !l.halt {
		l.turn(stackMark{l.serial, loopMark})
	}
}

// turn ticks until the loop is to halt or a callback panics. A single deferred recover outside of the
// ticks costs nothing per callback; the state of a batch lives in the loop, so that the next turn
// goes on with what follows the culprit.
func (l *Loop) turn(stackMark) {
	defer func() {
		if l.broken {
			return // panicking on, see fatal
		}
		if v := recover(); v != nil {
			p := recovered(v)
			l.abandon(p)
			l.reportPanic(p)
		}
	}()
	for !l.halt {
		l.tick()
	}
}

// reportPanic calls the hook; if that panics too, the log has to do.
func (l *Loop) reportPanic(p *PanicError) {
	defer func() {
		if v := recover(); v != nil {
			logPanic(l, p)
			logPanic(l, recovered(v))
		}
	}()
	l.o.OnPanic(l, p)
}

// abandon tidies up after a callback that did not return. A stream whose handler broke off is in
// no known state and is closed.
func (l *Loop) abandon(cause error) {
	l.current = nil
	l.flushed = l.clock.Now()
	if l.observer != nil {
		l.observer.broke()
	}
	if s := l.handling; s != nil {
		l.handling = nil
		s.fail(cause)
	}
}

// tick is one round of everything, in the order that the package documents.
func (l *Loop) tick() {
	l.ticks++
	l.nowValid = false
	if l.ticks%64 == 0 {
		l.readClock() // for those who only want to know since when they wait
		l.publishStats()
	}
	l.doing = doingJobs
	l.runJobs()
	l.doing = doingGreenlets
	l.runReady()
	l.doing = doingTimers
	l.runTimers()
	l.doing = doingFlush
	l.runFlushers()
	l.doing = doingIO
	l.runIO()
	if l.phase != running {
		l.wind()
	}
}

// flushShare is how many flushers of a long batch run in a tick. Thousands of writes take tens of milliseconds. Nobody else
// should wait for all of them, and what comes in meanwhile, such as the next message for the same thousands, shares the
// writes that are still to be done.
const flushShare = 512

func (l *Loop) runFlushers() {
	var began, others time.Duration // others: what the rest of the loop has taken since it left this batch
	if l.flushAt < len(l.flushing) {
		began = l.clock.Now()
		others = began - l.flushed
	} else if len(l.flushers) > 0 {
		l.flushing, l.flushers, l.flushAt = l.flushers, l.flushing[:0], 0
	} else {
		return
	}
	for end := l.flushAt + flushShare; l.flushAt < len(l.flushing); {
		if l.flushAt == end && l.phase == running {
			if l.flushed = l.clock.Now(); l.flushed-began >= others {
				return
			}
			end += flushShare // as much time as others, or more would gather for the last ones than they can take
		}
		f := l.flushing[l.flushAt]
		l.flushing[l.flushAt] = nil
		l.flushAt++
		f.Flush()
	}
	l.flushing, l.flushAt = spare(l.flushing, &l.fewFlushers), 0
}

// While greenlets are ready, polling can wait a few short ticks: a system call costs several switches.
const (
	maxSkipped  = 16
	maxUnpolled = 100 * time.Microsecond
)

// runIO calls the handlers of streams that are ready, and sleeps when the loop has nothing to do.
func (l *Loop) runIO() {
	switch {
	case l.hasWork():
		if l.table.open == 0 {
			break
		}
		if l.skipped++; l.skipped < maxSkipped && l.Now()-l.polled < maxUnpolled && len(l.again) == 0 && l.flushAt == len(l.flushing) {
			break
		}
		l.pollNow()
	case l.idlers.n > 0:
		l.runIdler()
	default:
		l.sleep()
	}
	l.serveStreams()
	l.finishStreams()
}

func (l *Loop) hasWork() bool {
	return l.ready.n > 0 || l.inbox.filled.Load() || len(l.flushers) > 0 || l.flushAt < len(l.flushing) ||
		len(l.again) > 0 || len(l.fetching) > 0 || len(l.ending) > 0 || l.halt ||
		l.phase != running && l.live.newest == nil
}

func (l *Loop) pollNow() {
	events, err := l.poller.Poll()
	l.skipped, l.polled = 0, l.Now()
	l.handle(events, err)
}

// sleep blocks until something happens or the next timer is due.
func (l *Loop) sleep() {
	if l.world != nil && len(l.timers) == 0 && l.phase == running {
		l.world.deadlocked()
		return
	}
	var deadline time.Time
	if len(l.timers) > 0 {
		next := l.timers[0].at
		l.nowValid = false
		if next <= l.Now() {
			l.pollNow()
			return
		}
		if _, fake := l.clock.(*FakeClock); !fake || l.awaiting == 0 {
			until, wait := l.clock.WakeAt(next)
			if !wait {
				l.pollNow()
				return
			}
			deadline = until
		}
	}
	if l.phase != running && (deadline.IsZero() || l.limit.Before(deadline)) {
		deadline = l.limit // someone has revived itself, to clean up
	}
	l.publishStats()
	l.ready.trim()
	l.inbox.asleep.Store(true)
	if l.inbox.filled.Load() { // posted just before: nobody will wake us
		l.inbox.asleep.Store(false)
		return
	}
	events, err := l.poller.Wait(deadline)
	l.inbox.asleep.Store(false)
	l.nowValid = false
	l.skipped, l.polled = 0, l.Now()
	l.handle(events, err)
}

func (l *Loop) handle(events []poll.Event, err error) {
	if err != nil {
		// Only a broken process gets here. Say it, and do not spin.
		slog.Error("loop cannot poll", "loop", l.o.Name, "err", err)
		time.Sleep(10 * time.Millisecond)
		return
	}
	l.onEvents(events)
}
