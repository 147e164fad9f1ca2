package coop

import (
	"iter"
	"os"
	"os/signal"
)

// Signals brings operating-system signals to the greenlets of a loop. While it is open the signals do not
// have their usual effect. gevent's signal_handler, as a thing to wait for. Loop only.
type Signals struct {
	came chan os.Signal
	stop chan struct{}
	q    Queue[os.Signal]
	over bool
}

// maxSignals is how many signals may wait to be taken; more are dropped, as os/signal does.
const maxSignals = 64

// NewSignals makes a Signals for the given signals, all if there are none, on the loop l. It uses a goroutine until
// it is stopped or the loop is closed.
func NewSignals(l *Loop, sigs ...os.Signal) *Signals {
	s := &Signals{came: make(chan os.Signal, 16), stop: make(chan struct{})}
	s.q.max = maxSignals
	signal.Notify(s.came, sigs...)
	l.outside.Add(1)
	go func() {
		defer l.outside.Done()
		defer signal.Stop(s.came)
		for {
			select {
			case sig := <-s.came:
				l.Post(func() { s.q.TryPut(sig) })
			case <-s.stop:
				return
			case <-l.done:
				return
			}
		}
	}()
	return s
}

// Wait parks g until a signal comes, and returns it. Each signal goes to one greenlet, in the order in which they
// began to wait. The error is [ErrClosed] after Stop, or says that g was killed or timed out.
func (s *Signals) Wait(g *Greenlet) (os.Signal, error) { return s.q.get(g, ParkedSignal) }

// All yields the signals until s is stopped, or g is killed or times out.
func (s *Signals) All(g *Greenlet) iter.Seq[os.Signal] { return s.q.all(g, ParkedSignal) }

// Stop gives the signals their usual effect again. Signals that have come can still be taken. Stopping
// again does nothing.
func (s *Signals) Stop() {
	if s.over {
		return
	}
	s.over = true
	signal.Stop(s.came) // at once, not when the goroutine hears of it
	close(s.stop)
	s.q.Close()
}
