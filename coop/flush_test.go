package coop_test

import (
	"testing"
	"time"

	"greenroom/coop"
)

// TestLongFlushesLetOthersIn: others run between the shares of a long batch, and the batch keeps its order.
func TestLongFlushesLetOthersIn(t *testing.T) {
	const n = 2000
	run(t, func(g *coop.Greenlet) error {
		l := g.Loop()
		flushed, atJob, atLast := 0, -1, -1
		for i := range n {
			l.QueueFlush(flushFunc(func() {
				if i != flushed {
					t.Errorf("the %d. is flushed as the %d.", i, flushed)
				}
				flushed++
				if i == 0 {
					l.Post(func() { atJob = flushed })
					l.QueueFlush(flushFunc(func() { atLast = flushed }))
				}
			}))
		}
		for atLast < 0 {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		if atJob != 512 {
			t.Errorf("a job ran after %d of %d", atJob, n)
		}
		if atLast != n {
			t.Errorf("one that was queued later was flushed after %d of %d", atLast, n)
		}
		return nil
	})
}

// TestLongFlushesGetAsMuchTimeAsOthers: what others do between two shares does not gather for longer than it takes to
// flush it.
func TestLongFlushesGetAsMuchTimeAsOthers(t *testing.T) {
	clock := new(stepClock)
	runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		l := g.Loop()
		flushed := 0
		var at []int
		for i := range 3000 {
			l.QueueFlush(flushFunc(func() {
				clock.now += time.Millisecond
				flushed++
				switch i {
				case 0:
					l.Post(func() { at = append(at, flushed); clock.now += time.Second })
				case 512:
					l.Post(func() { at = append(at, flushed) })
				}
			}))
		}
		for flushed < 3000 {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		if len(at) != 2 || at[0] != 512 || at[1] != 512+2*512 {
			t.Errorf("jobs ran after %d", at)
		}
		return nil
	})
}

// TestCloseEndsLongFlushes: what was queued is flushed before the loop is gone.
func TestCloseEndsLongFlushes(t *testing.T) {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	flushed, begun := 0, make(chan struct{})
	l.Post(func() {
		for i := range 5000 {
			l.QueueFlush(flushFunc(func() {
				flushed++
				if i == 0 {
					close(begun)
				}
			}))
		}
	})
	l.Start()
	<-begun
	if err := l.Close(); err != nil || flushed != 5000 {
		t.Errorf("%d of 5000 were flushed: %v", flushed, err)
	}
}

// TestPanicInALongFlush costs the others of the batch nothing.
func TestPanicInALongFlush(t *testing.T) {
	panics := 0
	runWith(t, coop.LoopOptions{OnPanic: func(*coop.Loop, *coop.PanicError) { panics++ }}, func(g *coop.Greenlet) error {
		l := g.Loop()
		flushed := 0
		for i := range 2000 {
			l.QueueFlush(flushFunc(func() {
				flushed++
				if i%700 == 0 {
					panic("boom")
				}
			}))
		}
		for flushed < 2000 {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		if panics != 3 {
			t.Errorf("%d panics", panics)
		}
		return nil
	})
}
