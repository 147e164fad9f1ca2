package coop

import "testing"

// A message to many that comes now and then finds the list that the last one has left, whatever heartbeats were in between.
func TestLargeBatchesKeepTheirMemory(t *testing.T) {
	const many, between = 3 * keptJobs, 200
	l := &Loop{clock: NewFakeClock()}
	var f countingFlusher
	flush := func() {
		for l.runFlushers(); len(l.flushing) > 0; {
			l.runFlushers()
		}
	}
	round := func() {
		for i := range between + 1 {
			n := 1
			if i == 0 {
				n = many
			}
			for range n {
				l.flushers = append(l.flushers, &f)
			}
			flush()
		}
	}
	round()
	round() // two lists take turns
	if n := testing.AllocsPerRun(10, round); n > 0 {
		t.Errorf("%.0f allocations for a message to %d", n, many)
	}
	if want := 13 * (many + between); int(f) != want {
		t.Errorf("%d flushed, want %d", f, want)
	}
	for range 4 * keptFor { // one list after the other
		l.flushers = append(l.flushers, &f)
		flush()
	}
	if n := max(cap(l.flushers), cap(l.flushing)); n > keptJobs {
		t.Errorf("room for %d is kept although nothing large came", n)
	}
}

type countingFlusher int

func (f *countingFlusher) Flush() { *f++ }
