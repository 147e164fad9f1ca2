package coop

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// WatchdogOptions configure a [Watchdog]. The zero value is ready to use.
type WatchdogOptions struct {
	// Limit is how long a loop may be held before it is reported; 0 is 100 ms, as in gevent.
	Limit time.Duration

	// OnBlock is told of every offence, once, while it lasts, on the watchdog's goroutine. nil logs it.
	OnBlock func(Block)
}

const defaultBlockLimit = 100 * time.Millisecond

// A Block is a loop that does not get on, because a greenlet or a callback holds it.
type Block struct {
	Loop     *Loop
	Greenlet *Greenlet     // who holds it; nil: a posted function, a timer, a flusher or a stream's handler
	For      time.Duration // at least; it goes on
	Stack    string        // where it is, as the runtime prints it
}

// Who is the greenlet's name, or says that it is a callback.
func (b Block) Who() string {
	if b.Greenlet == nil {
		return "a callback of the loop"
	}
	return b.Greenlet.Name()
}

// A Watchdog asks its loops again and again whether they get on. It reports the ones that do not, and
// keeps account of how long they take to answer: their lag, which is what a greenlet that
// becomes ready waits at most. It costs each loop a wake-up every half limit and an atomic store or
// two a switch. Counterpart of gevent's monitor thread.
type Watchdog struct {
	o     WatchdogOptions
	loops []*watchedLoop
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
}

// watchedLoop is one loop and the question it has been asked. A [Job].
type watchedLoop struct {
	loop     *Loop
	observer atomic.Pointer[observer]
	asked    time.Time
	waiting  atomic.Bool // for an answer
	answered atomic.Int64
	reported bool
	lag      lagHistogram
}

// Watch starts a watchdog over loops, running or about to. It must be stopped; it lets go of loops that
// have been closed by itself. Not on a loop.
func Watch(o WatchdogOptions, loops ...*Loop) *Watchdog {
	if o.Limit <= 0 {
		o.Limit = defaultBlockLimit
	}
	if o.OnBlock == nil {
		o.OnBlock = logBlock
	}
	w := &Watchdog{o: o, stop: make(chan struct{}), done: make(chan struct{})}
	for _, l := range loops {
		w.loops = append(w.loops, &watchedLoop{loop: l})
	}
	for _, wl := range w.loops {
		wl.loop.PostJob((*beginWatch)(wl))
	}
	go w.run()
	return w
}

func logBlock(b Block) {
	slog.Warn("a loop is held", "loop", b.Loop.Name(), "by", b.Who(), "for", b.For, "stack", b.Stack)
}

// Stop ends the watch and waits until the last report has been made. Idempotent. Any goroutine but a
// loop's, and not from OnBlock.
func (w *Watchdog) Stop() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

// Lag is how long the loops took to answer. Any goroutine.
func (w *Watchdog) Lag() Lag {
	var sum Lag
	for _, wl := range w.loops {
		wl.lag.addTo(&sum)
	}
	return sum
}

type beginWatch watchedLoop

func (b *beginWatch) RunOn(l *Loop) {
	o := l.observed()
	o.guards++
	b.observer.Store(o)
}

type endWatch watchedLoop

func (e *endWatch) RunOn(l *Loop) {
	if o := e.observer.Swap(nil); o != nil {
		o.guards--
		o.settle()
	}
}

// RunOn is the loop's answer.
func (wl *watchedLoop) RunOn(*Loop) {
	wl.answered.Store(int64(time.Since(wl.asked)))
	wl.waiting.Store(false)
}

func (w *Watchdog) run() {
	defer close(w.done)
	defer func() {
		for _, wl := range w.loops {
			wl.loop.PostJob((*endWatch)(wl))
		}
	}()
	tick := time.NewTicker(w.o.Limit / 2)
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
			for _, wl := range w.loops {
				w.check(wl)
			}
		}
	}
}

// check asks a loop that has answered, and reports one that has not for too long.
func (w *Watchdog) check(wl *watchedLoop) {
	if !wl.waiting.Load() {
		if d := wl.answered.Swap(0); d > 0 {
			wl.lag.add(time.Duration(d))
		}
		if !wl.loop.started() {
			return
		}
		wl.asked, wl.reported = time.Now(), false
		wl.waiting.Store(true)
		wl.loop.PostJob(wl) // a closed loop never answers; see below
		return
	}
	held := time.Since(wl.asked)
	if held < w.o.Limit || wl.reported {
		return
	}
	wl.reported = true
	select {
	case <-wl.loop.done:
	default:
		w.report(wl, held)
	}
}

func (w *Watchdog) report(wl *watchedLoop, held time.Duration) {
	b := Block{Loop: wl.loop, For: held}
	stacks := allStacks()
	if o := wl.observer.Load(); o != nil {
		b.Greenlet = o.current.Load()
	}
	if !wl.waiting.Load() {
		return // it got on just now: whatever runs at present is somebody else
	}
	if b.Greenlet != nil {
		b.Stack = stackOf(stacks, b.Greenlet)
		if strings.Contains(b.Stack, "coop.(*Greenlet).OnLoop(") { // what it wants done has the loop's stack
			b.Stack += "\n\n" + stackOfLoop(stacks, wl.loop)
		}
	} else {
		b.Stack = stackOfLoop(stacks, wl.loop)
	}
	w.o.OnBlock(b)
}
