package coop

import (
	"errors"
	"slices"
	"time"
)

// How long a closing loop is patient: with greenlets that clean up, in ticks and in time, and with
// goroutines that work for it.
const (
	closeRounds = 10_000
	closeTime   = time.Second
	closeGrace  = 3 * time.Second
)

var errStillBusy = errors.New("loop closed, but goroutines that work for it go on")

// Start runs the loop on a goroutine of its own. Starting again, or after Close, does nothing.
func (l *Loop) Start() {
	l.control.Lock()
	defer l.control.Unlock()
	l.startLocked()
}

func (l *Loop) startLocked() {
	if !l.control.started {
		l.control.started = true
		go l.run()
	}
}

// Close kills all greenlets, runs the loop until they have ended, closes the streams, runs what had been
// posted, and returns when the loop's goroutine is gone. Greenlets that go on parking after
// they were killed are unwound by force, their deferred functions run. The error says that functions
// given to [Await] did not return within a few seconds. Closing again waits for the same end. Called on
// the loop itself, by a greenlet or a callback, it would wait for ever: it returns [ErrOnLoop] instead and
// does nothing. Any goroutine.
func (l *Loop) Close() error {
	if l.isCaller() {
		return ErrOnLoop
	}
	l.control.Lock()
	if !l.control.closing {
		l.control.closing = true
		l.PostJob(closeJob{}) // before the start, so that what Run left ready does not get to run by chance
	}
	l.startLocked()
	l.control.Unlock()
	<-l.done

	idle := make(chan struct{})
	go func() {
		l.outside.Wait()
		close(idle)
	}()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-idle:
		return nil
	case <-grace.C:
		return errStillBusy
	}
}

// started reports whether the loop runs, or did.
func (l *Loop) started() bool {
	l.control.Lock()
	defer l.control.Unlock()
	return l.control.started
}

type closeJob struct{}

// RunOn kills everyone, the oldest first.
func (closeJob) RunOn(l *Loop) {
	l.phase, l.limit = closing, time.Now().Add(closeTime)
	var all []*Greenlet
	for g := l.live.newest; g != nil; g = g.older {
		all = append(all, g)
	}
	l.endPlaces()
	var lives []*scope
	for _, g := range slices.Backward(all) {
		lives = append(lives, g.condemn(&ErrKilled))
		g.interrupt(g.killError())
	}
	// Last, because these call functions of AfterFunc, which may panic. Who is not told here is told when
	// the greenlet ends.
	for i, g := range slices.Backward(all) {
		if life := lives[len(all)-1-i]; life != nil {
			g.announce(life)
		}
	}
}

// wind is the end of each tick of a closing loop. It takes the loop apart in steps, and comes back for
// what the callbacks of one step leave to do.
func (l *Loop) wind() {
	l.rounds++
	patient := l.rounds < closeRounds && time.Now().Before(l.limit)
	if l.live.newest != nil && patient {
		return
	}
	for l.live.newest != nil {
		l.force(l.live.newest)
	}
	l.closeStreams()
	if patient && (len(l.ending) > 0 || len(l.flushers) > 0) {
		return
	}
	l.finishStreams()
	if l.live.newest != nil || !l.inbox.close(!patient) || l.inbox.filled.Load() {
		return // what was posted before a forced close runs in the next tick
	}
	l.dropCoros()
	l.dropTimers()
	if o := l.observer; o != nil && o.trace != nil {
		o.trace.handOver()
	}
	l.publishStats()
	l.over, l.halt = true, true
	if err := l.poller.Close(); err != nil {
		l.reportPanic(&PanicError{Value: err})
	}
}
