package coop_test

import (
	"runtime"
	"testing"
	"time"

	"greenroom/coop"
)

// A million greenlets wait for one event in one process, are woken by one call, run in the order in which they
// began to wait, and leave nothing behind.
func TestMillionParkedAtScale(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("the race detector cannot follow so many; and it takes 3 GB")
	}
	const n = 1_000_000
	before := inUse()
	err := coop.Run(func(g *coop.Greenlet) error {
		begin := coop.NewEvent()
		next, ended := 0, coop.NewEvent()
		start := time.Now()
		for i := range n {
			g.Spawn(func(g *coop.Greenlet) error {
				if err := begin.Wait(g); err != nil {
					return err
				}
				if i != next {
					t.Errorf("number %d ran in place of %d", i, next)
				}
				if next++; next == n {
					ended.Set()
				}
				return nil
			})
		}
		if err := g.Yield(); err != nil { // they all get to wait
			return err
		}
		t.Logf("spawned and parked in %v, %d bytes each", time.Since(start).Round(time.Millisecond), (inUse()-before)/n)
		start = time.Now()
		begin.Set()
		if err := ended.Wait(g); err != nil {
			return err
		}
		t.Logf("woken and ended in %v", time.Since(start).Round(time.Millisecond))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The runtime never gives back what it describes a goroutine by, some 450 bytes.
	if left := (inUse() - before) / n; left > 700 {
		t.Errorf("%d bytes each are still in use", left)
	}
}

// inUse is what heap and stacks hold, in bytes.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
