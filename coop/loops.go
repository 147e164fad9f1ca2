package coop

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Loops are loops that share the work of one program, usually one a core.
type Loops struct{ all []*Loop }

// NewLoops starts n loops; 0 means GOMAXPROCS. They share one clock.
func NewLoops(n int, o LoopOptions) (*Loops, error) {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	if o.Clock == nil {
		o.Clock = realClock{time.Now()}
	}
	name := o.Name
	if name == "" {
		name = "loop"
	}
	ls := &Loops{all: make([]*Loop, 0, n)}
	for i := range n {
		o.Name = fmt.Sprintf("%s-%d", name, i)
		l, err := NewLoop(o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start loop %d: %w", i, err), ls.Close())
		}
		l.id = i
		l.Start()
		ls.all = append(ls.all, l)
	}
	return ls, nil
}

// All returns the loops; the index of each is its ID. The slice is not to be changed. Any goroutine.
func (ls *Loops) All() []*Loop { return ls.all }

// Least returns the loop with the fewest streams and greenlets. Any goroutine.
func (ls *Loops) Least() *Loop {
	var least *Loop
	var fewest int64
	for _, l := range ls.all {
		n := l.stats.streams.Load() + l.stats.greenlets.Load()
		if least == nil || n < fewest {
			least, fewest = l, n
		}
	}
	return least
}

// Here returns the loop on which the caller runs, in a greenlet or a callback; nil if it is none of
// these. Any goroutine.
func (ls *Loops) Here() *Loop {
	for _, l := range ls.all {
		if l.isCaller() {
			return l
		}
	}
	return nil
}

// Close closes all loops, at the same time, since their greenlets may be waiting for each other. On one
// of the loops it returns [ErrOnLoop] and does nothing.
func (ls *Loops) Close() error {
	if ls.Here() != nil {
		return ErrOnLoop
	}
	errs := make(chan error, len(ls.all))
	for _, l := range ls.all {
		go func() { errs <- l.Close() }()
	}
	var err error
	for range ls.all {
		err = errors.Join(err, <-errs)
	}
	return err
}
