package coop

import (
	"sync/atomic"
	"time"
)

// LagBounds are the upper bounds of the buckets of a [Lag].
var LagBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Lag is a histogram of how long loops took to get on.
type Lag struct {
	Counts [len(LagBounds) + 1]uint64 // how many answers took at most LagBounds[i], and more than the one before; the last: longer
	Count  uint64
	Sum    time.Duration
}

// lagHistogram counts, from one goroutine, for any goroutine to read.
type lagHistogram struct {
	counts [len(LagBounds) + 1]atomic.Uint64
	sum    atomic.Int64
}

func (h *lagHistogram) add(d time.Duration) {
	i := 0
	for i < len(LagBounds) && d > LagBounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *lagHistogram) addTo(l *Lag) {
	for i := range h.counts {
		n := h.counts[i].Load()
		l.Counts[i] += n
		l.Count += n
	}
	l.Sum += time.Duration(h.sum.Load())
}
